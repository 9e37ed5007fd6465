"""Ranks: which numbers of a row are its smallest, without sorting the row.

Axes: B batch, L numbers of a row.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pretask_plugins.shared.constants import build_once

TIE = 2.0**-40  # between equal scores side by side: below what 24 random bits can differ by, even 65,536 times


def are_lowest(score: Float[Tensor, "B L"], count: int | Int[Tensor, "B 1"]) -> Bool[Tensor, "B L"]:
    """Return which `count` scores of a row are its lowest; of equal ones the first.

    Args:
        score: Uniform numbers of `Draws`, or larger ones.
        count: 1 … L, of every row or of each.

    >>> are_lowest(torch.tensor([[0.5, 0.25, 0.25, 2.0]]), 1).tolist()
    [[False, True, False, False]]
    """
    untied = score + untie(score.shape[1], score.device)
    return untied <= (find_nth(untied, count) if isinstance(count, int) else sort(untied).gather(1, count - 1))


def find_nth(values: Float[Tensor, "B L"], count: int) -> Float[Tensor, "B 1"]:
    """Return the number of every row that `count` of its numbers do not exceed; by numpy on a CPU, six times as fast.

    >>> find_nth(torch.tensor([[0.5, 0.25, 0.75]]), 2).tolist()
    [[0.5]]
    """
    if is_for_numpy(values):
        return torch.from_numpy(np.partition(values.numpy(), count - 1, 1)[:, count - 1 : count])
    return values.topk(count, 1, largest=False, sorted=False).values.amax(1, keepdim=True)


def sort(values: Float[Tensor, "B L"]) -> Float[Tensor, "B L"]:
    """Sort the numbers of every row; by numpy on a CPU, whose sorting takes several numbers at a time."""
    return torch.from_numpy(np.sort(values.numpy(), 1)) if is_for_numpy(values) else values.sort(1).values


def is_for_numpy(values: Tensor) -> bool:
    """Return whether values lie where numpy reads them, and no compiler looks on."""
    return values.device.type == "cpu" and not torch.compiler.is_compiling()


@build_once
def untie(length: int, device: torch.device) -> Float[Tensor, " L"]:
    """Return what is added to scores so that none are equal, in double precision."""
    return torch.arange(length, dtype=torch.float64, device=device) * TIE
