"""Memory: what a run cannot have is refused with how much it would be, where that can be told before it is taken."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from pretask import PretaskError, Recipe, Samples
from pretask.room import UNITS, format_bytes, free_memory, require_memory
from torch import nn

ITEM_BYTES = 4  # of a weight or activation in fp32
# Copies of every weight: itself, its gradient, and what the optimizer keeps.
COPIES = {"adamw": 4, "adam": 4, "sgd": 3, "lars": 3, "adagrad": 3}
REFUSED = re.compile(r"allocate (?:(?P<bytes>\d+) bytes|(?P<number>[\d.]+) ?(?P<unit>[KMGTPE]iB))")


def check_memory(network: nn.Module, samples: Samples, recipe: Recipe, ranks: int, device: torch.device) -> int:
    """Raise PretaskError where the weights, or the samples of one micro-batch, are more than the machine has free.

    Args:
        network: On the meta device, so that it takes none itself.
        samples: Which are trained on.
        recipe: With optimizer and batch.
        ranks: Among which a batch is divided.
        device: Where it would be.

    Returns:
        The bytes of both.
    """
    weights = sum(weight.numel() for weight in network.parameters()) * ITEM_BYTES * COPIES[recipe.optimizer]
    smaller = "Set smaller sizes with --set model.…"
    require_memory("the model", "weights, gradients and the optimizer", weights, smaller, device)
    sample = math.prod(samples.observed.shape) * ITEM_BYTES
    batch = math.ceil(recipe.batch / (recipe.accumulate * ranks)) * sample
    require_memory("recipe.batch", "the samples of one micro-batch", batch, "Lower recipe.batch.", device)
    return weights + batch


@contextmanager
def explain_refused_memory(who: str, device: torch.device, do: str) -> Iterator[None]:
    """Raise PretaskError, with how much it was, where memory is refused inside."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:  # torch raises a RuntimeError on the processor
        needed = read_refused(str(error))
        if needed is None:
            raise
        free = f"{format_bytes(free_memory(device))} that are free"
        raise PretaskError(who, f"{format_bytes(needed)} of memory at once", free, do) from error


def read_refused(message: str) -> int | None:
    """Return how many bytes were refused, as the error of torch or numpy says; None where it says no such thing.

    >>> read_refused("DefaultCPUAllocator: can't allocate memory: you tried to allocate 80 bytes.")
    80
    >>> read_refused("Unable to allocate 2.00 KiB for an array with shape (512,) and data type float32")
    2048
    """
    found = REFUSED.search(message)
    if found is None:
        return None
    return int(found["bytes"] or float(found["number"]) * UNITS[found["unit"]])
