"""Painting: the pixels of scenes.

Made by + - x / and square roots alone, which every machine rounds alike, and without looking along the batch: a scene
has the same pixels in any chunk.

Axes: B batch, P parts, H W image, H = W = size. Coordinates as in scenes.py; u and v in half widths and half heights
of a part, to its right and up from its centre; distances in pixels, below 0 inside.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, UInt8
from pretask import Draws
from torch import Tensor

from pretask_plugins.data.scenes import SHAPES, Landscape, Parts, Scenes, sine_and_cosine

GRAIN = 0.08  # full range of the noise that is added to every pixel
DEPTH = 0.2  # by what share a texture is lighter or darker
ROUND = 0.15  # by what share a part is darker at its top and lighter at its foot
OUTLINE = 0.012  # width of outlines, image sides


def paint(scenes: Scenes, size: int, draws: Draws) -> UInt8[Tensor, "B 3 {size} {size}"]:
    """The pictures of scenes: landscape, parts in order, light, grain."""
    canvas = paint_landscape(scenes.landscape, size)
    parts = scenes.parts
    for part in range(parts.cover.shape[1]):
        for shape, distance in enumerate(DISTANCES):
            rows = ((parts.cover[:, part] > 0) & (parts.shape[:, part] == shape)).nonzero()[:, 0]
            if len(rows):
                canvas[rows] = paint_part(canvas[rows], parts, rows, part, distance)
    bright, side = scenes.landscape.light.view(-1, 2, 1, 1, 1).unbind(1)
    canvas *= bright * (1 + side * (centres(size) - 0.5))
    canvas += GRAIN * (draws.uniform("grain", 1, size, size) - 0.5)
    return canvas.clamp_(0, 1).mul_(255).add_(0.5).to(torch.uint8)


def centres(size: int) -> Float[Tensor, " size"]:
    """Where the middles of pixels are."""
    return (torch.arange(size) + 0.5) / size


def mixed(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """`share` of the second and the rest of the first."""
    return first + share * (second - first)


def paint_landscape(landscape: Landscape, size: int) -> Float[Tensor, "B 3 H W"]:
    """Sky, two ridges of hills, ground with furrows that grow narrow towards the horizon."""
    line = centres(size)
    down, level = line[:, None], landscape.level.view(-1, 1, 1, 1)
    sky, low, far, near = (each[..., None, None] for each in (*landscape.sky.unbind(1), *landscape.ground.unbind(1)))
    canvas = mixed(sky, low, (down / level).clamp(0, 1)).expand(-1, -1, size, size)
    for ridge, haze in enumerate((0.6, 0.3)):
        height, steps, phase = landscape.waves[:, ridge, :, None].unbind(1)  # (B, 1)
        wave = sine_and_cosine(2 * torch.pi * (steps * line + phase))[0]  # (B, W)
        crest = level - 0.06 * (1 - ridge) - (height * (1 + wave))[:, None, None, :]
        hill = far + haze * (low - far)
        canvas = mixed(canvas, hill, ((down - crest) * size + 0.5).clamp(0, 1))
    depth = ((down - level) / (1 - level)).clamp(0, 1)
    furrow = triangle_wave(1.2 / (depth + 0.15))
    ground = mixed(far, near, depth) * (1 + landscape.furrows.view(-1, 1, 1, 1) * furrow)
    return mixed(canvas, ground, ((down - level) * size + 0.5).clamp(0, 1))


def paint_part(
    canvas: Float[Tensor, "B 3 H W"], parts: Parts, rows: Tensor, part: int, distance: Callable[..., Tensor]
) -> Float[Tensor, "B 3 H W"]:
    """One part of some scenes over what is there: colour, texture, a shade that makes it round, a dark outline."""
    size = canvas.shape[-1]

    def of(values: Tensor) -> Tensor:
        return values[rows, part, ..., None, None]

    half = of(parts.half)
    u, v = own_coordinates(of(parts.centre), half, of(parts.turn), size)
    off = distance(u, v, *(half * size).unbind(1), of(parts.taper))
    shade = pattern(u, v, half / of(parts.period)[:, None], of(parts.texture)).mul_(DEPTH).add_(1)
    shade *= 1 - ROUND * v
    shade *= 1 - of(parts.edge) * (off + (1 + OUTLINE * size)).clamp_(0, 1)
    cover = (0.5 - off).clamp_(0, 1).mul_(of(parts.cover))
    canvas *= (1 - cover)[:, None]
    return canvas.add_(of(parts.colour) * (shade * cover)[:, None])


def own_coordinates(
    centre: Float[Tensor, "B 2 1 1"], half: Float[Tensor, "B 2 1 1"], turn: Float[Tensor, "B 1 1"], size: int
) -> tuple[Float[Tensor, "B H W"], Float[Tensor, "B H W"]]:
    """Every pixel as a part sees it."""
    x = centres(size)[None, None, :] - centre[:, 0]  # (B, 1, W)
    y = centre[:, 1] - centres(size)[None, :, None]  # (B, H, 1)
    sine, cosine = sine_and_cosine(turn)
    width, height = half.unbind(1)
    return cosine / width * x + sine / width * y, cosine / height * y - sine / height * x


def disc(u: Tensor, v: Tensor, width: Tensor, height: Tensor, taper: Tensor) -> Float[Tensor, "B H W"]:
    """Distance from an ellipse, to first order: what is left of its equation over the steepness of that."""
    u, v = u * u, v * v
    steepness = (u / (width * width)).add_(v / (height * height)).sqrt_().mul_(2)
    return u.add_(v).sub_(1).div_(steepness)


def box(u: Tensor, v: Tensor, width: Tensor, height: Tensor, taper: Tensor) -> Float[Tensor, "B H W"]:
    """Distance from the sides of a box that grows narrower to its top."""
    slope = width * taper / (2 * height)
    sides = (u.abs() + (0.5 * taper * v).add_(0.5 * taper - 1)).mul_(width / (1 + slope * slope).sqrt())
    return torch.maximum(sides, v.abs().sub_(1).mul_(height))


def dome(u: Tensor, v: Tensor, width: Tensor, height: Tensor, taper: Tensor) -> Float[Tensor, "B H W"]:
    """Distance from the upper half of an ellipse."""
    return torch.maximum(disc(u, v, width, height, taper), -height * v)


DISTANCES = tuple({"disc": disc, "box": box, "dome": dome}[shape] for shape in SHAPES)


def pattern(u: Tensor, v: Tensor, steps: Float[Tensor, "B 2 1 1"], texture: Float[Tensor, "B 2 1 1"]) -> Tensor:
    """Rows, columns or checks of -1 and 1 with short slopes between; 0 without a texture."""
    across, down = (steps * texture).unbind(1)  # 0: the wave stays at 1
    waves = triangle_wave(u * across).mul_(triangle_wave(v * down))
    return waves.mul_(3).clamp_(-1, 1).mul_(texture.amax(1))


def triangle_wave(phase: Tensor) -> Tensor:
    """1 at whole numbers, -1 in the middle between them, straight between.

    >>> triangle_wave(torch.tensor([0.0, 0.25, 0.5, 1.0])).tolist()
    [1.0, 0.0, -1.0, 1.0]
    """
    return (phase - phase.floor()).sub_(0.5).abs_().mul_(4).sub_(1)
