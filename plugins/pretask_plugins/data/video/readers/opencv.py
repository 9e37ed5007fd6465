"""OpenCV: frames by OpenCV's own copy of FFmpeg, one after the other from the first.

Axes: F frames, H W image.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from pretask_plugins.data.video.readers.pyav import PyAV
from pretask_plugins.data.video.readers.reader import Picture, check_times


class OpenCV:
    """Frames by OpenCV; it leaves opacity and mirrors out.

    Args:
        path: Of the file.
        known: What PyAV finds out without decoding. Without it every frame is decoded twice, the first time to be
            counted: the number of frames that OpenCV has of a file is a guess by its header.

    Raises:
        ValueError: OpenCV reads no pictures in it.
    """

    def __init__(self, path: Path, known: PyAV | None) -> None:
        self.path = path
        self.count, self.times = count_frames(open_capture(path)) if known is None else (known.count, known.times)

    def scan(self, index: Sequence[int], /) -> Iterator[Picture]:
        """Yield the frames of the given numbers; raise ValueError where the file ends before."""
        import cv2

        capture, last = open_capture(self.path), -1
        picture: Any = None
        for number in index:
            for passed in range(last + 1, number + 1):
                if not capture.grab():
                    raise ValueError(f"frame {passed + 1} of {self.count} cannot be decoded")
            if number > last:
                picture = cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2RGB)
            last = number
            yield picture


def open_capture(path: Path) -> Any:
    """Open a file for decoding with one thread; raise ValueError where OpenCV cannot."""
    import cv2

    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        raise ValueError("no pictures in it")
    return capture


def count_frames(capture: Any) -> tuple[int, Float[np.ndarray, " F"] | None]:
    """Return how many frames a file has, and when they are shown, by decoding it."""
    import cv2

    seconds = []
    while capture.grab():
        seconds.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
    return len(seconds), check_times(np.array(seconds), capture.get(cv2.CAP_PROP_FPS))
