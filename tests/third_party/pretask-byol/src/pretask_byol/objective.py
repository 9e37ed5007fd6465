"""BYOL: the online network predicts the target network's projection of the other view.

Source: Grill et al., NeurIPS 2020, section 3.1 and equation 2.
Axes: B batch, V two views, D width.
"""

from collections.abc import Mapping

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
    take_only_target,
    weighted_mean,
)
from torch import Tensor, nn
from torch.nn import functional as F


class Byol(nn.Module):
    """A projector, which the teacher has a copy of, and a predictor, which it has not.

    Args:
        features: What the model offers.
        targets: Which views belong together.
        hidden: Width of both heads' hidden layer.
        out_dim: Width of the projection.
        momentum: What the teacher keeps of itself after the first step; it rises to 1.
    """

    def __init__(
        self,
        features: FeatureSpec,
        targets: TargetSpecs,
        /,
        *,
        hidden: Size = 512,
        out_dim: Size = 128,
        momentum: Fraction = 0.99,
    ) -> None:
        super().__init__()
        check_kinds("byol", targets, {"agreement"})
        self.name, spec = take_only_target("byol", targets)
        self.read = find_readout("byol", self.name, features, spec)
        self.projector = make_head(self.read.width, hidden, out_dim)
        self.predictor = make_head(out_dim, hidden, out_dim)
        self.teacher_momentum = Momentum(momentum, heads=("projector",))

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return the predicted projection of the other view, (B, V, D) of length 1."""
        return {self.name: F.normalize(self.predictor(self.projector(self.read(features))), dim=-1)}

    def forward(self, features: Features, targets: Targets, draws: Draws, encode: Encoders, /) -> Loss:
        """Return 2 - 2 cosine between prediction and the teacher's projection, both ways (equation 2)."""
        with torch.no_grad():
            seen = encode.head("projector")(self.read(encode.teacher(encode.inputs)))
        cosine = (self.predict(features)[self.name] * F.normalize(seen, dim=-1).flip(1)).sum(-1)
        return build_loss({self.name: weighted_mean(2 - 2 * cosine.mean(1))}, {})


def make_head(width: int, hidden: int, out_dim: int) -> nn.Module:
    """Build a perceptron of one hidden layer."""
    return nn.Sequential(nn.Linear(width, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, out_dim))
