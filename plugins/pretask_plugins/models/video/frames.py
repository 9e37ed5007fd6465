"""Frames: an image network over the frames of a clip, one by one.

What it adds to an image model: its features are of the stream `present`, so that a target which may see the past or the
future of a clip only can be read from it, and its pooled vector can keep where things are (`pool`), as the fully
connected layers of AlexNet do and a mean does not: order and direction of time show in where things move.

Source: He, Zhang, Ren and Sun, CVPR 2016 (basic blocks); Wightman 2019 for all other architectures.
Differs: the small network has one block per stage; every stage halves the frame and doubles the width.
Axes: B batch, V views, C channels, H W image, N positions, D width, P side of the pooled map.
"""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from pretask import Features, FeatureSpec, Inputs, InputSpec
from pretask.options import Depth, Size, SizeOrZero
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.shared.feature_maps import check_images, map_features, map_tokens
from pretask_plugins.shared.residual import ResidualBlock
from pretask_plugins.shared.timm_models import create_timm, drop_unused, features_of_readable, largest_sides

SMALL_NETWORK = "convnet"


class Frames(nn.Module):
    """An image network, frame by frame.

    Args:
        spec: Of x.
        whole_spec: Of the undivided clip; sides and number of frames may differ, channels may not.
        name: `convnet` for the small network, or an architecture of timm, such as resnet18.
        width: Channels of the first convolution of the small network.
        depth: Its stages after that.
        stride: Of its first convolution.
        output_stride: Pixels from one position to the next for timm's networks that can keep a finer map, such as 8 for
            resnet18; the network's own when 0.
        pool: Side of the map that a fully connected layer makes the pooled vector of; 0 for the mean over the map.

    Raises:
        Unknown: timm has no such architecture.
        Incompatible: The inputs are no frames, or of a size that the network cannot read.
    """

    def __init__(
        self,
        spec: InputSpec,
        whole_spec: InputSpec,
        /,
        *,
        name: str = SMALL_NETWORK,
        width: Size = 32,
        depth: Depth = 3,
        stride: Size = 2,
        output_stride: SizeOrZero = 0,
        pool: SizeOrZero = 0,
    ) -> None:
        super().__init__()
        needs = "views that are images, (channels, height, width)"
        check_images("frames", spec, whole_spec, modalities=("image", "video"), needs=needs, whole="clip")
        self.name, self.pool = name, 0
        if name == SMALL_NETWORK:
            self.body: Any = Residual(spec.shape[0], width, depth, stride)
        else:
            self.body = Timm(name, spec.shape[0], largest_sides(spec, whole_spec), output_stride)
        self.pooled = nn.Sequential()
        if pool:
            self.pooled = build_pooling(self.features(spec).width, pool)
        self.pool = pool

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per position of the last map of every frame."""
        return features_of_readable(
            self,
            spec,
            ("present",),
            who=f"frames {self.name}",
            needs="frames of a size that the network can read",
            do="Use larger frames, a smaller model.depth, or another model.name.",
        )

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of every frame, as tokens on a grid."""
        views = inputs.data.shape[1]
        maps = self.body(inputs.data.flatten(0, 1) * 4 - 2)
        tokens = map_tokens(maps[-1], views)
        pooled = self.pooled(maps[-1]).view(-1, views, tokens.shape[-1]) if self.pool else tokens.mean(2)
        grid = tuple(maps[-1].shape[2:])
        streams, pooled = {"present": tokens}, {"present": pooled}
        output = Features(streams, pooled, grid, own_pooled=self.pool > 0)
        if not layers:
            return output
        return replace(output, layers=(*(map_features(earlier, views, "present") for earlier in maps[:-1]), output))


class Residual(nn.Module):
    """A first convolution and residual stages; stage k has width * 2^k channels."""

    def __init__(self, channels: int, width: int, depth: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width))
        widths = [width * 2**stage for stage in range(depth + 1)]
        self.stages = nn.ModuleList(ResidualBlock(before, after) for before, after in pairwise(widths))

    def forward(self, frames: Float[Tensor, "F C H W"]) -> list[Tensor]:
        """Return the map of the first convolution and of every stage."""
        maps = [F.relu(self.first(frames))]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps


class Timm(nn.Module):
    """An architecture of timm with random weights, without its classifier."""

    def __init__(self, name: str, channels: int, sides: tuple[int, ...], output_stride: int) -> None:
        super().__init__()
        self.body = create_timm(name, channels, sides, output_stride)
        drop_unused(self, name, torch.zeros(2, channels, *sides, device="meta"))

    def forward(self, frames: Float[Tensor, "F C H W"]) -> list[Tensor]:
        """Return the maps of every layer, (F, D, h, w), the last one normalized as the architecture does."""
        maps: list[Tensor] = self.body.forward_intermediates(
            frames, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return maps


def build_pooling(width: int, side: int) -> nn.Sequential:
    """Build the map from a feature map, resized to a side, to one vector that keeps where things are."""
    full = nn.Linear(width * side**2, width)
    return nn.Sequential(nn.AdaptiveAvgPool2d(side), nn.Flatten(), full, nn.LayerNorm(width), nn.GELU())
