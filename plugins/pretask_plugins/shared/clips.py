"""Clips: how long they are without padding, and frames out of them.

Axes: B batch, T frames of a clip, V frames taken, C channels, H W image.
"""

import torch
from jaxtyping import Int, Shaped
from pretask import Batch
from torch import Tensor


def count_frames(batch: Batch) -> Int[Tensor, " B"]:
    """Return how many frames of every clip are no padding."""
    if batch.present is None:
        return torch.full_like(batch.index, batch.data.shape[1])
    return batch.present.sum(1)


def take_frames(clips: Shaped[Tensor, "B T C H W"], positions: Int[Tensor, "B V"]) -> Shaped[Tensor, "B V C H W"]:
    """Return the frames at the given positions in time."""
    rows = torch.arange(clips.shape[0], device=clips.device)  # len() would tie an exported network to one batch size
    return clips[rows[:, None], positions]


def count_spread(frames: int, wanted: int) -> int:
    """Return how many frames `spread_frames` takes of a clip of so many: `wanted`, or all of them when 0."""
    return min(wanted or frames, frames)


def spread_frames(batch: Batch, wanted: int) -> Shaped[Tensor, "B V C H W"]:
    """Return `wanted` frames of every clip (all when 0), evenly spread over those that are no padding."""
    count = count_spread(batch.data.shape[1], wanted)
    middle = (torch.arange(count, device=batch.device) + 0.5) / count  # of V equal parts, as fractions of the clip
    return take_frames(batch.data, (middle * count_frames(batch)[:, None]).long())
