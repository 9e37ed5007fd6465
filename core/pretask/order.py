"""Order: which sample is seen when, as a function of seed and position alone, so that a run can go on anywhere.

Position p of the endless stream is in epoch p // N, at place p % N of that epoch's order.
Axes: B batch, N samples.
"""

from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

from pretask.draws import Draws
from pretask.samples import Samples, draw_others, move_tensor
from pretask.values import Batch

CPU = torch.device("cpu")


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, count: int, device: torch.device = CPU) -> Int[Tensor, " N"]:
    """Draw an order of 0 … count - 1, the same on every machine; it lies on a device, and must not be written to."""
    if device != CPU:
        return epoch_order(seed, epoch, count).to(device)
    return Draws(torch.arange(count), seed, epoch).branch("order").bits("place", 1)[:, 0].argsort(stable=True)


def positions(
    seed: int, start: int, size: int, count: int, device: torch.device = CPU
) -> tuple[Int[Tensor, " B"], int | Int[Tensor, " B"]]:
    """Return the samples at the stream's positions start … start + size - 1, and their epoch.

    The epoch is one number where all are in the same one; what is returned may be a part of that epoch's order.
    """
    first, last = start // count, (start + size - 1) // count
    if first == last:
        place = start - first * count
        return epoch_order(seed, first, count, device)[place : place + size], first
    epochs = range(first, last + 1)
    bounds = [(max(start - epoch * count, 0), min(start + size - epoch * count, count)) for epoch in epochs]
    parts = [
        epoch_order(seed, epoch, count, device)[low:high] for epoch, (low, high) in zip(epochs, bounds, strict=True)
    ]
    lengths = torch.tensor([high - low for low, high in bounds])
    return torch.cat(parts), torch.arange(first, last + 1).repeat_interleave(lengths).to(device)


def shown_samples(seed: int, count: int, total: int) -> Int[Tensor, " S"] | None:
    """Return the numbers of the samples at the first `count` positions of the stream, ascending; None for all.

    >>> shown_samples(0, 3, 5).tolist() == epoch_order(0, 0, 5)[:3].sort().values.tolist()
    True
    """
    return None if count >= total else epoch_order(seed, 0, total)[:count].sort().values


def draw_batch(
    samples: Samples,
    seed: int,
    start: int,
    size: int,
    device: torch.device,
    partners: int = 0,
    unread: bool = False,
) -> tuple[Batch, int | Int[Tensor, " B"]]:
    """Draw the batch at a position of the stream and its epoch: one number where all samples are in the same one.

    Args:
        samples: The part that is drawn from.
        seed: Of the order.
        start: The position in the stream.
        size: Samples of the batch.
        device: Where it is wanted.
        partners: Other samples for each.
        unread: Whether frames of clips are read when they are asked for only; the data must lie on the device.
    """
    index, epoch = positions(seed, start, size, len(samples), samples.data.device)
    epoch = epoch if isinstance(epoch, int) else move_tensor(epoch, device)
    if unread:
        return samples.batch_unread(index), epoch
    company = draw_others(index, len(samples), partners, seed, epoch) if partners else None
    return samples.batch(index, device, company), epoch
