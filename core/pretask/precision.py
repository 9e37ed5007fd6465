"""Precision: where half precision must not reach, autocast or not."""

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Leave autocast inside; the device meta, which computes nothing, has none."""
    if device.type == "meta" or not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def upcast(value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return half precision as float32; float32 and float64 as they are, so that a task in float64 stays in it.

    >>> upcast(torch.ones(1, dtype=torch.bfloat16)).dtype, upcast(torch.ones(1, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return value.float() if value.dtype.itemsize < 4 else value
