"""Accelerator: how a step is spread over devices and micro-batches, and in which layout and precision."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pretask.errors import PretaskError


def use_channels_last(networks: Iterable[nn.Module]) -> None:
    """Lay the kernels of two-dimensional convolutions out with channels last; what has other axes stays as it is."""
    for network in networks:
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


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
