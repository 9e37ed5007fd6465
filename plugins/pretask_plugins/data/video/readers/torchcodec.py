"""torchcodec: frames by torchcodec, with the FFmpeg that is installed beside it.

Axes: F frames, H W image.
"""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pretask_plugins.data.video.readers.pyav import PyAV
from pretask_plugins.data.video.readers.reader import FRAMES_AT_ONCE, Picture, check_times

TOLERANCE_SECONDS = 1e-3  # between two times of one frame, by the header and by the frame; no film has 1,000 a second


class TorchCodec:
    """Frames by torchcodec.

    Of a video that was cut without encoding it anew it counts every packet, also those that cannot be decoded, and
    gives later frames under their numbers; it leaves opacity and mirrors out.

    Args:
        path: Of the file.
        known: What PyAV finds out without decoding.

    Raises:
        ValueError: The first frame is not shown when the video begins, so that frames would be taken for others.
    """

    def __init__(self, path: Path, known: PyAV | None) -> None:
        from torchcodec.decoders import VideoDecoder

        self.video = VideoDecoder(path, dimension_order="NHWC", num_ffmpeg_threads=1, seek_mode="exact")
        self.count, self.known = len(self.video), known
        begin, first = self.video.metadata.begin_stream_seconds, self.video.get_frame_at(0).pts_seconds
        if abs(first - begin) > TOLERANCE_SECONDS:
            raise ValueError("a piece of a video, of which torchcodec gives wrong frames; pip install av")

    @cached_property
    def times(self) -> Float[np.ndarray, " F"] | None:
        """Seconds at which frames are shown; all frames are decoded for them where there is no PyAV."""
        if self.known is not None:
            return self.known.times
        seconds = [self.video.get_frame_at(number).pts_seconds for number in range(self.count)]
        return check_times(np.array(seconds), self.video.metadata.average_fps or 0.0)

    def scan(self, index: Sequence[int], /) -> Iterator[Picture]:
        """Yield the frames of the given numbers."""
        for start in range(0, len(index), FRAMES_AT_ONCE):
            yield from self.video.get_frames_at(list(index[start : start + FRAMES_AT_ONCE])).data.numpy()
