"""Tiny files: what data that are read from their user's files write, so that they can be tried without any.

Pictures and sounds follow from a number, so that no two are alike and everybody writes the same bytes.
Axes: C channels, H W image, T frames, S samples of a waveform.
"""

import math
import struct
import wave
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

SIDE = 32  # pixels
FRAME_RATE = 8  # frames per second
SAMPLE_RATE = 8000  # Hz


def paint_picture(number: int, side: int = SIDE) -> UInt8[np.ndarray, "H W 3"]:
    """Paint waves on a ground that grows lighter with each number."""
    rows, columns, channels = np.ogrid[:side, :side, :3]
    waves = (rows * (3 + number % 5) + columns * (2 + number % 7) + 40 * channels) % 64
    picture: np.ndarray = (waves + 11 * (number % 17)).astype(np.uint8)
    return picture


def write_pictures(paths: Iterable[Path], side: int = SIDE) -> None:
    """Write a picture to each path, as a PNG file whatever its ending."""
    from PIL import Image

    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(paint_picture(number, side)).save(path, "PNG")


def write_recordings(paths: Iterable[Path], seconds: Sequence[float] = (0.5, 0.4)) -> None:
    """Write a tone of falling volume to each path, as a WAV file; their lengths take turns."""
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        count = round(seconds[number % len(seconds)] * SAMPLE_RATE)
        tone = [math.sin(2 * math.pi * (200 + 50 * number) * place / SAMPLE_RATE) for place in range(count)]
        levels = [round(20_000 * level * (1 - place / count)) for place, level in enumerate(tone)]
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, SAMPLE_RATE, count, "NONE", ""))
            file.writeframes(struct.pack(f"<{count}h", *levels))


def write_clips(paths: Iterable[Path], frames: int = 8, side: int = SIDE) -> None:
    """Write a clip of drifting waves to each path, without loss (FFV1), so that every decoder gives the same."""
    import av

    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=FRAME_RATE)
            stream.width, stream.height, stream.pix_fmt = side, side, "bgr0"
            for time in range(frames):
                picture = np.roll(paint_picture(number, side), time, axis=1)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
