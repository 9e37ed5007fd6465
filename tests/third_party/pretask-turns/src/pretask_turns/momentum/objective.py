"""Score a guess by how near it is to what a slower copy of the network makes of the whole.

Source: Grill et al., NeurIPS 2020, section 3. Differs: see the package's header.
Axes: B batch, D width.
"""

import math
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from pretask import (
    Draws,
    Features,
    FeatureSpec,
    Fraction,
    Heads,
    Inputs,
    Loss,
    Size,
    Target,
    Targets,
    TargetSpecs,
    build_loss,
    check_kinds,
    find_readout,
    weighted_mean,
)
from torch import Tensor, nn
from torch.nn import functional as F

WHO = "momentum-teacher"


class MomentumTeacher(nn.Module):
    """A predictor on the student, and a teacher that follows it.

    Args:
        features: What the student offers.
        targets: What the teacher is shown.
        momentum: What the teacher keeps of itself at the first step; it rises to 1.
        hidden: Width of the predictor.
    """

    def __init__(
        self, features: FeatureSpec, targets: TargetSpecs, /, *, momentum: Fraction = 0.99, hidden: Size = 128
    ) -> None:
        super().__init__()
        check_kinds(WHO, targets, {"shown"})
        self.readouts = {name: find_readout(WHO, name, features, spec) for name, spec in targets.items()}
        self.heads = Heads({name: predictor(read.width, hidden) for name, read in self.readouts.items()})
        self.momentum = momentum
        self.teacher: Any = None

    def attach(self, model: nn.Module) -> None:
        """Take a copy of the student as the teacher, before the first step."""
        self.teacher = deepcopy(model).requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "MomentumTeacher":
        """The teacher never trains: its batch statistics are the student's."""
        super().train(mode)
        if self.teacher is not None:
            self.teacher.eval()
        return self

    @torch.no_grad()
    def after_step(self, model: nn.Module, progress: float) -> None:
        """Let the teacher follow: by 1 - momentum at first, and not at all in the end."""
        step = (1 - self.momentum) * (1 + math.cos(math.pi * progress)) / 2
        for ours, theirs in zip(self.teacher.parameters(), model.parameters(), strict=True):
            ours.lerp_(theirs, step)
        for ours, theirs in zip(self.teacher.buffers(), model.buffers(), strict=True):
            ours.copy_(theirs)

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """What the teacher is guessed to see, (B, D) of length 1."""
        return {name: F.normalize(self.heads[name](read(features)), dim=-1) for name, read in self.readouts.items()}

    @torch.no_grad()
    def answer(self, name: str, target: Target) -> Tensor:
        """What the teacher sees, (B, D) of length 1."""
        seen: Tensor = F.normalize(self.readouts[name](self.teacher(Inputs(target.value))), dim=-1)
        return seen

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """2 - 2 cosine of guess and answer; `spread` is 0 where the teacher sees the same in everything."""
        terms, reports = {}, {}
        for name, prediction in self.predict(features).items():
            answer = self.answer(name, targets[name])
            distance, target = 2 - 2 * (prediction * answer).sum(-1), targets[name]
            terms[f"{name}.distance"] = weighted_mean(distance, target.weight, target.denominator)
            spread = answer.float().std(0, correction=0).mean() * answer.shape[-1] ** 0.5
            reports[f"{name}.spread"] = weighted_mean(spread.expand(len(answer)))
        return build_loss(terms, reports)


def predictor(width: int, hidden: int) -> nn.Module:
    """A perceptron from features to features."""
    return nn.Sequential(nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, width))
