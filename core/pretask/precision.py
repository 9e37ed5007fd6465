"""Precision: where half precision must not reach, autocast or not."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pretask.errors import PretaskError

AMPERE = (8, 0)  # compute capability
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


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


def require_right_gradients(networks: Iterable[nn.Module]) -> None:
    """Raise PretaskError for networks of whose weights a CPU with bfloat16 arithmetic has wrong gradients.

    Gradients of three-dimensional convolutions that pad in time are wrong by their own size, or not finite, where few
    moments are left, such as two under a kernel of three: torch 2.11, whose oneDNN 3.10 reads what nobody wrote.
    """
    for network in networks:
        wrong = find_padded_in_time(network)
        if wrong:
            raise PretaskError(
                "recipe.precision=bf16 on a CPU",
                "a network without convolutions over time that pad it; their gradients are wrong there (torch 2.11)",
                f"{type(network).__name__} with {wrong[0]}{f' and {len(wrong) - 1} more' if wrong[1:] else ''}",
                "Set recipe.precision=fp32, or train on a GPU.",
                exit_code=2,
            )


def find_padded_in_time(network: nn.Module) -> list[str]:
    """Return the names of the three-dimensional convolutions of a network that pad the first of their dimensions."""
    return [
        name for name, module in network.named_modules() if isinstance(module, nn.Conv3d) and pads_time(module.padding)
    ]


def pads_time(padding: str | tuple[int, ...]) -> bool:
    """Whether a three-dimensional convolution pads its first dimension.

    >>> pads_time("same"), pads_time("valid"), pads_time((1, 0, 0)), pads_time((0, 1, 1))
    (True, False, True, False)
    """
    return padding == "same" if isinstance(padding, str) else padding[0] > 0


@contextmanager
def refuse_narrow_maps(device: torch.device, precision: str, networks: Iterable[nn.Module]) -> Iterator[None]:
    """Raise PretaskError inside where a CPU would have wrong gradients of bfloat16, before there are any.

    Args:
        device: Of the networks.
        precision: Of the recipe.
        networks: Whose convolutions are watched.
    """
    if device.type != "cpu" or precision != "bf16":
        yield
        return
    with ExitStack() as stack:
        for network in networks:
            stack.enter_context(watch_narrow_maps(network, partial(raise_narrow, type(network).__name__)))
        yield


def raise_narrow(network: str, convolution: str) -> None:
    """Raise PretaskError for a convolution whose maps are narrower than its stride."""
    raise PretaskError(
        "recipe.precision=bf16 on a CPU",
        "maps at least as wide as the stride of a convolution; its gradients are wrong there else (torch 2.11)",
        f"narrower ones at {convolution or 'the convolution'} of {network}",
        "Use larger samples, or set recipe.precision=fp32.",
        exit_code=2,
    )


@contextmanager
def watch_narrow_maps(network: nn.Module, found: Callable[[str], None]) -> Iterator[None]:
    """Tell inside which convolutions work on maps that are narrower than their stride.

    There the gradient of bfloat16 weights on a CPU is anything, and that of three-dimensional ones breaks the memory of
    the process: torch 2.11, whose oneDNN 3.10 reads, and writes, beyond the map.

    Args:
        network: Whose convolutions are watched.
        found: Called with the name of each, when it was applied and before it is differentiated.
    """

    def look(name: str, module: Any, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        maps = output if module.transposed else arguments[0]
        if any(size < stride for size, stride in zip(maps.shape[-len(module.stride) :], module.stride, strict=True)):
            found(name)

    handles = [
        module.register_forward_hook(partial(look, name))
        for name, module in network.named_modules()
        if isinstance(module, CONVOLUTIONS)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


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
