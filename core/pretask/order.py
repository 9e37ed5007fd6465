"""Order: which sample is seen when, as a function of seed and position alone, so that a run can go on anywhere.

Position p of the endless stream is in epoch p // N, at place p % N of that epoch's order.
Axes: B batch, N samples.
"""

from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

from pretask.draws import Draws
from pretask.samples import Samples, draw_others
from pretask.values import Batch


@lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, count: int) -> Int[Tensor, " N"]:
    """Draw an order of 0 … count - 1, the same on every machine."""
    return Draws(torch.arange(count), seed, epoch).branch("order").bits("place", 1)[:, 0].argsort(stable=True)


def positions(seed: int, start: int, size: int, count: int) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """Sample numbers and epochs of the stream's positions start … start + size - 1."""
    positions = torch.arange(start, start + size)
    epoch = positions // count
    index = torch.empty_like(positions)
    for this_epoch in range(start // count, (start + size - 1) // count + 1):
        is_epoch = epoch == this_epoch
        index[is_epoch] = epoch_order(seed, this_epoch, count)[positions[is_epoch] % count]
    return index, epoch


def shown_samples(seed: int, count: int, total: int) -> Int[Tensor, " S"] | None:
    """Return the numbers of the samples at the first `count` positions of the stream, ascending; None for all.

    >>> shown_samples(0, 3, 5).tolist() == epoch_order(0, 0, 5)[:3].sort().values.tolist()
    True
    """
    return None if count >= total else epoch_order(seed, 0, total)[:count].sort().values


def draw_batch(
    samples: Samples, seed: int, start: int, size: int, device: torch.device, partners: int = 0
) -> tuple[Batch, int | Int[Tensor, " B"]]:
    """Draw the batch at a position of the stream and its epoch: one number where all samples are in the same one."""
    index, epoch = positions(seed, start, size, len(samples))
    company = draw_others(index, len(samples), partners, seed, epoch) if partners else None
    batch = samples.batch(index, device, company)
    first = int(epoch[0])
    return batch, first if int(epoch[-1]) == first else epoch.to(device)
