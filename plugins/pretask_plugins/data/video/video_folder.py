"""Video folder: your own videos, decoded once into clips of one length and size.

Axes: N clips, T frames, H W image.
"""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8
from pretask import PretaskError, Samples
from pretask.options import FROM_ONE, FROM_ZERO, require_range

from pretask_plugins.data.file_tree import FileTree
from pretask_plugins.data.parts import PART_FOLDERS, check_part, hash_text, is_tenth
from pretask_plugins.data.video.clips import Reel, cached_samples, crop_squares, decode_videos
from pretask_plugins.data.video.readers import Decoder, Images, Reader, open_video, select_at_rate
from pretask_plugins.shared.tiny_files import SIDE, write_clips

VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".mpg", ".mpeg", ".m4v", ".gif")
IMAGES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MAX_FRAME_RATE = 1000  # frames per second


@dataclass(frozen=True)
class Video:
    """One video: its file or its frames, its class, and the part that it is in."""

    name: str
    files: tuple[str, ...]
    label: str
    part: str


@dataclass(frozen=True)
class VideoFolder:
    """Videos whose folder is their class, or that a CSV file lists.

    Args:
        root: A folder or tar file with CLASS/VIDEO.mp4, train/CLASS/… and test/CLASS/…, or videos alone. A folder
            CLASS/VIDEO/ of images is a video, too.
        labels_file: A CSV file below the root with the columns file, label and, if it likes, split (train, val, test).
            `labels.csv` is read where it exists. Where there is a test split, val is trained on.
        length: Frames of a clip.
        clips_per_video: Clips that are cut out of each video, evenly spread; 0 for as many as fit one after the other.
        stride: Steps from one frame of a clip to the next.
        frame_rate: Frames per second between which a step goes, by the times at which the file shows them; those of the
            file when left out.
        image_size: Side of the square that is cut from the middle once the short side has this many pixels.
        decoder: pyav or decord; auto is the first of them that is there.

    Raises:
        PretaskError: A number is out of range.
    """

    root: Path
    labels_file: str = ""
    length: int = 16
    clips_per_video: int = 1
    stride: int = 1
    frame_rate: float | None = None
    image_size: int = 112
    decoder: Decoder = "auto"

    def __post_init__(self) -> None:
        side = (8, math.inf)  # pixels
        require_range(
            "video-folder", "data", self, length=FROM_ONE, clips_per_video=FROM_ZERO, stride=FROM_ONE, image_size=side
        )
        if self.frame_rate is not None and not 0 < self.frame_rate <= MAX_FRAME_RATE:
            raise PretaskError(
                "video-folder",
                f"data.frame_rate above 0 and up to {MAX_FRAME_RATE} frames per second",
                f"{self.frame_rate}",
                "Leave it out to take a file's own.",
                exit_code=2,
            )

    def __call__(self, part: str, /) -> Samples:
        """Return one part; labels `class`.

        Raises:
            PretaskError: There is nothing to read, or a video is broken or too short.
        """
        check_part("video-folder", part)
        with FileTree("video-folder", self.root) as tree:
            every = self.list_videos(tree)
            videos = [video for video in every if video.part == part]
            self.check_some(videos, part)
            names = sorted({video.label for video in every})
            options = {
                name: getattr(self, name)
                for name in ("length", "clips_per_video", "stride", "frame_rate", "image_size")
            }
            files = [
                (video.name, video.label, [(name, *tree.stamps[name]) for name in video.files]) for video in videos
            ]
            facts = {"data": "video-folder", "part": part, "names": names, "files": files} | options
            return cached_samples(facts, lambda: self.reel(tree, videos, names))

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write a few videos of two classes for each part."""
        write_clips(folder / part / name / f"{n}.mkv" for part in PART_FOLDERS for name in "ab" for n in range(2))
        return {"root": folder, "length": 4, "image_size": SIDE, "decoder": "pyav"}

    def check_some(self, videos: Sequence[Video], part: str) -> None:
        """Raise PretaskError unless there are videos."""
        if not videos:
            raise PretaskError(
                "video-folder",
                f"videos ({', '.join(VIDEOS[:3])} …) for the part {part}",
                f"none in {self.root}",
                "Put them into CLASS/, or train/CLASS/ and test/CLASS/, or list them in labels.csv.",
            )

    def list_videos(self, tree: FileTree) -> list[Video]:
        """List all videos with their classes and parts."""
        found = find_videos(tree)
        table = self.labels_file or next((name for name in tree.stamps if PurePosixPath(name).name == "labels.csv"), "")
        if not table:
            return [*sort_by_folder(found)]
        if table not in tree.stamps:
            raise PretaskError(
                "video-folder", f"the file data.labels_file={table}", "none", "Name one below data.root."
            )
        return read_table(table, tree.read(table).decode("utf-8-sig"), found)

    def reel(self, tree: FileTree, videos: Sequence[Video], names: Sequence[str]) -> Reel:
        """Decode the clips of some videos, one after the other."""

        def name(number: int) -> str:
            return videos[number].name

        def count(number: int) -> int:
            with open_reader(tree, videos[number], self.decoder) as reader:
                return len(self.starts(len(self.select_frames(reader))))

        def cut(number: int) -> UInt8[np.ndarray, "_ T 3 S S"]:
            with open_reader(tree, videos[number], self.decoder) as reader:
                return self.cut_clips(reader)

        every = [self.clips_per_video] * len(videos)
        counts = every if self.clips_per_video else list(decode_videos("video-folder", len(videos), count, name))
        classes = np.repeat(np.array([names.index(video.label) for video in videos], np.int64), counts)
        shape = (self.length, 3, self.image_size, self.image_size)
        pieces = decode_videos("video-folder", len(videos), cut, name)
        return Reel(shape, len(classes), pieces, self.frame_rate, {"class": classes}, {"class": names})

    def cut_clips(self, reader: Reader) -> UInt8[np.ndarray, "_ T 3 S S"]:
        """Cut the clips of an open video."""
        frames = self.select_frames(reader)
        chosen = [frames[start : start + self.span : self.stride] for start in self.starts(len(frames))]
        wanted = sorted(set(chain.from_iterable(chosen)))
        place = {number: position for position, number in enumerate(wanted)}
        pictures = crop_squares(reader(wanted), self.image_size)
        return np.stack([pictures[[place[number] for number in clip]] for clip in chosen])

    def select_frames(self, reader: Reader) -> list[int]:
        """Select the frames between which a step goes, by number."""
        if self.frame_rate is None:
            return list(range(reader.count))
        if reader.times is None:
            raise ValueError("its frames have no times, so that data.frame_rate cannot be kept")
        return select_at_rate(reader.times, self.frame_rate)

    @property
    def span(self) -> int:
        """Frames from the first to the last of a clip, both counted."""
        return (self.length - 1) * self.stride + 1

    def starts(self, count: int) -> list[int]:
        """Return where clips begin in a video of so many frames; raise ValueError where none fits."""
        room = count - self.span
        if room < 0:
            raise ValueError(f"{count} frames, and a clip of data.length={self.length} needs {self.span}")
        clips = self.clips_per_video or 1 + room // (self.length * self.stride)
        return [round(place) for place in np.linspace(0, room, clips + 2)[1:-1]] if clips > 1 else [room // 2]


@contextmanager
def open_reader(tree: FileTree, video: Video, decoder: Decoder) -> Iterator[Reader]:
    """Open a reader of a video, whether it is a file or a folder of images."""
    if not video.files[0].lower().endswith(VIDEOS):
        yield Images(video.files, tree.read)
        return
    with tree.path(video.files[0]) as path, open_video(path, decoder) as reader:
        yield reader


def find_videos(tree: FileTree) -> dict[str, tuple[str, ...]]:
    """Find videos by name: files, and folders of images that lie in a folder."""
    found: dict[str, tuple[str, ...]] = {}
    for name in tree.stamps:
        path = PurePosixPath(name)
        if path.suffix.lower() in VIDEOS:
            found[name] = (name,)
        elif path.suffix.lower() in IMAGES and len(path.parts) > 1:
            folder = path.parent.as_posix()
            found[folder] = (*found.get(folder, ()), name)
    return found


def sort_by_folder(found: Mapping[str, tuple[str, ...]]) -> list[Video]:
    """Sort videos by folder: theirs is the class, and the upper one, if it has such a name, the part."""
    parts = {name: find_loss_metric(name) for name in found}
    if set(parts.values()) - {None}:
        return [Video(name, found[name], class_name(name), part) for name, part in parts.items() if part is not None]
    return [
        Video(name, files, class_name(name), "test" if is_tenth(hash_text(name)) else "train")
        for name, files in found.items()
    ]


def class_name(name: str) -> str:
    """Return the folder that a video lies in."""
    return PurePosixPath(name).parent.name or "all"


def find_loss_metric(name: str) -> str | None:
    """Find the part that one of a video's upper folders names."""
    upper = PurePosixPath(name).parts[:-1]
    return next((part for part, words in PART_FOLDERS.items() for folder in upper if folder in words), None)


def read_table(table: str, text: str, found: Mapping[str, tuple[str, ...]]) -> list[Video]:
    """Read which videos a CSV file lists; their files lie beside it.

    Raises:
        PretaskError: A column or a file is missing, or a split has no such name.
    """
    rows = list(csv.DictReader(io.StringIO(text)))
    if not rows or not {"file", "label"} <= set(rows[0]):
        raise PretaskError(
            "video-folder",
            "the columns file and label",
            f"{table} without them",
            "Begin it with the line file,label,split.",
        )
    splits = {row.get("split") or split_by_hash(row["file"]) for row in rows}
    has_test = "test" in splits
    beside = PurePosixPath(table).parent
    videos = []
    for row in rows:
        split, name = row.get("split") or split_by_hash(row["file"]), (beside / row["file"]).as_posix()
        part = next((part for part, words in PART_FOLDERS.items() if split in words), None)
        if part is None or name not in found:
            lack = f"the split '{split}'" if part is None else f"no such file as {name}"
            raise PretaskError(
                "video-folder",
                f"files and splits (train, val, test) that exist in {table}",
                lack,
                "Correct that row, or put the file there.",
            )
        videos.append(Video(name, found[name], row["label"], "train" if has_test and split != "test" else part))
    return videos


def split_by_hash(name: str) -> str:
    """Return the part of a video that neither a folder nor a table assigns to one."""
    return "test" if is_tenth(hash_text(name)) else "train"
