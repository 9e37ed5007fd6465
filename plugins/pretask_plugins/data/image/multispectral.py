"""Multispectral: images of any number of channels, scaled to 8 bits by a range that its user declares.

The range is an option and so a part of every record: without it nobody knows what white is.
Axes: N samples, C channels, H W image.
"""

import io
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from pretask import PretaskError, Samples
from pretask.options import AnyFloat, ImageSize, NonNegativeInt, require_range
from torch.nn import functional as F

from pretask_plugins.data.image.folder import is_for_test
from pretask_plugins.data.image.images import Album, cached_samples, decode_images
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
from pretask_plugins.shared.listing.leftovers import tell_once
from pretask_plugins.shared.parts import PART_FOLDERS, check_part

ENDINGS = (".npy", ".tif", ".tiff")
# Headers of .npy are parsed as Python, which several threads of CPython 3.11 cannot do at once (its issue 106905).
ONE_HEADER = Lock()
NUMPY = b"\x93NUMPY"  # with which such a file begins
EDITION = 1  # of how arrays are read and scaled
Axis = Literal["auto", "first", "last"]


@dataclass(frozen=True)
class Multispectral:
    """Images (C, image_size, image_size) from NumPy and TIFF files whose folder is their class.

    Args:
        root: A folder, tar file, shards or table, as the data `folder` takes them.
        low: Value that becomes 0; one for all channels, or one for each.
        high: Value that becomes 255; one for all channels, or one for each. What lies outside is clipped, which is
            said; what is no number becomes 0.
        bands: Numbers of the channels that are used, from 0 on; all where none is named.
        channels: Axis of the channels in NumPy files; auto takes the shorter one of the first and the last.
        image_size: Side of the square that is cut from the middle once the short side has this many pixels.

    Raises:
        PretaskError: A range is empty, or a number is out of range.
    """

    root: Path
    low: tuple[AnyFloat, ...]
    high: tuple[AnyFloat, ...]
    bands: tuple[NonNegativeInt, ...] = ()
    channels: Axis = "auto"
    image_size: ImageSize = 64

    def __post_init__(self) -> None:
        require_range("multispectral", "data", self)
        span = np.subtract(self.high, self.low) if self.has_fitting_range() else np.zeros(1)
        if not (np.isfinite(span).all() and (span > 0).all()):
            raise PretaskError(
                "multispectral",
                "data.high above data.low, one of each for all channels or for each",
                f"low {', '.join(map(str, self.low)) or 'none'} and high {', '.join(map(str, self.high)) or 'none'}",
                "Set those of the sensor, such as data.low=0 data.high=10000.",
                exit_code=2,
            )

    def has_fitting_range(self) -> bool:
        """Return whether there are as many lowest as highest values, or one for all."""
        low, high = len(self.low), len(self.high)
        return bool(low and high) and (low == high or 1 in (low, high))

    def __call__(self, part: str, /) -> Samples:
        """Return one part.

        Raises:
            PretaskError: There is nothing to read, or files differ in their channels or cannot be read.
        """
        check_part("multispectral", part)
        with open_tree("multispectral", self.root, "images") as tree:
            listing = list_any(tree, ENDINGS, is_for_test)
            items = listing.select(part)
            self.check_items(listing, items, part)
            facts = {
                "data": "multispectral",
                "edition": EDITION,
                "decoder": describe_decoder(),
                "part": part,
                "files": tree.digest([item.name for item in items]),
                "range": [self.low, self.high],
                "bands": self.bands,
                "channels": self.channels,
                "image_size": self.image_size,
                "classes": listing.classes,
                "labels": listing.number(items).tolist(),
            }
            return cached_samples(facts, lambda: self.album(tree, listing, items))

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write a few images of four channels, of two classes for each part."""
        places = [folder / part / label for part in PART_FOLDERS for label in "ab"]
        for number, path in enumerate(place / f"{count}.npy" for place in places for count in range(3)):
            path.parent.mkdir(parents=True, exist_ok=True)
            rows, columns, bands = np.ogrid[:32, :32, :4]
            np.save(path, ((rows * (3 + number) + columns * 5 + 90 * bands) % 1000 + 100 * number).astype(np.uint16))
        return {"root": folder, "low": (0.0,), "high": (2500.0,), "image_size": 32}

    def check_items(self, listing: Listing, items: list[Item], part: str) -> None:
        """Raise PretaskError where there are no images, or too few of a class."""
        if not items:
            needs = f"images ({', '.join(ENDINGS)}) for the part {part}"
            got, do = (
                f"none in {printable_name(str(self.root))}",
                "Put them into train/CLASS/ and test/CLASS/, or CLASS/.",
            )
            raise PretaskError("multispectral", needs, got, do)
        if part == "train":
            check_counts("multispectral", items, "images")
        else:
            check_classes("multispectral", listing, "images")

    def album(self, tree: FileTree, listing: Listing, items: list[Item]) -> Album:
        """Read the images of a part, one after the other."""
        scale = Scale(self.low, self.high)

        def read(number: int) -> Shaped[np.ndarray, "C H W"]:
            name = items[number].name
            return select_bands(read_channels(name, tree.read(name), self.channels), self.bands)

        def name(number: int) -> str:
            return printable_name(items[number].name)

        count, first = find_count(len(items), read)

        def decode(number: int) -> UInt8[np.ndarray, "C H W"]:
            values = read(number)
            if len(values) != count:
                raise ValueError(f"{len(values)} channels, and {name(first)} has {count}")
            return crop_channels(scale.apply(values), self.image_size)

        pieces = decode_images("multispectral", len(items), decode, name)
        shape = (count, self.image_size, self.image_size)
        return Album(shape, listing.number(items), listing.classes, scale.tell_clipped(pieces, str(self.root)))


@dataclass(frozen=True)
class Scale:
    """A range of values that becomes 0 to 255, and a count of what lies outside.

    Args:
        low: One for all channels, or one for each.
        high: Likewise.
        counts: Values in all, and those that were clipped.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    counts: Counter[str] = field(default_factory=Counter)

    def apply(self, values: Shaped[np.ndarray, "C H W"]) -> Float[np.ndarray, "C H W"]:
        """Scale values to 0 … 255, clipped."""
        most = max(len(self.low), len(self.high))
        if most not in (1, len(values)):
            raise ValueError(f"{len(values)} channels, and data.low and data.high have {most}")
        low, high = (np.array(bound, np.float64)[:, None, None] for bound in (self.low, self.high))
        share = (values.astype(np.float64) - low) / (high - low)
        outside = int(((share < 0) | (share > 1) | np.isnan(share)).sum())
        self.counts.update(all=share.size, outside=outside)
        scaled: np.ndarray = np.nan_to_num(share, nan=0.0, posinf=1.0, neginf=0.0).clip(0, 1) * 255
        return scaled

    def tell_clipped(self, pieces: Any, root: str) -> Any:
        """Yield the same pieces, and say in the end how much was clipped."""
        yield from pieces
        if self.counts["outside"]:
            share = self.counts["outside"] / self.counts["all"]
            tell_once(
                f"multispectral: {share:.2%} of the values below {printable_name(root)} are outside of data.low … "
                "data.high and were clipped"
            )


def find_count(images: int, read: Callable[[int], np.ndarray]) -> tuple[int, int]:
    """Return how many channels the first image has that can be read, and its number; decoding names those before."""
    for number in range(images):
        with suppress(Exception):  # decoders raise nearly everything
            return len(read(number)), number
    return 1, 0


def describe_decoder() -> str:
    """Return what decodes, with versions."""
    try:
        import tifffile
    except ImportError:
        return f"numpy {np.__version__}"
    return f"numpy {np.__version__}, tifffile {tifffile.__version__}"


def read_channels(name: str, content: bytes, axis: Axis) -> Shaped[np.ndarray, "C H W"]:
    """Read the channels of a file.

    Raises:
        ValueError: It is no array of one image.
    """
    if PurePosixPath(name).suffix.lower() == ".npy":
        if not content.startswith(NUMPY):
            raise ValueError("no NumPy file of one array")
        with ONE_HEADER:
            array = np.load(io.BytesIO(content), allow_pickle=False)
        return order_axes(array, axis)
    return read_tiff(content)


def order_axes(values: Shaped[np.ndarray, "..."], axis: Axis) -> Shaped[np.ndarray, "C H W"]:
    """Return an array of an image with the channels first; a plane is one channel.

    >>> order_axes(np.zeros((5, 6, 4)), "auto").shape, order_axes(np.zeros((5, 6)), "auto").shape
    ((4, 5, 6), (1, 5, 6))
    """
    if values.ndim not in (2, 3) or not values.size or values.dtype.kind not in "uifb":
        raise ValueError(f"an array of shape {values.shape} and type {values.dtype}, which is no image")
    if values.ndim == 2:
        return values[None]
    last = axis == "last" or (axis == "auto" and values.shape[2] < values.shape[0])
    return np.moveaxis(values, 2, 0) if last else values


def read_tiff(content: bytes) -> Shaped[np.ndarray, "C H W"]:
    """Read the channels of a TIFF file, whether they are samples of a pixel, planes or pages."""
    try:
        import tifffile
    except ImportError as error:
        raise ValueError("tifffile is needed for it: pip install 'pretask[tiff]'") from error
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        series = file.series[0]
        values, axes = series.asarray(), series.axes
    rows, columns = axes.index("Y"), axes.index("X")
    planes = np.moveaxis(values, (rows, columns), (-2, -1))
    channels: np.ndarray = planes.reshape(-1, *planes.shape[-2:])
    return channels


def select_bands(values: Shaped[np.ndarray, "C H W"], bands: tuple[int, ...]) -> Shaped[np.ndarray, "D H W"]:
    """Return some channels, or all; raise ValueError where one is not there."""
    if bands and max(bands) >= len(values):
        raise ValueError(f"{len(values)} channels, and data.bands names {max(bands)}")
    return values[list(bands)] if bands else values


def crop_channels(values: Float[np.ndarray, "C H W"], size: int) -> UInt8[np.ndarray, "C S S"]:
    """Resize an image so that its short side is `size`, and cut the middle square out."""
    height, width = values.shape[1:]
    scale = size / min(height, width)
    tall, broad = max(size, round(height * scale)), max(size, round(width * scale))
    image = torch.from_numpy(np.ascontiguousarray(values)).float()[None]
    if (height, width) != (tall, broad):
        image = F.interpolate(image, (tall, broad), mode="bilinear", antialias=True, align_corners=False)
    top, left = (tall - size) // 2, (broad - size) // 2
    return image[0, :, top : top + size, left : left + size].round().clamp(0, 255).byte().numpy()
