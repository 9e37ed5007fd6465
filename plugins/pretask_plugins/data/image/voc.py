"""Voc: images with objects in boxes, in the layout of PASCAL VOC or COCO, decoded once into the cache.

The labels `objects` say which classes an image shows (what VOC07 classification is scored on); where they are is what
`boxes` returns. Images keep their proportions: they are scaled to fit, lie at the top left, and the rest is black.

Source: Everingham et al. 2010; Lin et al. 2014.
Axes: N images, C classes or channels, L objects, H W image.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from PIL import Image
from pretask import Labels, Observed, Samples
from pretask.cache import cached, fingerprint, write_rows
from pretask.mapped import map_file
from pretask.options import ImageSize
from pretask.preparation.flat_images import flatten_image

from pretask_plugins.data.image.annotations import WHO, Annotated, read_annotations
from pretask_plugins.data.image.images import DECODER, decode_images
from pretask_plugins.shared.boxes import Boxes
from pretask_plugins.shared.listing import open_tree, printable_name
from pretask_plugins.shared.parts import check_part
from pretask_plugins.shared.tiny_files import SIDE, paint_picture

OBJECTS = "objects"
ABSENT, SHOWN, UNKNOWN = 0, 1, -1  # whether an image shows a class; unknown where all of its objects are difficult


@dataclass(frozen=True)
class Voc:
    """Images of one size with objects.

    Args:
        root: A folder or tar file, such as VOCdevkit; see annotations.py for the layouts.
        height: Of a sample, pixels.
        width: Of a sample, pixels.
    """

    root: Path
    height: ImageSize = 320
    width: ImageSize = 320

    def __call__(self, part: str, /) -> Samples:
        """Return one part, with the labels `objects`.

        Raises:
            PretaskError: There is nothing to read, or an annotation or image cannot be read.
        """
        arrays, notes = self.arrays(part)
        names = tuple(notes["names"])
        shown = find_shown(arrays["classes"], arrays["difficult"], len(names))
        seen = Observed("image", (3, self.height, self.width), "uint8", len(shown))
        labels = {OBJECTS: Labels(torch.from_numpy(shown), names, multiple=True)}
        return Samples(seen, torch.from_numpy(arrays["images"]), labels, fingerprint=notes["fingerprint"])

    def boxes(self, part: str, /) -> Boxes:
        """Return the objects of a part."""
        arrays, notes = self.arrays(part)
        corners, classes = torch.from_numpy(arrays["corners"]), torch.from_numpy(arrays["classes"])
        return Boxes(corners, classes, torch.from_numpy(arrays["difficult"]), tuple(notes["names"]))

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write some images with one or two objects in the layout of PASCAL VOC."""
        for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (folder / "VOC2007" / name).mkdir(parents=True, exist_ok=True)
        stems = {
            part: [f"{number:06d}" for number in numbers]
            for part, numbers in (("trainval", range(24)), ("test", range(24, 36)))
        }
        for part, listed in stems.items():
            (folder / "VOC2007/ImageSets/Main" / f"{part}.txt").write_text("\n".join(listed))
            for stem in listed:
                write_example_image(folder / "VOC2007", stem)
        return {"root": folder, "height": SIDE, "width": SIDE}

    def arrays(self, part: str) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
        """Return images, corners, classes and difficulty of a part, mapped once."""
        check_part(WHO, part)
        if part not in self.mapped:
            self.mapped[part] = self.map(part)
        return self.mapped[part]

    @cached_property
    def mapped(self) -> dict[str, tuple[Mapping[str, np.ndarray], Mapping[str, Any]]]:
        """The arrays of parts that were mapped."""
        return {}

    def map(self, part: str) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
        """Map the arrays of a part, which are made where the cache has none."""
        with open_tree(WHO, self.root, "images") as tree:
            found, names, files = read_annotations(tree, part)
            images = [annotated.image for annotated in found]
            facts = {
                "data": WHO,
                "size": [self.height, self.width],
                "part": part,
                "decoder": DECODER,
                "names": names,
                "files": tree.digest([*images, *files]),
            }

            def decode(number: int) -> tuple[UInt8[np.ndarray, "C H W"], float]:
                with Image.open(io.BytesIO(tree.read(images[number]))) as image:
                    return fit_corner(image, self.height, self.width)

            def make(folder: Path) -> Mapping[str, Any]:
                return write_part(folder, found, names, decode, (self.height, self.width))

            return cached("images", facts, make)


def write_part(
    folder: Path, found: Sequence[Annotated], names: Sequence[str], decode: Any, size: tuple[int, int]
) -> Mapping[str, Any]:
    """Write the arrays of a part, and return the notes of the entry."""
    scales = np.ones(len(found))

    def decode_one(number: int) -> UInt8[np.ndarray, "C H W"]:
        image: UInt8[np.ndarray, "C H W"]
        image, scales[number] = decode(number)
        return image

    def name_one(number: int) -> str:
        return printable_name(found[number].image)

    pieces: Iterator[UInt8[np.ndarray, "_ C H W"]] = decode_images(WHO, len(found), decode_one, name_one)
    write_rows(folder / "images.npy", (len(found), 3, *size), "uint8", pieces)
    corners, classes, difficult = number_objects(found, names)
    corners *= scales[:, None, None].astype(np.float32)
    for name, array in (("corners", corners), ("classes", classes), ("difficult", difficult)):
        np.save(folder / f"{name}.npy", array)
    known = fingerprint(map_file(folder / "images.npy"), corners, classes, difficult, names=names)
    return {"names": list(names), "fingerprint": known}


def number_objects(
    found: Sequence[Annotated], names: Sequence[str]
) -> tuple[Float[np.ndarray, "N L 4"], Int[np.ndarray, "N L"], Any]:
    """Return corners, class numbers and difficulty of all objects, padded to the most that an image has."""
    most = max(1, *(len(image.classes) for image in found))
    corners = np.zeros((len(found), most, 4), np.float32)
    classes = np.full((len(found), most), -1, np.int64)
    difficult = np.zeros((len(found), most), bool)
    for number, image in enumerate(found):
        count = len(image.classes)
        if count:
            corners[number, :count] = image.corners
            classes[number, :count] = [names.index(name) for name in image.classes]
            difficult[number, :count] = image.difficult
    return corners, classes, difficult


def find_shown(classes: Int[np.ndarray, "N L"], difficult: Any, count: int) -> Int[np.ndarray, "N C"]:
    """Return for every image and class whether it is shown: unknown where nothing but difficult objects are."""
    shown = np.full((len(classes), count), ABSENT, np.int64)
    for number in range(count):
        is_class = classes == number
        shown[(is_class & difficult).any(1), number] = UNKNOWN
        shown[(is_class & ~difficult).any(1), number] = SHOWN
    return shown


def fit_corner(image: Image.Image, height: int, width: int) -> tuple[UInt8[np.ndarray, "C H W"], float]:
    """Return an image scaled to fit at the top left of a black one, and by how much it was scaled.

    It is not turned upright by what its file says, since annotations are of the pixels as they are stored.
    """
    scale = min(height / image.height, width / image.width)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    flat = flatten_image(image, upright=False).convert("RGB").resize(size, Image.Resampling.BICUBIC)
    fitted = np.zeros((height, width, 3), np.uint8)
    fitted[: size[1], : size[0]] = np.asarray(flat)
    return np.ascontiguousarray(fitted.transpose(2, 0, 1)), scale


def write_example_image(folder: Path, stem: str) -> None:
    """Write one image with its annotation: a bright square in two of three, a dark bar in every second one."""
    number, objects = int(stem), []
    picture = paint_picture(number) // 2 + 40
    if number % 3 < 2:
        place = 2 + number % 12
        picture[place : place + 10, place : place + 10] = 240
        objects.append(("square", place, place, place + 10, place + 10))
    if number % 2:
        picture[26:30, 2:28] = 10
        objects.append(("bar", 2, 26, 28, 30))
    Image.fromarray(picture).save(folder / "JPEGImages" / f"{stem}.png")
    boxes = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{left + 1}</xmin><ymin>{top + 1}</ymin>"
        f"<xmax>{right}</xmax><ymax>{bottom}</ymax></bndbox></object>"
        for name, left, top, right, bottom in objects
    )
    (folder / "Annotations" / f"{stem}.xml").write_text(f"<annotation>{boxes}</annotation>")
