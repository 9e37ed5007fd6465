"""Torchvision-video: residual networks with convolutions over time; the frames of a clip become one view.

Source: Tran, Wang, Torresani, Ray, LeCun and Paluri, CVPR 2018, as torchvision has them; weights start at random.
Differs: any number of channels; the last stages can be left out, which clips of 32 x 32 have no positions for.
Axes: B batch, V views that are frames, C channels, T H W clip, N positions, D width.
"""

from typing import Annotated, Any, Literal

from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec, Interval
from pretask.shape_pass import try_features
from torch import nn

from pretask_plugins.shared.feature_maps import map_features


class TorchvisionVideo(nn.Module):
    """A video network of torchvision without its classifier.

    Args:
        spec: Of x: ordered views.
        whole_spec: Of the undivided clip; sides and number of frames may differ, channels may not.
        name: `r3d_18` convolves over space and time, `mc3_18` over time in its first layers only, `r2plus1d_18` over
            space and then over time.
        stages: Of its four residual stages, how many are there.

    Raises:
        Incompatible: The views are no frames in order.
    """

    def __init__(
        self,
        spec: InputSpec,
        whole_spec: InputSpec,
        /,
        *,
        name: Literal["r3d_18", "mc3_18", "r2plus1d_18"] = "r3d_18",
        stages: Annotated[int, Interval(ge=1, le=4)] = 4,
    ) -> None:
        super().__init__()
        self.name = name
        check_clip(name, spec, spec.shape[0])
        check_clip(name, whole_spec, spec.shape[0])
        body = create_network(name, spec.shape[0])
        self.parts = nn.ModuleList([body.stem, *[body.layer1, body.layer2, body.layer3, body.layer4][:stages]])

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per moment and position of the last layer, in one view."""
        check_clip(self.name, spec, spec.shape[0])
        return try_features(self, spec)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of the clip, as tokens on a grid of moments and positions."""
        maps = [inputs.data.transpose(1, 2) * 4 - 2]  # (B, C, T, H, W)
        for part in self.parts:
            maps.append(part(maps[-1]))
        output = map_features(maps[-1], views=1)
        if not layers:
            return output
        earlier = tuple(map_features(earlier, views=1) for earlier in maps[1:-1])
        return Features(output.streams, output.pooled, output.grid, layers=(*earlier, output))


def create_network(name: str, channels: int) -> Any:
    """Create the network with a first convolution for so many channels."""
    from torchvision.models import video

    body = getattr(video, name)(weights=None)
    first = body.stem[0]
    if channels != first.in_channels:
        body.stem[0] = nn.Conv3d(
            channels, first.out_channels, first.kernel_size, first.stride, first.padding, bias=first.bias is not None
        )
    return body


def check_clip(name: str, spec: InputSpec, channels: int) -> None:
    """Raise Incompatible unless the views are frames in order, of so many channels."""
    if spec.modality not in ("image", "video") or len(spec.shape) != 3 or not spec.ordered or spec.shape[0] != channels:
        order = "ordered" if spec.ordered else "without order"
        raise Incompatible(
            f"torchvision-video {name}",
            f"views that are frames in order, ({channels} channels, height, width)",
            f"{spec.views} of {spec.modality}, {order}, of shape {spec.shape}",
            "Choose a split of clips, or an image model.",
        )
