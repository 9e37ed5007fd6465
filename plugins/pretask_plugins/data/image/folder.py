"""Folder: your own images in class folders, from a folder, tar files or a table, decoded once into the cache.

Axes: N samples, C channels, H W image.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from pretask import PretaskError, Samples
from pretask.options import ImageSize

from pretask_plugins.data.image.images import DECODER, Album, cached_samples, crop_square, decode_images
from pretask_plugins.shared.listing import (
    FileTree,
    Item,
    Listing,
    check_classes,
    check_counts,
    list_any,
    open_tree,
    printable_name,
)
from pretask_plugins.shared.parts import PART_FOLDERS, check_part, hash_text, is_tenth
from pretask_plugins.shared.tiny_files import SIDE, write_pictures

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm")


@dataclass(frozen=True)
class Folder:
    """Images whose folder is their class.

    Args:
        root: A folder or tar file with train/CLASS/… and test/CLASS/… (or val/…), or CLASS/… alone, of which a tenth by
            hash of the names is for testing; a folder with a tar file for each part; a folder of numbered tar files in
            the layout of WebDataset (train-000000.tar with a.jpg and a.cls); a .csv, .tsv or .parquet file with the
            columns file, label and split. Images straight in train/ and test/, or straight in the root, have no class.
        image_size: Side of the square that is cut from the middle once the short side has this many pixels.
        grayscale: Whether to make one channel of the colors.
    """

    root: Path
    image_size: ImageSize = 128
    grayscale: bool = False

    def __call__(self, part: str, /) -> Samples:
        """Return one part.

        Raises:
            PretaskError: There is nothing to read, an image cannot be decoded, or a class has one image to train on.
        """
        check_part("folder", part)
        with open_tree("folder", self.root, "images") as tree:
            found = self.list_images(tree, part)
            facts = {
                "data": "folder",
                "image_size": self.image_size,
                "grayscale": self.grayscale,
                "part": part,
                "decoder": DECODER,
                "files": tree.digest([image.name for image in found.images]),
            }
            labels = found.listing.number(found.images).tolist()
            return cached_samples(facts | {"classes": found.classes, "labels": labels}, lambda: self.album(tree, found))

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write a few images of two classes for each part."""
        write_pictures(folder / part / name / f"{n}.png" for part in PART_FOLDERS for name in "ab" for n in range(3))
        return {"root": folder, "image_size": SIDE}

    def find(self, part: str) -> "ImageFiles":
        """Find the images of a part; raise PretaskError where there are none, or too few of a class."""
        with open_tree("folder", self.root, "images") as tree:
            return self.list_images(tree, part)

    def list_images(self, tree: FileTree, part: str) -> "ImageFiles":
        """List the images of a part; raise PretaskError where there are none, or too few of a class."""
        listing = list_any(tree, ENDINGS, is_for_test)
        found = ImageFiles(listing, tuple(listing.select(part)))
        if not found.images:
            raise PretaskError(
                "folder",
                f"images ({', '.join(ENDINGS[:3])} …) in class folders for the part {part}",
                f"none in {printable_name(str(tree.place))}",
                "Put them into train/CLASS/ and test/CLASS/, or CLASS/.",
            )
        if part == "train":
            check_counts("folder", found.images, "images")
        else:
            check_classes("folder", listing, "images")
        return found

    def album(self, tree: FileTree, found: "ImageFiles") -> Album:
        """Decode the images of a part, one after the other."""
        names = [image.name for image in found.images]

        def decode(number: int) -> UInt8[np.ndarray, "C H W"]:
            with Image.open(io.BytesIO(tree.read(names[number]))) as image:
                return crop_square(image, self.image_size, self.grayscale)

        def name(number: int) -> str:
            return printable_name(names[number])

        shape = (1 if self.grayscale else 3, self.image_size, self.image_size)
        pieces = decode_images("folder", len(names), decode, name)
        return Album(shape, found.listing.number(found.images), found.classes, pieces)


@dataclass(frozen=True)
class ImageFiles:
    """The images of a part, by name.

    Args:
        listing: Of both parts.
        images: Those of the part.
    """

    listing: Listing
    images: tuple[Item, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of both parts."""
        return self.listing.classes


def is_for_test(name: str) -> bool:
    """Return whether an image is for testing, by the hash of its name without the ./ that some tar files put first."""
    return is_tenth(hash_text(PurePosixPath(name).as_posix()))
