"""K-means on colors.

Source: Lloyd 1982; Arthur and Vassilvitskii 2007 (k-means++).
Axes: N points, K centers.
"""

import torch
from jaxtyping import Float, Int
from pretask import Draws
from torch import Tensor

MAX_ROUNDS = 50  # of Lloyd's algorithm; it stops earlier once no center moves


def k_means(points: Float[Tensor, "N 2"], count: int, seed: int = 0) -> Float[Tensor, "K 2"]:
    """Return centers such that points are near theirs; the same ones for the same points."""
    centers = draw_first_centers(points, count, seed)
    for _ in range(MAX_ROUNDS):
        label = find_nearest(points, centers)
        size = torch.bincount(label, minlength=count)[:, None]
        total = torch.zeros_like(centers).index_add_(0, label, points)
        new_centers = torch.where(size > 0, total / size.clamp(min=1), centers)
        if torch.equal(new_centers, centers):
            break
        centers = new_centers
    return centers


def draw_first_centers(points: Float[Tensor, "N 2"], count: int, seed: int) -> Float[Tensor, "K 2"]:
    """Return points that are far from one another, drawn by squared distance (k-means++)."""
    uniform = Draws(torch.arange(count), seed).branch("centres").uniform("chance").double()
    chosen = [int(uniform[0] * len(points))]
    for number in range(1, count):
        squares = torch.cdist(points, points[chosen]).square().amin(1).double().cumsum(0)
        drawn = int(torch.searchsorted(squares, uniform[number] * squares[-1], right=True))
        chosen.append(min(drawn, len(points) - 1))
    return points[chosen].clone()


def find_nearest(points: Float[Tensor, "N 2"], centers: Float[Tensor, "K 2"]) -> Int[Tensor, " N"]:
    """Return the number of every point's nearest center."""
    # Distances by an operation that is not fused: with their arithmetic inside argmin, a compiled step on a CPU labels
    # wrongly (pretask/miscompilations.py).
    return torch.cdist(points, centers).argmin(1)
