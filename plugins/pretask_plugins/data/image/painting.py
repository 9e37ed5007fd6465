"""Painting: the pixels of scenes.

Landscapes are painted together, parts one by one and only where they are: most are small. Pixels are made by + - x /
and square roots alone, which every machine rounds alike, so that a scene has the same pixels in any company.

Axes: B batch, H W image, H = W = size; Y X window around a part. Coordinates as in scenes.py; u and v in half widths
and half heights of a part, to its right and up from its center; distances in pixels, below 0 inside.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from pretask import Draws
from torch import Tensor

from pretask_plugins.data.image.scenes import SHAPES, Landscape, Parts, Scenes, sine_and_cosine

GRAIN_RANGE = 0.08  # full range of the noise that is added to every pixel
TEXTURE_DEPTH = 0.2  # by what fraction a texture is lighter or darker
SHADE_DEPTH = 0.15  # by what fraction a part is darker at its top and lighter at its foot
OUTLINE_WIDTH = 0.012  # width of outlines, image sides

Window: TypeAlias = np.ndarray  # (Y, X), float32; unchecked in tests, where that would take longer than the painting


def paint(scenes: Scenes, size: int, draws: Draws) -> UInt8[Tensor, "B 3 {size} {size}"]:
    """Paint the pictures of scenes: landscape, parts in order, light, grain."""
    canvas = paint_landscape(scenes.landscape, size)
    for picture, parts in zip(canvas.numpy(), brushes(scenes.parts), strict=True):
        for part in parts:
            if part.cover:
                paint_part(picture, part)
    bright, side = scenes.landscape.light.view(-1, 2, 1, 1, 1).unbind(1)
    canvas *= bright * (1 + side * (centers(size) - 0.5))
    canvas += GRAIN_RANGE * (draws.uniform("grain", 1, size, size) - 0.5)
    return canvas.clamp_(0, 1).mul_(255).add_(0.5).to(torch.uint8)


@lru_cache
def centers(size: int) -> Float[Tensor, " size"]:
    """Return the coordinates of the middles of pixels."""
    return (torch.arange(size) + 0.5) / size


def blend(first: Tensor, second: Tensor, ratio: Tensor) -> Tensor:
    """Mix two images: `ratio` of the second and the rest of the first."""
    return first + ratio * (second - first)


def paint_landscape(landscape: Landscape, size: int) -> Float[Tensor, "B 3 H W"]:
    """Paint sky, two ridges of hills, and ground with furrows that grow narrow towards the horizon."""
    line = centers(size)
    down, level = line[:, None], landscape.level.view(-1, 1, 1, 1)
    sky, low = landscape.sky[..., None, None].unbind(1)  # (B, 3, 1, 1)
    far, near = landscape.ground[..., None, None].unbind(1)
    canvas = blend(sky, low, (down / level).clamp(0, 1)).expand(-1, -1, size, size)
    for ridge, haze in enumerate((0.6, 0.3)):
        height, steps, phase = landscape.waves[:, ridge, :, None].unbind(1)  # (B, 1)
        wave = sine_and_cosine(2 * torch.pi * (steps * line + phase))[0]  # (B, W)
        crest = level - 0.06 * (1 - ridge) - (height * (1 + wave))[:, None, None, :]
        hill = far + haze * (low - far)
        canvas = blend(canvas, hill, ((down - crest) * size + 0.5).clamp(0, 1))
    depth = ((down - level) / (1 - level)).clamp(0, 1)
    phase = 1.2 / (depth + 0.15)
    furrow = 4 * (phase.frac() - 0.5).abs() - 1
    ground = blend(far, near, depth) * (1 + landscape.furrows.view(-1, 1, 1, 1) * furrow)
    return blend(canvas, ground, ((down - level) * size + 0.5).clamp(0, 1))


@dataclass(frozen=True)
class Brush:
    """One part of one scene; its fields are those of Parts."""

    center: list[float]
    half: list[float]
    turn: float
    shape: int
    taper: float
    color: list[float]
    texture: list[float]
    period: float
    cover: float
    edge: float


def brushes(parts: Parts) -> Iterator[list[Brush]]:
    """Yield the parts of every scene as plain numbers."""
    columns = [getattr(parts, field.name).tolist() for field in fields(Brush)]
    for scene in zip(*columns, strict=True):
        yield [Brush(*values) for values in zip(*scene, strict=True)]


def paint_part(picture: np.ndarray, part: Brush) -> None:
    """Lay a part over what is there (3, H, W): its color, its texture, a shade that makes it round, a dark outline."""
    size = picture.shape[-1]
    rows, columns = window(part, size)
    u, v = own_coordinates(part, rows, columns, size)
    width, height = size * part.half[0], size * part.half[1]
    off = DISTANCES[part.shape](u, v, width, height, part.taper)
    shade = (1 - SHADE_DEPTH * v) * (1 - part.edge * (off + (1 + OUTLINE_WIDTH * size)).clip(0, 1))
    if any(part.texture):
        shade *= 1 + TEXTURE_DEPTH * pattern(part, u, v)
    cover = part.cover * (0.5 - off).clip(0, 1)
    here = picture[:, rows, columns]
    here *= 1 - cover
    here += np.array(part.color, np.float32)[:, None, None] * (shade * cover)


def window(part: Brush, size: int) -> tuple[slice, slice]:
    """Return the rows and columns outside which nothing of the part can be."""
    width, height = part.half[0] * max(1.0, 1 - part.taper), part.half[1]
    sine, cosine = abs(math.sin(part.turn)), abs(math.cos(part.turn))
    x, y = part.center
    return span(y, sine * width + cosine * height, size), span(x, cosine * width + sine * height, size)


def span(middle: float, reach: float, size: int) -> slice:
    """Return the pixels within reach of the middle, and one more on each side."""
    first, last = (middle - reach) * size - 1, (middle + reach) * size + 1
    return slice(min(max(math.floor(first), 0), size), min(max(math.ceil(last), 0), size))


def own_coordinates(part: Brush, rows: slice, columns: slice, size: int) -> tuple[Window, Window]:
    """Return the coordinates of every pixel of a window as the part sees it."""
    line = centers(size).numpy()
    x, y = line[None, columns] - part.center[0], part.center[1] - line[rows, None]
    sine, cosine = math.sin(part.turn), math.cos(part.turn)
    width, height = part.half
    return cosine / width * x + sine / width * y, cosine / height * y - sine / height * x


def pattern(part: Brush, u: Window, v: Window) -> Window:
    """Return rows, columns or checks of -1 and 1 with short slopes between."""
    wave = np.ones_like(u)
    for along, coordinate, half in zip(part.texture, (u, v), part.half, strict=True):
        if along:
            wave *= triangle_wave(coordinate * (half / part.period))
    wave *= 3
    return wave.clip(-1, 1)


def triangle_wave(phase: Window) -> Window:
    """Return 1 at whole numbers, -1 in the middle between them, straight between.

    >>> triangle_wave(np.array([0.0, 0.25, 0.5, 1.0])).tolist()
    [1.0, 0.0, -1.0, 1.0]
    """
    wave: Window = 4 * np.abs(phase - np.floor(phase) - 0.5) - 1
    return wave


def disc(u: Window, v: Window, width: float, height: float, taper: float) -> Window:
    """Return the distance from an ellipse, to first order: what is left of its equation over the steepness of that."""
    u, v = u * u, v * v
    steepness = 2 * np.sqrt(u * width**-2 + v * height**-2)
    distance: Window = (u + v - 1) / np.maximum(steepness, 1e-6)
    return distance


def box(u: Window, v: Window, width: float, height: float, taper: float) -> Window:
    """Return the distance from the sides of a box that grows narrower to its top."""
    slope = width * taper / (2 * height)
    sides = (np.abs(u) + (0.5 * taper * v + (0.5 * taper - 1))) * (width / math.sqrt(1 + slope * slope))
    distance: Window = np.maximum(sides, (np.abs(v) - 1) * height)
    return distance


def dome(u: Window, v: Window, width: float, height: float, taper: float) -> Window:
    """Return the distance from the upper half of an ellipse."""
    distance: Window = np.maximum(disc(u, v, width, height, taper), -height * v)
    return distance


DISTANCES = tuple({"disc": disc, "box": box, "dome": dome}[shape] for shape in SHAPES)
