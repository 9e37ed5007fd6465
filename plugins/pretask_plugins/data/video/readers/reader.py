"""Reader: what every reader of videos gives, and the times of frames.

Axes: F frames, H W image.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

EDITION = 3  # of what is done with decoded frames: 3 puts what is transparent on white
FRAMES_AT_ONCE = 8  # that a decoder gives which gives several in one call
Picture = UInt8[np.ndarray, "H W 3"]


@runtime_checkable
class Reader(Protocol):
    """An open video."""

    count: int  # frames

    @property
    def times(self) -> Float[np.ndarray, " F"] | None:
        """Seconds at which frames are shown; None where nobody knows."""
        ...

    def scan(self, index: Sequence[int], /) -> Iterator[Picture]:
        """Yield the frames of the given numbers, which rise."""
        ...


def read_frames(reader: Reader, index: Sequence[int]) -> UInt8[np.ndarray, "_ H W 3"]:
    """Read the frames of the given numbers, which rise, at their full size."""
    return np.stack([*reader.scan(index)])


def check_times(seconds: np.ndarray, rate: float) -> Float[np.ndarray, " F"] | None:
    """Return times that rise, as the file has them or as its rate tells; None where it has neither.

    >>> check_times(np.array([0.0, -3e17, 0.1]), 10.0).tolist()
    [0.0, 0.1, 0.2]
    """
    seconds = np.asarray(seconds, float)
    if len(seconds) > 1 and np.isfinite(seconds).all() and (np.diff(seconds) > 0).all() and np.abs(seconds).max() < 1e9:
        risen: np.ndarray = seconds - seconds[0]
        return risen
    return np.arange(len(seconds)) / rate if rate > 0 else None


def select_at_rate(times: Float[np.ndarray, " F"], rate: float) -> list[int]:
    """Return the numbers of the frames that are shown at 0, 1 / rate, 2 / rate … seconds: the newest one at each.

    >>> select_at_rate(np.array([0.0, 0.1, 0.2, 0.5, 0.6]), 5.0)
    [0, 2, 2, 4]
    """
    moments = np.arange(int(times[-1] * rate + 1e-6) + 1) / rate
    return [int(number) for number in np.searchsorted(times, moments + 1e-6, side="right") - 1]
