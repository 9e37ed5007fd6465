"""The family of transformations: shift, scale and rotation at once, then two contrasts, then hue; batched.

Source: Dosovitskiy, Springenberg, Riedmiller and Brox, NIPS 2014, section 2.1. Differs: see the folder's header.
Axes: B batch, V views, C channels, P patch side; a position is (row, column) in pixels.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float
from pretask import Draws
from pretask.options import Fraction, Interval
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.methods.exemplar import color_kernel
from pretask_plugins.shared.colors import hsv_to_rgb, rgb_to_hsv
from pretask_plugins.shared.constants import build_once

Factor = Annotated[float, Interval(ge=0, le=100)]
PositiveFactor = Annotated[float, Interval(gt=0, le=100)]


@dataclass(frozen=True)
class Placement:
    """What of an image every view is cropped out of, about a center.

    Args:
        shift: Down and right, in patch sides.
        scale: Sides of what is cropped, in patch sides.
        angle: Radians.
    """

    shift: Float[Tensor, "B V 2"]
    scale: Float[Tensor, "B V"]
    angle: Float[Tensor, "B V"]


@dataclass(frozen=True)
class AugmentationParams(Placement):
    """One transformation per view: where it is cropped, and its colors.

    Args:
        component: Factor of every principal component of color.
        power: Of saturation and of value.
        factor: Likewise, after the power.
        offset: Likewise, after the factor.
        hue: Added to the hue, as a fraction of the color circle.
    """

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

    angle = math.radians(ranges.rotation)
    drawn = draws.uniforms(
        {
            "shift": ((views, 2), -ranges.shift, ranges.shift),
            "scale": ((views,), *ranges.scale),
            "angle": ((views,), -angle, angle),
            "component": ((views, channels), *ranges.component),
            "power": ((views, 2), *ranges.power),
            "factor": ((views, 2), *ranges.factor),
            "offset": ((views, 2), -ranges.offset, ranges.offset),
            "hue": ((views,), -ranges.hue, ranges.hue),
        }
    )
    return AugmentationParams(**drawn)


def compute_margin(ranges: AugmentationRanges, patch: int) -> int:
    """Return the pixels around a patch that a transformation may reach into."""
    angle = math.radians(min(ranges.rotation, 45.0))  # at which the corners of a square reach furthest
    half = (patch - 1) / 2
    reach = half * ranges.scale[1] * (math.cos(angle) + math.sin(angle)) + ranges.shift * patch
    return max(0, math.ceil(reach - half - 1e-9))  # an integer with a rounding error is not a pixel more


def crop(
    images: Float[Tensor, "B C H W"], center: Float[Tensor, "B 2"], placement: Placement, patch: int
) -> Float[Tensor, "B V C P P"]:
    """Crop shifted, scaled and rotated patches around the centers, bilinear, out of the images themselves."""
    grid = locate_pixels(center, placement, patch)
    grid = grid * pixel_sizes(images.shape[2], images.shape[3], images.device) - 1  # -1 and 1 at the outermost pixels
    grid = grid.transpose(1, 2).flatten(2, 3).movedim(1, -1)  # (B, V P, P, 2)
    patches = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return patches.view(*patches.shape[:2], -1, patch, patch).transpose(1, 2)


@build_once
def pixel_sizes(height: int, width: int, device: torch.device) -> Float[Tensor, "2 1 1"]:
    """Return the width and the height of a pixel, where the image reaches from -1 to 1."""
    return torch.tensor([2 / (width - 1), 2 / (height - 1)], device=device).view(2, 1, 1)


@build_once
def patch_lines(patch: int, device: torch.device) -> Float[Tensor, " P"]:
    """Return where the pixels of a line lie from the middle of the patch."""
    return torch.arange(patch, device=device) - (patch - 1) / 2


def locate_pixels(center: Float[Tensor, "B 2"], placement: Placement, patch: int) -> Float[Tensor, "B V 2 P P"]:
    """Return where in the image, (x, y), every pixel of a view lies: the patch's grid shifted, scaled and rotated."""
    line = patch_lines(patch, center.device)
    middle = (center[:, None] + placement.shift * patch).flip(-1)  # (B, V, 2)
    cos, sin = placement.angle.cos(), placement.angle.sin()
    ways = torch.stack([-sin, cos, cos, sin], -1) * placement.scale[..., None]  # of row and column: right and down
    rows, columns = ways[..., :2, None] * line + middle[..., None], ways[..., 2:, None] * line  # (B, V, 2, P)
    return rows[..., None] + columns[..., None, :]


def change_colors(
    views: Float[Tensor, "B V C P P"], params: AugmentationParams, mean: Float[Tensor, " C"], axes: Float[Tensor, "C C"]
) -> Float[Tensor, "B V C P P"]:
    """Change both contrasts and the hue; colors on a CPU in one operation, by the same arithmetic."""
    if views.shape[2] == 1 or not views.is_cpu or torch.compiler.is_compiling():
        return color_jitter(scale_components(views, params.component, mean, axes).clamp(0, 1), params)
    numbers = (params.power, params.factor, params.offset, params.hue)
    matrix = component_matrix(params.component, axes)
    changed: Tensor = color_kernel.change_colors(
        views.flatten(0, 1), matrix.flatten(0, 1), mean, *(number.flatten(0, 1) for number in numbers)
    )
    return changed.view(views.shape)


def component_matrix(component: Float[Tensor, "B V C"], axes: Float[Tensor, "C C"]) -> Float[Tensor, "B V C C"]:
    """Return what multiplies colors by a factor along every axis (a row of `axes`)."""
    outer = axes[:, :, None] * axes[:, None, :]  # (C, C, C): of each axis with itself
    return (component[..., None, None] * outer).sum(2)


def scale_components(
    views: Float[Tensor, "B V C P P"],
    component: Float[Tensor, "B V C"],
    mean: Float[Tensor, " C"],
    axes: Float[Tensor, "C C"],
) -> Float[Tensor, "B V C P P"]:
    """Multiply the difference from the mean color along every principal axis (a row of `axes`): contrast 1."""
    matrix = component_matrix(component, axes)
    centered = views - mean.view(-1, 1, 1)
    moved = matrix.movedim(-1, 0)[..., None, None] * centered.movedim(2, 0)[:, :, :, None]  # (C, B, V, C, P, P)
    return moved.sum(0) + mean.view(-1, 1, 1)


def color_jitter(views: Float[Tensor, "B V C P P"], params: AugmentationParams) -> Float[Tensor, "B V C P P"]:
    """Change saturation, value (contrast 2) and hue; a gray channel has value only."""
    if views.shape[2] == 1:
        return adjust_gamma(views, params, slice(1, 2))
    hue, saturation, value = rgb_to_hsv(views)
    saturation, value = adjust_gamma(torch.stack([saturation, value], 2), params, slice(0, 2)).unbind(2)
    return hsv_to_rgb(hue + params.hue[..., None, None], saturation, value)


def adjust_gamma(
    values: Float[Tensor, "B V N P P"], params: AugmentationParams, channels: slice
) -> Float[Tensor, "B V N P P"]:
    """Raise values to a power, multiply by a factor and add a summand, in that order; bring them into [0, 1].

    Args:
        values: Saturation and value, or one of the two.
        params: The transformation of every view.
        channels: Whose powers, factors and summands are meant: 0 saturation's, 1 value's.
    """
    power, factor, offset = (
        numbers[..., channels, None, None] for numbers in (params.power, params.factor, params.offset)
    )
    return ((values.log() * power).exp() * factor + offset).clamp(0, 1)  # 0 to any power is 0
