"""The palette: 313 colours of the ab plane, ten units apart, that the answers are made of.

Source: Zhang, Isola and Efros, ECCV 2016, section 2.1, and the bins of the released code, which no rule derives.
Axes: K candidates, Q = 313 bins; the last axis of a colour is (a, b).
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pretask_plugins.methods.colorization.constants import once

STEP = 10
# For a = -90, -80 … 100, the first and the last b.
FIRST = (50, 20, 0, -20, -30, -40, -50, -50, -60, -70, -80, -80, -90, -100, -100, -110, -110, -110, -110, -90)
LAST = (90, 90, 90, 90, 100, 100, 100, 100, 100, 100, 90, 90, 90, 90, 80, 80, 80, 70, 70, 0)
BINS = tuple(
    (a, b)
    for a, first, last in zip(range(-90, 101, STEP), FIRST, LAST, strict=True)
    for b in range(first, last + 1, STEP)
)
SIGMA = 5.0  # of the Gaussian that spreads a colour over its nearest bins
LEAST, SIDE = -112, 225  # of a and b in the table of nearest bins; sRGB has a from -86 to 98, b from -108 to 94


@once
def bins(device: torch.device) -> Float[Tensor, "Q 2"]:
    """The palette as a tensor."""
    return torch.tensor(BINS, dtype=torch.float32, device=device)


def nearest_exactly(colours: Float[Tensor, "N 2"], count: int) -> Int[Tensor, "N K"]:
    """The nearest bins of every colour, nearest first."""
    palette = bins(colours.device)
    found = [torch.cdist(some, palette).topk(count, largest=False).indices for some in torch.split(colours, 4096)]
    return torch.cat(found)


@once
def nearest_table(count: int, device: torch.device) -> Int[Tensor, "N K"]:
    """The nearest bins of all colours of whole units: sixteen million distances, a fifth of a second on one core."""
    line = torch.arange(LEAST, LEAST + SIDE, dtype=torch.float32)
    return nearest_exactly(torch.cartesian_prod(line, line), count).to(device)


def soften(colours: Float[Tensor, "... 2"], count: int) -> tuple[Int[Tensor, "... K"], Float[Tensor, "... K"]]:
    """The nearest bins of every colour and their shares, Gaussian in the distance.

    Which bins are nearest is looked up for the colour rounded to whole units; how near they are is exact.

    >>> round(soften(torch.tensor([[0.0, 0.0]]), 5)[1].max().item(), 3)  # on a bin
    0.649
    """
    a, b = colours.reshape(-1, 2).unbind(1)
    row, column = ((each - LEAST).round().long().clamp(0, SIDE - 1) for each in (a, b))
    near = nearest_table(count, colours.device).index_select(0, row * SIDE + column)  # (N, K)
    across, along = (line[near] - each[:, None] for line, each in zip(bins(colours.device).T, (a, b), strict=True))
    weight = (-(across.square() + along.square()) / (2 * SIGMA**2)).exp()
    share = weight / (weight @ torch.ones(count, 1, device=colours.device))  # softmax, but fast over so short an axis
    shape = (*colours.shape[:-1], count)
    return near.view(shape), share.view(shape)


def smoothed(counts: Float[Tensor, " Q"], count: int) -> Float[Tensor, " Q"]:
    """A histogram of bins as probabilities, smoothed by the Gaussian that softens answers."""
    near, share = soften(bins(counts.device), count)
    spread = torch.zeros_like(counts).index_add_(0, near.flatten(), (counts[:, None] * share).flatten())
    return spread / spread.sum()


def rebalancing(prior: Float[Tensor, " Q"], uniform: float) -> Float[Tensor, " Q"]:
    """How much each bin counts: the inverse of its probability mixed with a uniform one; 1 on average.

    A bin that was never seen counts as much as the rarest that was.

    >>> rebalancing(torch.tensor([0.75, 0.25]), 0.0)
    tensor([0.6667, 2.0000])
    """
    seen = prior > 0
    mixed = (1 - uniform) * prior + uniform / seen.sum()
    weight = 1 / torch.where(seen, mixed, mixed[seen].min())
    return weight / (prior * weight).sum()


@once
def weights(prior: tuple[float, ...], uniform: float, device: torch.device) -> Float[Tensor, " Q"]:
    """`rebalancing` of a prior; all ones where there is none."""
    if not prior:
        return torch.ones(len(BINS), device=device)
    return rebalancing(torch.tensor(prior), uniform).to(device)


def annealed_mean(log_probability: Float[Tensor, "... Q"], temperature: float) -> Float[Tensor, "... 2"]:
    """The mean colour of a distribution sharpened by the temperature: 1 is the mean, towards 0 it is the mode."""
    return (log_probability / temperature).softmax(-1) @ bins(log_probability.device)
