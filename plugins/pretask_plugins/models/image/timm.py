"""Timm: any image architecture of PyTorch Image Models by name, view by view, every layer in one pass.

Source: Wightman 2019. Weights are never downloaded: every model starts at random.
Axes: B batch, V views, C channels, H W image, N positions, D width.
"""

from dataclasses import replace
from typing import Any

from pretask import Features, FeatureSpec, Inputs, InputSpec
from pretask.exporting import ExportedNetwork
from pretask.options import ImageSize, SizeOrZero
from pretask.shape_pass import make_empty_inputs
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.shared.feature_maps import check_images, map_features
from pretask_plugins.shared.timm_models import create_timm, drop_unused, features_of_readable, largest_sides


class Timm(nn.Module):
    """An architecture of timm without its classifier.

    Args:
        spec: Of x.
        whole_spec: Of the undivided sample; sides may differ, channels may not.
        name: As timm lists it, such as resnet18, vit_small_patch16_224, convnext_atto.
        resize: Side to which images are brought first, pixels; for architectures that read one size only.
        output_stride: Pixels from one position to the next for networks that can keep a finer map (8, 16 or 32 for
            resnet50); the network's own when 0.

    Raises:
        Unknown: timm has no such architecture.
        Incompatible: The inputs are no images, or the architecture cannot read their size.
    """

    def __init__(
        self,
        spec: InputSpec,
        whole_spec: InputSpec,
        /,
        *,
        name: str = "resnet18",
        resize: ImageSize | None = None,
        output_stride: SizeOrZero = 0,
    ) -> None:
        super().__init__()
        check_images("timm", spec, whole_spec)
        self.name, self.resize, self.output_stride = name, resize, output_stride
        self.sides = largest_sides(spec, whole_spec) if resize is None else (resize, resize)
        self.channels = spec.shape[0]
        self.body = create_timm(name, self.channels, self.sides, output_stride)
        drop_unused(self, name, make_empty_inputs(spec))

    def export(self, library: str, /) -> ExportedNetwork | None:
        """Return timm's own network; what features do not depend on, and was dropped, is there as timm makes it."""
        if library != "timm":
            return None
        made = create_timm(self.name, self.channels, self.sides, self.output_stride)
        kept = {name: value for name, value in self.body.state_dict().items() if name in made.state_dict()}
        sides = {"img_size": list(self.sides)} if hasattr(made, "patch_embed") else {}
        stride = {"output_stride": self.output_stride} if self.output_stride else {}
        config = {"model_name": self.name, "in_chans": self.channels, "num_classes": 0, **sides, **stride}
        return ExportedNetwork({**made.state_dict(), **kept}, config, mean=0.5, std=0.25)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per position of the last layer."""
        return features_of_readable(
            self,
            spec,
            ("all",),
            who=f"timm {self.name}",
            needs="images of a size that the architecture can read",
            do="Set model.resize to a size that it reads, such as 224, or choose another model.name.",
        )

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of every view, as tokens on a grid."""
        views = inputs.data.shape[1]
        images = inputs.data.flatten(0, 1) * 4 - 2
        if self.resize is not None:
            images = F.interpolate(images, (self.resize, self.resize), mode="bilinear", align_corners=False)
        if not layers:
            return self.encode_last(images, views)
        output, maps = self.encode_layers(images, views)
        return replace(output, layers=(*(map_features(earlier, views) for earlier in maps), output))

    def encode_last(self, images: Tensor, views: int) -> Features:
        """Return the last layer, normalized as the architecture does."""
        return self.as_features(self.body.forward_features(images), images, views)

    def encode_layers(self, images: Tensor, views: int) -> tuple[Features, list[Tensor]]:
        """Return the output and the maps of every layer before it."""
        final, maps = self.body.forward_intermediates(images, output_fmt="NCHW")
        return self.as_features(final, images, views), maps[:-1]

    def as_features(self, final: Tensor, images: Tensor, views: int) -> Features:
        """Return maps (B * V, D, h, w), (B * V, h, w, D) or tokens (B * V, N, D) as features."""
        if final.ndim == 4:
            maps = final if final.shape[1] == self.body.num_features else final.permute(0, 3, 1, 2)
            return map_features(maps, views)
        return self.from_tokens(final, images, views)

    def from_tokens(self, final: Tensor, images: Tensor, views: int) -> Features:
        """Return tokens with their prefix (class and register tokens) taken off; a class token is the pooled vector."""
        prefix = getattr(self.body, "num_prefix_tokens", 0)
        tokens = split_views(final[:, prefix:], views)
        is_token_pooled = getattr(self.body, "global_pool", "avg") == "token" and prefix > 0
        pooled = split_views(final[:, 0], views) if is_token_pooled else tokens.mean(2)
        grid = infer_grid(self.body, images, tokens.shape[2])
        return Features({"all": tokens}, {"all": pooled}, grid, own_pooled=is_token_pooled)


def split_views(values: Tensor, views: int) -> Tensor:
    """Return (B * V, ...) as (B, V, ...)."""
    return values.reshape(-1, views, *values.shape[1:])


def infer_grid(body: Any, images: Tensor, count: int) -> tuple[int, int]:
    """Return the rows and columns of `count` tokens."""
    rows, columns = images.shape[2:]
    patch = getattr(getattr(body, "patch_embed", None), "patch_size", None)
    if patch is not None:
        high, wide = (patch, patch) if isinstance(patch, int) else patch
        if (rows // high) * (columns // wide) == count:
            return rows // high, columns // wide
    high = round((count * rows / columns) ** 0.5)
    return high, count // high
