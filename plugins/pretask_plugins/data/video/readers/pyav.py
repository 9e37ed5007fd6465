"""PyAV: the frames that a player shows, upright and on white, by FFmpeg's libraries that come with it.

Axes: F frames, H W image.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from pretask.preparation.flat_images import read_rgb

from pretask_plugins.data.video.readers.reader import Picture, check_times

# FFmpeg's own decoders of these codecs drop the opacity that lies beside the pictures.
ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
Stamp = tuple[int | None, bool, bool]  # of a packet: when it is shown, whether it is a key frame, whether it is cut off


class PyAV:
    """Frames by PyAV, from the first to the last that is wanted: those that a player shows, upright and on white.

    Its traits are what other decoders may misread: `opacity`; `stream`, of which it may be a piece; `cut`, where an
    edit list cuts frames off; `below 0`, where shown frames have such times, or none.
    """

    def __init__(self, path: Path) -> None:
        import av

        self.path = path
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError("no pictures in it")
            stream = container.streams.video[0]
            packets = [packet for packet in container.demux(stream) if packet.size]
            rate, base = float(stream.average_rate or 0), float(stream.time_base or 1)
            self.traits = {"stream"} if container.format.name == "mpegts" else set()
            self.traits |= {"opacity"} if is_seen_through(stream) else set()
        self.traits |= find_traits([(packet.pts, packet.is_discard) for packet in packets])
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


def find_traits(packets: Sequence[tuple[int | None, bool]]) -> set[str]:
    """Return the traits of a video by the times of its packets, and by whether they are cut off.

    >>> sorted(find_traits([(-1, True), (0, False), (1, False)])), sorted(find_traits([(-1, False), (0, False)]))
    (['cut'], ['below 0'])
    """
    below = any(not is_cut and (stamp is None or stamp < 0) for stamp, is_cut in packets)
    cut = any(is_cut for _, is_cut in packets)
    return {trait for trait, found in {"below 0": below, "cut": cut}.items() if found}


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
