"""Fill: guesses of what is hidden by the eye of a needle: the nearest visible value, a straight line, a mirror.

Each works along the given axes of t, at the resolution of pixels or samples.
Axes: `...` any; B batch, N places along one axis.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

# Values, which of them are visible, and the axes along which to look: the values with the holes filled.
Rule = Callable[[Tensor, Tensor, Sequence[int]], Tensor]
FAR = 1 << 20  # farther than any place


def neighbours(seen: Bool[Tensor, "..."], axis: int) -> tuple[Int[Tensor, "..."], Int[Tensor, "..."]]:
    """For every place its nearest visible place at or before it, and at or after it; -FAR and FAR where there is none.

    >>> before, after = neighbours(torch.tensor([False, True, False, True]), 0)
    >>> (before[2].item(), after[2].item())
    (1, 3)
    """
    place = places(seen, axis)
    before = torch.where(seen, place, -FAR).cummax(axis).values
    after = torch.where(seen, place, FAR).flip(axis).cummin(axis).values.flip(axis)
    return before, after


def places(like: Tensor, axis: int) -> Int[Tensor, "..."]:
    """The number of every place along an axis."""
    shape = [1] * like.ndim
    shape[axis] = -1
    return torch.arange(like.shape[axis], device=like.device).view(shape).expand(like.shape)


def pick(values: Float[Tensor, "..."], place: Int[Tensor, "..."], axis: int) -> Float[Tensor, "..."]:
    """The values at the given places of an axis, at its ends where a place lies beyond them."""
    return values.gather(axis, place.clamp(0, values.shape[axis] - 1))


def nearest(values: Float[Tensor, "B ..."], seen: Bool[Tensor, "B ..."], axes: Sequence[int]) -> Float[Tensor, "B ..."]:
    """The nearest visible value along any of the axes, the earlier of equals; the visible mean where there is none."""
    weight = seen.float()
    rest = tuple(range(1, values.ndim))
    found = ((values * weight).sum(rest, keepdim=True) / weight.sum(rest, keepdim=True).clamp(min=1)).expand_as(values)
    best = torch.full_like(values, FAR // 2)
    for axis in axes:
        place = places(seen, axis)
        for other in neighbours(seen, axis):
            distance = (other - place).abs()
            found = torch.where(distance < best, pick(values, other, axis), found)
            best = torch.minimum(best, distance.float())
    return found


def interpolated(
    values: Float[Tensor, "B ..."], seen: Bool[Tensor, "B ..."], axes: Sequence[int]
) -> Float[Tensor, "B ..."]:
    """A straight line across every gap, those of several axes weighted by how short their gaps are.

    Where no axis has a visible place on both sides, the nearest visible value.
    """
    total, weights = torch.zeros_like(values), torch.zeros_like(values)
    for axis in axes:
        place = places(seen, axis)
        before, after = neighbours(seen, axis)
        gap = (after - before).clamp(min=1)
        share = (place - before) / gap
        line = pick(values, before, axis).lerp(pick(values, after, axis), share.clamp(0, 1).to(values.dtype))
        weight = ((before >= 0) & (after < FAR)) / gap
        total, weights = total + weight * line, weights + weight
    guess = torch.where(weights > 0, total / weights.clamp(min=1e-12), nearest(values, seen, axes))
    return torch.where(seen, values, guess)


def mirrored(values: Float[Tensor, "..."], seen: Bool[Tensor, "..."], axes: Sequence[int]) -> Float[Tensor, "..."]:
    """What lies as far beyond the border as a hidden place lies before it, along the one axis.

    >>> mirrored(torch.tensor([0.0, 0.0, 5.0, 6.0]), torch.tensor([False, False, True, True]), [0]).tolist()
    [6.0, 5.0, 5.0, 6.0]
    """
    (axis,) = axes
    place = places(seen, axis)
    before, after = neighbours(seen, axis)
    border = torch.where(after < FAR, 2 * after - 1, 2 * before + 1)
    return torch.where(seen, values, pick(values, border - place, axis))
