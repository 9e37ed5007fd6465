"""Choice: which decoder reads a video, the first that can be loaded, and what it is recorded as.

PyAV comes first: it reads all that the tests of shown frames hold. The others are for where it cannot be had, in the
order of what they get right there. OpenCV leaves opacity and mirrors out. torchcodec does too, takes frames of a video
that was cut without encoding it anew for others, which its reader finds out and refuses, and needs FFmpeg's shared
libraries. decord 0.6, which is no longer maintained, does not find that out, fails on frames of some widths, and on
truncated files that it reads from memory ends the process, for which reason it is given files only. Where PyAV can be
had, a file that the chosen decoder misreads is read by PyAV.
Axes: none.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pretask import PretaskError

from pretask_plugins.data.decoding import first_line
from pretask_plugins.data.video.readers.decord import Decord
from pretask_plugins.data.video.readers.opencv import OpenCV
from pretask_plugins.data.video.readers.pyav import PyAV
from pretask_plugins.data.video.readers.reader import EDITION, Reader
from pretask_plugins.data.video.readers.torchcodec import TorchCodec
from pretask_plugins.data.video.whole_files import require_whole

Decoder = Literal["auto", "pyav", "opencv", "torchcodec", "decord"]
MODULES = {"pyav": "av", "opencv": "cv2", "torchcodec": "torchcodec", "decord": "decord"}  # in the order of preference
FALLBACKS: dict[str, Callable[[Path, PyAV | None], Reader]] = {
    "opencv": OpenCV,
    "torchcodec": TorchCodec,
    "decord": Decord,
}
# What a decoder misreads, of the traits that PyAV finds in a file.
MISREAD = {
    "opencv": {"opacity"},
    "torchcodec": {"opacity", "stream", "cut", "below 0"},
    "decord": {"opacity", "stream", "below 0"},
}
INSTALL = {
    "pyav": "pip install av",
    "opencv": "pip install opencv-python-headless",
    "torchcodec": "pip install torchcodec in the version that belongs to your torch (0.11 to torch 2.11), and install "
    "FFmpeg 4 to 8 with its shared libraries",
    "decord": "pip install decord",
}


@contextmanager
def open_video(path: Path, decoder: Decoder = "auto") -> Iterator[Reader]:
    """Open a video file; raise whatever the decoder raises where it cannot be read."""
    require_whole(path)
    yield build_reader(choose_decoder(decoder), path)


def build_reader(name: str, path: Path) -> Reader:
    """Return the reader of a decoder, or PyAV's of a file that the decoder misreads, where PyAV can be had."""
    known = PyAV(path) if is_loadable("av") else None
    if known is not None and (name == "pyav" or known.traits & MISREAD[name]):
        return known
    return FALLBACKS[name](path, known)


def choose_decoder(decoder: Decoder) -> str:
    """Return the decoder to use, the first one that can be loaded; raise PretaskError where there is none."""
    tried = [name for name in MODULES if decoder in ("auto", name)]
    found = next((name for name in tried if is_loadable(MODULES[name])), None)
    if found is not None:
        return found
    named = decoder if decoder in MODULES else "pyav"
    raise PretaskError(
        "video-folder",
        "a decoder of videos, PyAV, OpenCV, torchcodec or decord" if decoder == "auto" else f"the decoder {decoder}",
        f"none that can be loaded ({'; '.join(f'{name}: {find_obstacle(MODULES[name])}' for name in tried)})",
        f"{INSTALL[named]}{', or leave out data.decoder' * (named == decoder)}, or use folders of frames.",
    )


def is_loadable(module: str) -> bool:
    """Return whether a module can be imported here."""
    return find_obstacle(module) is None


@cache
def find_obstacle(module: str) -> str | None:
    """Return why a module cannot be imported here, in one line; None where it can."""
    try:
        __import__(module)
    except (ImportError, OSError, RuntimeError) as error:  # torchcodec raises the last where it finds no FFmpeg
        return first_line(error)
    return None


def describe_decoder(decoder: Decoder) -> str:
    """Return which decoder is used, with its version; raise PretaskError where there is none."""
    name = choose_decoder(decoder)
    used = [name] * (name != "pyav") + ["pyav"] * is_loadable("av")
    return f"{', '.join(map(describe_module, used))}, edition {EDITION}"


def describe_module(name: str) -> str:
    """Return a decoder with its version, and that of its FFmpeg where it says so."""
    module = __import__(MODULES[name])
    return " ".join([name, module.__version__, *find_codec_version(module)])


def find_codec_version(module: Any) -> list[str]:
    """Return what a decoder says of the FFmpeg that it has, empty where that is nothing."""
    if hasattr(module, "library_versions"):  # PyAV
        return ["libavcodec", ".".join(map(str, module.library_versions["libavcodec"]))]
    if hasattr(module, "ffmpeg_major_version"):  # torchcodec, of the one that it found
        return [f"FFmpeg {module.ffmpeg_major_version}"]
    if hasattr(module, "getBuildInformation"):  # OpenCV
        lines = [line.split() for line in module.getBuildInformation().splitlines()]
        return [f"libavcodec {line[-1].strip('()')}" for line in lines if line[:1] == ["avcodec:"]]
    return []
