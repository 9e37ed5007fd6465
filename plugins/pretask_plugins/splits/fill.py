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
FAR_PLACES = 1 << 20  # farther than any place


def find_neighbors(visible: Bool[Tensor, "..."], axis: int) -> tuple[Int[Tensor, "..."], Int[Tensor, "..."]]:
    """Return for every place its nearest visible place at or before it, and at or after it.

    Where there is none, -FAR_PLACES and FAR_PLACES.

    >>> before, after = find_neighbors(torch.tensor([False, True, False, True]), 0)
    >>> (before[2].item(), after[2].item())
    (1, 3)
    """
    place = places(visible, axis)
    before = torch.where(visible, place, -FAR_PLACES).cummax(axis).values
    after = torch.where(visible, place, FAR_PLACES).flip(axis).cummin(axis).values.flip(axis)
    return before, after


def places(like: Tensor, axis: int) -> Int[Tensor, "..."]:
    """Return the number of every place along an axis."""
    shape = [1] * like.ndim
    shape[axis] = -1
    return torch.arange(like.shape[axis], device=like.device).view(shape).expand(like.shape)


def pick(values: Float[Tensor, "..."], place: Int[Tensor, "..."], axis: int) -> Float[Tensor, "..."]:
    """Return the values at the given places of an axis, at its ends where a place lies beyond them."""
    return values.gather(axis, place.clamp(0, values.shape[axis] - 1))


def fill_nearest(
    values: Float[Tensor, "B ..."], visible: Bool[Tensor, "B ..."], axes: Sequence[int]
) -> Float[Tensor, "B ..."]:
    """Fill with the nearest visible value along any axis, the earlier of equals; with the visible mean without one."""
    weight = visible.float()
    rest = tuple(range(1, values.ndim))
    found = ((values * weight).sum(rest, keepdim=True) / weight.sum(rest, keepdim=True).clamp(min=1)).expand_as(values)
    best = torch.full_like(values, FAR_PLACES // 2)
    for axis in axes:
        place = places(visible, axis)
        for neighbor in find_neighbors(visible, axis):
            distance = (neighbor - place).abs()
            found = torch.where(distance < best, pick(values, neighbor, axis), found)
            best = torch.minimum(best, distance.float())
    return found


def interpolate(
    values: Float[Tensor, "B ..."], visible: Bool[Tensor, "B ..."], axes: Sequence[int]
) -> Float[Tensor, "B ..."]:
    """Fill with straight lines across the gaps, those of several axes weighted by how short their gaps are.

    Where no axis has a visible place on both sides, fill with the nearest visible value.
    """
    total, weights = torch.zeros_like(values), torch.zeros_like(values)
    for axis in axes:
        place = places(visible, axis)
        before, after = find_neighbors(visible, axis)
        gap = (after - before).clamp(min=1)
        fraction = (place - before) / gap
        line = pick(values, before, axis).lerp(pick(values, after, axis), fraction.clamp(0, 1).to(values.dtype))
        weight = ((before >= 0) & (after < FAR_PLACES)) / gap
        total, weights = total + weight * line, weights + weight
    filled = torch.where(weights > 0, total / weights.clamp(min=1e-12), fill_nearest(values, visible, axes))
    return torch.where(visible, values, filled)


def mirror(values: Float[Tensor, "..."], visible: Bool[Tensor, "..."], axes: Sequence[int]) -> Float[Tensor, "..."]:
    """Fill with what lies as far beyond the border as a hidden place lies before it, along the one axis.

    >>> mirror(torch.tensor([0.0, 0.0, 5.0, 6.0]), torch.tensor([False, False, True, True]), [0]).tolist()
    [6.0, 5.0, 5.0, 6.0]
    """
    (axis,) = axes
    place = places(visible, axis)
    before, after = find_neighbors(visible, axis)
    border = torch.where(after < FAR_PLACES, 2 * after - 1, 2 * before + 1)
    return torch.where(visible, values, pick(values, border - place, axis))
