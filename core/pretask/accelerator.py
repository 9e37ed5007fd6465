"""Accelerator: how a step is spread over devices and micro-batches, and in which layout and precision."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pretask.errors import PretaskError

VECTOR = 16  # numbers in a register of a processor
COLORS = 4  # channels of an image, at most


def use_channels_last(networks: Iterable[nn.Module], device: torch.device, precision: str) -> None:
    """Lay the kernels of two-dimensional convolutions out with channels last; what has other axes stays as it is.

    On a CPU only in bf16, where it takes a sixth of the time, and where all convolutions of a network are sound: in
    fp32 it gains a tenth, and would change the rounding of every run that is on record.

    Args:
        networks: Whose kernels are laid out in place.
        device: Where they are.
        precision: In which they are trained.
    """
    if device.type == "cuda" or (device.type == "cpu" and precision == "bf16"):
        for network in networks:
            if device.type == "cuda" or has_sound_convolutions(network):
                lay_channels_last(network)


def lay_channels_last(network: nn.Module) -> None:
    """Lay the kernels of a network out with channels last."""
    for parameter in network.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def has_sound_convolutions(network: nn.Module) -> bool:
    """Return whether a CPU trains a network rightly with channels last (torch 2.11, whose oneDNN is 3.10).

    Strided 1 x 1 convolutions of fewer channels than a register holds write past their memory, and the gradients of
    some dilated ones are NaN. Plain ones are sound whose channels fill registers, or are those of an image.
    """
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    return all(is_plain(convolution) for convolution in convolutions)


def is_plain(convolution: nn.Conv2d | nn.ConvTranspose2d) -> bool:
    """Return whether a convolution is no transposed, grouped or dilated one, and its channels fill registers.

    >>> is_plain(nn.Conv2d(3, 64, 7, stride=2)), is_plain(nn.Conv2d(64, 128, 1, stride=2))
    (True, True)
    >>> is_plain(nn.Conv2d(8, 64, 1, stride=2)), is_plain(nn.Conv2d(64, 64, 3, groups=64))
    (False, False)
    """
    if isinstance(convolution, nn.ConvTranspose2d) or convolution.groups > 1 or convolution.dilation != (1, 1):
        return False
    of_image = convolution.in_channels <= COLORS and min(convolution.kernel_size) > 1
    return not convolution.out_channels % VECTOR and (of_image or not convolution.in_channels % VECTOR)


def divide_evenly(batch: int, ranks: int, accumulate: int) -> int:
    """Divide a batch among ranks and micro-batches; raise PretaskError where it does not divide evenly."""
    if batch % (ranks * accumulate):
        raise PretaskError(
            "recipe.batch",
            f"a multiple of {ranks * accumulate} ({ranks} devices x {accumulate} micro-batches)",
            str(batch),
            "Change recipe.batch or recipe.accumulate.",
            exit_code=2,
        )
    return batch // (ranks * accumulate)


def has_fused_step(optimizer: str, parameters: Iterable[Tensor]) -> bool | None:
    """Return whether torch has an update rule as one kernel for such parameters; None leaves the way to torch."""
    devices = {"cpu"} if optimizer == "adagrad" else {"cpu", "cuda"}
    fits = all(parameter.device.type in devices and parameter.is_floating_point() for parameter in parameters)
    return True if fits else None


def step_plainly_where_sparse(optimizer: Optimizer) -> None:
    """Let an optimizer do without its fused step where a gradient is sparse, such as of a large table of vectors."""
    groups = optimizer.param_groups
    if any(
        parameter.grad is not None and parameter.grad.is_sparse for group in groups for parameter in group["params"]
    ):
        for group in groups:
            if "fused" in group:
                group["fused"] = None


def make_accelerator(device: torch.device, precision: str) -> Any:
    """Make Accelerate on this device; its process-wide state is set anew, so that runs may follow one another."""
    from accelerate import Accelerator, DistributedDataParallelKwargs
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # A weight that no sample of a rank's batch uses has no gradient there, which the other ranks would wait for.
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    mixed = "bf16" if precision == "bf16" else "no"
    return Accelerator(cpu=device.type == "cpu", mixed_precision=mixed, kwargs_handlers=[unused])


def prepare_network(accelerator: Any, network: nn.Module) -> nn.Module:
    """Wrap what is differentiated for several ranks or half precision; where there is neither, Accelerate only asks."""
    if accelerator.num_processes == 1 and accelerator.mixed_precision == "no":
        return network
    prepared: nn.Module = accelerator.prepare(network)
    return prepared
