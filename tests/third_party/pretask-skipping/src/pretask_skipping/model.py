"""A vision transformer that encodes the visible patches only.

Source: He et al., CVPR 2022, section 3 (MAE encoder).
Axes: B batch, V views, N patches of one view, S of them visible, D width.
"""

from dataclasses import replace

import torch
from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec, check_patch, find_visible_patches
from torch import Tensor, nn


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
        self, spec: InputSpec, whole_spec: InputSpec, /, *, width: int = 64, depth: int = 4, patch: int = 4
    ) -> None:
        super().__init__()
        self.width, self.patch, self.shape = width, patch, whole_spec.shape
        self.positions = self.features(spec).positions
        ratio = 1 if spec.patch is None else spec.patch[0] // patch
        self.shown = self.positions if spec.shown is None else spec.shown * ratio**2
        self.embed = nn.Conv2d(spec.shape[0], width, patch, patch)
        self.place = nn.Parameter(torch.randn(self.positions, width) * 0.02)
        options = {"dropout": 0.0, "activation": "gelu", "batch_first": True, "norm_first": True}
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(width, 4, 4 * width, **options) for _ in range(depth))

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector for every patch, zeros where it is hidden."""
        if spec.modality != "image" or spec.shape != self.shape or spec.shape[-1] % self.patch:
            got = f"{spec.modality} of shape {spec.shape}"
            needs = f"images of shape {self.shape}, whose sides {self.patch} divides (model.patch)"
            raise Incompatible("visible-vit", needs, got, "Set model.patch to a divisor, or use another split.")
        check_patch("visible-vit", spec, self.patch)
        rows, columns = (side // self.patch for side in spec.shape[1:])
        return FeatureSpec(self.width, (rows, columns), spec.views)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of the visible patches of every view, at their places."""
        tokens = self.embed(inputs.data.flatten(0, 1) * 2 - 1).flatten(2).transpose(1, 2) + self.place
        visible = find_visible_patches(inputs, self.patch)
        if visible is None:
            order = torch.arange(self.positions, device=tokens.device).expand(len(tokens), -1)
        else:
            order = visible.flatten(0, 1).int().argsort(dim=1, descending=True, stable=True)[:, : self.shown]
        where = order[:, :, None].expand(-1, -1, self.width)
        tokens, made = tokens.gather(1, where), []
        for block in self.blocks:
            tokens = block(tokens)
            made.append(self.put_back(tokens, where, visible, inputs.data.shape[1]))
        return replace(made[-1], layers=tuple(made)) if layers else made[-1]

    def put_back(self, tokens: Tensor, where: Tensor, visible: Tensor | None, views: int) -> Features:
        """Return encoded tokens (B * V, S, D) at their places, with their mean as the pooled vector."""
        full = tokens.new_zeros(len(tokens), self.positions, self.width).scatter(1, where, tokens)
        streams, pooled = full.unflatten(0, (-1, views)), tokens.mean(1).unflatten(0, (-1, views))
        grid = (self.shape[1] // self.patch, self.shape[2] // self.patch)
        return Features({"all": streams}, {"all": pooled}, grid, visible=visible)
