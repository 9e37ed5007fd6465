"""Colours: sRGB to CIE Lab, and k-means.

Source: IEC 61966-2-1 (sRGB), CIE 15 (Lab, D65, 2 degrees); Lloyd 1982; Arthur and Vassilvitskii 2007 (k-means++).
Axes: N points, K centres.
"""

import torch
from jaxtyping import Float, Int
from pretask import Draws
from torch import Tensor

XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
WHITE = (0.95047, 1.0, 1.08883)  # D65
ROUNDS = 50


def lab(images: Float[Tensor, "*batch 3 H W"]) -> Float[Tensor, "*batch 3 H W"]:
    """L in [0, 100], a and b of sRGB images in [0, 1].

    >>> lab(torch.ones(1, 3, 1, 1)).flatten().round().abs().tolist()
    [100.0, 0.0, 0.0]
    """
    linear = torch.where(images > 0.04045, ((images + 0.055) / 1.055) ** 2.4, images / 12.92)
    matrix = torch.tensor(XYZ, device=images.device) / torch.tensor(WHITE, device=images.device)[:, None]
    x, y, z = torch.einsum("ij,...jhw->...ihw", matrix, linear).unbind(-3)
    x, y, z = (
        torch.where(each > 0.008856, each.clamp(min=1e-8) ** (1 / 3), 7.787 * each + 16 / 116) for each in (x, y, z)
    )
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -3)


def k_means(points: Float[Tensor, "N 2"], count: int, seed: int = 0) -> Float[Tensor, "K 2"]:
    """Centres such that points are near theirs; the same ones for the same points."""
    centres = spread(points, count, seed)
    for _ in range(ROUNDS):
        label = nearest(points, centres)
        size = torch.bincount(label, minlength=count)[:, None]
        total = torch.zeros_like(centres).index_add_(0, label, points)
        moved = torch.where(size > 0, total / size.clamp(min=1), centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return centres


def spread(points: Float[Tensor, "N 2"], count: int, seed: int) -> Float[Tensor, "K 2"]:
    """First centres: points that are far from one another, drawn by squared distance (k-means++)."""
    chance = Draws(torch.arange(count), seed).branch("centres").uniform("chance").double()
    chosen = [int(chance[0] * len(points))]
    for number in range(1, count):
        far = torch.cdist(points, points[chosen]).square().amin(1).double().cumsum(0)
        chosen.append(min(int(torch.searchsorted(far, chance[number] * far[-1], right=True)), len(points) - 1))
    return points[chosen].clone()


def nearest(points: Float[Tensor, "N 2"], centres: Float[Tensor, "K 2"]) -> Int[Tensor, " N"]:
    """The number of every point's nearest centre."""
    # Distances by an operation that is not fused: with their arithmetic inside argmin, a compiled step on a CPU labels
    # wrongly (pretask/miscompilations.py).
    return torch.cdist(points, centres).argmin(1)
