"""Timm: any image architecture of PyTorch Image Models by name, view by view, every layer in one pass.

Source: Wightman 2019. Weights are never downloaded: every model starts at random.
Axes: B batch, V views, C channels, H W image, N positions, D width.
"""

from typing import Any

from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec, Unknown
from pretask.composition import features_by_trial
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.models.image.convnet import as_tokens, check_images


class Timm(nn.Module):
    """An architecture of timm without its classifier.

    Args:
        spec: Of x.
        whole_spec: Of the undivided sample; sides may differ, channels may not.
        name: As timm lists it, such as resnet18, vit_small_patch16_224, convnext_atto.
        resize: Side to which images are brought first, pixels; for architectures that read one size only.

    Raises:
        Unknown: timm has no such architecture.
        Incompatible: The inputs are no images, or the architecture cannot read their size.
    """

    def __init__(
        self, spec: InputSpec, whole_spec: InputSpec, /, *, name: str = "resnet18", resize: int | None = None
    ) -> None:
        super().__init__()
        check_images("timm", spec, whole_spec)
        self.name, self.resize = name, resize
        sides = tuple(max(pair) for pair in zip(spec.shape[1:], whole_spec.shape[1:], strict=True))
        sides = sides if resize is None else (resize, resize)
        self.body = create(name, spec.shape[0], sides)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """One vector per place of the last layer."""
        try:
            return features_by_trial(self, spec)
        except (RuntimeError, AssertionError, ValueError) as error:
            raise Incompatible(
                f"timm {self.name}",
                "images of a size that the architecture can read",
                f"{spec.modality} of shape {spec.shape} ({str(error).splitlines()[0]})",
                "Set model.resize to a size that it reads, such as 224, or choose another model.name.",
            ) from error

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Features of every view, as tokens on a grid."""
        views = inputs.data.shape[1]
        images = inputs.data.flatten(0, 1) * 4 - 2
        if self.resize is not None:
            images = F.interpolate(images, (self.resize, self.resize), mode="bilinear", align_corners=False)
        if not layers:
            return self.output(images, views)
        output, maps = self.with_layers(images, views)
        return Features(
            output.streams,
            output.pooled,
            output.grid,
            own_pooled=output.own_pooled,
            layers=(*(as_tokens(each, views) for each in maps), output),
        )

    def output(self, images: Tensor, views: int) -> Features:
        """The last layer, normalised as the architecture does."""
        return self.as_features(self.body.forward_features(images), images, views)

    def with_layers(self, images: Tensor, views: int) -> tuple[Features, list[Tensor]]:
        """The output and the maps of every layer before it."""
        final, maps = self.body.forward_intermediates(images, output_fmt="NCHW")
        return self.as_features(final, images, views), maps[:-1]

    def as_features(self, final: Tensor, images: Tensor, views: int) -> Features:
        """Maps (B * V, D, h, w), (B * V, h, w, D) or tokens (B * V, N, D) as features."""
        if final.ndim == 4:
            maps = final if final.shape[1] == self.body.num_features else final.permute(0, 3, 1, 2)
            return as_tokens(maps, views)
        return self.from_tokens(final, images, views)

    def from_tokens(self, final: Tensor, images: Tensor, views: int) -> Features:
        """Tokens with their prefix (class and register tokens) taken off; a class token is the pooled vector."""
        prefix = getattr(self.body, "num_prefix_tokens", 0)
        tokens = by_view(final[:, prefix:], views)
        own = getattr(self.body, "global_pool", "avg") == "token" and prefix > 0
        pooled = by_view(final[:, 0], views) if own else tokens.mean(2)
        grid = token_grid(self.body, images, tokens.shape[2])
        return Features({"all": tokens}, {"all": pooled}, grid, own_pooled=own)


def by_view(values: Tensor, views: int) -> Tensor:
    """(B * V, ...) as (B, V, ...)."""
    return values.reshape(-1, views, *values.shape[1:])


def token_grid(body: Any, images: Tensor, count: int) -> tuple[int, int]:
    """Rows and columns of `count` tokens."""
    rows, columns = images.shape[2:]
    patch = getattr(getattr(body, "patch_embed", None), "patch_size", None)
    if patch is not None:
        high, wide = (patch, patch) if isinstance(patch, int) else patch
        if (rows // high) * (columns // wide) == count:
            return rows // high, columns // wide
    high = round((count * rows / columns) ** 0.5)
    return high, count // high


def create(name: str, channels: int, sides: tuple[int, ...]) -> Any:
    """The architecture with random weights, told the image size where it wants to know."""
    import timm

    if not timm.is_model(name):
        near = timm.list_models(f"*{name[:6]}*")[:5]
        raise Unknown(f"timm has no architecture '{name}'." + (f" Did you mean {', '.join(near)}?" if near else ""))
    wanted: dict[str, Any] = {"pretrained": False, "in_chans": channels, "num_classes": 0}
    for extra in ({"img_size": sides, "dynamic_img_size": True}, {"img_size": sides}, {}):
        try:
            return timm.create_model(name, **wanted, **extra)
        except TypeError:
            continue
    raise Unknown(f"timm's '{name}' takes no in_chans or num_classes. Choose another model.name.")
