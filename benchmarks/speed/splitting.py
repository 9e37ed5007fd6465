"""Splitting: what a split does in every step, from tensors that are ready."""

from collections.abc import Callable
from itertools import count

import torch
from pretask import Batch, Draws, SplitFn
from torch import Tensor

READY = 4  # batches in turn, so that none lies in a cache


def split_batches(split: SplitFn, data: Tensor, device: torch.device | None = None) -> Callable[[], object]:
    """Return the work of splitting the next batch, of READY batches of the same size and other content in turn."""
    device = device or data.device
    batches = [
        Batch(data.roll(number, -1).contiguous().to(device), torch.arange(len(data), device=device) + number)
        for number in range(READY)
    ]
    steps = count()

    def split_next() -> object:
        step = next(steps)
        batch = batches[step % READY]
        return split(batch, Draws(batch.index, 0, step))

    return split_next
