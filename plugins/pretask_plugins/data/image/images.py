"""Images: what the data sets of images share: two parts, squares of pixels, and the cache of what was decoded.

Axes: N samples, C channels, H W image.
"""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from PIL import Image, ImageOps
from pretask import Labels, Observed, PretaskError, Samples, Unknown
from pretask.cache import cached, fingerprint, mapped, write_rows

AT_ONCE = 256  # images that are decoded before they are written
THREADS = 8  # at most; decoding leaves Python's lock alone most of the time
TELL = 5.0  # seconds between lines about a decoding that takes long
NAMED = 3  # unreadable images that are named


@dataclass(frozen=True)
class Album:
    """Labelled images that are yet to be made.

    Args:
        shape: Of one image, (C, H, W).
        labels: Class numbers.
        names: Of the classes.
        pieces: The images in order, any number at a time.
    """

    shape: tuple[int, int, int]
    labels: Int[np.ndarray, " N"]
    names: Sequence[str]
    pieces: Iterable[UInt8[np.ndarray, "_ C H W"]]


def check_part(who: str, part: str) -> None:
    """Raise Unknown unless the part is `train` or `test`."""
    if part not in ("train", "test"):
        raise Unknown(f"No part '{part}' of {who}. There are 'train' and 'test'.")


def image_samples(
    images: UInt8[np.ndarray, "N C H W"], labels: Int[np.ndarray, " N"], names: Sequence[str], known: str = ""
) -> Samples:
    """Samples of labelled images; their fingerprint is taken here unless it is known."""
    return Samples(
        Observed("image", tuple(images.shape[1:]), "uint8", len(images)),
        torch.from_numpy(images),
        {"class": Labels(torch.from_numpy(labels), tuple(names))},
        fingerprint=known or fingerprint(images, labels, names=names),
    )


def cached_samples(facts: Mapping[str, Any], album: Callable[[], Album]) -> Samples:
    """The samples of an entry of the cache, mapped into memory; made from the album where there is none.

    Args:
        facts: What determines the album.
        album: Called only where it must be made.
    """

    def make(folder: Path) -> Mapping[str, Any]:
        made = album()
        labels = made.labels.astype(np.int64)
        write_rows(folder / "images.npy", (len(labels), *made.shape), "uint8", made.pieces)
        np.save(folder / "labels.npy", labels)
        known = fingerprint(mapped(folder / "images.npy"), labels, names=made.names)
        return {"names": list(made.names), "fingerprint": known}

    arrays, notes = cached("images", facts, make)
    return image_samples(arrays["images"], arrays["labels"], notes["names"], notes["fingerprint"])


def decoded(
    who: str, count: int, decode: Callable[[int], UInt8[np.ndarray, "C H W"]], name: Callable[[int], str]
) -> Iterator[UInt8[np.ndarray, "_ C H W"]]:
    """The images 0 … count - 1, decoded by several threads; says on stderr how far it is where that takes long.

    Args:
        who: The data set, for messages.
        count: How many there are.
        decode: Gives one image, or raises whatever it likes.
        name: What to call one that cannot be read.

    Raises:
        PretaskError: Images cannot be read; all are tried before, so that it can say how many.
    """

    def attempt(number: int) -> UInt8[np.ndarray, "C H W"] | str:
        try:
            return decode(number)
        except Exception as error:  # decoders raise nearly everything
            return f"{name(number)} ({str(error) or type(error).__name__})"

    broken: list[str] = []
    told = time.monotonic()
    with ThreadPoolExecutor(min(THREADS, len(os.sched_getaffinity(0)))) as pool:
        for start in range(0, count, AT_ONCE):
            images = list(pool.map(attempt, range(start, min(start + AT_ONCE, count))))
            broken += [image for image in images if isinstance(image, str)]
            if not broken:
                yield np.stack(images)
            if time.monotonic() - told > TELL:
                print(f"{who}: {start + len(images)} of {count} images decoded", file=sys.stderr)
                told = time.monotonic()
    if broken:
        raise PretaskError(
            who,
            "images that can be decoded",
            f"{len(broken)} of {count} that cannot: {', '.join(broken[:NAMED])}{', …' if broken[NAMED:] else ''}",
            "Replace or delete them.",
        )


def pixels(image: Image.Image, size: int | None, grey: bool = False) -> UInt8[np.ndarray, "C H W"]:
    """An image as it should be seen: upright, its short side resized to `size`, the middle square cut out.

    Args:
        image: Of any mode that holds 8 or 16 bits a channel.
        size: Side of the square, pixels; None leaves the image as it is.
        grey: Whether to make one channel of it, and not three.

    Raises:
        ValueError: The image has 32 bits a channel, of which nobody knows what is white.
    """
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a channel")
    if size is not None:
        image.draft("RGB", (2 * size, 2 * size))  # lets a JPEG decoder skip detail that is lost anyway
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) // 257).astype(np.uint8))  # PIL would clip all above 255
    image = image.convert("L" if grey else "RGB")
    if size is not None:
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[None] if grey else np.ascontiguousarray(array.transpose(2, 0, 1))
