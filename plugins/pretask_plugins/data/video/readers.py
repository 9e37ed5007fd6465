"""Readers: the frames of a video by their numbers, whoever decodes it.

A reader knows when each frame is shown and gives the frames of given numbers one by one, so that whoever makes them
smaller never holds a film at its full size. PyAV is tried first; where it cannot be
had, decord; a folder of images is a video as well. PyAV decodes a whole file as fast as decord 0.6, which is no longer
maintained, fails on frames of some widths, knows no times of some AVI files, and on truncated files that it reads from
memory ends the process, for which reason it is given files only.
Axes: F frames, H W image.
"""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from pretask import PretaskError
from pretask.preparation.flat_images import read_rgb

from pretask_plugins.data.decoding import is_importable
from pretask_plugins.data.video.whole_files import require_whole

EDITION = 3  # of what is done with decoded frames: 3 puts what is transparent on white
# FFmpeg's own decoders of these codecs drop the opacity that lies beside the pictures.
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
TRANSPORT_PACKETS = {188: 0, 192: 4}  # bytes of a packet of a transport stream, and before the mark that begins it
Decoder = Literal["auto", "decord", "pyav"]
FRAMES_AT_ONCE = 8  # that decord gives
Picture = UInt8[np.ndarray, "H W 3"]
MODULES = {"pyav": "av", "decord": "decord"}  # in the order in which they are tried


@runtime_checkable
class Reader(Protocol):
    """An open video."""

    times: Float[np.ndarray, " F"] | None  # seconds at which frames are shown; None where nobody knows
    count: int  # frames

    def scan(self, index: Sequence[int], /) -> Iterator[Picture]:
        """Yield the frames of the given numbers, which rise."""
        ...


def read_frames(reader: Reader, index: Sequence[int]) -> UInt8[np.ndarray, "_ H W 3"]:
    """Read the frames of the given numbers, which rise, at their full size."""
    return np.stack([*reader.scan(index)])


@contextmanager
def open_video(path: Path, decoder: Decoder = "auto") -> Iterator[Reader]:
    """Open a video file; raise whatever the decoder raises where it cannot be read."""
    require_whole(path)
    yield READERS[choose_decoder(decoder)](path)


def choose_decoder(decoder: Decoder) -> str:
    """Return the decoder to use, the first one that can be imported; raise PretaskError where there is none."""
    for name, module in MODULES.items():
        if decoder in ("auto", name) and is_importable(module):
            return name
    raise PretaskError(
        "video-folder",
        "a decoder of videos, PyAV or decord",
        "neither" if decoder == "auto" else f"no {decoder}",
        "pip install av, or use folders of frames.",
    )


def describe_decoder(decoder: Decoder) -> str:
    """Return which decoder is used, with its version; raise PretaskError where there is none."""
    name = choose_decoder(decoder)
    used = ["decord"] * (name == "decord") + ["pyav"] * (name == "pyav" or is_importable("av"))
    return f"{', '.join(map(describe_module, used))}, edition {EDITION}"


def describe_module(name: str) -> str:
    """Return a decoder with its version, and that of its library of codecs where it says so."""
    module = __import__(MODULES[name])
    codec = ".".join(map(str, getattr(module, "library_versions", {}).get("libavcodec", ())))
    return f"{name} {module.__version__}{' libavcodec ' * bool(codec)}{codec}"


def describe_images() -> str:
    """Return what decodes images, with its version."""
    import PIL

    return f"pillow {PIL.__version__}, edition {EDITION}"


class Decord:
    """Frames by decord.

    Args:
        path: Of the file.
        count: How many frames a player shows at most: decord counts what an edit list cuts off, and repeats.
    """

    def __init__(self, path: Path, count: int) -> None:
        import decord

        self.video = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
        self.count = min(len(self.video), count)
        self.times = check_times(
            self.video.get_frame_timestamp(list(range(self.count)))[:, 0], self.video.get_avg_fps()
        )

    def scan(self, index: Sequence[int], /) -> Iterator[Picture]:
        """Yield the frames of the given numbers."""
        for start in range(0, len(index), FRAMES_AT_ONCE):
            yield from self.video.get_batch(list(index[start : start + FRAMES_AT_ONCE])).asnumpy()


def open_decord(path: Path) -> Reader:
    """Return decord's reader, or PyAV's of a file that decord misreads.

    decord takes the frames of a piece of a stream, or of times below 0, for others, and leaves opacity out. Only PyAV
    tells such files, so that without it nothing is read that may be a piece of a stream.
    """
    if is_importable("av"):
        reader = PyAV(path)
        return reader if reader.misread_by_decord else Decord(path, reader.count)
    if is_transport_stream(path):
        raise ValueError("a piece of a stream, of which decord gives wrong frames; pip install av")
    return Decord(path, sys.maxsize)


def is_transport_stream(path: Path) -> bool:
    """Return whether a file holds packets of an MPEG transport stream, with or without times between them."""
    with path.open("rb") as file:
        begin = file.read(2 * max(TRANSPORT_PACKETS))
    return any(begin[at::size][:2] == b"GG" for size, at in TRANSPORT_PACKETS.items())


class PyAV:
    """Frames by PyAV, from the first to the last that is wanted: those that a player shows, upright and on white."""

    def __init__(self, path: Path) -> None:
        import av

        self.path = path
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError("no pictures in it")
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size]
            rate, base = float(stream.average_rate or 0), float(stream.time_base or 1)
            self.misread_by_decord = container.format.name == "mpegts" or is_seen_through(stream)
        kept = [packet.pts for packet in packets if not packet.is_discard]
        self.misread_by_decord |= any(stamp is None or stamp < 0 for stamp in kept)
        stamps = select_shown([(packet.pts, packet.is_keyframe, packet.is_discard) for packet in packets])
        self.count = len(stamps)
        known = sorted(stamp for stamp in stamps if stamp is not None)
        self.stamps = known if len({*known}) == self.count else None
        seconds = np.array(known, float) * base
        self.times = check_times(seconds if len(known) == self.count else np.zeros(self.count), rate)

    def scan(self, index: Sequence[int], /) -> Iterator[Picture]:
        """Yield the frames of the given numbers; raise ValueError where the file ends before."""
        marks = [self.stamps[number] if self.stamps else number for number in index]
        wanted, given = {*marks}, 0
        found: dict[Any, Picture] = {}  # what cannot be given yet: nothing, where frames come in their order
        for number, frame in enumerate(self.decode()):
            mark = frame.pts if self.stamps else number
            if mark in wanted:
                wanted.remove(mark)
                found[mark] = turn_upright(to_rgb(frame), read_display_matrix(frame))
            while given < len(marks) and marks[given] in found:
                yield found[marks[given]]
                given += 1
                if marks[given : given + 1] != marks[given - 1 : given]:
                    del found[marks[given - 1]]
            if given == len(marks):
                return
        raise ValueError(f"frame {index[given] + 1} of {self.count} cannot be decoded")

    def decode(self) -> Iterator[Any]:
        """Yield every frame, of a file opened anew: a jump to time 0 would miss what has times below it."""
        import av

        with av.open(str(self.path)) as container:
            stream = container.streams.video[0]
            decoder = ALPHA_DECODERS.get(stream.codec_context.name) if has_alpha_stream(stream) else None
            if decoder is None:
                yield from container.decode(stream)
                return
            context = av.CodecContext.create(decoder, "r")
            for packet in container.demux(stream):
                yield from context.decode(packet)


def has_alpha_stream(stream: Any) -> bool:
    """Return whether the opacity of a WebM video lies beside it, as a second stream within its packets."""
    return bool(stream.metadata.get("alpha_mode") == "1")


def is_seen_through(stream: Any) -> bool:
    """Return whether a video has opacity."""
    return has_alpha_stream(stream) or (stream.format is not None and has_alpha(stream.format))


def has_alpha(pixels: Any) -> bool:
    """Return whether pixels of a format have opacity."""
    return pixels.name == "pal8" or any(component.is_alpha for component in pixels.components)


def to_rgb(frame: Any) -> UInt8[np.ndarray, "H W 3"]:
    """Return the colors of a frame, 8 bits a channel, what is transparent on white."""
    from PIL import Image

    if not has_alpha(frame.format):
        colors: np.ndarray = frame.to_ndarray(format="rgb24")
        return colors
    return read_rgb(Image.fromarray(frame.to_ndarray(format="rgba")))


Stamp = tuple[int | None, bool, bool]  # of a packet: when it is shown, whether it is a key frame, whether it is cut off


def select_shown(packets: Sequence[Stamp]) -> list[int | None]:
    """Return the times of the frames that a player shows.

    A video that was cut without encoding it anew begins at the key frame before the cut, and says by an edit list, or
    by times below 0, what is not shown; a piece of a stream may begin before any key frame, with frames that nothing
    can decode.

    >>> select_shown([(-2, True, True), (-1, False, True), (0, False, False), (1, False, False)])
    [0, 1]
    >>> select_shown([(0, False, False), (3, True, False), (1, False, False), (4, False, False)])
    [3, 4]
    """
    keys = [place for place, (_, is_key, _) in enumerate(packets) if is_key]
    decodable = packets[keys[0] :] if keys else packets
    first = decodable[0][0] if decodable else None
    stamps = [
        stamp
        for stamp, _, is_cut in decodable
        if not is_cut and (stamp is None or first is None or not keys or stamp >= first)
    ]
    shown = [stamp for stamp in stamps if stamp is None or stamp >= 0]
    return shown or stamps


def read_display_matrix(frame: Any) -> tuple[float, ...]:
    """Return the four numbers that turn and mirror a frame (a, b, c, d), as the file has them; the identity if none."""
    data = next((data for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), None)
    if data is None:
        return (1.0, 0.0, 0.0, 1.0)
    matrix = np.frombuffer(bytes(data), np.int32)[:9] / (1 << 16)
    return (float(matrix[0]), float(matrix[1]), float(matrix[3]), float(matrix[4]))


def turn_upright(picture: UInt8[np.ndarray, "h w 3"], matrix: tuple[float, ...]) -> UInt8[np.ndarray, "H W 3"]:
    """Return a picture as a player shows it: a point (x, y) is shown at (a x + c y, b x + d y).

    Args:
        picture: As it is stored.
        matrix: (a, b, c, d); quarter turns and mirrors, other angles count as the nearest of these.

    >>> turn_upright(np.uint8([[[1], [2]]]).repeat(3, 2), (0.0, 1.0, -1.0, 0.0))[:, :, 0].tolist()  # clockwise
    [[1], [2]]
    """
    a, b, c, d = matrix
    swapped = abs(b) + abs(c) > abs(a) + abs(d)
    if swapped:
        picture = picture.transpose(1, 0, 2)
    right, down = (c, b) if swapped else (a, d)
    picture = picture[:, ::-1] if right < 0 else picture
    return np.ascontiguousarray(picture[::-1] if down < 0 else picture)


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

    def scan(self, index: Sequence[int], /) -> Iterator[Picture]:
        """Yield the images of the given numbers, which must be of one size."""
        from PIL import Image

        first = None
        for number in index:
            with Image.open(io.BytesIO(self.read(self.names[number]))) as image:
                frame = read_rgb(image)
            first = first or frame.shape[:2]
            if frame.shape[:2] != first:
                sizes = sorted([first, frame.shape[:2]])
                raise ValueError(f"images of several sizes, {sizes[0]} and {sizes[1]}")
            yield frame


READERS: dict[str, Callable[[Path], Reader]] = {"decord": open_decord, "pyav": PyAV}


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
