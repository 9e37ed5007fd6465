"""Promises of every reader: the frames that a player shows, upright, whatever is stored beside them.

A frame is as bright as its number says.
"""

import io
import struct
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from pretask_plugins.data.video.readers import Images, choice, open_video, read_frames
from pretask_plugins.data.video.readers.pyav import turn_upright

LEVEL = 6  # gray levels from one frame to the next
FRAMES, RATE = 30, 10
# Angle clockwise or mirror, and the matrix (a, b, c, d) that a file has for it.
MATRICES = {
    "clockwise": (0, 1, -1, 0),
    "half": (-1, 0, 0, -1),
    "counterclockwise": (0, -1, 1, 0),
}
MIRRORS = {"left and right": (-1, 0, 0, 1), "top and bottom": (1, 0, 0, -1), "diagonal": (0, 1, 1, 0)}


def write(path: Path, picture: Any, frames: int = FRAMES, pixels: str = "yuv420p", codec: str = "libx264") -> Path:
    if codec not in av.codecs_available:
        pytest.skip(f"FFmpeg without {codec}")
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.height, stream.width = picture(0).shape[:2]
        stream.pix_fmt = pixels
        if codec == "libx264":  # b-adapt=0 stores B-frames although nothing needs any
            stream.options = {"x264-params": "keyint=10:min-keyint=10:scenecut=0:bframes=2:b-adapt=0:qp=0"}
        elif codec == "libvpx":
            stream.options = {"auto-alt-ref": "0"}  # or it has no opacity
        for number in range(frames):
            colors = "rgba" if picture(number).shape[2] == 4 else "rgb24"
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture(number), format=colors)):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def gray(number: int) -> np.ndarray:
    return np.full((64, 64, 3), 20 + LEVEL * number, np.uint8)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("films") / "whole.mp4", gray)


def cut(whole: Path, path: Path, first: int, begin: int) -> Path:
    """Copy packets from the one of the number `begin` on, so that frame `first` is shown at 0 seconds."""
    with av.open(str(whole)) as source, av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        start = round(first / (RATE * stream.time_base))
        for packet in packets[begin:]:
            packet.pts, packet.dts, packet.stream = packet.pts - start, packet.dts - start, copy
            target.mux(packet)
    return path


def numbers(path: Path, decoder: str) -> list[int]:
    with open_video(path, decoder) as reader:  # type: ignore[arg-type]
        frames = read_frames(reader, range(reader.count))
    return ((frames.mean((1, 2, 3)) - 20) / LEVEL).round().astype(int).tolist()


def test_a_video_that_was_cut_without_encoding_shows_what_is_after_the_cut(
    whole: Path, tmp_path: Path, decoder: str
) -> None:
    made = cut(whole, tmp_path / "cut.mp4", first=14, begin=10)
    with av.open(str(made)) as container:  # the key frame before the cut is in the file, and marked as not shown
        stamps = [(packet.pts, packet.is_discard) for packet in container.demux(video=0) if packet.size]
    assert min(stamps)[0] < 0
    assert sum(discard for _, discard in stamps) == 4
    assert numbers(made, decoder) == [*range(14, FRAMES)]


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("streams") / "whole.ts", gray)


@pytest.mark.parametrize(("begin", "shown"), [(0, 0), (5, 10), (10, 10), (14, 20)])
def test_a_piece_of_a_stream_begins_at_its_first_key_frame(
    stream: Path, tmp_path: Path, begin: int, shown: int, decoder: str
) -> None:
    """decord 0.6 shows frames 20 to 29, and 29 ten times, of the piece that begins with the key frame 10."""
    assert numbers(cut(stream, tmp_path / "cut.ts", first=begin, begin=begin), decoder) == [*range(shown, FRAMES)]


def test_what_may_be_a_piece_of_a_stream_is_refused_where_decord_alone_is_there(
    stream: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "is_loadable", lambda module: module == "decord")
    timed = tmp_path / "camera.mts"
    content = stream.read_bytes()
    timed.write_bytes(b"".join(bytes(4) + content[at : at + 188] for at in range(0, len(content), 188)))
    for path in (stream, timed):
        with pytest.raises(ValueError, match="a piece of a stream, of which decord gives wrong frames; pip install av"):
            numbers(path, "decord")


def test_frames_before_the_beginning_are_read_where_nothing_cuts_them_off(
    whole: Path, tmp_path: Path, decoder: str
) -> None:
    """Matroska has no times below 0, and an index of times does not lead there."""
    assert numbers(cut(whole, tmp_path / "cut.mkv", first=14, begin=10), decoder) == [*range(10, FRAMES)]


@pytest.mark.parametrize("name", ["deep.mp4", "deep.mkv"])
def test_frames_of_10_bits_are_scaled(tmp_path: Path, name: str, decoder: str) -> None:
    assert numbers(write(tmp_path / name, gray, pixels="yuv420p10le"), decoder) == [*range(FRAMES)]


@pytest.mark.exhaustive
@pytest.mark.usefixtures("without_pyav")
@pytest.mark.parametrize(("name", "begin", "shown"), [("cut.mp4", 10, 14), ("cut.mkv", 10, 10), ("cut.ts", 14, 20)])
def test_where_there_is_no_pyav_a_piece_of_a_video_is_read_rightly_or_refused(
    whole: Path, stream: Path, tmp_path: Path, name: str, begin: int, shown: int
) -> None:
    """torchcodec gives frames 20, 21, 21 … of the first; only its reader finds that out."""
    piece = cut(stream if name.endswith("ts") else whole, tmp_path / name, first=14, begin=begin)
    assert numbers(piece, "opencv") == [*range(shown, FRAMES)]
    if choice.is_loadable("torchcodec"):
        with pytest.raises(ValueError, match="a piece of a video, of which torchcodec gives wrong frames; pip install"):
            numbers(piece, "torchcodec")


def test_frames_and_times_are_the_same_with_pyav_and_without(
    whole: Path, fallback: str, request: pytest.FixtureRequest
) -> None:
    def read() -> tuple[int, list[float], np.ndarray]:
        with open_video(whole, fallback) as reader:  # type: ignore[arg-type]
            return reader.count, list(reader.times), read_frames(reader, [3, 3, 17])  # type: ignore[arg-type]

    beside = read()
    request.getfixturevalue("without_pyav")
    alone = read()
    assert alone[0] == beside[0] == FRAMES
    assert np.allclose([alone[1], beside[1]], np.arange(FRAMES) / RATE)
    assert np.array_equal(alone[2], beside[2])


CLEAR = {
    "clear.webm": ("libvpx-vp9", "yuva420p"),
    "small.webm": ("libvpx", "yuva420p"),
    "clear.mov": ("prores_ks", "yuva444p10le"),
    "drawn.mov": ("qtrle", "argb"),
    "clear.mkv": ("ffv1", "yuva420p"),
}


@pytest.mark.parametrize("name", CLEAR)
def test_what_is_transparent_in_a_video_is_on_white(tmp_path: Path, name: str, decoder: str) -> None:
    def left_half(number: int) -> np.ndarray:
        picture = np.dstack([gray(number), np.full((64, 64), 255, np.uint8)])
        picture[:, :32, 3] = 0
        return picture

    codec, pixels = CLEAR[name]
    with open_video(write(tmp_path / name, left_half, 2, pixels, codec), decoder) as reader:  # type: ignore[arg-type]
        frames = read_frames(reader, [0, 1])
    assert np.abs(frames[:, :, :24].astype(int) - 255).max() <= 3
    assert np.abs(frames[:, :, 40:].mean((1, 2, 3)) - [20, 20 + LEVEL]).max() < 3


@pytest.mark.parametrize("name", ["half.mp4", "half.mov", "half.mkv", "half.webm", "half.avi"])
def test_half_a_file_is_no_shorter_video(tmp_path: Path, name: str) -> None:
    codec = "libvpx-vp9" if name.endswith("webm") else "libx264"
    whole, longer = tmp_path / f"whole{name[4:]}", tmp_path / f"longer{name[4:]}"
    content = write(whole, gray, codec=codec).read_bytes()
    longer.write_bytes(content + b"what cameras write behind" * 9)
    assert numbers(whole, "pyav") == numbers(longer, "pyav") == [*range(FRAMES)]
    (tmp_path / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=f"cut off: .* bytes or more, and {len(content) // 2} are there"):
        numbers(tmp_path / name, "pyav")


def corners(number: int) -> np.ndarray:
    """A picture of 64 x 96 whose corners are all different."""
    picture = np.zeros((64, 96, 3), np.uint8)
    for place, level in enumerate((40, 100, 160, 220)):
        picture[32 * (place // 2) : 32 * (place // 2 + 1), 48 * (place % 2) : 48 * (place % 2 + 1)] = level
    return picture


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write a display matrix into the header of a track, as phones do."""
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 44
    one = 1 << 16
    content[at : at + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def upright(matrix: tuple[int, ...]) -> np.ndarray:
    """What the corners look like when point (x, y) is shown at (a x + c y, b x + d y)."""
    a, b, c, d = matrix
    stored = {(x, y): 40 + 60 * (2 * y + x) for x in (0, 1) for y in (0, 1)}
    shown = {}
    for (x, y), level in stored.items():
        side, down = 2 * x - 1, 2 * y - 1
        shown[(b * side + d * down + 1) // 2, (a * side + c * down + 1) // 2] = level
    return np.array([[shown[row, column] for column in (0, 1)] for row in (0, 1)])


@pytest.mark.parametrize("turn", MATRICES)
def test_a_phone_video_is_upright(tmp_path: Path, turn: str, decoder: str) -> None:
    path = set_matrix(write(tmp_path / "a.mp4", corners, 2), *MATRICES[turn])
    with open_video(path, decoder) as reader:  # type: ignore[arg-type]
        frame = read_frames(reader, [0])[0].mean(2)
    assert frame.shape == ((64, 96) if turn == "half" else (96, 64))
    middles = frame[[16, -16]][:, [16, -16]]
    assert np.abs(middles - upright(MATRICES[turn])).max() < 4


@pytest.mark.parametrize("matrix", [*MATRICES.values(), *MIRRORS.values()])
def test_turns_and_mirrors_are_those_of_the_matrix(matrix: tuple[int, ...]) -> None:
    stored = np.array([[40, 100], [160, 220]], np.uint8)[:, :, None].repeat(3, 2)
    assert turn_upright(stored, matrix)[:, :, 0].tolist() == upright(matrix).tolist()


def test_frames_of_16_bits_are_scaled_and_turned_and_put_on_white() -> None:
    deep = np.array([[0, 65535], [32896, 257]], np.uint16)
    clear = np.zeros((2, 2, 4), np.uint8)
    clear[0, 0, 3] = 255
    pictures = {
        "deep.png": Image.fromarray(deep),
        "deep.tif": Image.fromarray(deep),
        "clear.png": Image.fromarray(clear),
    }
    files = {}
    for name, picture in pictures.items():
        pixels = io.BytesIO()
        picture.save(pixels, name.rpartition(".")[2].replace("tif", "tiff"))
        files[name] = pixels.getvalue()
    files["deep.pgm"] = b"P5\n2 2\n65535\n" + deep.astype(">u2").tobytes()
    turned = Image.Exif()
    turned[0x0112] = 3  # half a turn
    pixels = io.BytesIO()
    Image.fromarray(np.uint8([[10, 20], [30, 40]])).save(pixels, "png", exif=turned)
    files["turned.png"] = pixels.getvalue()
    reader = Images([*files], files.__getitem__)
    frames = dict(zip(files, read_frames(reader, range(reader.count))[..., 0].tolist(), strict=True))
    scaled = [[0, 255], [128, 1]]
    assert [frames[f"deep.{ending}"] for ending in ("png", "tif", "pgm")] == [scaled] * 3
    assert frames["clear.png"] == [[0, 255], [255, 255]]
    assert frames["turned.png"] == [[40, 30], [20, 10]]
