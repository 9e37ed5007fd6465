"""Ranks: which numbers of a row are its smallest, without sorting the row.

Axes: B batch, L numbers of a row.
"""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pretask_plugins.shared.constants import build_once

TIE = 2.0**-40  # between equal scores side by side: below what 24 random bits can differ by, even 65,536 times


def are_lowest(score: Float[Tensor, "B L"], count: int | Int[Tensor, "B 1"]) -> Bool[Tensor, "B L"]:
    """Return which `count` scores of a row are its lowest; of equal ones the first.

    Args:
        score: Uniform numbers of `Draws`, or larger ones.
        count: 1 … L, of every row or of each; one for all is five times as fast.

    >>> are_lowest(torch.tensor([[0.5, 0.25, 0.25, 2.0]]), 1).tolist()
    [[False, True, False, False]]
    """
    untied = score + untie(score.shape[1], score.device)
    if isinstance(count, int):
        highest = untied.topk(count, 1, largest=False, sorted=False).values.amax(1, keepdim=True)
    else:
        highest = untied.sort(1).values.gather(1, count - 1)
    return untied <= highest


@build_once
def untie(length: int, device: torch.device) -> Float[Tensor, " L"]:
    """Return what is added to scores so that none are equal, in double precision."""
    return torch.arange(length, dtype=torch.float64, device=device) * TIE
