"""Order: which sample is seen when, as a function of seed and position alone, so that a run can go on anywhere.

Position p of the endless stream is in epoch p // N, at place p % N of that epoch's order.

Up to four million samples, an order is one permutation of all. Of more, whose rows are more than memory holds, blocks
of rows that lie together are permuted, and then the rows of every so many blocks, a window: what is held is the order
of one window, and what is read at a time lies in its blocks. Samples that are cheaper to read where they lie together,
as in tar files, say so by a block of their own (`Samples.block`), and are shuffled in windows however few they are.

Axes: B batch, N samples, W samples of a window.
"""

from functools import lru_cache

import torch
from jaxtyping import Int
from torch import Tensor

from pretask.draws import Draws
from pretask.samples import Samples, draw_others, move_tensor
from pretask.values import Batch

CPU = torch.device("cpu")
MAX_WHOLE = 1 << 22  # samples of which an order is one permutation, at most: 32 MiB of it
BLOCK = 1 << 13  # samples that lie together, where they do not say so themselves
WINDOW = 1 << 7  # blocks whose samples are permuted together, a million samples of such a block


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, count: int, device: torch.device = CPU) -> Int[Tensor, " N"]:
    """Draw an order of 0 … count - 1, the same on every machine; it lies on a device, and must not be written to."""
    if device != CPU:
        return epoch_order(seed, epoch, count).to(device)
    return Draws(torch.arange(count), seed, epoch).branch("order").bits("place", 1)[:, 0].argsort(stable=True)


def positions(
    seed: int, start: int, size: int, count: int, device: torch.device = CPU, block: int = 0
) -> tuple[Int[Tensor, " B"], int | Int[Tensor, " B"]]:
    """Return the samples at the stream's positions start … start + size - 1, and their epoch.

    The epoch is one number where all are in the same one; what is returned may be a part of that epoch's order.
    """
    bounds = epoch_bounds(start, size, count)
    parts = [take_order(seed, epoch, count, low, high, device, block) for epoch, (low, high) in bounds.items()]
    return parts[0] if len(parts) == 1 else torch.cat(parts), find_epochs(start, size, count, device)


def epoch_bounds(start: int, size: int, count: int) -> dict[int, tuple[int, int]]:
    """Return the epochs of some positions of the stream, and from where to where these lie in each.

    >>> epoch_bounds(8, 4, 10)
    {0: (8, 10), 1: (0, 2)}
    """
    epochs = range(start // count, (start + size - 1) // count + 1)
    return {epoch: (max(start - epoch * count, 0), min(start + size - epoch * count, count)) for epoch in epochs}


def find_epochs(start: int, size: int, count: int, device: torch.device = CPU) -> int | Int[Tensor, " B"]:
    """Return the epoch of the samples at some positions of the stream; one number where it is the same for all."""
    bounds = epoch_bounds(start, size, count)
    if len(bounds) == 1:
        return next(iter(bounds))
    lengths = torch.tensor([high - low for low, high in bounds.values()])
    return torch.tensor([*bounds]).repeat_interleave(lengths).to(device)


def take_order(
    seed: int, epoch: int, count: int, low: int, high: int, device: torch.device = CPU, block: int = 0
) -> Int[Tensor, " B"]:
    """Return the places low … high - 1 of an epoch's order; of many samples, or of those in blocks, by windows."""
    if not block and count <= MAX_WHOLE:
        return epoch_order(seed, epoch, count, device)[low:high]
    size = (block or BLOCK) * WINDOW
    parts = []
    for number in range(max(low // size, 0), -(-count // size)):
        begin, order = window_order(seed, epoch, count, number, block or BLOCK, device)
        if begin >= high:
            break
        parts.append(order[max(low - begin, 0) : max(high - begin, 0)])
    return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64, device=device)


@lru_cache(maxsize=4)
def window_order(
    seed: int, epoch: int, count: int, number: int, block: int, device: torch.device = CPU
) -> tuple[int, Int[Tensor, " W"]]:
    """Draw the order of one window of an epoch; return the place where it begins, and the numbers of its samples."""
    blocks = -(-count // block)
    order = Draws(torch.arange(blocks), seed, epoch).branch("order").bits("block", 1)[:, 0].argsort(stable=True)
    own = order[number * WINDOW : (number + 1) * WINDOW]
    samples = (own[:, None] * block + torch.arange(block)).flatten()
    samples = samples[samples < count]  # the last block of all may be smaller
    place = Draws(samples, seed, epoch).branch("order").bits("place", 1)[:, 0].argsort(stable=True)
    missing = blocks * block - count if blocks - 1 in order[: number * WINDOW] else 0
    return number * WINDOW * block - missing, samples[place].to(device)


def shown_samples(seed: int, count: int, total: int, block: int = 0) -> Int[Tensor, " S"] | None:
    """Return the numbers of the samples at the first `count` positions of the stream, ascending; None for all.

    >>> shown_samples(0, 3, 5).tolist() == epoch_order(0, 0, 5)[:3].sort().values.tolist()
    True
    """
    return None if count >= total else take_order(seed, 0, total, 0, count, block=block).sort().values


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
    index, epoch = positions(seed, start, size, len(samples), samples.data.device, samples.block)
    epoch = epoch if isinstance(epoch, int) else move_tensor(epoch, device)
    if unread:
        return samples.batch_unread(index), epoch
    company = draw_others(index, len(samples), partners, seed, epoch) if partners else None
    return samples.batch(index, device, company), epoch
