"""Speech corpora as torchaudio unpacks them: Speech Commands and LibriSpeech, read from disk, never downloaded.

SpeechCommands/speech_commands_v0.02/WORD/SPEAKER_nohash_N.wav with testing_list.txt and validation_list.txt;
LibriSpeech/SUBSET/SPEAKER/CHAPTER/SPEAKER-CHAPTER-N.flac, of which any subsets may be there.

Source: Warden 2018 (Speech Commands); Panayotov, Chen, Povey and Khudanpur, ICASSP 2015 (LibriSpeech). Differs:
recordings are cut or padded to one length; transcripts are not read.
Axes: N recordings, S samples of a waveform.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
import torch
from pretask import Labels, PretaskError, Samples
from pretask.cache import fingerprint
from pretask.options import Interval, Seconds, Size, require_range

from pretask_plugins.data.audio.recordings import describe_decoder
from pretask_plugins.data.audio.waves import Sounds, cached_samples
from pretask_plugins.shared.listing import FileTree, printable_name
from pretask_plugins.shared.parts import check_part, hash_text, is_tenth
from pretask_plugins.shared.tiny_files import SAMPLE_RATE, write_recordings

WHO = "torchaudio"
COMMAND = re.compile(r"(?:^|/)([^/_][^/]*)/([0-9a-f]+)_nohash_\d+\.wav$")  # folders such as _background_noise_ are none
READING = re.compile(r"(?:^|/)((?:train|dev|test)-[\w-]+)/(\d+)/\d+/\d+-\d+-\d+\.flac$")
OTHER = ""  # the part of what is for validation


@dataclass(frozen=True)
class Utterance:
    """A recording of a corpus.

    Args:
        name: Of the file.
        speaker: Who speaks.
        word: What is said, where it is one word.
        part: To which the corpus's own division assigns it; empty for validation.
    """

    name: str
    speaker: str
    word: str
    part: str


@dataclass(frozen=True)
class SpeechCorpus:
    """Recordings of Speech Commands or LibriSpeech, labeled by word (or by speaker, where there are no words).

    Args:
        root: The folder or tar file in which the corpus lies.
        corpus: SPEECHCOMMANDS has the labels `class`, words, and `speaker`; LIBRISPEECH has speakers as `class`.
        division: What is tested on: by its own lists or subsets (speakers are apart then), or a tenth of all
            utterances (every speaker is in both parts), as probes for speakers have it. What a corpus keeps for
            validation is left out by `lists`.
        sample_rate: Hz to which everything is resampled.
        seconds: Length of every recording; longer ones are cut, shorter ones padded with silence (`present` tells).
    """

    root: Path
    corpus: Literal["SPEECHCOMMANDS", "LIBRISPEECH"] = "SPEECHCOMMANDS"
    division: Literal["lists", "utterances"] = "lists"
    sample_rate: Size = 16000
    seconds: Seconds = 1.0

    def __post_init__(self) -> None:
        require_range(WHO, "data", self, seconds=Interval(ge=1 / max(self.sample_rate, 1)))

    def __call__(self, part: str, /) -> Samples:
        """Return one part.

        Raises:
            PretaskError: The corpus is not there, has no such part, or files cannot be read.
        """
        check_part(WHO, part)
        with FileTree(WHO, self.root, "recordings") as tree:
            every = [*READERS[self.corpus](tree)]
            chosen = [utterance for utterance in every if self.assign(utterance) == part]
            if not chosen:
                raise PretaskError(
                    WHO,
                    f"recordings of {self.corpus} for the part {part} in {printable_name(str(self.root))}",
                    f"{len(every)} recordings, none of them for it",
                    "Name the folder that torchaudio unpacked with data.root, and see data.corpus and data.division.",
                )
            speakers = number_names(chosen, every, lambda utterance: utterance.speaker)
            words = number_names(chosen, every, lambda utterance: utterance.word)
            samples = self.read(tree, [utterance.name for utterance in chosen], *(words if words[1][0] else speakers))
        return add_speakers(samples, *speakers) if words[1][0] else samples

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write two words by three speakers, one of whom is for testing."""
        home = folder / "SpeechCommands" / "speech_commands_v0.02"
        names = [f"{word}/{speaker}_nohash_0.wav" for word in ("no", "yes") for speaker in ("0a", "1b", "2c")]
        write_recordings(home / name for name in names)
        (home / "testing_list.txt").write_text("no/2c_nohash_0.wav\nyes/2c_nohash_0.wav\n")
        return {"root": folder, "sample_rate": SAMPLE_RATE, "seconds": 0.5}

    def assign(self, utterance: Utterance) -> str:
        """Return the part of an utterance."""
        if self.division == "lists":
            return utterance.part
        return "test" if is_tenth(hash_text(PurePosixPath(utterance.name).name)) else "train"

    def read(self, tree: FileTree, names: list[str], classes: np.ndarray, class_names: Sequence[str]) -> Samples:
        """Return the recordings of the given names, from the cache or decoded."""
        size = round(self.seconds * self.sample_rate)
        facts = {
            "data": WHO,
            "sample_rate": self.sample_rate,
            "size": size,
            "decoder": describe_decoder(),
            "files": tree.digest(names),
        }
        sounds = Sounds(len(names), self.sample_rate, size, classes, class_names)
        return cached_samples(
            WHO, facts, sounds, lambda number: tree.read(names[number]), lambda number: printable_name(names[number])
        )


def read_commands(tree: FileTree) -> Iterator[Utterance]:
    """Yield the recordings of Speech Commands.

    Raises:
        PretaskError: There is no list of what is for testing.
    """
    lists = {PurePosixPath(name).name: name for name in tree.names if name.endswith("_list.txt")}
    if "testing_list.txt" not in lists:
        raise PretaskError(
            WHO,
            f"testing_list.txt beside the words, in {printable_name(str(tree.root))}",
            "none",
            "Unpack the whole archive, or use the data audio-folder.",
        )
    listed = {
        line.strip(): part
        for file, part in (("testing_list.txt", "test"), ("validation_list.txt", OTHER))
        for line in (tree.read(lists[file]).decode().splitlines() if file in lists else ())
    }
    for name in tree.names:
        found = COMMAND.search(name)
        if found:
            word, speaker = found.groups()
            yield Utterance(name, speaker, word, listed.get("/".join(PurePosixPath(name).parts[-2:]), "train"))


def read_readings(tree: FileTree) -> Iterator[Utterance]:
    """Yield the recordings of LibriSpeech."""
    parts = {"train": "train", "test": "test", "dev": OTHER}
    for name in tree.names:
        found = READING.search(name)
        if found:
            yield Utterance(name, found.group(2), "", parts[found.group(1).split("-")[0]])


READERS: Mapping[str, Callable[[FileTree], Iterator[Utterance]]] = {
    "SPEECHCOMMANDS": read_commands,
    "LIBRISPEECH": read_readings,
}


def number_names(
    chosen: Sequence[Utterance], every: Sequence[Utterance], read: Callable[[Utterance], str]
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the number of what is read of each utterance, and the names, which both parts number alike."""
    names = sorted({read(utterance) for utterance in every})
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[read(utterance)] for utterance in chosen], np.int64), tuple(names)


def add_speakers(samples: Samples, numbers: np.ndarray, names: tuple[str, ...]) -> Samples:
    """Return the samples with the label `speaker` beside the others."""
    labels = {**samples.labels, "speaker": Labels(torch.from_numpy(numbers), names)}
    return replace(samples, labels=labels, fingerprint=fingerprint(numbers, names=[samples.fingerprint or "", *names]))
