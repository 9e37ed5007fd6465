"""A vision transformer that encodes the visible patches only.

Source: He et al., CVPR 2022, section 3 (MAE encoder).
Axes: B batch, V views, N patches of one view, S of them visible, D width.
"""

from dataclasses import replace
from math import prod

import torch
from pretask import (
    Depth,
    Features,
    FeatureSpec,
    Incompatible,
    Inputs,
    InputSpec,
    Size,
    check_patch,
    count_visible_patches,
    find_visible_patches,
    restore_patches,
    select_patches,
)
from torch import nn


class VisibleVit(nn.Module):
    """Patches as tokens with a learned position, and transformer blocks.

    Args:
        spec: Of x, which hides the same number of patches in every image, or none.
        whole_spec: Of the undivided image.
        width: D.
        depth: Blocks.
        patch: Side of a patch, pixels; it divides the side of what the split hides.
    """

    def __init__(
        self, spec: InputSpec, whole_spec: InputSpec, /, *, width: Size = 64, depth: Depth = 4, patch: Size = 4
    ) -> None:
        super().__init__()
        self.width, self.patch, self.shape = width, patch, whole_spec.shape
        self.grid, self.visible = self.features(spec).grid, count_visible_patches(spec, patch)
        self.embed = nn.Conv2d(spec.shape[0], width, patch, patch)
        self.place = nn.Parameter(torch.randn(prod(self.grid), width) * 0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
            for _ in range(depth)
        )

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector for every patch, zeros where it is hidden."""
        if spec.modality != "image" or spec.shape != self.shape or spec.shape[-1] % self.patch:
            got = f"{spec.modality} of shape {spec.shape}"
            needs = f"images of shape {self.shape}, whose sides {self.patch} divides (model.patch)"
            raise Incompatible("visible-vit", needs, got, "Set model.patch to a divisor, or use another split.")
        check_patch("visible-vit", spec, self.patch)
        rows, columns = (side // self.patch for side in spec.shape[1:])
        return FeatureSpec(self.width, (rows, columns), spec.views, skips_hidden=True)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of the visible patches of every view, at their places."""
        tokens = self.embed(inputs.data.flatten(0, 1) * 2 - 1).flatten(2).transpose(1, 2) + self.place
        visible, made = find_visible_patches(inputs, self.patch), []
        tokens, places = select_patches(tokens, None if visible is None else visible.flatten(0, 1), self.visible)
        for block in self.blocks:
            tokens = block(tokens)
            full = restore_patches(tokens, places, prod(self.grid))
            streams, pooled = (each.unflatten(0, (-1, inputs.data.shape[1])) for each in (full, tokens.mean(1)))
            made.append(Features({"all": streams}, {"all": pooled}, self.grid, visible=visible))
        return replace(made[-1], layers=tuple(made)) if layers else made[-1]
