"""Blocks: many rows worked on a few at a time, so that what is made of them stays in the cache.

Axes: N rows.
"""

from collections.abc import Callable

import torch
from jaxtyping import Shaped
from torch import Tensor


def map_blocks(work: Callable[..., Tensor], size: int, *tensors: Shaped[Tensor, "N ..."]) -> Shaped[Tensor, "N ..."]:
    """Return what `work` makes of all rows of some tensors, given `size` of them at a time.

    Args:
        work: Makes as many rows as it is given.
        size: Rows of a block; at least one is worked on.
        tensors: With as many rows each.

    >>> map_blocks(torch.add, 2, torch.arange(3), torch.arange(3)).tolist()
    [0, 2, 4]
    """
    size = max(size, 1)
    if size >= len(tensors[0]):
        return work(*tensors)
    return torch.cat([work(*parts) for parts in zip(*(torch.split(tensor, size) for tensor in tensors), strict=True)])
