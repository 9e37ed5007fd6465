"""Temporal: an image network over the frames of a clip, and layers over time on top of its maps.

At every position of the last map, what the frames have there is mixed along time, by attention or by convolutions, so
that a frame's features know the frames around it; causal ones know those before it only.

Source: Bertasius, Wang and Torresani, ICML 2021 (attention along time, at each position by itself); Tran et al., CVPR
2018 (convolution over space, then over time). Differs: time is mixed after the image network, not between its layers;
positions in time are rotary.
Axes: B batch, V views, N positions, D width, R = B * N rows.
"""

from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from pretask import Features, FeatureSpec, Incompatible, Inputs, InputSpec
from pretask.options import Depth, Size, SizeOrZero
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.models.video.frames import SMALL_NETWORK, Frames
from pretask_plugins.shared.attention import Block, rotary_angles

TAPS = 3  # frames that a convolution along time looks at
HIDDEN = 4  # widths of the hidden layer of a block


class Temporal(nn.Module):
    """Features of every frame that know the other frames of the clip.

    Args:
        spec: Of x: ordered views that are images.
        whole_spec: Of the undivided clip; sides and number of frames may differ, channels may not.
        name: Architecture of timm, or `convnet`, the small network of `frames`.
        width: Of the first convolution of the small network.
        depth: Its stages after that.
        stride: Of its first convolution.
        output_stride: Pixels from one position to the next, for timm's networks that can keep a finer map.
        mixing: Of frames: attention, or convolutions over three of them.
        layers: Of mixing.
        heads: Of attention.
        causal: Whether a frame knows only those before it.

    Raises:
        Unknown: timm has no such architecture.
        Incompatible: The views are no frames in order, or heads do not divide the width.
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
        mixing: Literal["attention", "convolution"] = "attention",
        layers: Depth = 2,
        heads: Size = 4,
        causal: bool = False,
    ) -> None:
        super().__init__()
        check_ordered(spec)
        check_ordered(whole_spec)
        self.frames = Frames(
            spec, whole_spec, name=name, width=width, depth=depth, stride=stride, output_stride=output_stride
        )
        channels = self.frames.features(spec).width
        self.heads, self.stream = heads, "past" if causal else "all"
        if mixing == "attention" and channels % (2 * heads):
            raise Incompatible(
                "temporal",
                f"features whose width {2 * heads} divides (model.heads = {heads})",
                f"{channels}",
                "Change model.heads, or set model.mixing=convolution.",
            )
        self.attends = mixing == "attention"
        self.blocks = nn.ModuleList(
            Block(channels, heads, HIDDEN * channels, causal, 0.0) if self.attends else TimeBlock(channels, causal)
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(channels)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        """Return the spec of one vector per position of the last map of every frame."""
        check_ordered(spec)
        streams: tuple[Literal["past", "all"]] = ("past",) if self.stream == "past" else ("all",)
        return replace(self.frames.features(spec), streams=streams)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        """Return features of every frame, as tokens on a grid; pooled, their mean over the grid."""
        alone = self.frames(inputs, layers=layers)
        tokens = alone.streams["present"]
        rows = tokens.transpose(1, 2).flatten(0, 1)  # (R, V, D)
        found = []
        for block in self.blocks:
            rows = self.mix(block, rows)
            found.append(rows)
        found[-1] = self.norm(found[-1])
        wanted = found if layers else found[-1:]
        made = [self.build_features(rows, tokens.shape, alone.grid) for rows in wanted]
        if not layers:
            return made[-1]
        earlier = [self.rename_stream(layer) for layer in alone.layers]
        return replace(made[-1], layers=(*earlier, *made))

    def mix(self, block: nn.Module, rows: Float[Tensor, "R V D"]) -> Float[Tensor, "R V D"]:
        """Return what a block makes of the frames at every position."""
        if not self.attends:
            mixed: Tensor = block(rows)
            return mixed
        attended: Tensor = block(rows, None, rotary_angles(rows.shape[1], rows.shape[2] // self.heads, rows.device))[0]
        return attended

    def build_features(self, rows: Float[Tensor, "R V D"], shape: torch.Size, grid: tuple[int, ...]) -> Features:
        """Return rows as tokens (B, V, N, D)."""
        tokens = rows.view(shape[0], shape[2], shape[1], shape[3]).transpose(1, 2)
        return Features({self.stream: tokens}, {self.stream: tokens.mean(2)}, grid)

    def rename_stream(self, layer: Features) -> Features:
        """Return a layer below the mixing, which sees less than the stream allows."""
        return Features({self.stream: layer.streams["present"]}, {self.stream: layer.pooled["present"]}, layer.grid)


class TimeBlock(nn.Module):
    """A convolution along time, then a perceptron, each behind a layer normalization and beside a shortcut."""

    def __init__(self, width: int, causal: bool) -> None:
        super().__init__()
        self.padding = (TAPS - 1, 0) if causal else (TAPS // 2, TAPS // 2)
        self.norm = nn.LayerNorm(width)
        self.convolution = nn.Conv1d(width, width, TAPS)
        self.perceptron = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, HIDDEN * width), nn.GELU(), nn.Linear(HIDDEN * width, width)
        )

    def forward(self, rows: Float[Tensor, "R V D"]) -> Float[Tensor, "R V D"]:
        """Return the next layer's vectors."""
        padded = F.pad(self.norm(rows).transpose(1, 2), self.padding)
        rows = rows + self.convolution(padded).transpose(1, 2)
        mixed: Tensor = rows + self.perceptron(rows)
        return mixed


def check_ordered(spec: InputSpec) -> None:
    """Raise Incompatible unless the views are frames in order."""
    if len(spec.shape) != 3 or not spec.ordered:
        raise Incompatible(
            "temporal",
            "views that are frames in order, (channels, height, width)",
            f"{spec.views} of {spec.modality} of shape {spec.shape}, {'ordered' if spec.ordered else 'without order'}",
            "Choose a split of clips, or an image model.",
        )
