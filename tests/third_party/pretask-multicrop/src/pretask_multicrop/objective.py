"""Self-distillation: every crop predicts the prototypes that a teacher assigns to the large ones.

Source: Caron et al., ICCV 2021, algorithm 1.
Axes: B batch, V views of the student, T views of the teacher, K prototypes.
"""

from collections.abc import Mapping
from dataclasses import replace

import torch
from pretask import (
    Draws,
    Encoders,
    Features,
    FeatureSpec,
    Fraction,
    Loss,
    Momentum,
    Size,
    Targets,
    TargetSpecs,
    build_loss,
    check_kinds,
    find_readout,
    mean_over_ranks,
    take_only_target,
    weighted_mean,
)
from torch import Tensor, nn


class SelfDistillation(nn.Module):
    """A head onto prototypes, with a copy in the teacher, and the center of what the teacher gives.

    Args:
        features: What the model offers.
        targets: Which views belong together.
        prototypes: K.
        momentum: What the teacher keeps of itself after the first step; it rises to 1.
    """

    def __init__(
        self, features: FeatureSpec, targets: TargetSpecs, /, *, prototypes: Size = 256, momentum: Fraction = 0.99
    ) -> None:
        super().__init__()
        check_kinds("self-distillation", targets, {"agreement"})
        self.name, spec = take_only_target("self-distillation", targets)
        self.read = find_readout("self-distillation", self.name, features, spec)
        self.head = nn.Sequential(nn.Linear(self.read.width, 128), nn.GELU(), nn.Linear(128, prototypes))
        self.teacher_momentum = Momentum(momentum, heads=("head",))
        self.register_buffer("center", torch.zeros(prototypes))

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return log-probabilities of the prototypes, (B, V, K)."""
        return {self.name: (self.head(self.read(features)) / 0.1).log_softmax(-1)}

    def forward(self, features: Features, targets: Targets, draws: Draws, encode: Encoders, /) -> Loss:
        """Return the cross-entropy between the teacher's large views and all other views of the student."""
        with torch.no_grad():
            seen = encode.head("head")(self.read(encode.teacher(replace(encode.inputs, groups={}))))
            goal = ((seen - self.center) / 0.04).softmax(-1)
            self.seen = seen.mean((0, 1))  # of this step, for after_step
        views = torch.cat([self.predict(each)[self.name] for each in (features, *features.groups.values())], 1)
        nats = -(goal[:, :, None] * views[:, None]).sum(-1)  # (B, T, V)
        other = 1 - torch.eye(*nats.shape[1:], device=nats.device).expand_as(nats)
        return build_loss({self.name: weighted_mean(nats, other)}, {})

    def after_step(self, model: nn.Module, progress: float) -> None:
        """Move the center towards what the teacher gave in this step, on all ranks."""
        self.center.lerp_(mean_over_ranks(self.seen), 0.1)
