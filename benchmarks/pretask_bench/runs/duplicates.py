"""Duplicates: samples to test on that are also among those to train on, equal or nearly so.

Equal is what has the same bytes. Images, and clips by their first frame, are nearly equal where a hash of 64
brightness gradients differs in at most 3 bits and small copies of both in at most 6 of 255 levels on average: copies at
another size or quality are, other pictures of one thing are not.

Source: Krawetz 2013, "Kind of Like That" (the hash); Barz and Denzler, J. Imaging 2020 (why it matters).
Axes: N samples, C channels, H W image, P pixels of a small copy.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, Shaped, UInt8, UInt64
from pretask import Samples
from pretask.cache import cached
from torch import Tensor
from torch.nn import functional as F

EDITION = 2
DIGEST_BYTES = 16
SIDE = 8  # pixels of a small copy
BANDS = 4  # of 16 bits; two hashes that differ in fewer bits than there are bands agree in one of these
MAX_BITS = BANDS - 1
MAX_LEVELS = 6.0
MAX_CANDIDATES = 4096  # samples to train on that one to test on is compared with, for each band
BATCH = 512
MODALITIES = ("image", "video")  # that have small copies


@dataclass(frozen=True)
class Duplicates:
    """How many samples to test on are among those to train on.

    Args:
        test: Samples to test on.
        exact: Of these, those with the bytes of one to train on.
        near: Of the others, those that nearly look like one; None for what cannot be looked at.
    """

    test: int
    exact: int
    near: int | None

    def describe(self) -> str:
        """Return a line for people."""
        near = "" if self.near is None else f", {self.near} nearly equal"
        return f"{self.exact} equal{near} to samples to train on (of {self.test})"


def find_duplicates(train: Samples, test: Samples) -> Duplicates:
    """Count the duplicates between the parts of a data set; found once for parts whose content is known."""
    if not train.fingerprint or not test.fingerprint:
        return count_duplicates(train, test)
    facts = {"edition": EDITION, "train": train.fingerprint, "test": test.fingerprint}

    def make(_: Path) -> Mapping[str, Any]:
        return asdict(count_duplicates(train, test))

    return Duplicates(**cached("duplicates", facts, make)[1])


@dataclass(frozen=True, eq=False)
class Looks:
    """All that is kept of a part to compare it, some 200 bytes a sample.

    Args:
        digests: Of the bytes of every sample, as texts of 16 bytes.
        copies: Small copies of all images, or of the first frames of clips; None of what cannot be looked at.
    """

    digests: np.ndarray
    copies: UInt8[np.ndarray, "N C P"] | None


def count_duplicates(train: Samples, test: Samples) -> Duplicates:
    """Compare all samples to test on with all samples to train on, each of which is read once."""
    alike = train.observed.modality == test.observed.modality and train.observed.shape == test.observed.shape
    learned, held = (
        look_at(part, with_copies=alike and part.observed.modality in MODALITIES) for part in (train, test)
    )
    equal = np.isin(held.digests, learned.digests)
    found = Duplicates(len(test), int(equal.sum()), None)
    if learned.copies is None or held.copies is None:
        return found
    return replace(found, near=int((find_near(learned.copies, held.copies) & ~equal).sum()))


def look_at(samples: Samples, with_copies: bool) -> Looks:
    """Read all samples of a part, some at a time."""
    digests = np.empty(len(samples), f"S{DIGEST_BYTES}")
    shape = (len(samples), samples.observed.shape[-3], SIDE * SIDE) if with_copies else None
    copies = None if shape is None else np.empty(shape, np.uint8)
    for begin in range(0, len(samples), BATCH):
        rows = samples.take(slice(begin, begin + BATCH))
        digests[begin : begin + BATCH] = [hash_row(row.contiguous().numpy()) for row in rows]
        if copies is not None:
            images = rows[:, 0] if samples.observed.modality == "video" else rows
            small = resize_images(images, SIDE, SIDE).flatten(2).round().byte()
            copies[begin : begin + BATCH] = small.numpy()
    return Looks(digests, copies)


def hash_row(row: np.ndarray) -> bytes:
    """Hash the bytes of a row."""
    return blake2b(row.data, digest_size=DIGEST_BYTES).digest()


def resize_images(images: Tensor, height: int, width: int) -> Tensor:
    """Return images (N, C, H, W) at another size; every pixel of a smaller one is a mean."""
    return F.interpolate(images.float(), (height, width), mode="bilinear", antialias=True, align_corners=False)


def find_near(train: UInt8[np.ndarray, "N C P"], test: UInt8[np.ndarray, "M C P"]) -> Bool[np.ndarray, " M"]:
    """Return which of the small copies to test on nearly look like one to train on."""
    learned, (held, place) = find_different(train)[0], find_different(test)
    hashes = [hash_in_batches(train)[learned], hash_in_batches(test)[held]]
    near = np.zeros(len(held), bool)
    for band in range(BANDS):
        words = [(codes >> (16 * band)) & 0xFFFF for codes in hashes]
        order = np.argsort(words[0], kind="stable")
        low, high = (np.searchsorted(words[0][order], words[1], side) for side in ("left", "right"))
        for number in np.flatnonzero(~near & (high > low)):
            others = order[low[number] : min(high[number], low[number] + MAX_CANDIDATES)]
            others = others[count_bits(hashes[0][others] ^ hashes[1][number]) <= MAX_BITS]
            levels = np.abs(train[learned[others]].astype(np.int16) - test[held[number]].astype(np.int16)).mean((1, 2))
            near[number] = bool((levels <= MAX_LEVELS).any())
    found: np.ndarray = near[place]
    return found


def find_different(copies: UInt8[np.ndarray, "N C P"]) -> tuple[Int[np.ndarray, " D"], Int[np.ndarray, " N"]]:
    """Return the first of every kind of equal copies, and which of these each copy equals."""
    digests = np.array([hash_row(copy) for copy in copies], f"S{DIGEST_BYTES}")
    _, first, place = np.unique(digests, return_index=True, return_inverse=True)
    return first, place.reshape(-1)


def hash_in_batches(copies: UInt8[np.ndarray, "N C P"]) -> UInt64[np.ndarray, " N"]:
    """Return the hashes of all copies, whose brightness takes three times their memory."""
    hashes = np.empty(len(copies), np.uint64)
    for begin in range(0, len(copies), BATCH):
        hashes[begin : begin + BATCH] = hash_gradients(copies[begin : begin + BATCH])
    return hashes


def hash_gradients(small: UInt8[np.ndarray, "N C P"]) -> UInt64[np.ndarray, " N"]:
    """Return 64 bits for every small copy: whether a pixel is brighter than the one on its left, of a ring of eight."""
    gray = small.astype(np.int32).sum(1).reshape(-1, SIDE, SIDE)
    brighter = (gray > np.roll(gray, 1, axis=2)).reshape(len(small), -1)
    return np.packbits(brighter, axis=1).view(np.uint64)[:, 0]


def count_bits(words: UInt64[np.ndarray, " K"]) -> Shaped[np.ndarray, " K"]:
    """Return how many bits are set in words of 64 bits."""
    bits: np.ndarray = np.unpackbits(np.ascontiguousarray(words).view(np.uint8).reshape(-1, 8), axis=1).sum(1)
    return bits
