"""The family of transformations: shift, scale and rotation at once, then two contrasts, then hue; batched.

Source: Dosovitskiy, Springenberg, Riedmiller and Brox, NIPS 2014, section 2.1. Differs: see the folder's header.
Axes: B batch, V views, C channels, P patch side; a position is (row, column) in pixels.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pretask import Draws
from pretask.options import Fraction, Interval
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.shared.colors import hsv_to_rgb, rgb_to_hsv

Factor = Annotated[float, Interval(ge=0, le=100)]
PositiveFactor = Annotated[float, Interval(gt=0, le=100)]


@dataclass(frozen=True)
class AugmentationParams:
    """One transformation per view.

    Args:
        shift: Down and right, in patch sides.
        scale: Sides of what is cropped, in patch sides.
        angle: Radians.
        component: Factor of every principal component of color.
        power: Of saturation and of value.
        factor: Likewise, after the power.
        offset: Likewise, after the factor.
        hue: Added to the hue, as a fraction of the color circle.
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
class AugmentationRanges:
    """The ranges from which transformations are drawn, uniformly.

    Args:
        shift: Largest shift along each axis, in patch sides.
        scale: Smallest and largest scale.
        rotation: Largest angle to either side, degrees.
        component: Smallest and largest factor of a principal component of color.
        power: Smallest and largest power of saturation and value.
        factor: Smallest and largest factor of them, after that.
        offset: Largest summand of them to either side, after that.
        hue: Largest change of the hue to either side, as a fraction of the color circle.
    """

    shift: Fraction = 0.2
    scale: tuple[PositiveFactor, PositiveFactor] = (0.7, 1.4)
    rotation: Annotated[float, Interval(ge=0, le=180)] = 20.0
    component: tuple[Factor, Factor] = (0.5, 2.0)
    power: tuple[Factor, Factor] = (0.25, 4.0)
    factor: tuple[Factor, Factor] = (0.7, 1.4)
    offset: Fraction = 0.1
    hue: Fraction = 0.1


def draw_params(ranges: AugmentationRanges, draws: Draws, views: int, channels: int) -> AugmentationParams:
    """Draw a transformation for every view of every sample."""

    def between(name: str, low: float, high: float, *shape: int) -> Tensor:
        return draws.uniform(name, views, *shape, low=low, high=high)

    angle = math.radians(ranges.rotation)
    return AugmentationParams(
        shift=between("shift", -ranges.shift, ranges.shift, 2),
        scale=between("scale", *ranges.scale),
        angle=between("angle", -angle, angle),
        component=between("component", *ranges.component, channels),
        power=between("power", *ranges.power, 2),
        factor=between("factor", *ranges.factor, 2),
        offset=between("offset", -ranges.offset, ranges.offset, 2),
        hue=between("hue", -ranges.hue, ranges.hue),
    )


def compute_margin(ranges: AugmentationRanges, patch: int) -> int:
    """Return the pixels around a patch that a transformation may reach into."""
    angle = math.radians(min(ranges.rotation, 45.0))  # at which the corners of a square reach furthest
    half = (patch - 1) / 2
    reach = half * ranges.scale[1] * (math.cos(angle) + math.sin(angle)) + ranges.shift * patch
    return max(0, math.ceil(reach - half - 1e-9))  # an integer with a rounding error is not a pixel more


def augment(
    images: Float[Tensor, "B C H W"],
    center: Float[Tensor, "B 2"],
    params: AugmentationParams,
    patch: int,
    mean: Float[Tensor, " C"],
    axes: Float[Tensor, "C C"],
) -> Float[Tensor, "B V C P P"]:
    """Crop the seeds at the centers and transform them, in the order of section 2.1; values in [0, 1] stay there."""
    views = crop(images, center, params, patch)
    views = scale_components(views, params.component, mean, axes).clamp(0, 1)
    return color_jitter(views, params)


def crop(
    images: Float[Tensor, "B C H W"], center: Float[Tensor, "B 2"], params: AugmentationParams, patch: int
) -> Float[Tensor, "B V C P P"]:
    """Crop shifted, scaled and rotated patches around the centers, bilinear, out of the images themselves."""
    positions = rotate(center, params, patch)
    height, width = images.shape[2:]
    x = positions[..., 1] * (2 / (width - 1)) - 1
    y = positions[..., 0] * (2 / (height - 1)) - 1
    views = x.shape[1]
    grid = torch.stack([x, y], -1).flatten(1, 2)  # (B, V * P, P, 2), -1 and 1 at the outermost pixels
    patches = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return patches.view(*patches.shape[:2], views, patch, patch).transpose(1, 2)


def rotate(center: Float[Tensor, "B 2"], params: AugmentationParams, patch: int) -> Float[Tensor, "B V P P 2"]:
    """Return where in the image every pixel of a view lies: the patch's grid shifted, scaled and rotated."""
    line = torch.arange(patch, device=center.device) - (patch - 1) / 2
    down, right = line[:, None], line[None, :]
    middle = center[:, None] + params.shift * patch  # (B, V, 2)
    cos = (params.angle.cos() * params.scale)[..., None, None]
    sin = (params.angle.sin() * params.scale)[..., None, None]
    row = middle[..., 0, None, None] + cos * down + sin * right
    column = middle[..., 1, None, None] - sin * down + cos * right
    return torch.stack([row, column], -1)


def scale_components(
    views: Float[Tensor, "B V C P P"],
    component: Float[Tensor, "B V C"],
    mean: Float[Tensor, " C"],
    axes: Float[Tensor, "C C"],
) -> Float[Tensor, "B V C P P"]:
    """Multiply the difference from the mean color along every principal axis (a row of `axes`): contrast 1."""
    outer = axes[:, :, None] * axes[:, None, :]  # (C, C, C): of each axis with itself
    matrix = (component[..., None, None] * outer).sum(2)  # (B, V, C, C)
    centered = views - mean.view(-1, 1, 1)
    moved = [matrix[..., channel, None, None] * centered[:, :, channel, None] for channel in range(views.shape[2])]
    return torch.stack(moved).sum(0) + mean.view(-1, 1, 1)


def color_jitter(views: Float[Tensor, "B V C P P"], params: AugmentationParams) -> Float[Tensor, "B V C P P"]:
    """Change saturation, value (contrast 2) and hue; a gray channel has value only."""
    if views.shape[2] == 1:
        return adjust_gamma(views[:, :, 0], params, 1)[:, :, None]
    hue, saturation, value = rgb_to_hsv(views)
    saturation, value = adjust_gamma(saturation, params, 0), adjust_gamma(value, params, 1)
    return hsv_to_rgb(hue + params.hue[..., None, None], saturation, value)


def adjust_gamma(
    values: Float[Tensor, "B V P P"], params: AugmentationParams, channel: Literal[0, 1]
) -> Float[Tensor, "B V P P"]:
    """Raise values to a power, multiply by a factor and add a summand, in that order; bring them into [0, 1].

    Args:
        values: Saturation or value.
        params: The transformation of every view.
        channel: Whose power, factor and summand are meant: 0 saturation's, 1 value's.
    """
    power = params.power[..., channel, None, None]
    factor = params.factor[..., channel, None, None]
    offset = params.offset[..., channel, None, None]
    return ((values.log() * power).exp() * factor + offset).clamp(0, 1)  # 0 to any power is 0
