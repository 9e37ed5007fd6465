"""Waves: recordings decoded once into the cache, cut or padded to one length.

Axes: N recordings, S samples of a waveform.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from pretask import Labels, Observed, PretaskError, Samples
from pretask.cache import cached, create_rows_file, fingerprint
from pretask.mapped import map_file
from pretask.unread_rows import UnreadRows
from torch import Tensor

from pretask_plugins.data.audio.recordings import read_wave
from pretask_plugins.shared.parts import list_some


@dataclass(frozen=True)
class Sounds:
    """Labeled recordings that are yet to be decoded.

    Args:
        count: How many there are.
        rate: Hz to which they are resampled.
        size: Samples of each.
        classes: Their class numbers, -1 where one has none.
        names: Of the classes.
    """

    count: int
    rate: int
    size: int
    classes: Int[np.ndarray, " N"]
    names: Sequence[str]


def cached_samples(
    who: str, facts: Mapping[str, Any], sounds: Sounds, read: Callable[[int], bytes], name: Callable[[int], str]
) -> Samples:
    """Return the samples of an entry of the cache, mapped into memory; decoded where there is none.

    Args:
        who: The data set, for errors.
        facts: What determines the waveforms.
        sounds: How many there are, and how they are wanted.
        read: Gives the bytes of a recording.
        name: What to call one that cannot be read.
    """
    known = fingerprint(sounds.classes, names=sounds.names)
    arrays, notes = cached(
        "audio", {**facts, "classes": known}, lambda folder: write_waves(folder, who, sounds, read, name)
    )
    waves, length = torch.from_numpy(arrays["waves"]), torch.from_numpy(arrays["length"])
    labels = {"class": Labels(torch.from_numpy(sounds.classes), tuple(sounds.names))} if len(sounds.names) else {}
    observed = Observed("audio", (sounds.size,), "float32", sounds.count, rate=sounds.rate)
    return Samples(observed, waves, labels, find_present(length, sounds.size), notes["fingerprint"])


def find_present(length: Int[Tensor, " N"], size: int) -> Bool[Tensor, "N S"]:
    """Return where recordings are no silence that was added; found of a batch when that is asked for it."""

    def find(numbers: Int[Tensor, " B"]) -> Bool[Tensor, "B S"]:
        return torch.arange(size) < length[numbers][:, None]

    return UnreadRows(find, (len(length), size), torch.bool)


def write_waves(
    folder: Path, who: str, sounds: Sounds, read: Callable[[int], bytes], name: Callable[[int], str]
) -> Mapping[str, Any]:
    """Write the waveforms and their lengths in samples, one by one; return the fingerprint of waveforms and classes.

    All files are tried, so that it can say how many fail.
    """
    length = np.zeros(sounds.count, np.int64)
    broken = []
    with create_rows_file(folder / "waves.npy", (sounds.count, sounds.size), "float32") as append:
        for number in range(sounds.count):
            padded = np.zeros((1, sounds.size), np.float32)
            try:
                wave = read_wave(read(number), sounds.rate, sounds.size)
            except (ValueError, OSError) as error:
                broken.append(f"{name(number)} ({error})")
                continue
            padded[0, : len(wave)], length[number] = wave.numpy(), len(wave)
            append(padded)
        if broken:
            raise PretaskError(
                who,
                "whole recordings that can be read, of finite samples",
                f"{len(broken)} of {sounds.count} that are none: {list_some(broken)}",
                "Convert or remove them.",
            )
    np.save(folder / "length.npy", length)
    known = fingerprint(map_file(folder / "waves.npy"), sounds.classes, names=sounds.names)
    return {"fingerprint": known}
