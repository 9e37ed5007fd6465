"""Double: a task in float64, in which two ways to compute the same number agree but for a real fault.

In float32 they may differ by more than rounding: an activation that is 0 but for it is passed by one, not by the other.
"""

import copy
from dataclasses import replace
from typing import Any

import torch
from pretask import Batch, Draws, Inputs, Target, Targets, Task
from pretask.protocols import count_partners
from torch import Tensor


class DoubleSplit:
    """A split whose floats are float64, so that the rest of a task can be."""

    def __init__(self, split: object) -> None:
        self.split = split
        self.partners = count_partners(split)

    def __getattr__(self, name: str) -> object:
        return getattr(self.split, name)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return x and y, with floats as float64."""
        inputs, targets = self.split(batch, draws)  # type: ignore[operator]
        return replace(inputs, data=as_double(inputs.data)), {name: cast(target) for name, target in targets.items()}


def cast(target: Target) -> Target:
    """Return a target with floats as float64."""
    floats = {name: getattr(target, name) for name in ("value", "weight", "probability")}
    return Target(**{name: as_double(value) for name, value in floats.items() if value is not None})


def as_double(value: Tensor) -> Tensor:
    """Return float64 of floats, and others unchanged."""
    return value.double() if value.is_floating_point() else value


def compute_in_double(task: Task) -> Task:
    """Return a copy of a task that computes in float64."""
    model, objective = (copy.deepcopy(part).to(torch.float64) for part in (task.model, task.objective))
    split: Any = DoubleSplit(task.split)
    return replace(task, split=split, model=model, objective=objective)
