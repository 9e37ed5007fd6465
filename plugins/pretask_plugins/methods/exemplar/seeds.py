"""Seeds: where in an image a patch is cropped, and the colors of the data that its contrast is changed along.

Source: Dosovitskiy, Springenberg, Riedmiller and Brox, NIPS 2014, sections 2 and 2.1.
Axes: B batch, C channels, H W image, N positions of a seed.
"""

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from pretask import Batch
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.shared.constants import build_once


def principal_axes(batches: Iterable[Batch], channels: int) -> tuple[Float[Tensor, " C"], Float[Tensor, "C C"]]:
    """Return mean and principal axes (rows) of the colors, in [0, 1], of every second pixel of every second row.

    Bytes and their products are added up without rounding, so that the order of batches makes no difference.
    """
    count, total, products = 0, torch.zeros(channels).double(), torch.zeros(channels, channels).double()
    for batch in batches:
        pixels = batch.data[..., ::2, ::2].transpose(0, 1).reshape(channels, -1).cpu().double()
        count, total, products = count + pixels.shape[1], total + pixels.sum(1), products + pixels @ pixels.T
    mean = total / count
    covariance = products / count - torch.outer(mean, mean)
    return (mean / 255).float(), torch.linalg.eigh(covariance).eigenvectors.T.float()


def draw_seed_centers(
    light: Float[Tensor, "B C H W"], place: Float[Tensor, " B"], patch: int, margin: int
) -> Float[Tensor, "B 2"]:
    """Return the center of one patch per image, (row, column) in pixels, drawn by its mean squared gradient.

    An image without any gradient has its seed anywhere.

    Args:
        light: Images in [0, 1].
        place: Uniform in [0, 1), of every image.
        patch: Side of a patch, pixels.
        margin: Pixels at every edge in which no patch may lie.
    """
    spacing = seed_spacing(patch)
    energy = gradient_energy(light[..., margin : light.shape[2] - margin, margin : light.shape[3] - margin])
    windows = average_windows(energy, patch - 1, spacing)  # (B, rows, columns): one mean per position of a patch
    drawn = sample_categorical(windows.flatten(1), place)
    return window_centers(windows.shape[1], windows.shape[2], spacing, margin + (patch - 1) / 2, light.device)[drawn]


def average_windows(energy: Float[Tensor, "B h w"], side: int, spacing: int) -> Float[Tensor, "B rows columns"]:
    """Return the means of squares of so many pixels a side, one every `spacing` pixels.

    First down the columns, which stand in the place of channels: torch's pooling is vectorized over channels that come
    last in memory, and ten times as fast.
    """
    columns = energy.contiguous().unsqueeze(2).movedim(3, 1)  # (B, w, h, 1)
    rows = F.avg_pool2d(columns, (side, 1), (spacing, 1)).movedim(1, 3)  # (B, rows, 1, w)
    return F.avg_pool2d(rows[:, :, 0], (1, side), (1, spacing))


@build_once
def window_centers(rows: int, columns: int, spacing: int, first: float, device: torch.device) -> Float[Tensor, "N 2"]:
    """Return the centers of all windows, row by row; that of the first is at (first, first)."""
    corners = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)) * spacing
    return (corners + first).to(device)


def seed_spacing(patch: int) -> int:
    """Return the pixels between positions of a seed: an eighth of a patch, or less where that is no whole number.

    >>> seed_spacing(32), seed_spacing(28), seed_spacing(5)
    (4, 2, 1)
    """
    return max([1, *(step for step in range(1, patch // 8 + 1) if patch % step == 0)])


def gradient_energy(light: Float[Tensor, "B C H W"]) -> Float[Tensor, "B h w"]:
    """Return the squared length of the gradient between every pixel and the next ones, summed over channels."""
    width = light.shape[3]
    pixels = light.flatten(2)  # row after row, one long line: the next row's pixel is a width away
    here = pixels[..., : -width - 1]
    down, right = pixels[..., width:-1] - here, pixels[..., 1:-width] - here
    energy = down.square_().add_(right.square_()).sum(1)
    return F.pad(energy, (0, width + 1)).view(-1, *light.shape[2:])[:, :-1, :-1]


def sample_categorical(weight: Float[Tensor, "B N"], uniform: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
    """Return which of N is drawn, with a probability in proportion to its weight; any, where all weights are 0."""
    blank = weight.amax(1, keepdim=True) <= 0
    cumulative = weight.masked_fill(blank, 1.0).cumsum(1)
    return (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(1).clamp(max=weight.shape[1] - 1)
