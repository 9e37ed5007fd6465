"""What the networks of a task promise at the sizes at which they are really used: the paper's, and every preset's.

On the meta device this costs nothing, however large they are. With numbers it takes a second for each hundred million
parameters and their gradients, so that only the paper's network is tried so, on two samples.
Axes: B batch.
"""

from collections.abc import Iterator

import torch
from pretask import Draws, Task
from pretask.values import iterate_tensors
from torch import nn

from pretask_registry.conformance import material
from pretask_registry.conformance.check import Skip, check, require
from pretask_registry.conformance.checks.models import has_gradient
from pretask_registry.conformance.kinds import TaskCase
from pretask_registry.conformance.settings import PAPER, all_settings, compose_large
from pretask_registry.conformance.tensors import map_tensors

META = torch.device("meta")
FEW = 2  # samples: as few as batch normalization takes
MAX_PARAMETERS = 500_000_000  # of which weights and gradients are 4 GB


@check("task")
def every_size_is_trainable_without_memory(case: TaskCase) -> str:
    """Check that paper's and presets' networks are built from shapes alone, and every parameter has a gradient."""
    settings = dict(all_settings(case.registry, case.registered))
    largest = 0
    for name, setting in settings.items():
        task, samples = compose_large(setting, case.registry, case.seed, META)
        batch = material.make_batch(samples, task.split, FEW)
        halves = material.split_numbered(task, batch, Draws(batch.index, case.seed))
        x, y = map_tensors(halves, lambda tensor: tensor.to(META))
        loss = task.score(x, y, Draws(batch.index.to(META), case.seed))
        where = {str(value.device) for _, value in iterate_tensors(dict(list_weights(task)))} | {str(loss.total.device)}
        require(where == {"meta"}, f"With the options of {name} it must be where its inputs are; it is on {where}.")
        loss.total.backward()  # type: ignore[no-untyped-call]
        dead = [weight for weight, value in list_weights(task) if value.requires_grad and value.grad is None]
        require(not dead, f"With the options of {name} no gradient reaches {', '.join(dead[:5])}.")
        largest = max(largest, count_weights(task))
    return f"{len(settings)} sets of options, of up to {largest / 1e6:.1f} million parameters"


@check("task")
def gradient_reaches_every_parameter_of_the_paper(case: TaskCase) -> str:
    """Check that, in the paper's size, every parameter gets a gradient that is not all 0 from two samples."""
    setting = dict(all_settings(case.registry, case.registered))[PAPER]
    size = count_weights(compose_large(setting, case.registry, case.seed, META)[0])
    if size > MAX_PARAMETERS:
        raise Skip(f"It has {size / 1e6:.0f} million parameters, whose gradients were looked for without numbers only.")
    task, samples = compose_large(setting, case.registry, case.seed)
    batch = material.make_batch(samples, task.split, FEW)
    wake(task.model.train())
    wake(task.objective.train())
    draws = Draws(batch.index, case.seed)
    task.score(*material.split_numbered(task, batch, draws), draws).total.backward()  # type: ignore[no-untyped-call]
    dead = [name for name, value in list_weights(task) if value.requires_grad and not has_gradient(value)]
    require(not dead, f"A gradient must reach every parameter; none reaches {', '.join(dead[:5])}.")
    return f"{size / 1e6:.1f} million parameters"


def list_weights(task: Task) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield every parameter of model and objective by its name."""
    for who, part in (("model", task.model), ("objective", task.objective)):
        for name, parameter in part.named_parameters():
            yield f"{who}.{name}", parameter


def count_weights(task: Task) -> int:
    """Count the parameters of model and objective."""
    return sum(parameter.numel() for _, parameter in list_weights(task))


@torch.no_grad()
def wake(network: nn.Module) -> None:
    """Move parameters that are all 0, behind which no gradient goes on; all others of a large network stay."""
    for parameter in network.parameters():
        if not parameter.any():
            parameter.add_(0.01 * torch.arange(parameter.numel()).cos().view(parameter.shape))
