"""Sprites: clips of textured shapes that move, turn and hide one another before a textured ground; made from a seed.

The class is the shape of the large sprite; its colors, texture, size and motion do not depend on it. The course is
where it ends up, left or right of where it began; no single frame shows it. Masks tell which sprite is seen at every
pixel, 1 for the large one.
Axes: B batch, S sprites, T frames, H W image.
"""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float, Int, Int8, UInt8
from pretask import Draws, Samples
from pretask.cache import cache_folder
from pretask.options import MAX_IMAGE_SIZE, MAX_SAMPLES, AnyInt, Interval, Size, require_range
from pretask.room import require_disk
from torch import Tensor

from pretask_plugins.data.video.clips import Reel, cached_samples
from pretask_plugins.data.video.painting import SHAPES, Sprite, background, paint
from pretask_plugins.data.video.physics import Motion, drift, fall
from pretask_plugins.shared.parts import check_part

EDITION = 2  # of the clips and their labels; raised, like the component's version, when they change
COURSES = ("leftwards", "rightwards")
BATCH_CLIPS = 16  # clips that are painted at once
FRAME_RATE = 12.0  # frames per second
LARGE_RADII, SMALL_RADII = (0.17, 0.23), (0.09, 0.14)  # radii, in sides of the picture
NOISE_STD = 0.02  # of every pixel, where white is 1
FilmCount = Annotated[int, Interval(ge=len(SHAPES), le=MAX_SAMPLES)]  # one of every class or more


@dataclass(frozen=True)
class Sprites:
    """Clips (length, 3, image_size, image_size). Clip i is the same whatever the size.

    Args:
        size: How many there are to train on.
        test_size: How many there are to test on; none of them is among the others.
        length: Frames of every clip, twelve a second.
        image_size: Side, pixels. The same scenes at any size.
        num_sprites: Sprites in a clip, one of them large.
        physics: `gravity` has a direction of time, `drift` has none.
        seed: Another seed is another set of films.

    Raises:
        PretaskError: A number is out of range.
    """

    size: FilmCount = 1024
    test_size: FilmCount = 256
    length: Size = 16
    image_size: Annotated[int, Interval(ge=16, le=MAX_IMAGE_SIZE)] = 64
    num_sprites: Size = 3
    physics: Literal["gravity", "drift"] = "gravity"
    seed: AnyInt = 0

    def __post_init__(self) -> None:
        require_range("sprites", "data", self)

    def __call__(self, part: str, /) -> Samples:
        """Return one part, painted once and cached; labels `class` and `course` per clip and `masks` per pixel."""
        check_part("sprites", part)
        count = self.size if part == "train" else self.test_size
        facts = asdict(self) | {"data": "sprites", "edition": EDITION, "part": part, "size": count, "test_size": None}
        return cached_samples(facts, lambda: self.reel(part, count))

    def reel(self, part: str, count: int) -> Reel:
        """Paint all clips of a part, one after the other; masks are kept until the clips are written."""
        needed = count * self.length * 4 * self.image_size**2  # three colors, and the mask
        require_disk("sprites", f"{count} clips", needed, "Set smaller sizes with --set data.…", cache_folder())
        masks: list[Int8[np.ndarray, "_ T H W"]] = []
        index = torch.arange(count)

        def clips() -> Iterator[UInt8[np.ndarray, "_ T 3 H W"]]:
            for start in range(0, count, BATCH_CLIPS):
                films, mask = self.clips(torch.arange(start, min(start + BATCH_CLIPS, count)), part)
                masks.append(mask.numpy())
                yield films.numpy()

        return Reel(
            (self.length, 3, self.image_size, self.image_size),
            count,
            clips(),
            FRAME_RATE,
            {"class": self.labels(index, part).numpy(), "course": self.courses(index, part).numpy()},
            {"class": SHAPES, "course": COURSES},
            masks,
            ("ground", "large sprite", *(f"small sprite {number}" for number in range(1, self.num_sprites))),
        )

    def clips(self, index: Int[Tensor, " B"], part: str) -> tuple[UInt8[Tensor, "B T 3 H W"], Int8[Tensor, "B T H W"]]:
        """Paint the clips of the given numbers, and which sprite is seen where."""
        draws = self.draws(index, part)
        radius = self.radii(draws)
        motion = self.motion(draws, radius)
        shape = draws.integers("shape", 0, len(SHAPES), self.num_sprites)
        shape[:, 0] = self.labels(index, part)
        sprites = Sprite(
            motion.place,
            motion.angle,
            radius,
            shape,
            draws.uniform("colour", self.num_sprites, 2, 3),
            draws.integers("stripes", 0, 4, self.num_sprites, 2),
            draws.uniform("phase", self.num_sprites, 2),
        )
        ground = background(draws.branch("ground"), self.image_size)
        order = draws.permutation("depth", self.num_sprites)
        films, masks = paint(sprites, ground[:, None].expand(-1, self.length, -1, -1, -1), order)
        return ((films + grain(draws, films.shape)).clamp(0, 1) * 255).round().byte(), masks

    def motion(self, draws: Draws, radius: Float[Tensor, "B S"]) -> Motion:
        """Return where every sprite is in every frame."""
        move = fall if self.physics == "gravity" else drift
        return move(draws.branch("motion"), radius, self.length, FRAME_RATE)

    def radii(self, draws: Draws) -> Float[Tensor, "B S"]:
        """Draw the radii of one large sprite, and small ones."""
        low, high = torch.tensor([LARGE_RADII, *[SMALL_RADII] * (self.num_sprites - 1)]).unbind(1)
        return low + (high - low) * draws.uniform("radius", self.num_sprites)

    def labels(self, index: Int[Tensor, " B"], part: str) -> Int[Tensor, " B"]:
        """Draw labels so that as many consecutive clips as there are shapes have every shape once, in random order."""
        row, place = index // len(SHAPES), index % len(SHAPES)
        order = self.draws(row, part).permutation("order", len(SHAPES))
        return order[torch.arange(len(index)), place]

    def courses(self, index: Int[Tensor, " B"], part: str) -> Int[Tensor, " B"]:
        """Return 1 where the large sprite's column in the last frame is right of that in the first."""
        draws = self.draws(index, part)
        column = self.motion(draws, self.radii(draws)).place[:, 0, :, 1]
        return (column[:, -1] > column[:, 0]).long()

    def draws(self, index: Int[Tensor, " B"], part: str) -> Draws:
        """Return the random numbers of a part; the parts have none in common."""
        return Draws(index, self.seed).branch(part)


def grain(draws: Draws, shape: torch.Size) -> Float[Tensor, "B T 3 H W"]:
    """Draw noise for every pixel, uniform, eight pixels from one draw: it is most of the work."""
    count = math.prod(shape[1:])
    words = draws.bits("grain", -(-count // 8))
    return words.view(torch.int8)[:, :count].view(shape) * (math.sqrt(12) * NOISE_STD / 256)
