"""The family of transformations: shift, scale and turn at once, then two contrasts, then hue; batched, on the device.

Source: Dosovitskiy, Springenberg, Riedmiller and Brox, NIPS 2014, section 2.1. Differs: see the folder's header.
Axes: B batch, V views, C channels, P patch side; a place is (row, column) in pixels.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pretask import Draws
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Change:
    """One transformation per view.

    Args:
        shift: Down and right, in patch sides.
        scale: Sides of what is cut, in patch sides.
        angle: Radians.
        component: Factor of each principal component of color.
        power: Of saturation and of value.
        factor: Likewise, after the power.
        offset: Likewise, after the factor.
        hue: Share of the color circle.
    """

    shift: Float[Tensor, "B V 2"]
    scale: Float[Tensor, "B V"]
    angle: Float[Tensor, "B V"]
    component: Float[Tensor, "B V C"]
    power: Float[Tensor, "B V 2"]
    factor: Float[Tensor, "B V 2"]
    offset: Float[Tensor, "B V 2"]
    hue: Float[Tensor, "B V"]


@dataclass(frozen=True)
class Family:
    """The ranges from which transformations are drawn, uniformly.

    Args:
        shift: Largest shift along each axis, in patch sides.
        scale: Smallest and largest scale.
        rotation: Largest angle to either side, degrees.
        component: Smallest and largest factor of a principal component of color.
        power: Smallest and largest power of saturation and value.
        factor: Smallest and largest factor of them, after that.
        offset: Largest summand of them to either side, after that.
        hue: Largest turn of the hue to either side, as a share of the circle.
    """

    shift: float = 0.2
    scale: tuple[float, float] = (0.7, 1.4)
    rotation: float = 20.0
    component: tuple[float, float] = (0.5, 2.0)
    power: tuple[float, float] = (0.25, 4.0)
    factor: tuple[float, float] = (0.7, 1.4)
    offset: float = 0.1
    hue: float = 0.1

    def draw(self, draws: Draws, views: int, channels: int) -> Change:
        """A transformation for every view of every sample."""

        def between(name: str, low: float, high: float, *shape: int) -> Tensor:
            return draws.uniform(name, views, *shape, low=low, high=high)

        angle = math.radians(self.rotation)
        return Change(
            between("shift", -self.shift, self.shift, 2),
            between("scale", *self.scale),
            between("angle", -angle, angle),
            between("component", *self.component, channels),
            between("power", *self.power, 2),
            between("factor", *self.factor, 2),
            between("offset", -self.offset, self.offset, 2),
            between("hue", -self.hue, self.hue),
        )

    def margin(self, patch: int) -> int:
        """Pixels around a patch that a transformation may reach into."""
        widest = math.radians(min(self.rotation, 45.0))
        half = (patch - 1) / 2
        reach = half * self.scale[1] * (math.cos(widest) + math.sin(widest)) + self.shift * patch
        return max(0, math.ceil(reach - half - 1e-9))


def cut(
    images: Float[Tensor, "B C H W"], center: Float[Tensor, "B 2"], change: Change, patch: int
) -> Float[Tensor, "B V C P P"]:
    """Shifted, scaled and turned patches around the centers, bilinear, out of the images themselves."""
    places = positions(center, change, patch)
    height, width = images.shape[2:]
    across = places[..., 1] * (2 / (width - 1)) - 1
    down = places[..., 0] * (2 / (height - 1)) - 1
    views = across.shape[1]
    grid = torch.stack([across, down], -1).flatten(1, 2)  # (B, V * P, P, 2)
    cuts = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return cuts.view(*cuts.shape[:2], views, patch, patch).transpose(1, 2)


def positions(center: Float[Tensor, "B 2"], change: Change, patch: int) -> Float[Tensor, "B V P P 2"]:
    """Where in the image each pixel of a view is."""
    line = torch.arange(patch, device=center.device) - (patch - 1) / 2
    down, right = line[:, None], line[None, :]
    middle = center[:, None] + change.shift * patch  # (B, V, 2)
    cos, sin = (
        turn[..., None, None] for turn in (change.angle.cos() * change.scale, change.angle.sin() * change.scale)
    )
    row = middle[..., 0, None, None] + cos * down + sin * right
    column = middle[..., 1, None, None] - sin * down + cos * right
    return torch.stack([row, column], -1)


def contrast(
    views: Float[Tensor, "B V C P P"], component: Float[Tensor, "B V C"], mean: Tensor, axes: Tensor
) -> Float[Tensor, "B V C P P"]:
    """Multiply what a pixel differs from the mean color by, along each principal axis (a row of `axes`)."""
    outer = axes[:, :, None] * axes[:, None, :]  # (C, C, C): of each axis with itself
    matrix = (component[..., None, None] * outer).sum(2)  # (B, V, C, C)
    away = views - mean.view(-1, 1, 1)
    moved = [matrix[..., channel, None, None] * away[:, :, channel, None] for channel in range(views.shape[2])]
    return torch.stack(moved).sum(0) + mean.view(-1, 1, 1)


def stretch(values: Float[Tensor, "B V P P"], change: Change, which: int) -> Float[Tensor, "B V P P"]:
    """Saturation (0) or value (1) to a power, times a factor, plus a summand, in that order; brought into [0, 1]."""
    power, factor, offset = (each[..., which, None, None] for each in (change.power, change.factor, change.offset))
    return ((values.log() * power).exp() * factor + offset).clamp(0, 1)  # 0 to any power is 0


def recolor(views: Float[Tensor, "B V C P P"], change: Change) -> Float[Tensor, "B V C P P"]:
    """The second contrast and the hue; a gray channel has value only."""
    if views.shape[2] == 1:
        return stretch(views[:, :, 0], change, 1)[:, :, None]
    hue, saturation, value = to_hsv(views)
    return to_rgb(hue + change.hue[..., None, None], stretch(saturation, change, 0), stretch(value, change, 1))


def to_hsv(views: Float[Tensor, "B V 3 P P"]) -> tuple[Tensor, Tensor, Tensor]:
    """Hue (share of the circle, red is 0), saturation and value, each in [0, 1].

    Source: Smith, SIGGRAPH 1978.
    """
    red, green, blue = views.unbind(2)
    value, least = views.amax(2), views.amin(2)
    chroma = value - least
    safe = chroma.clamp(min=1e-8)
    sector = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    return sector / 6 % 1, chroma / value.clamp(min=1e-8), value


def to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Float[Tensor, "B V 3 P P"]:
    """Colors of hue (any real number), saturation and value."""
    chroma = value * saturation
    channels = []
    for start in (5, 3, 1):
        sector = (hue * 6 + start) % 6
        channels.append(value - chroma * torch.minimum(sector, 4 - sector).clamp(0, 1))
    return torch.stack(channels, 2)
