"""Shapes: an endless picture book of houses, trees, boats … in landscapes; made from a seed, nothing must be fetched.

The class of a picture is decided by which parts a thing has and where they are. Place, size, lean, proportions, light,
landscape and the scattered parts of another thing do not depend on it; colors and textures do a little. Sky is up, the
ground is
down, a thing stands upright: where a patch of a picture was can be seen from what is in it.

Axes: N samples, B batch.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Int, UInt8
from pretask import Draws, Samples
from pretask.cache import cache_folder
from pretask.options import MAX_IMAGE_SIZE, AnyInt, Interval, SampleCount, require_range
from pretask.room import require_disk
from torch import Tensor

from pretask_plugins.data.image.blueprints import OBJECTS
from pretask_plugins.data.image.images import Album, cached_samples
from pretask_plugins.data.image.painting import paint
from pretask_plugins.data.image.scenes import compose
from pretask_plugins.shared.parts import check_part

EDITION = 2  # of the pictures, for the cache; raised when any pixel changes
BATCH_PICTURES = 64  # pictures that are painted at once
MIN_IMAGE_SIZE = 16  # pixels; below, parts vanish


@dataclass(frozen=True)
class Shapes:
    """Color pictures (3, image_size, image_size) of one thing each. Picture i is the same whatever the size.

    Args:
        size: How many there are to train on.
        test_size: How many there are to test on; none of them is among the others.
        image_size: Side, pixels. The same scenes at any size.
        num_classes: How many kinds of things there are: the first ones of house, tree, boat, car, rocket, flower,
            mushroom, cat.
        seed: Another seed is another book.

    Raises:
        PretaskError: A number is out of range.
    """

    size: SampleCount = 4096
    test_size: SampleCount = 1024
    image_size: Annotated[int, Interval(ge=MIN_IMAGE_SIZE, le=MAX_IMAGE_SIZE)] = 64
    num_classes: Annotated[int, Interval(ge=2, le=len(OBJECTS))] = len(OBJECTS)
    seed: AnyInt = 0

    def __post_init__(self) -> None:
        of_every_class = Interval(ge=self.num_classes)
        require_range("shapes", "data", self, size=of_every_class, test_size=of_every_class)

    def __call__(self, part: str, /) -> Samples:
        """Return one part, painted once and cached."""
        check_part("shapes", part)
        count = self.size if part == "train" else self.test_size
        facts = asdict(self) | {"data": "shapes", "edition": EDITION, "part": part, "size": count, "test_size": None}
        return cached_samples(facts, lambda: self.album(part, count))

    def album(self, part: str, count: int) -> Album:
        """Paint all pictures of a part, one after the other."""
        needed = count * 3 * self.image_size**2
        require_disk("shapes", f"{count} pictures", needed, "Set smaller sizes with --set data.…", cache_folder())
        labels = self.labels(torch.arange(count), part)
        return Album(
            (3, self.image_size, self.image_size),
            labels.numpy(),
            list(OBJECTS)[: self.num_classes],
            self.pieces(part, count),
        )

    def pieces(self, part: str, count: int, chunk: int = BATCH_PICTURES) -> Iterator[UInt8[np.ndarray, "B 3 H W"]]:
        """Yield the pictures, `chunk` at a time."""
        for start in range(0, count, chunk):
            yield self.pictures(torch.arange(start, min(start + chunk, count)), part).numpy()

    def pictures(self, index: Int[Tensor, " B"], part: str) -> UInt8[Tensor, "B 3 H W"]:
        """Paint the pictures of the given numbers."""
        draws = self.draws(index, part)
        with one_thread():
            scenes = compose(draws.branch("scene"), self.labels(index, part))
            return paint(scenes, self.image_size, draws.branch("paint"))

    def labels(self, index: Int[Tensor, " B"], part: str) -> Int[Tensor, " B"]:
        """Draw labels so that every `num_classes` pictures in a row show every object once, in random order."""
        row, position = index // self.num_classes, index % self.num_classes
        order = self.draws(row, part).permutation("order", self.num_classes)
        return order[torch.arange(len(index)), position]

    def draws(self, index: Int[Tensor, " B"], part: str) -> Draws:
        """Return the random numbers of a part; the parts have none in common."""
        return Draws(index, self.seed).branch(part)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch from its threads: they wait for each other longer than the many small steps of a picture take."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
