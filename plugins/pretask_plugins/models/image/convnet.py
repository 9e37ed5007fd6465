"""Convnet: a small residual network for images, view by view, that learns in minutes on two cores.

Source: He, Zhang, Ren and Sun, CVPR 2016 (basic blocks).
Differs: one block per stage, a 3 x 3 first convolution, and every stage halves the image and doubles the width.
Axes: B batch, V views, C channels, H W image, N positions, D width.
"""

from dataclasses import replace
from itertools import pairwise

from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec
from pretask.options import Depth, Size
from torch import nn
from torch.nn import functional as F

from pretask_plugins.shared.feature_maps import check_images, map_features
from pretask_plugins.shared.residual import ResidualBlock


class Convnet(nn.Module):
    """A first convolution and `depth` residual stages; layer k has width * 2^k channels.

    Args:
        spec: Of x.
        whole_spec: Of the undivided sample; image sides may differ from those of x, channels may not.
        width: Channels of the first convolution.
        depth: Stages after it.
        stride: Of the first convolution.

    Raises:
        Incompatible: The inputs are no images, too small to be halved so often, or of differing channels.
    """

    def __init__(
        self, spec: InputSpec, whole_spec: InputSpec, /, *, width: Size = 32, depth: Depth = 3, stride: Size = 2
    ) -> None:
        super().__init__()
        check_images("convnet", spec, whole_spec)
        self.min_side = stride * 2 ** (depth - 1) + 1
        self.stride, self.depth, self.channels = stride, depth, spec.shape[0]
        self.first = nn.Conv2d(self.channels, width, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        widths = [width * 2**stage for stage in range(depth + 1)]
        self.stages = nn.ModuleList(ResidualBlock(before, after) for before, after in pairwise(widths))
        self.width = widths[-1]

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per position of the last stage."""
        sides = spec.shape[-2:]
        if spec.modality != "image" or min(sides) < self.min_side:
            raise Incompatible(
                "convnet",
                f"images of at least {self.min_side} pixels a side ({self.depth} stages, first stride {self.stride})",
                f"{spec.modality} of shape {spec.shape}",
                "Use larger images or patches, or a smaller model.depth.",
            )
        if spec.shape[0] != self.channels:
            raise Incompatible(
                "convnet",
                f"images of {self.channels} channels, for which it was built",
                f"{spec.shape[0]}",
                "Use images like those that it was trained on.",
            )
        sides = tuple(-(-side // self.stride) for side in sides)
        for _ in range(self.depth):
            sides = tuple(-(-side // 2) for side in sides)
        return FeatureSpec(self.width, sides, spec.views)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of every view, as tokens on a grid."""
        views = inputs.data.shape[1]
        maps = F.relu(self.norm(self.first(inputs.data.flatten(0, 1) * 4 - 2)))
        stage_maps = [maps]
        for stage in self.stages:
            maps = stage(maps)
            stage_maps.append(maps)
        output = map_features(maps, views)
        if not layers:
            return output
        return replace(output, layers=(*(map_features(earlier, views) for earlier in stage_maps[:-1]), output))
