"""Folder: your own images in class folders, from a folder or straight from tar files, decoded once into the cache.

Axes: N samples, C channels, H W image.
"""

import io
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from pretask import PretaskError, Samples

from pretask_plugins.data.images import Album, cached_samples, check_part, decoded, pixels

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
PARTS = {"train": ("train", "training"), "test": ("test", "val", "valid", "validation")}
TENTH = 10


@dataclass(frozen=True)
class Folder:
    """Images whose folder is their class.

    Args:
        root: A folder or tar file with train/CLASS/… and test/CLASS/… (or val/…); a folder with a tar file for each; or
            CLASS/… alone, of which a tenth by hash of the names is for testing.
        size: Side of the square that is cut from the middle once the short side has this many pixels.
        grey: Whether to make one channel of the colours.
    """

    root: Path
    size: int = 128
    grey: bool = False

    def __call__(self, part: str, /) -> Samples:
        """One part.

        Raises:
            PretaskError: There is nothing to read, an image cannot be decoded, or a class has one image to train on.
        """
        check_part("folder", part)
        found = self.find(part)
        facts = {"data": "folder", "size": self.size, "grey": self.grey, "part": part, "files": found.stamps()}
        return cached_samples(facts | {"classes": found.classes}, lambda: self.album(found))

    def find(self, part: str) -> "Found":
        """The images of a part; raises PretaskError where there are none, or too few of a class."""
        if not self.root.exists():
            raise PretaskError("folder", "a folder or tar file", f"{self.root}", "Name one with --set data.root=…")
        found = find_part(self.root, part)
        if not found.images:
            raise PretaskError(
                "folder",
                f"images ({', '.join(ENDINGS[:3])} …) in class folders for the part {part}",
                f"none in {self.root}",
                "Put them into train/CLASS/ and test/CLASS/, or CLASS/.",
            )
        if part == "train":
            check_counts(found.images)
        return found

    def album(self, found: "Found") -> Album:
        """The images of a part, decoded as they are asked for."""
        numbers = {name: number for number, name in enumerate(found.classes)}
        labels = np.array([numbers[each.label] for each in found.images], np.int64)
        shape = (1 if self.grey else 3, self.size, self.size)
        return Album(shape, labels, found.classes, self.pieces(found))

    def pieces(self, found: "Found") -> Iterator[UInt8[np.ndarray, "_ C H W"]]:
        """The images of a part, some at a time."""
        names = [each.name for each in found.images]
        with found.reader() as read:

            def decode(number: int) -> UInt8[np.ndarray, "C H W"]:
                with Image.open(io.BytesIO(read(names[number]))) as image:
                    return pixels(image, self.size, self.grey)

            yield from decoded("folder", len(names), decode, names.__getitem__)


@dataclass(frozen=True)
class Member:
    """One image: its name below the root, its class, and what changes when it does."""

    name: str
    label: str
    stamp: tuple[int, int]  # bytes, and time of change


@dataclass(frozen=True)
class Found:
    """The images of a part, by name.

    Args:
        root: The folder or tar file that they are in.
        images: Theirs.
        classes: Those of all parts, by name, so that a class has the same number in each.
    """

    root: Path
    images: tuple[Member, ...]
    classes: tuple[str, ...]

    def stamps(self) -> list[Any]:
        """What determines the images, for the cache; many a tar file says 1970 of all that is in it."""
        about = self.root.stat()
        whole = [] if self.root.is_dir() else [(about.st_size, about.st_mtime_ns)]
        return whole + [(each.name, *each.stamp) for each in self.images]

    @contextmanager
    def reader(self) -> Iterator[Callable[[str], bytes]]:
        """Inside, reads the bytes of an image; from several threads at once, too."""
        if self.root.is_dir():
            yield lambda name: (self.root / name).read_bytes()
            return
        lock = Lock()
        with open_tar(self.root) as archive:

            def read(name: str) -> bytes:
                with lock:
                    file = archive.extractfile(name)
                    return file.read() if file is not None else b""

            yield read


def place_of(root: Path, part: str) -> Path:
    """The tar file of a part, where the root is a folder with one for each part; else the root."""
    if root.is_dir():
        for name in PARTS[part]:
            for ending in (".tar", ".tar.gz", ".tgz"):
                if (root / f"{name}{ending}").is_file():
                    return root / f"{name}{ending}"
    return root


def find_part(root: Path, part: str) -> Found:
    """The images of one part, and the classes of all."""
    places = {each: place_of(root, each) for each in PARTS}
    members = {place: members_of(place) for place in set(places.values())}
    classes = {each.label for found in members.values() for each in found}
    own = places[part]
    return Found(own, tuple(parted(members[own], part, own != root)), tuple(sorted(classes)))


def members_of(place: Path) -> list[Member]:
    """Every image in a folder or tar file, by name."""
    return sorted(in_tar(place) if place.is_file() else in_folder(place), key=lambda each: each.name)


def parted(members: Sequence[Member], part: str, own: bool) -> Sequence[Member]:
    """Those of one part: below a folder of its name, or all of its own tar file, or its share by hash of the names."""
    if any(part_of(each.name) for each in members):
        return [each for each in members if part_of(each.name) == part]
    return members if own else [each for each in members if is_tenth(each.name) == (part == "test")]


def part_of(name: str) -> str | None:
    """The part that one of an image's upper folders names."""
    folders = PurePosixPath(name).parts[:-2]
    return next((part for part, words in PARTS.items() for folder in folders if folder in words), None)


def is_tenth(name: str) -> bool:
    """Whether an image is held out for testing: a hash of its name says, so that others may come and go."""
    plain = PurePosixPath(name).as_posix()  # without the ./ that some tar files put first
    return int.from_bytes(blake2b(plain.encode(errors="surrogateescape"), digest_size=4).digest()) % TENTH == 0


def is_image(name: PurePosixPath) -> bool:
    """Whether a file below the root lies in a folder, has an ending that is known, and nothing of it is hidden."""
    hidden = any(each.startswith(".") for each in name.parts)
    return len(name.parts) > 1 and name.suffix.lower() in ENDINGS and not hidden


def member(name: str, size: int, changed: int) -> Member:
    """An image whose class is the folder that it lies in."""
    return Member(name, PurePosixPath(name).parent.name, (size, changed))


def in_folder(root: Path) -> Iterable[Member]:
    """Every image that lies in a folder below the root."""
    for path in root.rglob("*"):
        if is_image(PurePosixPath(path.relative_to(root))) and path.is_file():
            about = path.stat()
            yield member(path.relative_to(root).as_posix(), about.st_size, about.st_mtime_ns)


def in_tar(path: Path) -> Iterable[Member]:
    """Every image that lies in a folder of a tar file."""
    with open_tar(path) as archive:
        try:
            for each in archive:
                if each.isfile() and is_image(PurePosixPath(each.name)):
                    yield member(each.name, each.size, int(each.mtime))
        except (tarfile.TarError, OSError, EOFError) as error:
            raise broken_tar(path, error) from error


def open_tar(path: Path) -> tarfile.TarFile:
    """A tar file; raises PretaskError where it is none."""
    try:
        return tarfile.open(path)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise broken_tar(path, error) from error


def broken_tar(path: Path, error: Exception) -> PretaskError:
    """The error for a tar file that cannot be read to its end."""
    return PretaskError("folder", "a whole tar file of images", f"{path} ({error})", "Copy it again.")


def check_counts(images: Sequence[Member]) -> None:
    """Raise PretaskError where a class has a single image: nothing could be learned of it and chosen on it."""
    labels = [each.label for each in images]
    lonely = sorted(label for label in set(labels) if labels.count(label) == 1)
    if lonely:
        raise PretaskError(
            "folder",
            "at least two images of every class to train on",
            f"one of {', '.join(lonely[:3])}{' …' if lonely[3:] else ''}",
            "Add images, or take the folder away.",
        )
