"""Audio folder: recordings in files, decoded once, resampled, and cut or padded to one length.

Axes: N recordings, S samples of a waveform.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pretask import Labels, Observed, PretaskError, Samples
from pretask.cache import cached, fingerprint
from torch import Tensor

from pretask_plugins.data.file_tree import FileTree
from pretask_plugins.data.parts import PART_FOLDERS, check_part, check_patterns, hash_text, is_tenth, list_some
from pretask_plugins.shared.tiny_files import SAMPLE_RATE, write_recordings

SUFFIXES = (".wav", ".flac", ".ogg")
EDITION = 2  # of what is decoded; raised when that changes


@dataclass(frozen=True)
class AudioFolder:
    """Recordings from a folder or a tar file, of any sample format; of several channels the mean.

    Args:
        root: A folder of class folders, a folder of files, or a tar file of either.
        sample_rate: Hz to which everything is resampled.
        seconds: Length of every recording; longer ones are cut, shorter ones padded with silence (`present` tells).
        label_pattern: Pattern whose first group, found in the file's name, is the class; the folder's name when empty.
        test_pattern: Pattern of the names that are the part `test`; a tenth by hash of the name when empty.
    """

    root: Path
    sample_rate: int = 16000
    seconds: float = 1.0
    label_pattern: str = ""
    test_pattern: str = ""

    def __post_init__(self) -> None:
        if self.sample_rate < 1 or round(self.seconds * self.sample_rate) < 1:
            raise PretaskError(
                "audio-folder",
                "data.sample_rate of at least 1 Hz and data.seconds of at least one sample",
                f"{self.sample_rate} Hz and {self.seconds} seconds",
                "Set data.sample_rate=16000 and data.seconds=1.",
                exit_code=2,
            )
        check_patterns("audio-folder", label_pattern=self.label_pattern, test_pattern=self.test_pattern)

    def __call__(self, part: str, /) -> Samples:
        """Return one part.

        Raises:
            PretaskError: There are no files, some cannot be used, or a name has no label.
        """
        check_part("audio-folder", part)
        with FileTree("audio-folder", self.root) as tree:
            names = [name for name in tree.stamps if name.lower().endswith(SUFFIXES)]
            names = [name for name in names if self.is_for_test(name) == (part == "test")]
            if not names:
                raise PretaskError(
                    "audio-folder",
                    f"{' or '.join(SUFFIXES)} files for the part {part} in {self.root}",
                    "none",
                    "Name the folder with data.root, and see data.test_pattern.",
                )
            return self.read(tree, names, part)

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write a few recordings of two classes for each part."""
        write_recordings(folder / part / name / f"{n}.wav" for part in PART_FOLDERS for name in "ab" for n in range(3))
        return {"root": folder, "sample_rate": SAMPLE_RATE, "seconds": 0.5, "test_pattern": "^test/"}

    def read(self, tree: FileTree, names: Sequence[str], part: str) -> Samples:
        """Return the recordings of the given names, from the cache or decoded."""
        size = round(self.seconds * self.sample_rate)
        facts = {
            "edition": EDITION,
            "part": part,
            "sample_rate": self.sample_rate,
            "size": size,
            "files": [(name, *tree.stamps[name]) for name in names],
        }
        arrays, _ = cached("audio", facts, lambda folder: self.decode(folder, tree, names, size))
        waves, length = torch.from_numpy(arrays["waves"]), torch.from_numpy(arrays["length"].copy())
        labels = self.labels(names)
        observed = Observed("audio", (size,), "float32", len(names), rate=self.sample_rate)
        known = fingerprint(arrays["waves"], labels.value.numpy(), names=labels.names)
        return Samples(observed, waves, {"class": labels}, torch.arange(size) < length[:, None], known)

    def is_for_test(self, name: str) -> bool:
        """Return whether a file belongs to the part `test`."""
        if self.test_pattern:
            return re.search(self.test_pattern, name) is not None
        return is_tenth(hash_text(Path(name).name, 2)[:1])

    def labels(self, names: Sequence[str]) -> Labels:
        """Return the class of every file."""
        classes = [self.class_name(name) for name in names]
        known = sorted(set(classes))
        return Labels(torch.tensor([known.index(word) for word in classes]), tuple(known))

    def class_name(self, name: str) -> str:
        """Return the class that a file's name or folder holds."""
        if not self.label_pattern:
            return Path(name).parent.name or "all"
        found = re.search(self.label_pattern, Path(name).name)
        if found is None or not found.groups():
            raise PretaskError(
                "audio-folder",
                f"a group of data.label_pattern={self.label_pattern} in every name",
                name,
                "Put round brackets around the class in data.label_pattern.",
            )
        return found.group(1)

    def decode(self, folder: Path, tree: FileTree, names: Sequence[str], size: int) -> Mapping[str, Any]:
        """Write the waveforms and their lengths in samples; all files are tried, so that it can say how many fail."""
        waves = np.lib.format.open_memmap(folder / "waves.npy", "w+", np.float32, (len(names), size))
        length = np.zeros(len(names), np.int64)
        broken = []
        for number, name in enumerate(names):
            try:
                wave = read_wave(tree.read(name), self.sample_rate)[:size]
            except ValueError as error:
                broken.append(f"{name} ({error})")
                continue
            waves[number, : len(wave)], length[number] = wave.numpy(), len(wave)
        if broken:
            raise PretaskError(
                "audio-folder",
                "recordings that can be read, of finite samples",
                f"{len(broken)} of {len(names)} that are none: {list_some(broken)}",
                "Convert or remove them.",
            )
        waves.flush()
        np.save(folder / "length.npy", length)
        return {}


def read_wave(content: bytes, rate: int) -> Tensor:
    """Return a recording as a mono waveform at the rate, (S,).

    Raises:
        ValueError: The bytes are no sound that can be read, or hold no samples, or some that are no numbers.
    """
    import soundfile
    from torchaudio.functional import resample

    try:
        wave, own_rate = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(getattr(error, "error_string", str(error)).rstrip(".")) from error
    if not len(wave):
        raise ValueError("no samples")
    if not np.isfinite(wave).all():
        raise ValueError(f"{int((~np.isfinite(wave)).sum())} samples that are not finite")
    mono = torch.from_numpy(wave.mean(1))
    return mono if own_rate == rate else resample(mono, int(own_rate), rate)
