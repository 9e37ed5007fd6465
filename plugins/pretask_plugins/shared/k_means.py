"""K-means.

Source: Lloyd 1982; Arthur and Vassilvitskii 2007 (k-means++).
Axes: N points, D dimensions, K centers.
"""

import torch
from jaxtyping import Float, Int
from pretask import Draws
from torch import Tensor

MAX_ROUNDS = 50  # of Lloyd's algorithm; it stops earlier once no center moves


def k_means(points: Float[Tensor, "N D"], count: int, seed: int = 0, starts: int = 1) -> Float[Tensor, "K D"]:
    """Return centers such that points are near theirs; the same ones for the same points.

    Args:
        points: What is clustered.
        count: K.
        seed: Of the first start.
        starts: How often it begins anew; the centers with the least squared distances are returned.
    """
    found = [move_centers(points, draw_first_centers(points, count, seed + start)) for start in range(starts)]
    if starts == 1:
        return found[0]
    return min(found, key=lambda centers: float(torch.cdist(points, centers).amin(1).square().double().sum()))


def move_centers(points: Float[Tensor, "N D"], centers: Float[Tensor, "K D"]) -> Float[Tensor, "K D"]:
    """Return centers after rounds of Lloyd's algorithm, until none moves."""
    for _ in range(MAX_ROUNDS):
        label = find_nearest(points, centers)
        size = torch.bincount(label, minlength=len(centers))[:, None]
        total = torch.zeros_like(centers).index_add_(0, label, points)
        new_centers = torch.where(size > 0, total / size.clamp(min=1), centers)
        if torch.equal(new_centers, centers):
            break
        centers = new_centers
    return centers


def draw_first_centers(points: Float[Tensor, "N D"], count: int, seed: int) -> Float[Tensor, "K D"]:
    """Return points that are far from one another, drawn by squared distance (k-means++)."""
    uniform = Draws(torch.arange(count), seed).branch("centres").uniform("chance").double()
    chosen = [int(uniform[0] * len(points))]
    for number in range(1, count):
        squares = torch.cdist(points, points[chosen]).square().amin(1).double().cumsum(0)
        drawn = int(torch.searchsorted(squares, uniform[number] * squares[-1], right=True))
        chosen.append(min(drawn, len(points) - 1))
    return points[chosen].clone()


def find_nearest(points: Float[Tensor, "N D"], centers: Float[Tensor, "K D"]) -> Int[Tensor, " N"]:
    """Return the number of every point's nearest center."""
    # Distances by an operation that is not fused: with their arithmetic inside argmin, a compiled step on a CPU labels
    # wrongly (pretask/miscompilations.py).
    return torch.cdist(points, centers).argmin(1)
