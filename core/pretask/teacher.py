"""Teacher: a copy of the network that follows it slowly, kept by core for an objective that declares one.

It is copied before the first step, moved after every step from the weights that all ranks share, saved with the run,
and in the same mode as the model. No gradient reaches it.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from pretask.errors import Incompatible
from pretask.options import Fraction, require_range
from pretask.values import Features, Inputs

Encode = Callable[[Inputs], Features]


@dataclass(frozen=True)
class Momentum:
    """How a teacher follows: it keeps so much of itself after each step.

    Args:
        start: Kept after the first step, in [0, 1].
        end: Kept after the last one; from start to end along a half cosine.
        heads: Names of modules of the objective that the teacher has a copy of, too, such as a projector.

    Source: Grill et al., NeurIPS 2020 (BYOL), section 3.1: 1 - (1 - start) (cos(pi k / K) + 1) / 2, which ends at 1.
    """

    start: Fraction = 0.996
    end: Fraction = 1.0
    heads: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_range("a teacher", "momentum", self)

    def at(self, progress: float) -> float:
        """Return what is kept after a step; `progress` through the budget is in (0, 1]."""
        return self.end - (self.end - self.start) * (math.cos(math.pi * progress) + 1) / 2


class Teacher(nn.Module):
    """Copies of the model and of some heads of the objective.

    Args:
        model: The encoder, before it is trained.
        objective: Has the heads.
        momentum: How they follow.

    Raises:
        Incompatible: The objective has no module of a head's name.
    """

    def __init__(self, model: nn.Module, objective: nn.Module, momentum: Momentum) -> None:
        super().__init__()
        self.momentum = momentum
        self.model = copy.deepcopy(model)
        self.heads = nn.ModuleDict({name: copy.deepcopy(find_head(objective, name)) for name in momentum.heads})
        self.requires_grad_(False)

    @torch.no_grad()
    def follow(self, model: nn.Module, objective: nn.Module, progress: float) -> None:
        """Move all parameters a little towards those of the network, after a step of its optimizer.

        Buffers, such as the statistics of batch normalization, stay those of the teacher's own passes.
        """
        momentum = self.momentum.at(progress)
        pairs = [(self.model, model), *((head, find_head(objective, name)) for name, head in self.heads.items())]
        for teacher, student in pairs:
            for parameter, target in zip(teacher.parameters(), student.parameters(), strict=True):
                parameter.lerp_(target.to(parameter.dtype), 1 - momentum)


def find_head(objective: nn.Module, name: str) -> nn.Module:
    """Find a module of an objective by the name of its attribute; raise Incompatible where there is none."""
    head = getattr(objective, name, None)
    if not isinstance(head, nn.Module):
        raise Incompatible(
            type(objective).__name__,
            f"a module '{name}', which its teacher has a copy of",
            "none of that name" if head is None else type(head).__name__,
            "Name in Momentum(heads=…) what __init__ sets, such as self.projector.",
        )
    return head


@dataclass(frozen=True)
class Encoders:
    """What an objective may have encoded beside x.

    Args:
        inputs: x itself.
        model: Encodes views with the live model; a gradient reaches it.
        copy: The teacher; None where none was declared.
        teach: Encodes views with the teacher's model.
    """

    inputs: Inputs
    model: Encode
    copy: Teacher | None = None
    teach: Encode | None = None

    def teacher(self, inputs: Inputs) -> Features:
        """Return what the teacher makes of views; no gradient reaches it.

        Raises:
            Incompatible: The objective declares no teacher.
        """
        if self.teach is None:
            raise Incompatible(
                "encode.teacher", "a teacher", "none", "Set teacher_momentum = Momentum(…) in the objective."
            )
        with torch.no_grad():
            return self.teach(inputs)

    def head(self, name: str) -> nn.Module:
        """Return the teacher's copy of a head that `Momentum.heads` names; call it without a gradient."""
        if self.copy is None or name not in self.copy.heads:
            raise Incompatible(
                "encode.head",
                f"a teacher with the head '{name}'",
                "none",
                f"Set teacher_momentum = Momentum(heads=('{name}',)).",
            )
        return self.copy.heads[name]
