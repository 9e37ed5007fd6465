"""Waves: recordings decoded once into the cache, cut or padded to one length.

Axes: N recordings, S samples of a waveform.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from pretask import Labels, Observed, PretaskError, Samples
from pretask.cache import cached, fingerprint

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
    arrays, _ = cached("audio", facts, lambda folder: write_waves(folder, who, sounds, read, name))
    waves, length = torch.from_numpy(arrays["waves"]), torch.from_numpy(arrays["length"].copy())
    labels = {"class": Labels(torch.from_numpy(sounds.classes), tuple(sounds.names))} if len(sounds.names) else {}
    observed = Observed("audio", (sounds.size,), "float32", sounds.count, rate=sounds.rate)
    known = fingerprint(arrays["waves"], sounds.classes, names=sounds.names)
    return Samples(observed, waves, labels, torch.arange(sounds.size) < length[:, None], known)


def write_waves(
    folder: Path, who: str, sounds: Sounds, read: Callable[[int], bytes], name: Callable[[int], str]
) -> Mapping[str, Any]:
    """Write the waveforms and their lengths in samples; all files are tried, so that it can say how many fail."""
    waves = np.lib.format.open_memmap(folder / "waves.npy", "w+", np.float32, (sounds.count, sounds.size))
    length = np.zeros(sounds.count, np.int64)
    broken = []
    for number in range(sounds.count):
        try:
            wave = read_wave(read(number), sounds.rate, sounds.size)
        except (ValueError, OSError) as error:
            broken.append(f"{name(number)} ({error})")
            continue
        waves[number, : len(wave)], length[number] = wave.numpy(), len(wave)
    if broken:
        raise PretaskError(
            who,
            "whole recordings that can be read, of finite samples",
            f"{len(broken)} of {sounds.count} that are none: {list_some(broken)}",
            "Convert or remove them.",
        )
    waves.flush()
    np.save(folder / "length.npy", length)
    return {}
