"""Convolutions: what processors get wrong in the gradients of some, and how that is kept from what is trained.

All of it is torch 2.11, whose oneDNN 3.10 reads what nobody wrote, or writes past its memory. Tests go through small
convolutions with these faults, so that what is here is taken out when they are mended.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from pretask.errors import PretaskError

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
PLANAR = (nn.Conv2d, nn.ConvTranspose2d)
VECTOR = 16  # numbers in a register of a processor


def require_right_gradients(networks: Iterable[nn.Module]) -> None:
    """Raise PretaskError for networks of whose weights a CPU with bfloat16 arithmetic has wrong gradients.

    Gradients of three-dimensional convolutions that pad in time are wrong by their own size, or not finite, where few
    moments are left, such as two under a kernel of three.
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
def sound_convolutions(device: torch.device, precision: str, networks: Iterable[nn.Module]) -> Iterator[None]:
    """Let a CPU differentiate convolutions inside as they are meant.

    Args:
        device: Of the networks.
        precision: Of the recipe.
        networks: Whose convolutions are watched.

    Raises:
        PretaskError: Maps are narrower than a stride, in bf16; before there are gradients.
    """
    with ExitStack() as stack:
        if device.type == "cpu":
            for network in networks:
                stack.enter_context(lay_channels_first(network))
                if precision == "bf16":
                    stack.enter_context(watch_narrow_maps(network, partial(raise_narrow, type(network).__name__)))
        yield


@contextmanager
def lay_channels_first(network: nn.Module) -> Iterator[None]:
    """Let convolutions that are unsound with channels last work on maps with channels first inside.

    Args:
        network: Whose convolutions are looked through.
    """
    unsound = [module for module in network.modules() if isinstance(module, PLANAR) and is_unsound(module)]
    for module in unsound:
        module.weight.data = lay_first(module.weight.data)
    with remove_afterwards(
        [module.register_forward_pre_hook(give_channels_first, with_kwargs=True) for module in unsound]
    ):
        yield


def give_channels_first(
    module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return what a convolution is given, its maps with channels first and all else as it is."""
    if given:
        return (lay_first(given[0]), *given[1:]), named
    return given, {name: lay_first(value) if value is take_maps((), named) else value for name, value in named.items()}


def take_maps(given: tuple[Any, ...], named: Mapping[str, Any]) -> Tensor:
    """Return the maps that a convolution is given, the first tensor by place or by name."""
    maps: Tensor = next(value for value in (*given, *named.values()) if isinstance(value, Tensor))
    return maps


def is_unsound(convolution: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Return whether the gradients of a convolution write past their memory with channels last, or are not finite.

    These are strided 1 x 1 ones of fewer channels than a register holds, on maps of 50 pixels or more, and in bfloat16
    dilated ones whose channels do not fill registers, such as 24.
    """
    channels = (convolution.out_channels if convolution.transposed else convolution.in_channels) // convolution.groups
    if max(convolution.kernel_size) == 1:
        return max(convolution.stride) > 1 and channels < VECTOR
    return max(convolution.dilation) > 1 and channels % VECTOR > 0


def lay_first(maps: Tensor) -> Tensor:
    """Return maps with channels first, by their strides, too: of one channel they are contiguous either way."""
    is_last = maps.ndim == 4 and maps.is_contiguous(memory_format=torch.channels_last)
    return maps.clone(memory_format=torch.contiguous_format) if is_last else maps.contiguous()


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

    There the gradient of bfloat16 weights on a CPU is whatever lay in memory, and that of three-dimensional ones breaks
    the memory of the process.

    Args:
        network: Whose convolutions are watched.
        found: Called with the name of each that will be differentiated in half precision, before it is.
    """

    def look(name: str, module: Any, given: tuple[Tensor, ...], named: Mapping[str, Tensor], output: Tensor) -> None:
        maps = output if module.transposed else take_maps(given, named)
        if not (output.requires_grad and torch.is_autocast_enabled(output.device.type)):
            return  # such as of a teacher, or of what is measured between steps
        if any(size < stride for size, stride in zip(maps.shape[-len(module.stride) :], module.stride, strict=True)):
            found(name)

    convolutions = [pair for pair in network.named_modules() if isinstance(pair[1], CONVOLUTIONS)]
    hooks = [module.register_forward_hook(partial(look, name), with_kwargs=True) for name, module in convolutions]
    with remove_afterwards(hooks):
        yield


@contextmanager
def remove_afterwards(handles: Iterable[RemovableHandle]) -> Iterator[None]:
    """Remove hooks when what is inside is done."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
