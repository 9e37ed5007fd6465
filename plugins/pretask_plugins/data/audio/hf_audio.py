"""Recordings of data sets of the datasets library.

Source: Lhoest et al., EMNLP 2021 (the library).
Axes: N recordings, S samples of a waveform.
"""

from dataclasses import dataclass

from pretask import Samples
from pretask.options import Interval, Seconds, Size, require_range

from pretask_plugins.data.audio.recordings import describe_decoder
from pretask_plugins.data.audio.waves import Sounds, cached_samples
from pretask_plugins.data.hub import Choice


@dataclass(frozen=True)
class HfAudio:
    """Waveforms of one length from a data set of the datasets library; of several channels the mean.

    Args:
        name: On the Hugging Face hub; or a folder that save_to_disk wrote or load_dataset reads.
        subset: Of data sets that have several, such as the language.
        train_split: To train on; train when left out.
        test_split: To test on; test, or validation, when left out; without any, a tenth of the rows to train on.
        column: That holds the recordings; the first one of recordings when left out.
        label: Column of the class; label, or the first one of classes, when left out.
        sample_rate: Hz to which everything is resampled.
        seconds: Length of every recording; longer ones are cut, shorter ones padded with silence (`present` tells).
        revision: A tag or commit of the data set; the newest one when left out.
    """

    name: str
    subset: str = ""
    train_split: str = ""
    test_split: str = ""
    column: str = ""
    label: str = ""
    sample_rate: Size = 16000
    seconds: Seconds = 1.0
    revision: str = ""

    def __post_init__(self) -> None:
        sample = Interval(ge=1 / max(self.sample_rate, 1))
        require_range("hf-audio", "data", self, seconds=sample)

    def __call__(self, part: str, /) -> Samples:
        """Return one part.

        Raises:
            PretaskError: The data set, a split or a column is not there, or a recording cannot be decoded.
        """
        splits = (self.train_split, self.test_split)
        choice = Choice("hf-audio", "Audio", self.name, self.subset, self.revision, splits, self.column, self.label)
        found = choice.open()
        content, size = found.content(part), round(self.seconds * self.sample_rate)
        facts = found.facts(part) | {"sample_rate": self.sample_rate, "size": size, "decoder": describe_decoder()}
        sounds = Sounds(len(content), self.sample_rate, size, found.classes(part), found.names)
        return cached_samples("hf-audio", facts, sounds, content.read, content.name)
