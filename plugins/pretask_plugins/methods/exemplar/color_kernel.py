"""Color kernel: contrasts and hue of a batch as one operation on a CPU, channel by channel and in place.

It does what `scale_components` and `color_jitter` do in a few operations of torch, which stand in augmentation.py and
are what a GPU and a compiled step compute; the bits are the same. A hue is that of the largest channel only, choices
are products with 0 and 1, since to choose number by number takes twenty times as long, and a remainder is a floor and a
difference, which are vectorized where torch's remainder is not. Axes: N views, P patch side.
"""

import torch
from jaxtyping import Float
from pretask.own_operations import register
from torch import Tensor

from pretask_plugins.methods.exemplar.blocks import map_blocks
from pretask_plugins.shared.colors import MIN_CHROMA

MAX_BLOCK = 1 << 19  # numbers of some views, which stay in the cache with what is made of them
FADE_IN = (5.0, 3.0, 1.0)  # sixths of the circle, from which red, green and blue fade in


def change_colors_in_place(
    views: Float[Tensor, "N 3 P P"],
    matrix: Float[Tensor, "N 3 3"],
    mean: Float[Tensor, " 3"],
    power: Float[Tensor, "N 2"],
    factor: Float[Tensor, "N 2"],
    offset: Float[Tensor, "N 2"],
    hue: Float[Tensor, " N"],
) -> Float[Tensor, "N 3 P P"]:
    """Return the views, moved from the mean color by a matrix, with other saturation, value and hue.

    Args:
        views: In [0, 1]; they are left as they are.
        matrix: What the difference from the mean color is multiplied by.
        mean: Mean color.
        power: Of saturation and value.
        factor: Of them, after that.
        offset: Added to them, after that.
        hue: What is added to the hue, as a fraction of the circle.
    """
    moved = move_from_mean(views, matrix, mean.view(-1, 1, 1))
    saturation_and_value = views.new_empty((2, len(views), *views.shape[2:]))
    angle = split_hsv(moved, saturation_and_value).add_(hue[:, None, None])
    powers, factors, offsets = (numbers.T[..., None, None] for numbers in (power, factor, offset))
    saturation_and_value.log_().mul_(powers).exp_().mul_(factors).add_(offsets).clamp_(0, 1)
    return join_hsv(angle, saturation_and_value, out=moved)


def change_colors_in_blocks(views: Tensor, matrix: Tensor, mean: Tensor, *numbers: Tensor) -> Tensor:
    """Do the same a few views at a time: of more than the cache holds that takes two thirds of the time."""

    def change_some(views: Tensor, matrix: Tensor, *numbers: Tensor) -> Tensor:
        return change_colors_in_place(views, matrix, mean, *numbers)

    return map_blocks(change_some, MAX_BLOCK, views, matrix, *numbers)


def move_from_mean(views: Tensor, matrix: Tensor, mean: Tensor) -> Tensor:
    """Return the matrix times the difference from the mean color, added to the mean and brought into [0, 1]."""
    columns = matrix[..., None, None].unbind(2)  # (N, 3, 1, 1) of each channel
    channels = (views - mean).unsqueeze(2).unbind(1)  # (N, 1, P, P)
    moved, scratch = columns[0] * channels[0], views.new_empty(views.shape)
    for column, channel in zip(columns[1:], channels[1:], strict=True):
        moved += torch.mul(column, channel, out=scratch)
    return moved.add_(mean).clamp_(0, 1)


def split_hsv(images: Tensor, saturation_and_value: Tensor) -> Tensor:
    """Fill in saturation and value (2, N, P, P) of images, and return their hue."""
    red, green, blue = images.unbind(1)
    saturation, value = saturation_and_value
    torch.maximum(torch.maximum(red, green, out=value), blue, out=value)
    chroma = torch.minimum(red, green)
    torch.sub(value, torch.minimum(chroma, blue, out=chroma), out=chroma)
    is_red = torch.eq(red, value, out=torch.empty_like(value))
    is_green = torch.eq(green, value, out=torch.empty_like(value))
    is_green.sub_(scratch := is_red * is_green)
    is_blue = (1 - is_red).sub_(is_green)
    sector = (green - blue).mul_(is_red)
    sector += torch.sub(blue, red, out=scratch).mul_(is_green)
    sector += torch.sub(red, green, out=scratch).mul_(is_blue)
    sector /= torch.clamp(chroma, min=MIN_CHROMA, out=scratch)
    sector += is_green.mul_(2).add_(is_blue.mul_(4))
    sector /= 6
    torch.div(chroma, torch.clamp(value, min=MIN_CHROMA, out=scratch), out=saturation)
    return sector.sub_(torch.floor(sector, out=scratch))


def join_hsv(angle: Tensor, saturation_and_value: Tensor, out: Tensor) -> Tensor:
    """Fill in the images of hue, saturation and value, and return them; the hue is overwritten."""
    saturation, value = saturation_and_value
    chroma, sector, scratch = saturation.mul_(value), torch.empty_like(angle), torch.empty_like(angle)
    angle *= 6
    for channel, start in enumerate(FADE_IN):
        torch.add(angle, start, out=sector)
        sector -= torch.div(sector, 6, out=scratch).floor_().mul_(6)
        fading = torch.minimum(sector, torch.sub(4, sector, out=scratch), out=sector).clamp_(0, 1)
        torch.sub(value, fading.mul_(chroma), out=out[:, channel])
    return out


change_colors = register(
    "change_colors",
    "Tensor views, Tensor matrix, Tensor mean, Tensor power, Tensor factor, Tensor offset, Tensor hue",
    change_colors_in_blocks,
    change_colors_in_place,
    lambda views, *_: torch.empty_like(views),
)
