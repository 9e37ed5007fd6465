"""Double: a task in float64, in which two ways to compute the same number agree but for a real fault.

In float32 they may differ by more than rounding: an activation that is 0 but for it is passed by one, not by the other.
"""

import copy
from dataclasses import replace
from typing import Any

import torch
from pretask import Batch, Draws, Inputs, Targets, Task
from pretask.protocols import count_partners
from torch import Tensor

from pretask_registry.conformance.tensors import map_tensors


class DoubleSplit:
    """A split whose floats are float64, so that the rest of a task can be."""

    def __init__(self, split: object) -> None:
        self.split = split
        self.partners = count_partners(split)

    def __getattr__(self, name: str) -> object:
        return getattr(self.split, name)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return x and y, with floats as float64."""
        return map_tensors(self.split(batch, draws), as_double)  # type: ignore[no-any-return, operator]


def as_double(value: Tensor) -> Tensor:
    """Return float64 of floats, and others unchanged."""
    return value.double() if value.is_floating_point() else value


def compute_in_double(task: Task) -> Task:
    """Return a copy of a task that computes in float64."""
    networks = {name: copy.deepcopy(network).to(torch.float64) for name, network in task.networks.items()}
    split: Any = DoubleSplit(task.split)
    return replace(task, split=split, **networks)
