"""Glyphs: invented characters, each drawn by many hands; made from a seed, nothing must be fetched.

A character is one to four strokes, each a cubic Bezier curve; later strokes often begin at an end or the middle of an
earlier one. A hand draws it with points moved a little, leaning, larger or smaller, aside, with a pen of some width.
Held-out drawings are of the same characters by other hands. What Omniglot has by 20 people, this has from a model of
them: it stands beside real characters where a method is tried, and not in their place.

Source: Lake, Salakhutdinov and Tenenbaum 2015 (characters as strokes that are attached to each other, drawn by hands
that vary).
Differs: every number is drawn from simple distributions of our own; theirs are learned from drawings.
Axes: N samples, B batch, G characters, S strokes, K points of a curve.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from pretask import Draws, Samples
from pretask.cache import cache_folder
from pretask.options import MAX_IMAGE_SIZE, AnyInt, Interval, SampleCount, require_range
from pretask.room import require_disk
from torch import Tensor

from pretask_plugins.data.image.images import Album, cached_samples
from pretask_plugins.data.image.shapes import one_thread
from pretask_plugins.shared.parts import check_part

EDITION = 1  # of the drawings, for the cache; raised when any pixel changes
BATCH_DRAWINGS = 64  # drawings that are made at once
MAX_STROKES, CONTROLS, POINTS = 4, 4, 17  # strokes of a character; control points of a curve, and points to draw it by
MIN_IMAGE_SIZE, MAX_CHARACTERS = 16, 5000
ATTACHED = 0.7  # how often a stroke begins at an earlier one
REACH = 0.45  # of a control point from the one before, in sides of the image
MARGIN = 0.15  # between a character and the border, before a hand moves it
SHAKE = 0.02  # standard deviation of a hand's points
LEAN, SHEAR, GROW, ASIDE = 0.15, 0.15, 0.12, 0.05  # largest of a hand: radians, slope, scale, sides of the image
PEN = (0.045, 0.075)  # widths, in sides of the image


@dataclass(frozen=True)
class Glyphs:
    """Drawings (1, image_size, image_size) of invented characters. Drawing i is the same whatever the size.

    Args:
        size: How many there are to train on.
        test_size: How many there are to test on, by other hands.
        image_size: Side, pixels.
        num_classes: How many characters there are.
        seed: Another seed is another alphabet.

    Raises:
        PretaskError: A number is out of range.
    """

    size: SampleCount = 10_000
    test_size: SampleCount = 2000
    image_size: Annotated[int, Interval(ge=MIN_IMAGE_SIZE, le=MAX_IMAGE_SIZE)] = 28
    num_classes: Annotated[int, Interval(ge=2, le=MAX_CHARACTERS)] = 50
    seed: AnyInt = 0

    def __post_init__(self) -> None:
        of_every_class = Interval(ge=self.num_classes)
        require_range("glyphs", "data", self, size=of_every_class, test_size=of_every_class)

    def __call__(self, part: str, /) -> Samples:
        """Return one part, drawn once and cached."""
        check_part("glyphs", part)
        count = self.size if part == "train" else self.test_size
        facts = asdict(self) | {"data": "glyphs", "edition": EDITION, "part": part, "size": count, "test_size": None}
        return cached_samples(facts, lambda: self.album(part, count))

    def album(self, part: str, count: int) -> Album:
        """Make all drawings of a part, one after the other."""
        needed = count * self.image_size**2
        require_disk("glyphs", f"{count} drawings", needed, "Set smaller sizes with --set data.…", cache_folder())
        names = [f"character {number}" for number in range(self.num_classes)]
        labels = self.labels(torch.arange(count)).numpy()
        return Album((1, self.image_size, self.image_size), labels, names, self.pieces(part, count))

    def pieces(self, part: str, count: int, chunk: int = BATCH_DRAWINGS) -> Iterator[UInt8[np.ndarray, "B 1 H W"]]:
        """Yield the drawings, `chunk` at a time."""
        for start in range(0, count, chunk):
            yield self.drawings(torch.arange(start, min(start + chunk, count)), part).numpy()

    def labels(self, index: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """Return which character each drawing is of: one after the other, so that all are as frequent."""
        return index % self.num_classes

    def drawings(self, index: Int[Tensor, " B"], part: str) -> UInt8[Tensor, "B 1 H W"]:
        """Make the drawings of the given numbers."""
        with one_thread():
            curves, present = invent(Draws(self.labels(index), self.seed).branch("character"))
            hand = Draws(index, self.seed).branch(part)
            return ink(write(curves, hand), present, self.image_size, hand)


def invent(draws: Draws) -> tuple[Float[Tensor, "G S 4 2"], Bool[Tensor, "G S"]]:
    """Draw characters: the control points of their strokes in the unit square, and which strokes they have."""
    free = draws.uniform("begin", MAX_STROKES, 2, low=MARGIN, high=1 - MARGIN)
    step = draws.uniform("step", MAX_STROKES, CONTROLS - 1, 2, low=-REACH, high=REACH)
    attached, place = draws.bernoulli("attached", ATTACHED, MAX_STROKES), draws.integers("place", 0, 3, MAX_STROKES)
    strokes: list[Tensor] = []
    for number in range(MAX_STROKES):
        begin = free[:, number]
        if number:
            places = trace(strokes[-1][:, None])[:, 0, [0, POINTS // 2, -1]]  # where it may begin on the one before
            on_it = places[torch.arange(len(begin)), place[:, number]]
            begin = torch.where(attached[:, number, None], on_it, begin)
        points = [begin]
        for further in range(CONTROLS - 1):
            points.append((points[-1] + step[:, number, further]).clamp(MARGIN, 1 - MARGIN))
        strokes.append(torch.stack(points, 1))
    count = draws.integers("strokes", 1, MAX_STROKES + 1)
    present = torch.arange(MAX_STROKES) < count[:, None]
    return fill_square(torch.stack(strokes, 1), present), present


def fill_square(curves: Float[Tensor, "G S 4 2"], present: Bool[Tensor, "G S"]) -> Float[Tensor, "G S 4 2"]:
    """Move and scale characters so that the larger of their height and width fills the square but its margins."""
    points, absent = trace(curves), ~present[..., None, None]
    low, high = points.masked_fill(absent, torch.inf).amin((1, 2)), points.masked_fill(absent, -torch.inf).amax((1, 2))
    scale = (1 - 2 * MARGIN) / (high - low).amax(1)
    return (curves - ((low + high) / 2)[:, None, None]) * scale[:, None, None, None] + 0.5


def trace(curves: Float[Tensor, "B S 4 2"]) -> Float[Tensor, "B S K 2"]:
    """Return points along cubic Bezier curves, from their begin to their end."""
    t = torch.linspace(0, 1, POINTS)[:, None]
    weights = torch.cat([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
    return torch.einsum("kc,bscd->bskd", weights, curves)


def write(curves: Float[Tensor, "B S 4 2"], draws: Draws) -> Float[Tensor, "B S K 2"]:
    """Return the points along the strokes as a hand draws them."""
    shaken = curves + SHAKE * draws.normal("shake", MAX_STROKES, CONTROLS, 2)
    lean, shear = (draws.uniform(name, low=-most, high=most) for name, most in (("lean", LEAN), ("shear", SHEAR)))
    scale = draws.uniform("scale", 2, low=1 - GROW, high=1 + GROW)
    aside = draws.uniform("aside", 2, low=-ASIDE, high=ASIDE)
    cos, sin = lean.cos(), lean.sin()
    turn = torch.stack([torch.stack([cos, shear * cos - sin], 1), torch.stack([sin, shear * sin + cos], 1)], 1)
    moved = torch.einsum("bij,bskj->bski", turn, trace(shaken) - 0.5) * scale[:, None, None]
    return moved + 0.5 + aside[:, None, None]


def ink(
    points: Float[Tensor, "B S K 2"], present: Bool[Tensor, "B S"], size: int, draws: Draws
) -> UInt8[Tensor, "B 1 H W"]:
    """Return images: white within half a pen's width of a stroke, and fading over a pixel."""
    radius = draws.uniform("pen", low=PEN[0], high=PEN[1]) * size / 2
    distance = measure_distance(size * points, size)
    distance = distance.masked_fill(~present[..., None, None], torch.inf).amin(1)
    return ((radius[:, None, None] + 0.5 - distance).clamp(0, 1) * 255).round().byte()[:, None]


def measure_distance(points: Float[Tensor, "B S K 2"], size: int) -> Float[Tensor, "B S H W"]:
    """Return how far each pixel's center is from the line through the points of each stroke, pixels."""
    begin, along = points[..., :-1, None, None, :], points.diff(dim=2)[..., None, None, :]
    center = torch.arange(size) + 0.5
    pixels = torch.stack([center.expand(size, size), center[:, None].expand(size, size)], -1)
    offset = pixels - begin  # (B, S, K - 1, H, W, 2)
    part = ((offset * along).sum(-1) / along.square().sum(-1).clamp(min=1e-12)).clamp(0, 1)
    return (offset - part[..., None] * along).square().sum(-1).amin(2).sqrt()
