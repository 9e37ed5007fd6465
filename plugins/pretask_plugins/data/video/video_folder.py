"""Video folder: your own videos, decoded once into clips of one length and size.

Axes: N clips, T frames, H W image.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Any

import numpy as np
from jaxtyping import Int, UInt8
from pretask import PretaskError, Samples
from pretask.cache import cache_folder
from pretask.options import MAX_IMAGE_SIZE, Interval, NonNegativeInt, Size, SizeOrZero, require_range
from pretask.preparation.clips import crop_squares

from pretask_plugins.data.video.clips import Reel, cached_samples, decode_videos
from pretask_plugins.data.video.readers import Decoder, Reader, select_at_rate
from pretask_plugins.data.video.videos import VIDEOS, Video, describe_decoders, has_table, list_videos, open_reader
from pretask_plugins.shared.listing import FileTree, check_classes, open_tree, printable_name
from pretask_plugins.shared.parts import PART_FOLDERS, check_part
from pretask_plugins.shared.tiny_files import SIDE, write_clips

MAX_FRAME_RATE = 1000  # frames per second
MAX_BYTES_IN_MEMORY = 1 << 28  # of the clips of one video, of which a few are decoded at once


@dataclass(frozen=True)
class VideoFolder:
    """Videos whose folder is their class, or that a CSV file lists.

    Args:
        root: A folder or tar file with CLASS/VIDEO.mp4, train/CLASS/… and test/CLASS/…, or videos alone; a folder of
            numbered tar files in the layout of WebDataset; a .csv, .tsv or .parquet file with the columns file, label
            and split. A folder CLASS/VIDEO/ of images is a video, too; pictures beside videos are none.
        labels_file: Such a table below the root. `labels.csv` is read where it exists. Where there is a test split, val
            is trained on.
        fold: Of UCF101 or HMDB51, 1 to 3, by the lists that come with them (folds.py); 0 for other videos.
        length: Frames of a clip.
        clips_per_video: Clips that are cut out of each video, evenly spread; 0 for as many as fit one after the other.
        stride: Steps from one frame of a clip to the next.
        frame_rate: Frames per second between which a step goes, by the times at which the file shows them; those of the
            file when left out.
        image_size: Side of the square that is cut from the middle once the short side has this many pixels.
        decoder: pyav, opencv, torchcodec or decord; auto is the first of them that can be loaded.

    Raises:
        PretaskError: A number is out of range.
    """

    root: Path
    labels_file: str = ""
    fold: NonNegativeInt = 0
    length: Size = 16
    clips_per_video: SizeOrZero = 1
    stride: Size = 1
    frame_rate: Annotated[float, Interval(gt=0, le=MAX_FRAME_RATE)] | None = None
    image_size: Annotated[int, Interval(ge=8, le=MAX_IMAGE_SIZE)] = 112
    decoder: Decoder = "auto"

    def __post_init__(self) -> None:
        require_range("video-folder", "data", self)

    def __call__(self, part: str, /) -> Samples:
        """Return one part; labels `class`.

        Raises:
            PretaskError: There is nothing to read, or a video is broken or too short.
        """
        check_part("video-folder", part)
        with open_tree("video-folder", self.root, "videos") as tree:
            listing, files = list_videos(tree, self.labels_file, self.fold)
            videos = [Video(item.name, files[item.name]) for item in listing.select(part)]
            self.check_some(videos, part)
            if part == "test" and not self.fold and not has_table(tree, self.labels_file):
                check_classes("video-folder", listing, "videos")
            classes = listing.number(listing.select(part))
            options = {
                name: getattr(self, name)
                for name in ("length", "clips_per_video", "stride", "frame_rate", "image_size")
            }
            facts = {
                "data": "video-folder",
                "part": part,
                "names": listing.classes,
                "classes": classes.tolist(),
                "videos": [(video.name, len(video.files)) for video in videos],
                "files": tree.digest([name for video in videos for name in video.files]),
                "decoders": describe_decoders(self.decoder, [video.files[0] for video in videos]),
            }
            return cached_samples(facts | options, lambda: self.reel(tree, videos, classes, listing.classes))

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
                f"none in {printable_name(str(self.root))}",
                "Put them into CLASS/, or train/CLASS/ and test/CLASS/, or list them in labels.csv.",
            )

    def reel(
        self, tree: FileTree, videos: Sequence[Video], numbers: Int[np.ndarray, " N"], names: Sequence[str]
    ) -> Reel:
        """Decode the clips of some videos, one after the other."""

        def name(number: int) -> str:
            return printable_name(videos[number].name)

        def count(number: int) -> int:
            with open_reader(tree, videos[number], self.decoder) as reader:
                return len(self.starts(len(self.select_frames(reader))))

        def cut(number: int) -> UInt8[np.ndarray, "_ T 3 S S"]:
            with open_reader(tree, videos[number], self.decoder) as reader:
                return self.cut_clips(reader)

        every = [self.clips_per_video] * len(videos)
        counts = every if self.clips_per_video else list(decode_videos("video-folder", len(videos), count, name))
        classes = np.repeat(numbers, counts)
        shape = (self.length, 3, self.image_size, self.image_size)
        pieces = decode_videos("video-folder", len(videos), cut, name)
        labels = {"class": classes} if names else {}
        return Reel(shape, len(classes), pieces, self.frame_rate, labels, {"class": names} if names else {})

    def cut_clips(self, reader: Reader) -> UInt8[np.ndarray, "_ T 3 S S"]:
        """Cut the clips of an open video."""
        frames = self.select_frames(reader)
        chosen = [frames[start : start + self.span : self.stride] for start in self.starts(len(frames))]
        wanted = sorted(set(chain.from_iterable(chosen)))
        squares = (crop_squares(np.stack([frame]), self.image_size)[0] for frame in reader.scan(wanted))
        shape = (len(chosen), self.length, 3, self.image_size, self.image_size)
        return collect_clips(join_clips(zip(wanted, squares, strict=True), chosen), shape)

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


def join_clips(
    pictures: Iterable[tuple[int, UInt8[np.ndarray, "3 S S"]]], chosen: Sequence[Sequence[int]]
) -> Iterator[UInt8[np.ndarray, "T 3 S S"]]:
    """Yield clips as soon as their last frame is there, and keep no frame that no later clip has.

    Args:
        pictures: Frames with their numbers, which rise.
        chosen: The numbers of the frames of every clip, which begin and end later than those of the clip before.
    """
    kept: dict[int, np.ndarray] = {}
    clips = iter([*chosen, ()])
    clip = next(clips)
    for number, picture in pictures:
        kept[number] = picture
        while clip and clip[-1] == number:
            yield np.stack([kept[frame] for frame in clip])
            clip = next(clips)
            kept = {frame: picture for frame, picture in kept.items() if clip and frame >= clip[0]}


def collect_clips(clips: Iterable[UInt8[np.ndarray, "T 3 S S"]], shape: tuple[int, ...]) -> np.ndarray:
    """Return clips as one array of that shape; one in a file that is mapped where they are too many for memory.

    The file has no name, and goes with the array.
    """
    if math.prod(shape) <= MAX_BYTES_IN_MEMORY:
        return np.stack([*clips])
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryFile(dir=folder) as file:
        for clip in clips:
            file.write(clip.data)
        file.flush()
        return np.memmap(file, np.uint8, "r", shape=shape)
