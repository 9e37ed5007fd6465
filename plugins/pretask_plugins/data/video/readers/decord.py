"""decord: frames by decord 0.6, and what it gives wrong frames of.

Axes: F frames, H W image.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pretask_plugins.data.video.readers.pyav import PyAV
from pretask_plugins.data.video.readers.reader import FRAMES_AT_ONCE, Picture, check_times

TRANSPORT_PACKETS = {188: 0, 192: 4}  # bytes of a packet of a transport stream, and before the mark that begins it


class Decord:
    """Frames by decord.

    decord takes the frames of a piece of a stream, or of times below 0, for others, and leaves opacity out. Only PyAV
    tells such files, so that without it nothing is read that may be a piece of a stream.

    Args:
        path: Of the file.
        known: What PyAV finds out without decoding: decord counts what an edit list cuts off, and repeats frames.

    Raises:
        ValueError: It may be a piece of a stream, and there is no PyAV.
    """

    def __init__(self, path: Path, known: PyAV | None) -> None:
        import decord

        if known is None and is_transport_stream(path):
            raise ValueError("a piece of a stream, of which decord gives wrong frames; pip install av")
        self.video = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
        self.count = len(self.video) if known is None else min(len(self.video), known.count)
        self.times = check_times(
            self.video.get_frame_timestamp(list(range(self.count)))[:, 0], self.video.get_avg_fps()
        )

    def scan(self, index: Sequence[int], /) -> Iterator[Picture]:
        """Yield the frames of the given numbers."""
        for start in range(0, len(index), FRAMES_AT_ONCE):
            yield from self.video.get_batch(list(index[start : start + FRAMES_AT_ONCE])).asnumpy()


def is_transport_stream(path: Path) -> bool:
    """Return whether a file holds packets of an MPEG transport stream, with or without times between them."""
    with path.open("rb") as file:
        begin = file.read(2 * max(TRANSPORT_PACKETS))
    return any(begin[at::size][:2] == b"GG" for size, at in TRANSPORT_PACKETS.items())
