"""Images: what the data sets of images share: squares of pixels, and the cache of what was decoded.

Axes: N samples, C channels, H W image.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image
from PIL import __version__ as pillow_version
from pretask import Labels, Observed, Samples
from pretask.cache import cached, fingerprint, write_rows
from pretask.mapped import map_file
from pretask.preparation.flat_images import flatten_image
from pretask.preparation.images import fit_image

from pretask_plugins.data.decoding import Work, decode_batches

BATCH_IMAGES = 256  # that are decoded before they are written
DECODER = f"pillow {pillow_version}, edition 2"  # 2 scales all 16 bits and puts what is transparent on white
MAX_THREADS = 8  # decoding leaves Python's lock alone most of the time


@dataclass(frozen=True)
class Album:
    """Labeled images that are yet to be made.

    Args:
        shape: Of one image, (C, H, W).
        labels: Class numbers; -1 where an image has none.
        names: Of the classes.
        pieces: The images in order, any number at a time.
    """

    shape: tuple[int, int, int]
    labels: Int[np.ndarray, " N"]
    names: Sequence[str]
    pieces: Iterable[UInt8[np.ndarray, "_ C H W"]]


def image_samples(
    images: UInt8[np.ndarray, "N C H W"], labels: Int[np.ndarray, " N"], names: Sequence[str], known: str = ""
) -> Samples:
    """Return samples of labeled images; their fingerprint is computed here unless it is known."""
    return Samples(
        Observed("image", tuple(images.shape[1:]), "uint8", len(images)),
        torch.from_numpy(images),
        {"class": Labels(torch.from_numpy(labels), tuple(names))} if len(names) else {},
        fingerprint=known or fingerprint(images, labels, names=names),
    )


def cached_samples(facts: Mapping[str, Any], album: Callable[[], Album]) -> Samples:
    """Return the samples of an entry of the cache, mapped into memory; made from the album where there is none.

    Args:
        facts: What determines the album.
        album: Called only where it must be made.
    """

    def make(folder: Path) -> Mapping[str, Any]:
        made = album()
        labels = made.labels.astype(np.int64)
        write_rows(folder / "images.npy", (len(labels), *made.shape), "uint8", made.pieces)
        np.save(folder / "labels.npy", labels)
        known = fingerprint(map_file(folder / "images.npy"), labels, names=made.names)
        return {"names": list(made.names), "fingerprint": known}

    arrays, notes = cached("images", facts, make)
    return image_samples(arrays["images"], arrays["labels"], notes["names"], notes["fingerprint"])


def decode_images(
    who: str, count: int, decode: Callable[[int], UInt8[np.ndarray, "C H W"]], name: Callable[[int], str]
) -> Iterator[UInt8[np.ndarray, "_ C H W"]]:
    """Yield the images 0 to count - 1, some at a time, decoded by several threads.

    Args:
        who: The data set, for messages.
        count: How many there are.
        decode: Gives one image, or raises whatever it likes.
        name: What to call one that cannot be read.

    Raises:
        PretaskError: Images cannot be read; all are tried before, so that it can say how many.
    """

    work = Work(who, "images", count, min(MAX_THREADS, len(os.sched_getaffinity(0))), BATCH_IMAGES)
    return (np.stack(images) for images in decode_batches(work, decode, name))


def crop_square(image: Image.Image, size: int | None, grayscale: bool = False) -> UInt8[np.ndarray, "C H W"]:
    """Return an image upright, its short side resized to `size`, the middle square cut out.

    Args:
        image: Of any mode that holds 8 or 16 bits a channel; what is transparent becomes white.
        size: Side of the square, pixels; None leaves the image as it is.
        grayscale: Whether to give it one channel, and not three.

    Raises:
        ValueError: The image has 32 bits a channel, whose white level is unknown.
    """
    if size is not None:
        image.draft("RGB", (2 * size, 2 * size))  # lets a JPEG decoder skip detail that is lost anyway
        return fit_image(image, size, size, grayscale)
    array = np.asarray(flatten_image(image).convert("L" if grayscale else "RGB"))
    return array[None] if grayscale else np.ascontiguousarray(array.transpose(2, 0, 1))
