"""Folder: your own images in class folders, from a folder or straight from tar files, decoded once into the cache.

Axes: N samples, C channels, H W image.
"""

import io
import os
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise, takewhile
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from pretask import PretaskError, Samples
from pretask.cache import cache_key

from pretask_plugins.data.image.images import Album, cached_samples, crop_square, decode_images
from pretask_plugins.data.parts import PART_FOLDERS, check_part, hash_text, is_tenth, list_some

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
PART_NAMES = frozenset(name for names in PART_FOLDERS.values() for name in names)
BLOCK = bytes(512)  # of zeros, with which a whole tar file ends


@dataclass(frozen=True)
class Folder:
    """Images whose folder is their class.

    Args:
        root: A folder or tar file with train/CLASS/… and test/CLASS/… (or val/…); a folder with a tar file for each; or
            CLASS/… alone, of which a tenth by hash of the names is for testing.
        image_size: Side of the square that is cut from the middle once the short side has this many pixels.
        grayscale: Whether to make one channel of the colors.
    """

    root: Path
    image_size: int = 128
    grayscale: bool = False

    def __call__(self, part: str, /) -> Samples:
        """Return one part.

        Raises:
            PretaskError: There is nothing to read, an image cannot be decoded, or a class has one image to train on.
        """
        check_part("folder", part)
        found = self.find(part)
        facts = {
            "data": "folder",
            "image_size": self.image_size,
            "grayscale": self.grayscale,
            "part": part,
            "files": found.stamp(),
        }
        return cached_samples(facts | {"classes": found.classes}, lambda: self.album(found))

    def find(self, part: str) -> "ImageFiles":
        """Find the images of a part; raise PretaskError where there are none, or too few of a class."""
        root = self.root.expanduser()
        if not root.exists():
            raise PretaskError("folder", "a folder or tar file", f"no {root}", "Name one with --set data.root=…")
        found = find_loss_metric(root, part)
        if not found.images:
            raise PretaskError(
                "folder",
                f"images ({', '.join(ENDINGS[:3])} …) in class folders for the part {part}",
                f"none in {root}",
                "Put them into train/CLASS/ and test/CLASS/, or CLASS/.",
            )
        check_classes(found)
        if part == "train":
            check_counts(found.images)
        return found

    def album(self, found: "ImageFiles") -> Album:
        """Decode the images of a part, one after the other."""
        numbers = {name: number for number, name in enumerate(found.classes)}
        labels = np.array([numbers[image.label] for image in found.images], np.int64)
        shape = (1 if self.grayscale else 3, self.image_size, self.image_size)
        return Album(shape, labels, found.classes, self.pieces(found))

    def pieces(self, found: "ImageFiles") -> Iterator[UInt8[np.ndarray, "_ C H W"]]:
        """Yield the images of a part, some at a time."""
        names = [image.name for image in found.images]
        with found.reader() as read:

            def decode(number: int) -> UInt8[np.ndarray, "C H W"]:
                with Image.open(io.BytesIO(read(names[number]))) as image:
                    return crop_square(image, self.image_size, self.grayscale)

            yield from decode_images("folder", len(names), decode, names.__getitem__)


@dataclass(frozen=True)
class Member:
    """One image.

    Args:
        name: Below the root, or in the tar file.
        label: Its class.
        word: What the folder of its part is called, if it lies in one.
        stamp: Bytes, and time of change: what changes when it does.
    """

    name: str
    label: str
    word: str | None
    stamp: tuple[int, int]


@dataclass(frozen=True)
class ImageFiles:
    """The images of a part, by name.

    Args:
        root: The folder or tar file that they are in.
        images: Theirs.
        classes: Those to train on, so that a class has the same number in each part.
    """

    root: Path
    images: tuple[Member, ...]
    classes: tuple[str, ...]

    def stamp(self) -> str:
        """Hash of what determines the images, for the cache; many a tar file says 1970 of all that is in it."""
        about = self.root.stat()
        whole = [] if self.root.is_dir() else [about.st_size, about.st_mtime_ns]
        images = [(image.name, *image.stamp) for image in self.images]
        return cache_key({"root": self.root.resolve(), "whole": whole, "images": images})

    @contextmanager
    def reader(self) -> Iterator[Callable[[str], bytes]]:
        """Give a function inside that reads the bytes of an image, from several threads at once too."""
        if self.root.is_dir():
            yield lambda name: (self.root / name).read_bytes()
            return
        with open_tar(self.root) as archive:
            places = {member.name: (member.size, member.offset_data) for member in archive}
            with self.root.open("rb") if is_plain(self.root) else unpack_tar(archive) as file:
                yield lambda name: os.pread(file.fileno(), *places[name])


def find_place(root: Path, part: str) -> Path:
    """Find the tar file of a part, where the root is a folder with one for each part; else the root."""
    if root.is_dir():
        for name in PART_FOLDERS[part]:
            for ending in (".tar", ".tar.gz", ".tgz"):
                if (root / f"{name}{ending}").is_file():
                    return root / f"{name}{ending}"
    return root


def find_loss_metric(root: Path, part: str) -> ImageFiles:
    """Find the images of one part, and the classes of those to train on."""
    places = {part_name: find_place(root, part_name) for part_name in PART_FOLDERS}
    members = {place: list_members(place) for place in set(places.values())}
    parts = {part_name: select_part(members[place], part_name, place != root) for part_name, place in places.items()}
    classes = sorted({image.label for image in parts["train"]})
    return ImageFiles(places[part], tuple(parts[part]), tuple(classes))


def list_members(place: Path) -> list[Member]:
    """List every image in a folder or tar file, by name."""
    files = sorted(iterate_tar(place) if place.is_file() else iterate_folder(place))
    folders = [PurePosixPath(name).parts[:-1] for name, _, _ in files]
    ends = zip(min(folders, default=()), max(folders, default=()), strict=False)
    shared = len(list(takewhile(lambda pair: pair[0] == pair[1], ends)))
    return [
        Member(
            name,
            class_name(path, shared),
            next((folder for folder in path[:-1] if folder in PART_NAMES), None),
            (size, changed),
        )
        for (name, size, changed), path in zip(files, folders, strict=True)
    ]


def class_name(folders: Sequence[str], shared: int) -> str:
    """Return the class of an image: the folder in that of its part, else the first one that not all images lie in.

    >>> class_name(("imagenet", "train", "tench", "images"), 1), class_name(("mine", "tench"), 1)
    ('tench', 'tench')
    """
    for folder, inner in pairwise(folders):
        if folder in PART_NAMES:
            return inner
    return folders[min(shared, len(folders) - 1)]


def select_part(members: Sequence[Member], part: str, own: bool) -> Sequence[Member]:
    """Select one part: those below a folder of its name, or all of its own tar file, or some by hash of the names."""
    words = {member.word for member in members if member.word}
    if words:
        chosen = next((word for word in PART_FOLDERS[part] if word in words), "")
        return [member for member in members if member.word == chosen]
    return members if own else [member for member in members if is_for_test(member.name) == (part == "test")]


def is_for_test(name: str) -> bool:
    """Return whether an image is for testing, by the hash of its name without the ./ that some tar files put first."""
    return is_tenth(hash_text(PurePosixPath(name).as_posix()))


def is_image(name: PurePosixPath) -> bool:
    """Return whether a file below the root lies in a folder, has a known ending, and nothing of it is hidden."""
    hidden = any(folder.startswith(".") for folder in name.parts)
    return len(name.parts) > 1 and name.suffix.lower() in ENDINGS and not hidden


def iterate_folder(root: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, bytes and time of every image that lies in a folder below the root; links are followed."""
    for folder, _, names in os.walk(root, followlinks=True):
        for name in names:
            path = Path(folder, name)
            short = path.relative_to(root).as_posix()
            if is_image(PurePosixPath(short)) and path.is_file():
                about = path.stat()
                yield short, about.st_size, about.st_mtime_ns


def iterate_tar(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield name, bytes and time of every image that lies in a folder of a tar file."""
    with open_tar(path) as archive:
        file: Any = archive.fileobj
        try:
            for member in archive:
                if member.isfile() and is_image(PurePosixPath(member.name)):
                    yield member.name, member.size, int(member.mtime)
            file.seek(archive.offset)
            if file.read(len(BLOCK)) != BLOCK:
                raise EOFError(
                    "it ends before its end mark"
                )  # tarfile does not mind where it was cut between two files
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise tar_error(path, error) from error


def open_tar(path: Path) -> tarfile.TarFile:
    """Open a tar file; raise PretaskError where it is none."""
    try:
        return tarfile.open(path)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise tar_error(path, error) from error


def is_plain(path: Path) -> bool:
    """Return whether a tar file is not compressed."""
    try:
        with tarfile.open(path, "r:"):
            return True
    except tarfile.TarError:
        return False


def unpack_tar(archive: tarfile.TarFile) -> IO[bytes]:
    """Unpack a compressed tar file into one in which one can jump about; it ends with its handle."""
    file: Any = archive.fileobj
    plain = TemporaryFile()  # noqa: SIM115
    file.seek(0)
    copyfileobj(file, plain)
    plain.flush()
    return plain


def tar_error(path: Path, error: Exception) -> PretaskError:
    """Make the error for a file that is no tar file, or cannot be read to its end."""
    return PretaskError("folder", "a folder, or a whole tar file of images", f"{path} ({error})", "Copy it again.")


def check_classes(found: ImageFiles) -> None:
    """Raise PretaskError where there is a class to test on and not to train on."""
    strange = sorted({image.label for image in found.images} - set(found.classes))
    if strange:
        raise PretaskError(
            "folder",
            "every class of the part test among those of the part train",
            f"{list_some(strange)} without images to train on",
            "Put every image into the folder of its class.",
        )


def check_counts(images: Sequence[Member]) -> None:
    """Raise PretaskError where a class has a single image: nothing could be learned of it and chosen on it."""
    lonely = sorted(label for label, count in Counter(image.label for image in images).items() if count == 1)
    if lonely:
        raise PretaskError(
            "folder",
            "at least two images of every class to train on",
            f"one of {list_some(lonely)}",
            "Add images, or take the folder away.",
        )
