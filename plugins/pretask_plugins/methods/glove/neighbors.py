"""Neighbors: a word near each word, drawn with probability proportional to 1 / distance.

Words lie on a line, each as long as 1 / distance: to the right of 0 those after the word, to the left those before it.
A uniform number on the line is in one of them: it is as far away as there are sums among 0, 1, 1 + 1/2, … that the
number has passed. On a CPU a table tells, whose parts of the line are so short that at most one sum lies in each.

Source: Pennington, Socher and Manning, EMNLP 2014, section 4.2 (1 / distance). Differs: see the folder's header.
Axes: B batch, L tokens, S distances from 0, H parts of the line.
"""

import torch
from jaxtyping import Bool, Float, Int
from pretask import Draws
from pretask.own_operations import register
from torch import Tensor

from pretask_plugins.shared.constants import build_once, count_up, look_up

MAX_WINDOW = 1 << 16  # of a table; beyond, sums lie closer than their rounding


@build_once
def sum_inverse_distances(window: int, device: torch.device) -> Float[Tensor, " S"]:
    """Return 1 + 1/2 + … + 1/n for n from 0 to the window.

    >>> sum_inverse_distances(2, torch.device("cpu")).tolist()
    [0.0, 1.0, 1.5]
    """
    distances = torch.arange(1, window + 1, dtype=torch.float64, device=device)
    return torch.cat([distances.new_zeros(1), (1 / distances).cumsum(0)]).float()


@build_once
def sum_left(window: int, length: int, device: torch.device) -> Float[Tensor, " L"]:
    """Return the sum of 1 / distance over the words to the left of every place."""
    return sum_inverse_distances(window, device)[count_up(length, device).clamp(max=window)]


def draw_neighbors(
    draws: Draws, present: Bool[Tensor, "B L"], window: int
) -> tuple[Int[Tensor, "B L"], Float[Tensor, "B L"]]:
    """Draw for every word the position of a neighbor, by 1 / distance; return it with the sum of 1 / distance.

    Args:
        draws: Of the positions.
        present: Where words are; they stand at the front.
        window: The largest distance.
    """
    length = present.shape[1]
    sums, left = sum_inverse_distances(window, present.device), sum_left(window, length, present.device)
    positions = count_up(length, present.device)
    last = present.sum(1, keepdim=True) - 1
    mass = left + look_up(sums, (last - positions).clamp(0, window))
    drawn = draws.uniform("neighbor", length) * mass - left  # below 0 to the left
    distance = count_passed(sums, drawn.abs())
    neighbor = positions + torch.where(drawn < 0, -distance, distance)
    return neighbor.clamp(min=0).minimum(last.clamp(min=0)), mass * present  # rounding may pass either end


def search_passed(sums: Float[Tensor, " S"], drawn: Float[Tensor, "*axes"]) -> Int[Tensor, "*axes"]:
    """Return how many of the sums every number has passed: 1 below 1, 2 below 1 + 1/2, …"""
    return torch.searchsorted(sums, drawn, right=True)


def look_up_passed(sums: Float[Tensor, " S"], drawn: Float[Tensor, "*axes"]) -> Int[Tensor, "*axes"]:
    """Return what `search_passed` does, by a table."""
    window = len(sums) - 1
    if window > MAX_WINDOW:
        return search_passed(sums, drawn)
    passed, border = tabulate_parts(window)
    part = (drawn * count_parts(window)).int()  # exact: the parts are a power of two
    return look_up(passed, part) + (drawn >= look_up(border, part))


def count_parts(window: int) -> int:
    """Return the parts of a line of 1, a power of two; the sums are at least 1 / window apart.

    >>> count_parts(5), count_parts(8)
    (16, 32)
    """
    return 1 << (2 * window).bit_length()


@build_once
def tabulate_parts(window: int) -> tuple[Int[Tensor, " H"], Float[Tensor, " H"]]:
    """Return of every part of the line how many sums are passed where it begins, and the next sum."""
    sums, parts = sum_inverse_distances(window, torch.device("cpu")), count_parts(window)
    begins = torch.arange(int(sums[-1] * parts) + 2) / parts
    passed = search_passed(sums, begins)
    return passed, torch.cat([sums, sums.new_full((1,), torch.inf)])[passed]


count_passed = register(
    "count_passed",
    "Tensor sums, Tensor drawn",
    look_up_passed,
    search_passed,
    lambda sums, drawn: torch.empty_like(drawn, dtype=torch.int64),
)
