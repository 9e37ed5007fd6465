"""The decoder of a masked autoencoder: mask tokens at the hidden places, blocks, and pixels.

Source: He et al., CVPR 2022, section 3 (MAE decoder and reconstruction target).
Axes: B batch, V views, N patches, D width, K numbers of a patch.
"""

from collections.abc import Mapping

import torch
from pretask import (
    Draws,
    Features,
    FeatureSpec,
    Incompatible,
    Loss,
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


class Decoder(nn.Module):
    """One transformer block over all places.

    Args:
        features: What the model offers.
        targets: The numbers of every patch.
        width: D of the decoder.

    Raises:
        Incompatible: The target has no grid.
    """

    def __init__(self, features: FeatureSpec, targets: TargetSpecs, /, *, width: Size = 64) -> None:
        super().__init__()
        check_kinds("decoder", targets, {"values"})
        self.name, spec = take_only_target("decoder", targets)
        self.read = find_readout("decoder", self.name, features, spec)
        if not self.read.per_position:
            raise Incompatible("decoder", "a target on a grid", f"'{self.name}' of one vector", "Use regression.")
        self.enter, self.leave = nn.Linear(self.read.width, width), nn.Linear(width, spec.channels)
        self.mask = nn.Parameter(torch.randn(width) * 0.02) if features.skips_hidden else None
        self.place = nn.Parameter(torch.randn(features.positions, width) * 0.02)
        self.block = nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return the numbers of every patch, (B, *grid, K)."""
        tokens = self.enter(self.read(features))
        if features.visible is not None:
            tokens = tokens.where(features.visible.any(1)[..., None], self.mask)
        return {self.name: self.read.place(self.leave(self.block(tokens + self.place)))}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the mean squared error of the hidden patches."""
        target = targets[self.name]
        return build_loss(
            {
                self.name: weighted_mean(
                    (self.predict(features)[self.name].float() - target.value).square().mean(-1),
                    target.weight,
                    target.denominator,
                )
            },
            {},
        )
