"""Fill: holes filled from what is visible next to them: the nearest value, a straight line, a reflection.

Each works along the given axes of t, at the resolution of pixels or samples.
Axes: `...` any; B batch, N places along one axis.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Values, which of them are visible, and the axes along which to look: the values with the holes filled.
Rule = Callable[[Tensor, Tensor, Sequence[int]], Tensor]
FAR_POSITION = 1 << 20  # farther than any place


def find_neighbors(visible: Bool[Tensor, "..."], axis: int) -> tuple[Int[Tensor, "..."], Int[Tensor, "..."]]:
    """Return for every place its nearest visible place at or before it, and at or after it.

    Where there is none, -FAR_PLACES and FAR_PLACES.

    >>> before, after = find_neighbors(torch.tensor([False, True, False, True]), 0)
    >>> (before[2].item(), after[2].item())
    (1, 3)
    """
    position = positions(visible, axis)
    before = torch.where(visible, position, -FAR_POSITION).cummax(axis).values
    after = torch.where(visible, position, FAR_POSITION).flip(axis).cummin(axis).values.flip(axis)
    return before, after


def positions(like: Tensor, axis: int) -> Int[Tensor, "..."]:
    """Return the index of every position along an axis."""
    shape = [1] * like.ndim
    shape[axis] = -1
    return torch.arange(like.shape[axis], device=like.device).view(shape).expand(like.shape)


def select_at(values: Float[Tensor, "..."], position: Int[Tensor, "..."], axis: int) -> Float[Tensor, "..."]:
    """Return the values at the given positions of an axis, at its ends where a position lies beyond them."""
    return values.gather(axis, position.clamp(0, values.shape[axis] - 1))


def fill_with_nearest(
    values: Float[Tensor, "B ..."], visible: Bool[Tensor, "B ..."], axes: Sequence[int]
) -> Float[Tensor, "B ..."]:
    """Fill with the nearest visible value along any axis, the earlier of equals; with the visible mean without one."""
    weight = visible.float()
    other_axes = tuple(range(1, values.ndim))
    filled = (
        (values * weight).sum(other_axes, keepdim=True) / weight.sum(other_axes, keepdim=True).clamp(min=1)
    ).expand_as(values)
    best = torch.full_like(values, FAR_POSITION // 2)
    for axis in axes:
        position = positions(visible, axis)
        for neighbor in find_neighbors(visible, axis):
            distance = (neighbor - position).abs()
            filled = torch.where(distance < best, select_at(values, neighbor, axis), filled)
            best = torch.minimum(best, distance.float())
    return filled


def interpolate(
    values: Float[Tensor, "B ..."], visible: Bool[Tensor, "B ..."], axes: Sequence[int]
) -> Float[Tensor, "B ..."]:
    """Fill by linear interpolation across the gaps, of several axes weighted by how short their gaps are.

    Where no axis has a visible position on both sides, fill with the nearest visible value.
    """
    total, weights = torch.zeros_like(values), torch.zeros_like(values)
    for axis in axes:
        position = positions(visible, axis)
        before, after = find_neighbors(visible, axis)
        gap = (after - before).clamp(min=1)
        fraction = (position - before) / gap
        line = select_at(values, before, axis).lerp(
            select_at(values, after, axis), fraction.clamp(0, 1).to(values.dtype)
        )
        weight = ((before >= 0) & (after < FAR_POSITION)) / gap
        total, weights = total + weight * line, weights + weight
    filled = torch.where(weights > 0, total / weights.clamp(min=1e-12), fill_with_nearest(values, visible, axes))
    return torch.where(visible, values, filled)


def mirror(values: Float[Tensor, "..."], visible: Bool[Tensor, "..."], axes: Sequence[int]) -> Float[Tensor, "..."]:
    """Fill with what lies as far beyond the border as a hidden position lies before it, along the one axis.

    >>> mirror(torch.tensor([0.0, 0.0, 5.0, 6.0]), torch.tensor([False, False, True, True]), [0]).tolist()
    [6.0, 5.0, 5.0, 6.0]
    """
    (axis,) = axes
    position = positions(visible, axis)
    before, after = find_neighbors(visible, axis)
    border = torch.where(after < FAR_POSITION, 2 * after - 1, 2 * before + 1)
    return torch.where(visible, values, select_at(values, border - position, axis))
