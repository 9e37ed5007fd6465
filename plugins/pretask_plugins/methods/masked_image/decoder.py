"""Patch decoder: what is hidden of an image, drawn from the features of what is visible.

Features become tokens of the decoder's width. Where the encoder skipped a patch, one learned vector stands; positions
are added, a few transformer blocks look at all of it, and a line gives the numbers of every patch. Without blocks it is
that line alone, as SimMIM has it, which needs an encoder that does not skip. The loss is the mean error over the hidden
patches.

Source: He et al., CVPR 2022, section 3 (decoder, and the loss on hidden patches alone); Xie et al., CVPR 2022 (a line,
and absolute errors).
Differs: pixels are predicted as they are; the paper's better numbers are of pixels normalized patch by patch.
Axes: B batch, N patches, D width, K numbers of a patch.
"""

from collections.abc import Mapping
from typing import Literal

from pretask import (
    Draws,
    Features,
    FeatureSpec,
    Incompatible,
    Loss,
    Targets,
    TargetSpecs,
    Values,
    build_loss,
    check_kinds,
    find_readout,
    take_only_target,
    upcast,
    weighted_mean,
)
from pretask.options import DepthOrZero, Size
from torch import Tensor, nn

from pretask_plugins.shared.patch_tokens import build_mask_vector, check_widths, encode_positions
from pretask_plugins.shared.scores import errors, r2

WHO = "patch-decoder"


class PatchDecoder(nn.Module):
    """Transformer blocks over all patches, and a line.

    Args:
        features: What the model offers, on a grid of rows and columns.
        targets: The numbers of every patch.
        width: Of the decoder; a multiple of 4 and of the heads.
        depth: Blocks; without any it is a line.
        heads: Of attention.
        error: Squared or absolute.

    Raises:
        Incompatible: The target is not one number or more for every patch, or what was skipped would be read as zeros.
    """

    chance: Mapping[str, float]

    def __init__(
        self,
        features: FeatureSpec,
        targets: TargetSpecs,
        /,
        *,
        width: Size = 512,
        depth: DepthOrZero = 8,
        heads: Size = 16,
        error: Literal["squared", "absolute"] = "squared",
    ) -> None:
        super().__init__()
        from timm.models.vision_transformer import Block

        check_kinds(WHO, targets, {"values"})
        self.name, spec = take_only_target(WHO, targets)
        check_decodable(features, spec, width, depth, heads)
        self.read, self.error = find_readout(WHO, self.name, features, spec), error
        self.enter = nn.Linear(self.read.width, width) if depth else nn.Identity()
        self.mask = build_mask_vector(width) if features.skips_hidden else None
        self.blocks = nn.Sequential(*(Block(width, heads, qkv_bias=True) for _ in range(depth)))
        self.norm = nn.LayerNorm(width) if depth else nn.Identity()
        assert isinstance(spec, Values)  # by check_kinds
        self.leave = nn.Linear(width if depth else self.read.width, spec.channels)
        self.chance = {f"{self.name}.r2": 0.0}

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return the numbers of every patch, (B, *grid, K)."""
        tokens = self.enter(self.read(features))
        if self.mask is not None and features.visible is not None:
            tokens = tokens.where(features.visible[:, 0, :, None], self.mask.to(tokens.dtype))
        if len(self.blocks):
            rows, columns = features.grid
            tokens = tokens + encode_positions(rows, columns, tokens.shape[-1], tokens.device).to(tokens.dtype)
        return {self.name: upcast(self.read.place(self.leave(self.norm(self.blocks(tokens)))))}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the mean error of the hidden patches, and R^2."""
        return self.score(self.predict(features), targets)

    def score(self, predictions: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """Return the same for the numbers of patches (B, *grid, K), wherever they come from."""
        target, values = targets[self.name], upcast(predictions[self.name])
        error = errors(values, target.value, self.error)
        loss = weighted_mean(error, target.weight, target.denominator)
        return build_loss({self.name: loss}, {f"{self.name}.r2": r2(values.detach(), target.value, target.weight)})


def check_decodable(features: FeatureSpec, spec: object, width: int, depth: int, heads: int) -> None:
    """Raise Incompatible where there is no grid to draw on, or a line would read zeros."""
    grid = getattr(spec, "grid", ())
    if len(features.grid) != 2 or features.views != 1 or len(grid) != 2:
        got = f"features of {features.views} views on a grid {features.grid} and a target on {grid}"
        raise Incompatible(WHO, "one image on a grid, and a target on one", got, "Choose the objective regression.")
    if features.skips_hidden and not depth:
        do = "Set objective.depth to 1 or more, or model.hidden to masked."
        raise Incompatible(WHO, "blocks, or an encoder that skips nothing", "objective.depth = 0", do)
    if depth:
        check_widths(WHO, "objective", width, heads)
