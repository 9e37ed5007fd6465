"""Precision: where half precision must not reach, autocast or not."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pretask.convolutions import require_right_gradients
from pretask.errors import PretaskError

AMPERE = (8, 0)  # compute capability


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Leave autocast inside; the device meta, which computes nothing, has none."""
    if device.type == "meta" or not torch.is_autocast_enabled(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def require_precision(device: torch.device, precision: str, networks: Iterable[nn.Module]) -> None:
    """Raise PretaskError where a GPU would only emulate a precision, slower than fp32, or a CPU is wrong in it."""
    if device.type == "cpu" and precision == "bf16":
        require_right_gradients(networks)
    if device.type != "cuda" or precision == "fp32":
        return
    if precision == "bf16" and torch.cuda.is_bf16_supported(including_emulation=False):
        return
    if precision == "tf32" and torch.cuda.get_device_capability(device) >= AMPERE:
        return
    raise PretaskError(
        f"recipe.precision={precision}",
        "a GPU that computes with it (Ampere or newer)",
        torch.cuda.get_device_name(device),
        "Set recipe.precision=fp32.",
        exit_code=2,
    )


@contextmanager
def matrix_products(precision: str) -> Iterator[None]:
    """Let a GPU take products of matrices by TF32 inside where that is asked for; a CPU has no such thing."""
    if precision != "tf32":
        yield
        return
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def upcast(value: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return half precision as float32; float32 and float64 as they are, so that a task in float64 stays in it.

    >>> upcast(torch.ones(1, dtype=torch.bfloat16)).dtype, upcast(torch.ones(1, dtype=torch.float64)).dtype
    (torch.float32, torch.float64)
    """
    return value.float() if value.dtype.itemsize < 4 else value
