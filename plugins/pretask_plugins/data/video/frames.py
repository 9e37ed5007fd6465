"""Frames: sequences of images with masks, in the layout of DAVIS, from a folder or straight from a tar file.

JPEGImages/RES/SEQUENCE/00000.jpg, Annotations/RES/SEQUENCE/00000.png (see masks.py), ImageSets/…/train.txt and val.txt,
all wherever they lie below the root. The level RES may be missing. Folders train and valid around them, as YouTube-VOS
has them, are the parts. A file keypoints.json names joints and their places (see keypoints.py).

Source: Perazzi et al., CVPR 2016; Pont-Tuset et al. 2017 (the layout).
Axes: N clips or sequences, T frames, K joints, H W image.
"""

import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import Int8, Int16, UInt8
from PIL import Image
from pretask import PretaskError, Samples
from pretask.options import ImageSize, Size, SizeOrZero, require_range
from pretask.preparation.clips import resize_frames

from pretask_plugins.data.video.clips import Reel, cached_samples, decode_videos
from pretask_plugins.data.video.keypoints import UNKNOWN, Keypoints, find_keypoints, read_keypoints
from pretask_plugins.data.video.masks import Coding, find_coding, raise_for_broken_image, read_marks
from pretask_plugins.data.video.readers import Images, describe_images, read_frames
from pretask_plugins.shared.listing import FileTree, Leftovers, printable_name, sort_into_parts
from pretask_plugins.shared.parts import check_part, check_patterns, part_of_word
from pretask_plugins.shared.tiny_files import SIDE, write_pictures

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".pgm", ".ppm")
LAYOUT = {"JPEGImages", "Annotations", "ImageSets"}
LISTS = {"train": ("train",), "test": ("val", "test")}
TEST_PERIOD = 3  # every third sequence is for testing where no list says otherwise
EXAMPLES = ("bear", "camel", "goat")  # sequences


@dataclass(frozen=True)
class Clip:
    """Frames of one sequence.

    Args:
        sequence: Its name.
        images: Files of the frames.
        masks: Files of their annotations, empty where there is none.
        part: That a folder around JPEGImages is named for; empty where none is.
    """

    sequence: str
    images: tuple[str, ...]
    masks: tuple[str, ...]
    part: str = ""


@dataclass(frozen=True)
class Frames:
    """Clips cut from sequences, or whole sequences.

    Args:
        root: A folder or tar file.
        length: Frames of a clip; 0 for whole sequences, padded to the longest (`present` tells).
        stride: Frames from one frame of a clip to the next.
        image_size: Height and width, pixels; those of the first image when left out.
        resolution: Folder between JPEGImages and the sequences, where there are several.
        train_pattern: Pattern of the sequences to train on; when empty, those in a folder train, those of the list
            train.txt, or all others.
        test_pattern: Pattern of the sequences to test on; when empty, those in a folder test or val, those of val.txt,
            or every third one where no list leaves any to train on.
    """

    root: Path
    length: SizeOrZero = 0
    stride: Size = 1
    image_size: tuple[ImageSize, ImageSize] | None = None
    resolution: str = ""
    train_pattern: str = ""
    test_pattern: str = ""

    def __post_init__(self) -> None:
        require_range("frames", "data", self)
        check_patterns("frames", train_pattern=self.train_pattern, test_pattern=self.test_pattern)

    def __call__(self, part: str, /) -> Samples:
        """Return one part; labels `masks` where there are annotations, and `keypoints` where there is their file.

        Raises:
            PretaskError: There are no sequences, none is long enough, or an image is broken.
        """
        check_part("frames", part)
        with FileTree("frames", self.root, "sequences") as tree:
            sequences = find_sequences(tree, self.resolution)
            chosen = self.choose_sequences(tree, sequences, part)
            clips = [clip for name in chosen for clip in self.cut(name, sequences[name])]
            self.check_some(clips, [sequences[name] for name in chosen], part)
            annotations = [name for sequence in sequences.values() for name in sequence.masks if name]
            files = [[*clip.images, *clip.masks] for clip in clips]
            facts = {
                **asdict(self),
                "data": "frames",
                "part": part,
                "root": None,
                "clips": files,
                "files": tree.digest([*dict.fromkeys(name for names in files for name in names if name)]),
                "annotations": tree.digest(annotations),  # of both parts, which number objects together
                "decoder": describe_images(),
            }
            keypoints = find_keypoints(tree)
            if keypoints:
                facts["keypoints"] = tree.digest([keypoints])
            return cached_samples(facts, lambda: self.reel(tree, clips, annotations, keypoints))

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

    def choose_sequences(self, tree: FileTree, sequences: Mapping[str, Clip], part: str) -> list[str]:
        """Choose the sequences of a part: by patterns, else by folders train and test, else by lists."""
        names = [*sequences]
        parts = {name: sequence.part for name, sequence in sequences.items()}
        listed = {list_part: [name for name in names if name in read_lists(tree, list_part)] for list_part in LISTS}
        test = listed["test"] if 0 < len(listed["test"]) < len(names) else names[TEST_PERIOD - 1 :: TEST_PERIOD]
        if any(parts.values()):
            listed["train"], test = ([name for name in names if parts[name] == own] for own in ("train", "test"))
        test = [name for name in names if re.search(self.test_pattern, name)] if self.test_pattern else list(test)
        if part == "test":
            return test
        if self.train_pattern:
            return [name for name in names if re.search(self.train_pattern, name)]
        learned = listed["train"] if any(parts.values()) else listed["train"] or names
        return [name for name in learned if name not in test]

    def cut(self, name: str, sequence: Clip) -> Iterator[Clip]:
        """Cut a sequence into clips, one after the other; it is whole where there is no length."""
        if self.length == 0:
            pick = slice(None, None, self.stride)
            yield Clip(name, sequence.images[pick], sequence.masks[pick], sequence.part)
            return
        span = (self.length - 1) * self.stride + 1
        for start in range(0, len(sequence.images) - span + 1, self.length * self.stride):
            pick = slice(start, start + span, self.stride)
            yield Clip(name, sequence.images[pick], sequence.masks[pick], sequence.part)

    def reel(self, tree: FileTree, clips: Sequence[Clip], annotations: Sequence[str], keypoints: str) -> Reel:
        """Decode the clips with their masks, one after the other, and read their keypoints where there is a file."""
        height, width = self.image_size or read_size(tree, clips[0].images[0])
        frames = max(len(clip.images) for clip in clips)

        def decode(number: int) -> UInt8[np.ndarray, "1 T 3 H W"]:
            images = decode_images(tree, clips[number].images, height, width)
            return pad_frames(images, frames, 0)[None]

        def name(number: int) -> str:
            return printable_name(clips[number].sequence)

        pieces = decode_videos("frames", len(clips), decode, name)
        lengths = np.array([len(clip.images) for clip in clips])
        present = np.arange(frames) < lengths[:, None]
        annotated = any(name for clip in clips for name in clip.masks)
        coding = find_coding(tree.read, annotations) if annotated else Coding({}, ())
        masks = (pad_frames(read_masks(tree, clip, coding, height, width), frames, -1)[None] for clip in clips)
        joints = read_keypoints(tree, keypoints) if keypoints else Keypoints((), {})
        return Reel(
            (frames, 3, height, width),
            len(clips),
            pieces,
            masks=masks if annotated else None,
            things=coding.names,
            present=None if present.all() else present,
            keypoints=place_keypoints(tree, clips, joints, (frames, height, width)) if keypoints else None,
            joints=joints.names,
        )


def place_keypoints(
    tree: FileTree, clips: Sequence[Clip], keypoints: Keypoints, shape: tuple[int, int, int]
) -> Int16[np.ndarray, "N T K 2"]:
    """Return row and column of every joint in every clip of so many frames, of a height and a width."""
    frames, *size = shape

    def read(image: str) -> tuple[int, int]:
        return read_size(tree, image)

    placed = (keypoints.place_joints(clip.sequence, clip.images, read, (size[0], size[1])) for clip in clips)
    return np.stack([pad_frames(places, frames, UNKNOWN) for places in placed])


def find_sequences(tree: FileTree, resolution: str) -> dict[str, Clip]:
    """Find every sequence by name, and tell what was left out.

    Raises:
        PretaskError: There is none, or there are several resolutions and none is named.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for name in tree.names:
        parts = PurePosixPath(name).parts
        if "JPEGImages" in parts and name.lower().endswith(ENDINGS):
            at = parts.index("JPEGImages")
            inner = parts[at + 1 : -1]
            if inner:
                home = "/".join((*parts[:at], inner[-1]))
                found.setdefault("/".join(inner[:-1]), {}).setdefault(home, []).append(name)
    wanted = resolution if resolution in found else next(iter(found), "")
    if not found or (resolution and resolution not in found) or (len(found) > 1 and not resolution):
        raise PretaskError(
            "frames",
            f"one folder JPEGImages/{resolution or 'RES'}/SEQUENCE with images, below {printable_name(str(tree.root))}",
            f"the resolutions {', '.join(map(printable_name, sorted(found)))}" if found else "none",
            "Name one with data.resolution." if found else "Name the folder or tar file with data.root.",
        )
    left = Leftovers()
    outside = (name for name in tree.names if not {*PurePosixPath(name).parts} & LAYOUT)
    left.add_endings(name for name in outside if name != find_keypoints(tree))
    parts_of = find_parts([*found[wanted]], left)
    sequences = name_sequences(found[wanted], parts_of)
    clips = {
        name: Clip(name, tuple(images), tuple(find_annotation(tree, image) for image in images), part)
        for name, (images, part) in sequences.items()
    }
    tell_annotations(tree, clips, left)
    return clips


def find_parts(homes: Sequence[str], leftovers: Leftovers) -> dict[str, str]:
    """Return the part of every sequence by the folders around JPEGImages; an empty one where none is named for one."""
    if not any(part_of_word(folder) for home in homes for folder in PurePosixPath(home).parts[:-1]):
        return dict.fromkeys(homes, "")
    return {item.name: item.part for item in sort_into_parts(homes, lambda _: False, leftovers)}


def name_sequences(found: Mapping[str, list[str]], parts: Mapping[str, str]) -> dict[str, tuple[list[str], str]]:
    """Return images and part of every sequence by its name, with its folders where two have one name."""
    count = Counter(PurePosixPath(home).name for home in parts)
    names = {home: PurePosixPath(home).name for home in parts}
    return {names[home] if count[names[home]] == 1 else home: (found[home], part) for home, part in parts.items()}


def tell_annotations(tree: FileTree, clips: Mapping[str, Clip], leftovers: Leftovers) -> None:
    """Tell what was left out, annotations without an image among it."""
    used = {name for clip in clips.values() for name in clip.masks}
    images = {name for clip in clips.values() for name in clip.images}
    folders = {PurePosixPath(name).parent.as_posix().replace("JPEGImages", "Annotations") for name in images}
    inside = [name for name in tree.names if PurePosixPath(name).parent.as_posix() in folders]
    leftovers.add("annotations without an image", *(name for name in inside if name not in used))
    tree.tell_leftovers(leftovers)


def find_annotation(tree: FileTree, image: str) -> str:
    """Find the name of an image's annotation, empty where there is none."""
    name = PurePosixPath(image.replace("JPEGImages", "Annotations")).with_suffix(".png").as_posix()
    return name if name in tree.sources else ""


def read_lists(tree: FileTree, part: str) -> set[str]:
    """Read which sequences the lists of a part name: one a line, alone or as a path of one of its images."""
    sequences: set[str] = set()
    for name in tree.names:
        path = PurePosixPath(name)
        if "ImageSets" in path.parts and path.stem in LISTS[part]:
            words = [line.split()[0] for line in tree.read(name).decode(errors="replace").splitlines() if line.strip()]
            sequences |= {PurePosixPath(word).parent.name if "/" in word else word for word in words}
    return sequences


def read_size(tree: FileTree, name: str) -> tuple[int, int]:
    """Read height and width of an image."""
    with raise_for_broken_image(name), Image.open(io.BytesIO(tree.read(name))) as image:
        return image.height, image.width


def decode_images(tree: FileTree, names: Sequence[str], height: int, width: int) -> UInt8[np.ndarray, "T 3 H W"]:
    """Decode the images, brought to one size; they may come in several."""
    images = Images(names, tree.read)
    return np.concatenate([resize_frames(read_frames(images, [number]), height, width) for number in range(len(names))])


def read_masks(tree: FileTree, clip: Clip, coding: Coding, height: int, width: int) -> Int8[np.ndarray, "T H W"]:
    """Read the masks of a clip; -1 where there is none."""
    blank = np.full((height, width), -1, np.int8)
    return np.stack([read_mask(tree, name, coding, height, width) if name else blank for name in clip.masks])


def read_mask(tree: FileTree, name: str, coding: Coding, height: int, width: int) -> Int8[np.ndarray, "H W"]:
    """Read the annotation of that name; raise PretaskError where it cannot be decoded."""
    with raise_for_broken_image(name):
        return coding.translate(read_marks(tree.read(name), (height, width)))


def pad_frames(frames: np.ndarray, count: int, value: int) -> np.ndarray:
    """Append frames of one value until there are `count`."""
    more = np.full((count - len(frames), *frames.shape[1:]), value, frames.dtype)
    return np.concatenate([frames, more]) if len(more) else frames
