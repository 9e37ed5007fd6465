"""Clips: how long they are without padding, and frames out of them.

Axes: B batch, T frames of a clip, V frames taken, C channels, H W image.
"""

import torch
from jaxtyping import Float, Int, Shaped
from pretask import Batch, Draws
from torch import Tensor

from pretask_plugins.shared.constants import build_once


def count_frames(batch: Batch) -> Int[Tensor, " B"]:
    """Return how many frames of every clip are no padding."""
    if batch.present is None:
        return torch.full_like(batch.index, batch.shape[1])
    return batch.present.sum(1)


def draw_start(batch: Batch, draws: Draws, span: int) -> tuple[Int[Tensor, " B"], Float[Tensor, " B"]]:
    """Draw where in every clip a run of `span` frames begins; return 1 for every clip that is that long, else 0."""
    if batch.present is None:
        start = draws.integers("start", 0, max(batch.shape[1] - span, 0) + 1)
        return start, give_all(float(batch.shape[1] >= span), len(batch), batch.device)
    length = count_frames(batch)
    return draws.integers("start", 0, (length - span).clamp(min=0) + 1), (length >= span).float()


def find_run(batch: Batch, start: Int[Tensor, " B"], count: int, step: int) -> Int[Tensor, "B V"]:
    """Return the positions of `count` frames, `step` apart, from the start on; the last where a clip ends before."""
    positions = start[:, None] + count_steps(count, step, batch.device)
    has_room = batch.present is None and batch.shape[1] > (count - 1) * step
    return positions if has_room else positions.clamp(max=batch.shape[1] - 1)


@build_once
def give_all(value: float, count: int, device: torch.device) -> Float[Tensor, " B"]:
    """Return the same number for every sample."""
    return torch.full((count,), value, device=device)


@build_once
def count_steps(count: int, step: int, device: torch.device) -> Int[Tensor, " V"]:
    """Return 0, step, 2 * step …"""
    return step * torch.arange(count, device=device)


def count_spread(frames: int, wanted: int) -> int:
    """Return how many frames `spread_frames` takes of a clip of so many: `wanted`, or all of them when 0."""
    return min(wanted or frames, frames)


def spread_frames(batch: Batch, wanted: int) -> Shaped[Tensor, "B V C H W"]:
    """Return `wanted` frames of every clip (all when 0), evenly spread over those that are no padding."""
    count = count_spread(batch.shape[1], wanted)
    middle = (torch.arange(count, device=batch.device) + 0.5) / count  # of V equal parts, as fractions of the clip
    return batch.take_frames((middle * count_frames(batch)[:, None]).long())
