"""Audio folder: recordings in files, decoded once, resampled, and cut or padded to one length.

Axes: N recordings, S samples of a waveform.
"""

import io
import os
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pretask import Labels, Observed, PretaskError, Samples
from pretask.cache import cached, fingerprint
from torch import Tensor

SOUNDS = (".wav", ".flac", ".ogg")
TENTH = 10
NAMED = 3  # unreadable files that are named
EDITION = 2  # of what is decoded; raised when it changes


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
            got = f"{self.sample_rate} Hz and {self.seconds} seconds"
            raise told(
                "data.sample_rate from 1 Hz and data.seconds of at least one sample", got, "Raise them.", exit_code=2
            )
        for name, pattern in (("label_pattern", self.label_pattern), ("test_pattern", self.test_pattern)):
            try:
                re.compile(pattern)
            except re.error as error:
                needs = f"a regular expression as data.{name}"
                raise told(needs, f"{pattern} ({error})", "Mend it.", exit_code=2) from error

    def __call__(self, part: str, /) -> Samples:
        """One part.

        Raises:
            PretaskError: There are no files, some cannot be used, or a name has no label.
        """
        if part not in ("train", "test"):
            raise PretaskError("audio-folder", "the part train or test", part, "Name one of them.", exit_code=2)
        sounds = sorted(each for each in listed(self.root) if self.is_test(each) == (part == "test"))
        if not sounds:
            raise PretaskError(
                "audio-folder",
                f"{' or '.join(SOUNDS)} files for the part {part} in {self.root}",
                "none",
                "Name the folder with data.root, and see data.test_pattern.",
            )
        size = round(self.seconds * self.sample_rate)
        facts = {
            "edition": EDITION,
            "part": part,
            "sample_rate": self.sample_rate,
            "size": size,
            "files": stamps(self.root, sounds),
        }
        arrays, _ = cached("audio", facts, lambda folder: self.decode(folder, sounds, size))
        waves, length = torch.from_numpy(arrays["waves"]), torch.from_numpy(arrays["length"].copy())
        labels = self.labels(sounds)
        seen = Observed("audio", (size,), "float32", len(sounds), rate=self.sample_rate)
        hashed = fingerprint(arrays["waves"], labels.value.numpy(), names=labels.names)
        return Samples(seen, waves, {"class": labels}, torch.arange(size) < length[:, None], hashed)

    def is_test(self, name: str) -> bool:
        """Whether a file belongs to the part `test`."""
        if self.test_pattern:
            return re.search(self.test_pattern, name) is not None
        return blake2b(Path(name).name.encode(), digest_size=2).digest()[0] % TENTH == 0

    def labels(self, names: Sequence[str]) -> Labels:
        """The class of every file."""
        words = [self.word(name) for name in names]
        known = sorted(set(words))
        return Labels(torch.tensor([known.index(word) for word in words]), tuple(known))

    def word(self, name: str) -> str:
        """The class that a file's name tells."""
        if not self.label_pattern:
            return Path(name).parent.name or "all"
        found = re.search(self.label_pattern, Path(name).name)
        if found is None or not found.groups():
            raise PretaskError(
                "audio-folder",
                f"a group of data.label_pattern={self.label_pattern} in every name",
                name,
                "Mend the pattern.",
            )
        return found.group(1)

    def decode(self, folder: Path, names: Sequence[str], size: int) -> Mapping[str, Any]:
        """Write the waveforms and their lengths in samples; all files are tried, so that it can say how many fail."""
        waves = np.lib.format.open_memmap(folder / "waves.npy", "w+", np.float32, (len(names), size))
        length = np.zeros(len(names), np.int64)
        broken = []
        for number, (name, content) in enumerate(contents(self.root, names)):
            try:
                wave = read_wave(content, self.sample_rate)[:size]
            except ValueError as error:
                broken.append(f"{name} ({error})")
                continue
            waves[number, : len(wave)], length[number] = wave.numpy(), len(wave)
        if broken:
            some = f"{', '.join(broken[:NAMED])}{', …' if broken[NAMED:] else ''}"
            raise told(
                "recordings that can be read, of finite samples",
                f"{len(broken)} of {len(names)} that are none: {some}",
                "Mend or remove them.",
            )
        waves.flush()
        np.save(folder / "length.npy", length)
        return {}


def told(needs: str, got: str, do: str, exit_code: int = 1) -> PretaskError:
    """The error of this data."""
    return PretaskError("audio-folder", needs, got, do, exit_code=exit_code)


def is_tar(root: Path) -> bool:
    """Whether a path is a tar file."""
    return root.is_file() and tarfile.is_tarfile(root)


@contextmanager
def opened(root: Path) -> Iterator[tarfile.TarFile]:
    """A tar file to read; raises PretaskError where it ends too early."""
    try:
        with tarfile.open(root) as archive:
            yield archive
    except (tarfile.TarError, OSError, EOFError) as error:
        raise told("a whole tar file", f"{root} ({error})", "Copy it again, or name a folder.") from error


def listed(root: Path) -> list[str]:
    """The names of all sound files, relative to the root."""
    if is_tar(root):
        with opened(root) as archive:
            return [each.name for each in archive if each.isfile() and each.name.lower().endswith(SOUNDS)]
    if not root.is_dir():
        raise told("a folder or tar file", str(root), "Name one with --set data.root=…")
    return [str(path.relative_to(root)) for path in root.rglob("*") if path.suffix.lower() in SOUNDS]


def stamps(root: Path, names: Sequence[str]) -> list[Any]:
    """What changes when a file changes: name, bytes and time."""
    if is_tar(root):
        return [*names, root.stat().st_size, root.stat().st_mtime_ns]
    return [(name, os.stat(root / name).st_size, os.stat(root / name).st_mtime_ns) for name in names]


def contents(root: Path, names: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every file, in the order of the names."""
    if not is_tar(root):
        yield from ((name, (root / name).read_bytes()) for name in names)
        return
    with opened(root) as archive:
        for name in names:
            member = archive.extractfile(name)
            yield name, member.read() if member is not None else b""


def read_wave(content: bytes, rate: int) -> Tensor:
    """One recording as a mono waveform at the rate, (S,).

    Raises:
        ValueError: The bytes are no sound that can be read, or hold no samples, or some that are no numbers.
    """
    import soundfile
    from torchaudio.functional import resample

    try:
        wave, own = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ValueError(getattr(error, "error_string", str(error)).rstrip(".")) from error
    if not len(wave):
        raise ValueError("no samples")
    if not np.isfinite(wave).all():
        raise ValueError(f"{int((~np.isfinite(wave)).sum())} samples that are not finite")
    mono = torch.from_numpy(wave.mean(1))
    return mono if own == rate else resample(mono, int(own), rate)
