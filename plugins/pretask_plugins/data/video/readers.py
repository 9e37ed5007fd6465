"""Readers: the frames of a video by their numbers, whoever decodes it.

A reader knows when each frame is shown and gives the frames of given numbers. PyAV is tried first; where it cannot be
had, decord; a folder of images is a video as well. PyAV decodes a whole file as fast as decord 0.6, which is no longer
maintained, fails on frames of some widths, knows no times of some AVI files, and on truncated files that it reads from
memory ends the process, for which reason it is given files only.
Axes: F frames, H W image.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from pretask import PretaskError

Decoder = Literal["auto", "decord", "pyav"]


@runtime_checkable
class Reader(Protocol):
    """An open video."""

    times: Float[np.ndarray, " F"] | None  # seconds at which frames are shown; None where nobody knows
    count: int  # frames

    def __call__(self, index: Sequence[int], /) -> UInt8[np.ndarray, "_ H W 3"]:
        """Read the frames of the given numbers, which rise."""
        ...


@contextmanager
def open_video(path: Path, decoder: Decoder = "auto") -> Iterator[Reader]:
    """Open a video file; raise whatever the decoder raises where it cannot be read."""
    made: Reader = READERS[choose_decoder(decoder)](path)
    try:
        yield made
    finally:
        getattr(made, "close", lambda: None)()


def choose_decoder(decoder: Decoder) -> str:
    """Return the decoder to use, the first one that can be imported; raise PretaskError where there is none."""
    wanted = {"pyav": "av", "decord": "decord"}
    for name, module in wanted.items():
        if decoder in ("auto", name) and is_importable(module):
            return name
    raise PretaskError(
        "video-folder",
        "a decoder of videos, PyAV or decord",
        "neither" if decoder == "auto" else f"no {decoder}",
        "pip install av, or use folders of frames.",
    )


def is_importable(module: str) -> bool:
    """Return whether a module can be imported here."""
    try:
        __import__(module)
    except (ImportError, OSError):  # a wheel of another platform fails to load its libraries
        return False
    return True


class Decord:
    """Frames by decord."""

    def __init__(self, path: Path) -> None:
        import decord

        self.video = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
        self.count = len(self.video)
        self.times = check_times(
            self.video.get_frame_timestamp(list(range(self.count)))[:, 0], self.video.get_avg_fps()
        )

    def __call__(self, index: Sequence[int], /) -> UInt8[np.ndarray, "_ H W 3"]:
        """Read the frames of the given numbers."""
        frames: np.ndarray = self.video.get_batch(list(index)).asnumpy()
        return frames


class PyAV:
    """Frames by PyAV, from the first to the last that is wanted."""

    def __init__(self, path: Path) -> None:
        import av

        self.container: Any = av.open(str(path))
        if not self.container.streams.video:
            raise ValueError("no pictures in it")
        self.stream = self.container.streams.video[0]
        stamps = [packet.pts for packet in self.container.demux(self.stream) if packet.size]
        self.count = len(stamps)
        known = [stamp for stamp in stamps if stamp is not None]
        seconds = np.sort(np.array(known, float)) * float(self.stream.time_base or 1)
        rate = float(self.stream.average_rate or 0)
        self.times = check_times(seconds if len(known) == self.count else np.zeros(self.count), rate)

    def __call__(self, index: Sequence[int], /) -> UInt8[np.ndarray, "_ H W 3"]:
        """Read the frames of the given numbers; raise ValueError where the file ends before."""
        wanted = set(index)
        self.container.seek(0)
        found = {}
        for number, frame in enumerate(self.container.decode(self.stream)):
            if number in wanted:
                found[number] = frame.to_ndarray(format="rgb24")
            if len(found) == len(wanted):
                break
        if len(found) < len(wanted):
            raise ValueError(f"frame {min(wanted - set(found)) + 1} of {self.count} cannot be decoded")
        return np.stack([found[number] for number in index])

    def close(self) -> None:
        """Close the file."""
        self.container.close()


class Images:
    """Frames that are images of their own, in the order of their names.

    Args:
        names: Of the images.
        read: Gives the bytes of one.
    """

    times: Float[np.ndarray, " F"] | None = None

    def __init__(self, names: Sequence[str], read: Callable[[str], bytes]) -> None:
        self.names, self.read = names, read
        self.count = len(names)

    def __call__(self, index: Sequence[int], /) -> UInt8[np.ndarray, "_ H W 3"]:
        """Read the images of the given numbers, which must be of one size."""
        from PIL import Image

        frames = []
        for number in index:
            with Image.open(io.BytesIO(self.read(self.names[number]))) as image:
                frames.append(np.asarray(image.convert("RGB")))
        sizes = sorted({frame.shape[:2] for frame in frames})
        if len(sizes) > 1:
            raise ValueError(f"images of {len(sizes)} sizes, {sizes[0]} and {sizes[1]}")
        return np.stack(frames)


READERS: dict[str, Callable[[Path], Any]] = {"decord": Decord, "pyav": PyAV}


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
