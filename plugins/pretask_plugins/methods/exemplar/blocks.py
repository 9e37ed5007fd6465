"""Blocks: many rows worked on a few at a time, so that what is made of them stays in the cache.

Axes: N rows.
"""

from collections.abc import Callable

import torch
from jaxtyping import Shaped
from torch import Tensor


def map_blocks(
    work: Callable[..., Tensor], most: int, first: Shaped[Tensor, "N ..."], *rest: Shaped[Tensor, "N ..."]
) -> Shaped[Tensor, "N ..."]:
    """Return what `work` makes of all rows of some tensors, given a few of them at a time.

    Args:
        work: Makes as many rows as it is given.
        most: Numbers of the first tensor in a block; of larger rows a block has one.
        first: The first tensor.
        rest: Others, with as many rows each.

    >>> map_blocks(torch.add, 2, torch.arange(3), torch.arange(3)).tolist()
    [0, 2, 4]
    """
    size = max(1, most // max(first[:1].numel(), 1))
    if size >= len(first):
        return work(first, *rest)
    blocks = zip(*(torch.split(tensor, size) for tensor in (first, *rest)), strict=True)
    return torch.cat([work(*block) for block in blocks])
