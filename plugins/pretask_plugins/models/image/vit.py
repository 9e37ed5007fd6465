"""Vit: a vision transformer for images of any size, which can skip what is hidden.

Patches are tokens, to which fixed sines and cosines of their row and column are added, so that images may be larger or
smaller than those that it was built for. What x hides by patches it may encode as it was erased, with one learned
vector in the place of each (SimMIM), or not at all (MAE): then every layer costs what the visible patches cost.

Source: Dosovitskiy et al., ICLR 2021 (the network); He et al., CVPR 2022, appendix A.1 (positions, hidden patches
skipped); Xie et al., CVPR 2022 (a learned vector in their place). The blocks are timm's.
Differs: no class token; the pooled vector is the mean over visible patches.
Axes: B batch, V views, C channels, H W image, N patches of a view, S of them visible, D width.
"""

from dataclasses import replace
from math import prod
from typing import Literal

from jaxtyping import Float
from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec
from pretask.options import Depth, Size
from pretask.patches import (
    check_patch,
    count_visible_patches,
    find_visible_patches,
    restore_patches,
    select_patches,
)
from torch import Tensor, nn

from pretask_plugins.shared.feature_maps import check_images
from pretask_plugins.shared.patch_tokens import build_mask_vector, check_widths, encode_positions


class Vit(nn.Module):
    """Patches, positions and transformer blocks.

    Args:
        spec: Of x.
        whole_spec: Of the undivided sample; sides may differ, channels may not.
        width: D; a multiple of 4 and of the heads.
        depth: Blocks.
        heads: Of attention.
        patch: Side of a patch, pixels.
        hidden: What becomes of patches that x hides: erased (encoded as they are), masked (a learned vector in their
            place) or skipped.

    Raises:
        Incompatible: The inputs are no images, patches do not divide them, or they are hidden by smaller patches.
    """

    def __init__(
        self,
        spec: InputSpec,
        whole_spec: InputSpec,
        /,
        *,
        width: Size = 192,
        depth: Depth = 12,
        heads: Size = 3,
        patch: Size = 16,
        hidden: Literal["erased", "masked", "skipped"] = "erased",
    ) -> None:
        super().__init__()
        from timm.models.vision_transformer import Block

        check_images("vit", spec, whole_spec)
        check_widths("vit", "model", width, heads)
        self.channels, self.width, self.patch, self.hidden = spec.shape[0], width, patch, hidden
        self.check_size(whole_spec)
        self.shown = count_visible_patches(spec, patch) if hidden == "skipped" else None
        self.embed = nn.Conv2d(self.channels, width, patch, patch)
        self.mask = build_mask_vector(width) if hidden == "masked" else None
        self.blocks = nn.ModuleList(Block(width, heads, qkv_bias=True) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per patch, zeros where it is skipped."""
        self.check_size(spec)
        if self.hidden != "erased":
            check_patch("vit", spec, self.patch)
        rows, columns = (side // self.patch for side in spec.shape[1:])
        return FeatureSpec(self.width, (rows, columns), spec.views, skips_hidden=self.hidden == "skipped")

    def check_size(self, spec: InputSpec) -> None:
        """Raise Incompatible unless patches divide the image, and its channels are those that it was built for."""
        if spec.modality != "image" or spec.shape[0] != self.channels or any(s % self.patch for s in spec.shape[1:]):
            needs = f"images of {self.channels} channels whose sides {self.patch} divides (model.patch)"
            do = "Set model.patch to a divisor of both sides, or change the size of images."
            raise Incompatible("vit", needs, f"{spec.modality} of shape {spec.shape}", do)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of every view, patch by patch."""
        grid = (inputs.data.shape[-2] // self.patch, inputs.data.shape[-1] // self.patch)
        tokens = self.embed(inputs.data.flatten(0, 1) * 4 - 2).flatten(2).transpose(1, 2)
        visible = find_visible_patches(inputs, self.patch) if self.hidden != "erased" else None
        flat = None if visible is None else visible.flatten(0, 1)
        if self.mask is not None and flat is not None:
            tokens = tokens.where(flat[..., None], self.mask.to(tokens.dtype))
        tokens = tokens + encode_positions(*grid, self.width, tokens.device).to(tokens.dtype)
        skipped = flat if self.hidden == "skipped" else None
        tokens, places = select_patches(tokens, skipped, self.shown)
        made = []
        for number, block in enumerate(self.blocks, start=1):
            tokens = block(tokens)
            if layers or number == len(self.blocks):
                last = self.norm(tokens) if number == len(self.blocks) else tokens
                made.append(self.as_features(last, places, visible if skipped is not None else None, inputs, grid))
        return replace(made[-1], layers=tuple(made)) if layers else made[-1]

    def as_features(
        self,
        tokens: Float[Tensor, "BV S D"],
        places: Tensor,
        visible: Tensor | None,
        inputs: Inputs,
        grid: tuple[int, int],
    ) -> Features:
        """Return tokens at their places, zeros where patches were skipped."""
        full = tokens if visible is None else restore_patches(tokens, places, prod(grid))
        views = inputs.data.shape[1]
        stream, pooled = (value.reshape(-1, views, *value.shape[1:]) for value in (full, tokens.mean(1)))
        return Features({"all": stream}, {"all": pooled}, grid, visible=visible)
