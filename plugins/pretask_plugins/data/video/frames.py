"""Frames: sequences of images with masks, in the layout of DAVIS, from a folder or straight from a tar file.

JPEGImages/RES/SEQUENCE/00000.jpg, Annotations/RES/SEQUENCE/00000.png (palette or gray, the number is the object),
ImageSets/…/train.txt and val.txt, all wherever they lie below the root. The level RES may be missing.

Source: Perazzi et al., CVPR 2016; Pont-Tuset et al. 2017 (the layout).
Axes: N clips or sequences, T frames, H W image.
"""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Int8, UInt8
from PIL import Image, UnidentifiedImageError
from pretask import PretaskError, Samples
from pretask.options import FROM_ONE, FROM_ZERO, require_range

from pretask_plugins.data.decoding import first_line
from pretask_plugins.data.file_tree import FileTree
from pretask_plugins.data.parts import check_part, check_patterns
from pretask_plugins.data.video.clips import Reel, cached_samples, decode_videos, resize_frames
from pretask_plugins.data.video.readers import Images
from pretask_plugins.shared.tiny_files import SIDE, write_pictures

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp")
LISTS = {"train": ("train",), "test": ("val", "test")}
TEST_PERIOD = 3  # every third sequence is for testing where no list says otherwise
VOID = 255  # of an annotation: nobody knows
EXAMPLES = ("bear", "camel", "goat")  # sequences


@dataclass(frozen=True)
class Clip:
    """Frames of one sequence, and their annotations; empty where there is none."""

    sequence: str
    images: tuple[str, ...]
    masks: tuple[str, ...]


@dataclass(frozen=True)
class Frames:
    """Clips cut from sequences, or whole sequences.

    Args:
        root: A folder or tar file.
        length: Frames of a clip; 0 for whole sequences, padded to the longest (`present` tells).
        stride: Frames from one frame of a clip to the next.
        image_size: Height and width, pixels; those of the first image when left out.
        resolution: Folder between JPEGImages and the sequences, where there are several.
        train_pattern: Pattern of the sequences to train on; when empty, those of the list train.txt, or all others.
        test_pattern: Pattern of the sequences to test on; when empty, those of val.txt, or every third one where no
            list leaves any to train on.
    """

    root: Path
    length: int = 0
    stride: int = 1
    image_size: tuple[int, int] | None = None
    resolution: str = ""
    train_pattern: str = ""
    test_pattern: str = ""

    def __post_init__(self) -> None:
        require_range("frames", "data", self, length=FROM_ZERO, stride=FROM_ONE)
        if min(self.image_size or (1,)) < 1:
            needs, got = "sides of 1 pixel or more in data.image_size", f"{self.image_size}"
            raise PretaskError("frames", needs, got, "Set a larger data.image_size, or none.", exit_code=2)
        check_patterns("frames", train_pattern=self.train_pattern, test_pattern=self.test_pattern)

    def __call__(self, part: str, /) -> Samples:
        """Return one part; labels `masks` where there are annotations.

        Raises:
            PretaskError: There are no sequences, none is long enough, or an image is broken.
        """
        check_part("frames", part)
        with FileTree("frames", self.root) as tree:
            sequences = find_sequences(tree, self.resolution)
            chosen = self.choose_sequences(tree, [*sequences], part)
            clips = [clip for name in chosen for clip in self.cut(name, sequences[name])]
            self.check_some(clips, [sequences[name] for name in chosen], part)
            names = [[*clip.images, *filter(None, clip.masks)] for clip in clips]
            files = [[(name, *tree.stamps[name]) for name in clip_files] for clip_files in names]
            facts = {**asdict(self), "data": "frames", "part": part, "root": None, "files": files}
            return cached_samples(facts, lambda: self.reel(tree, clips))

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write three short sequences, one of them for testing, and masks of one object."""
        names = [f"480p/{name}/{number:05d}.png" for name in EXAMPLES for number in range(4)]
        write_pictures(folder / "JPEGImages" / name for name in names)
        for name in names:
            (folder / "Annotations" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.eye(SIDE, dtype=np.uint8)).save(folder / "Annotations" / name)
        (folder / "ImageSets").mkdir()
        for part, listed in (("train", EXAMPLES[1:]), ("val", EXAMPLES[:1])):
            (folder / "ImageSets" / f"{part}.txt").write_text("\n".join(listed))
        return {"root": folder, "length": 2}

    def check_some(self, clips: Sequence[Clip], sequences: Sequence[Clip], part: str) -> None:
        """Raise PretaskError unless there are clips."""
        if not clips:
            longest = max((len(sequence.images) for sequence in sequences), default=0)
            raise PretaskError(
                "frames",
                f"sequences of at least {max(1, (self.length - 1) * self.stride + 1)} frames for the part {part}",
                f"{len(sequences)}, of at most {longest}",
                "Lower data.length and data.stride, or see data.train_pattern and data.test_pattern.",
            )

    def choose_sequences(self, tree: FileTree, names: Sequence[str], part: str) -> list[str]:
        """Choose the sequences of a part."""
        listed = {list_part: [name for name in names if name in read_lists(tree, list_part)] for list_part in LISTS}
        test = listed["test"] if 0 < len(listed["test"]) < len(names) else names[TEST_PERIOD - 1 :: TEST_PERIOD]
        test = [name for name in names if re.search(self.test_pattern, name)] if self.test_pattern else list(test)
        if part == "test":
            return test
        if self.train_pattern:
            return [name for name in names if re.search(self.train_pattern, name)]
        return [name for name in listed["train"] or names if name not in test]

    def cut(self, name: str, sequence: Clip) -> Iterator[Clip]:
        """Cut a sequence into clips, one after the other; it is whole where there is no length."""
        if self.length == 0:
            pick = slice(None, None, self.stride)
            yield Clip(name, sequence.images[pick], sequence.masks[pick])
            return
        span = (self.length - 1) * self.stride + 1
        for start in range(0, len(sequence.images) - span + 1, self.length * self.stride):
            pick = slice(start, start + span, self.stride)
            yield Clip(name, sequence.images[pick], sequence.masks[pick])

    def reel(self, tree: FileTree, clips: Sequence[Clip]) -> Reel:
        """Decode the clips with their masks, one after the other."""
        height, width = self.image_size or read_size(tree, clips[0].images[0])
        frames = max(len(clip.images) for clip in clips)

        def decode(number: int) -> UInt8[np.ndarray, "1 T 3 H W"]:
            images = decode_images(tree, clips[number].images, height, width)
            return pad_frames(images, frames, 0)[None]

        pieces = decode_videos("frames", len(clips), decode, lambda number: clips[number].sequence)
        lengths = np.array([len(clip.images) for clip in clips])
        present = np.arange(frames) < lengths[:, None]
        annotated = any(name for clip in clips for name in clip.masks)
        masks = (pad_frames(read_masks(tree, clip, height, width), frames, -1)[None] for clip in clips)
        things = (
            ("ground", *(f"object {number}" for number in range(1, count_objects(tree, clips) + 1)))
            if annotated
            else ()
        )
        return Reel(
            (frames, 3, height, width),
            len(clips),
            pieces,
            masks=masks if annotated else None,
            things=things,
            present=None if present.all() else present,
        )


def find_sequences(tree: FileTree, resolution: str) -> dict[str, Clip]:
    """Find every sequence by name.

    Raises:
        PretaskError: There is none, or there are several resolutions and none is named.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for name in tree.stamps:
        parts = PurePosixPath(name).parts
        if "JPEGImages" in parts and name.lower().endswith(ENDINGS):
            inner = parts[parts.index("JPEGImages") + 1 : -1]
            if inner:
                found.setdefault("/".join(inner[:-1]), {}).setdefault(inner[-1], []).append(name)
    wanted = resolution if resolution in found else next(iter(found), "")
    if not found or (resolution and resolution not in found) or (len(found) > 1 and not resolution):
        raise PretaskError(
            "frames",
            f"one folder JPEGImages/{resolution or 'RES'}/SEQUENCE with images, below {tree.root}",
            f"the resolutions {', '.join(found)}" if found else "none",
            "Name one with data.resolution." if found else "Name the folder or tar file with data.root.",
        )
    return {
        name: Clip(name, tuple(images), tuple(find_annotation(tree, image) for image in images))
        for name, images in found[wanted].items()
    }


def find_annotation(tree: FileTree, image: str) -> str:
    """Find the name of an image's annotation, empty where there is none."""
    name = PurePosixPath(image.replace("JPEGImages", "Annotations")).with_suffix(".png").as_posix()
    return name if name in tree.stamps else ""


def read_lists(tree: FileTree, part: str) -> set[str]:
    """Read which sequences the lists of a part name: one a line, alone or as a path of one of its images."""
    sequences: set[str] = set()
    for name in tree.stamps:
        path = PurePosixPath(name)
        if "ImageSets" in path.parts and path.stem in LISTS[part]:
            words = [line.split()[0] for line in tree.read(name).decode(errors="replace").splitlines() if line.strip()]
            sequences |= {PurePosixPath(word).parent.name if "/" in word else word for word in words}
    return sequences


def read_size(tree: FileTree, name: str) -> tuple[int, int]:
    """Read height and width of an image."""
    with raise_for_broken_image(name), Image.open(io.BytesIO(tree.read(name))) as image:
        return image.height, image.width


@contextmanager
def raise_for_broken_image(name: str) -> Iterator[None]:
    """Raise PretaskError where an image cannot be decoded; the cache would take that for a broken disk."""
    try:
        yield
    except OSError as error:
        why = "no image" if isinstance(error, UnidentifiedImageError) else first_line(error)
        got = f"{name} ({why})"
        raise PretaskError("frames", "images that can be decoded", got, "Replace or delete it.") from error


def decode_images(tree: FileTree, names: Sequence[str], height: int, width: int) -> UInt8[np.ndarray, "T 3 H W"]:
    """Decode the images, brought to one size; they may come in several."""
    read = Images(names, tree.read)
    return np.concatenate([resize_frames(read([number]), height, width) for number in range(len(names))])


def read_masks(tree: FileTree, clip: Clip, height: int, width: int) -> Int8[np.ndarray, "T H W"]:
    """Read the masks of a clip; -1 where there is none."""
    blank = np.full((height, width), -1, np.int8)
    return np.stack([read_annotation(tree, name, height, width) if name else blank for name in clip.masks])


def read_annotation(tree: FileTree, name: str, height: int, width: int) -> Int8[np.ndarray, "H W"]:
    """Read the annotation of that name; raise PretaskError where it cannot be decoded."""
    with raise_for_broken_image(name):
        return decode_annotation(tree.read(name), height, width)


def decode_annotation(content: bytes, height: int, width: int) -> Int8[np.ndarray, "H W"]:
    """Decode one annotation, of the nearest pixels where its size is another."""
    with Image.open(io.BytesIO(content)) as image:
        plain = image if image.mode in ("P", "L") else image.convert("L")
        numbers = np.asarray(plain.resize((width, height), Image.Resampling.NEAREST)).astype(np.int16)
    if plain.mode == "L" and set(np.unique(numbers)) <= {0, VOID}:  # DAVIS 2016 writes its one object as white
        numbers = numbers // VOID
    return np.where(numbers == VOID, -1, numbers).astype(np.int8)


def count_objects(tree: FileTree, clips: Sequence[Clip]) -> int:
    """Find the highest number of an object in the first annotation of any clip."""
    first = [next(filter(None, clip.masks), "") for clip in clips]
    return max((int(read_annotation(tree, name, *read_size(tree, name)).max()) for name in first if name), default=0)


def pad_frames(frames: np.ndarray, count: int, value: int) -> np.ndarray:
    """Append frames of one value until there are `count`."""
    more = np.full((count - len(frames), *frames.shape[1:]), value, frames.dtype)
    return np.concatenate([frames, more]) if len(more) else frames
