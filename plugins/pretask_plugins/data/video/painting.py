"""Painting: sprites with shapes and textures, over one another, with which of them is seen where.

Axes: B batch, S sprites, T frames, H W image, K any points.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Int8
from pretask import Draws
from torch import Tensor

NUM_WAVES = 6  # that the ground's texture is made of

# How far inside a point (x, y) is, in radii of the sprite; 0 on the edge, negative outside.
SHAPE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "disc": lambda x, y: 0.85 - x.hypot(y),
    "square": lambda x, y: 0.75 - torch.maximum(x.abs(), y.abs()),
    "triangle": lambda x, y: torch.minimum(0.5 + y, 0.5 - 0.866 * x.abs() - 0.5 * y),
    "ring": lambda x, y: 0.26 - (x.hypot(y) - 0.7).abs(),
    "cross": lambda x, y: torch.maximum(box(x, y, 0.95, 0.36), box(x, y, 0.36, 0.95)),
    "star": lambda x, y: 0.7 + 0.28 * torch.cos(5 * torch.atan2(y, x)) - x.hypot(y),
}
SHAPES = tuple(SHAPE)


def box(x: Tensor, y: Tensor, width: float, height: float) -> Tensor:
    """Return how far inside a box a point is."""
    return torch.minimum(width - x.abs(), height - y.abs())


@dataclass(frozen=True)
class Sprite:
    """The sprites of a batch of clips, or one sprite of each clip, then without the axis S.

    Args:
        place: Of the middle, (row, column) in sides of the picture.
        angle: Radians.
        radius: In sides of the picture.
        shape: Index into SHAPES.
        color: Two colors of every sprite, red, green and blue.
        stripes: How often they change along the sprite's own two axes.
        phase: Where they begin, in stripes.
    """

    place: Float[Tensor, "B *S T 2"]
    angle: Float[Tensor, "B *S T"]
    radius: Float[Tensor, "B *S"]
    shape: Int[Tensor, "B *S"]
    color: Float[Tensor, "B *S 2 3"]
    stripes: Int[Tensor, "B *S 2"]
    phase: Float[Tensor, "B *S 2"]


def paint(
    sprites: Sprite, films: Float[Tensor, "B T 3 H W"], order: Int[Tensor, "B S"]
) -> tuple[Float[Tensor, "B T 3 H W"], Int8[Tensor, "B T H W"]]:
    """Paint films with all sprites in them, and masks: 0 the ground, k + 1 where sprite k is in front.

    Args:
        sprites: What to paint.
        films: What is behind them.
        order: Sprites of every clip, the one farthest behind first.
    """
    masks = torch.zeros(films.shape[0], films.shape[1], *films.shape[3:], dtype=torch.int8)
    row = torch.arange(len(order))
    for which in order.unbind(1):
        one = Sprite(**{name: value[row, which] for name, value in vars(sprites).items()})
        x, y = own_axes(one, films.shape[-1])
        cover = (0.5 + inside(one.shape, x, y) * one.radius[:, None, None, None] * films.shape[-1]).clamp(0, 1)
        films = torch.lerp(films, texture(one, x, y), cover[:, :, None])
        masks = masks.where(cover < 0.5, (which + 1).to(torch.int8)[:, None, None, None])
    return films, masks


def own_axes(sprite: Sprite, size: int) -> tuple[Float[Tensor, "B T H W"], Float[Tensor, "B T H W"]]:
    """Return every pixel in the sprite's own axes, in its radii; sines are in double precision, for any machine."""
    line = (torch.arange(size) + 0.5) / size
    down = (line[:, None] - sprite.place[..., 0, None, None]) / sprite.radius[:, None, None, None]
    right = (line - sprite.place[..., 1, None, None]) / sprite.radius[:, None, None, None]
    angle = sprite.angle.double()[..., None, None]
    sine, cosine = angle.sin().float(), angle.cos().float()
    return cosine * right + sine * down, cosine * down - sine * right


def inside(shape: Int[Tensor, " B"], x: Float[Tensor, "B T H W"], y: Float[Tensor, "B T H W"]) -> Tensor:
    """Return how far inside its shape every pixel is, (B, T, H, W)."""
    depth = torch.empty_like(x)
    for number, of in enumerate(SHAPE.values()):
        mine = (shape == number).nonzero()[:, 0]
        if len(mine):
            depth[mine] = of(x[mine], y[mine])
    return depth


def texture(sprite: Sprite, x: Float[Tensor, "B T H W"], y: Float[Tensor, "B T H W"]) -> Float[Tensor, "B T 3 H W"]:
    """Paint stripes or checks of the sprite's two colors, fixed to it."""
    waves = [
        torch.cos(
            torch.pi * (sprite.stripes[:, axis, None, None, None] * along + sprite.phase[:, axis, None, None, None])
        )
        for axis, along in enumerate((x, y))
    ]
    ratio = 0.5 + 0.5 * (waves[0] * waves[1])[:, :, None]
    first, second = sprite.color[:, :, None, :, None, None].unbind(1)
    return torch.lerp(first, second, ratio)


def background(draws: Draws, size: int) -> Float[Tensor, "B 3 H W"]:
    """Paint a soft pattern of a few waves around a color."""
    line = (torch.arange(size) + 0.5) / size
    wave = draws.uniform("wave", NUM_WAVES, 2, low=-3.0, high=3.0)
    phase = draws.uniform("phase", NUM_WAVES)
    tint = draws.uniform("tint", NUM_WAVES, 3, low=-0.12, high=0.12)
    turns = wave[..., 0, None, None] * line[:, None] + wave[..., 1, None, None] * line + phase[..., None, None]
    color = draws.uniform("colour", 3, low=0.25, high=0.75)
    return (color[..., None, None] + torch.einsum("bkc,bkhw->bchw", tint, torch.cos(2 * torch.pi * turns))).clamp(0, 1)
