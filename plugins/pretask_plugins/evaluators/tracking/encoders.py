"""Encoders of single frames: a layer of the network, the vectors that the objective compares, and raw pixels.

`gray` and `gray patch` see what an encoder of gray frames sees, and no more; `color` sees what such an encoder is never
shown, so that it is an oracle and no fair baseline.

Axes: B clips, T frames of a clip, F frames, C channels, H W image, h w positions, D width.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, UInt8
from pretask import Batch, Features, PretaskError, Task
from pretask.specs import SEES_AT_MOST
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.shared.colors import lightness

MAX_FRAMES = 64  # frames that are encoded together, at most
PATCH = 3  # positions that the side of a patch of gray pixels covers

Encoder = Callable[[UInt8[Tensor, "F C H W"]], Float[Tensor, "F D h w"]]


@runtime_checkable
class EmbedsTokens(Protocol):
    """An objective that compares vectors of positions, such as `pointer`."""

    def embed(self, tokens: Tensor, /) -> Tensor:
        """Return the vectors (…, E) that are compared of the features (…, D) of positions of one view."""
        ...


def count_layers(task: Task, frames: UInt8[Tensor, "F C H W"]) -> int:
    """Return how many layers the task's encoder has."""
    return len(task.encode(as_batch(task, frames), layers=True).layers) or 1


def select_layer(task: Task, layer: int) -> Encoder:
    """Return one layer of the task's encoder, frame by frame, counted from 1."""

    def encode(frames: UInt8[Tensor, "F C H W"]) -> Float[Tensor, "F D h w"]:
        features = task.encode(as_batch(task, frames), layers=True)
        layers = features.layers or (features,)
        if not 1 <= layer <= len(layers):
            raise PretaskError(
                "tracking",
                f"tracking.layer from 1 to {len(layers)}",
                f"{layer}",
                "Set tracking.layer to 0, which chooses on the training part.",
                exit_code=2,
            )
        return as_maps(layers[layer - 1])

    return encode


def select_head(task: Task) -> Encoder:
    """Return the vectors that the task's objective compares, frame by frame."""
    objective = task.objective
    if not isinstance(objective, EmbedsTokens):
        raise PretaskError(
            "tracking",
            "an objective that compares vectors of positions (pointer) for tracking.vectors=head",
            type(objective).__name__,
            "Set tracking.vectors=encoder.",
            exit_code=2,
        )
    return lambda frames: as_maps(task.encode(as_batch(task, frames)), objective.embed)


def as_batch(task: Task, frames: UInt8[Tensor, "F C H W"]) -> Batch:
    """Make frames samples of what the task was composed for: images, or clips of one frame."""
    return Batch(frames[:, None] if task.observed.modality == "video" else frames)


def as_maps(features: Features, embed: Callable[[Tensor], Tensor] = lambda tokens: tokens) -> Float[Tensor, "F D h w"]:
    """Return the widest stream of the first view as maps; moments of a clip of one frame are averaged."""
    stream = next(sight for sight in SEES_AT_MOST["all"] if sight in features.streams)
    if len(features.grid) not in (2, 3):
        raise PretaskError(
            "tracking",
            "features with positions, (rows, columns)",
            f"the grid {features.grid}",
            "Choose a model that keeps them.",
        )
    tokens = embed(features.streams[stream][:, 0])
    maps = tokens.transpose(1, 2).reshape(len(tokens), tokens.shape[2], *features.grid)
    return maps if maps.ndim == 4 else maps.mean(2)


def encode_frames(
    encode: Encoder, clips: UInt8[Tensor, "B T C H W"], stride: int, center: bool = False
) -> Iterator[Float[Tensor, "B h w D"]]:
    """Yield features of one frame after the other, of length 1, no finer than a position per stride.

    Args:
        encode: Frame by frame.
        clips: Frames.
        stride: Pixels from one position to the next at least.
        center: Whether the mean over the positions of the first frame is removed before vectors get length 1. After a
            rectifier all numbers are positive, so that any two vectors have a cosine near one without it.
    """
    height, width = (max(1, side // stride) for side in clips.shape[3:])
    middle = None
    for part in torch.split(clips, max(1, MAX_FRAMES // len(clips)), dim=1):
        maps = encode(part.flatten(0, 1))
        if maps.shape[2] > height or maps.shape[3] > width:
            maps = F.adaptive_avg_pool2d(maps, (min(height, maps.shape[2]), min(width, maps.shape[3])))
        maps = maps.float().view(len(clips), -1, *maps.shape[1:])  # (B, T, D, h, w)
        if center:
            middle = maps[:, :1].mean((3, 4), keepdim=True) if middle is None else middle
            maps = maps - middle
        yield from F.normalize(maps, dim=2).movedim(2, 4).unbind(1)


def raw_encoders(stride: int) -> dict[str, Encoder]:
    """Return encoders that have learned nothing, by name."""
    return {"gray": gray_features, "gray_patch": partial(gray_patches, stride=stride), "color": color_features}


def as_angles(levels: Float[Tensor, "F C H W"]) -> Float[Tensor, "F D H W"]:
    """Return levels in [0, 1] as points on a quarter of a circle by channel: the nearer, the larger the product."""
    angle = levels * (torch.pi / 2)
    return torch.cat([angle.cos(), angle.sin()], 1)


def color_features(frames: UInt8[Tensor, "F C H W"]) -> Float[Tensor, "F D H W"]:
    """Return the channels of every pixel."""
    return as_angles(frames.float() / 255)


def gray_features(frames: UInt8[Tensor, "F C H W"]) -> Float[Tensor, "F D H W"]:
    """Return how light every pixel is."""
    return as_angles(to_gray(frames))


def gray_patches(frames: UInt8[Tensor, "F C H W"], stride: int) -> Float[Tensor, "F D h w"]:
    """Return how light all pixels of the square of 3 x 3 positions around every position are."""
    height, width = (side // stride * stride for side in frames.shape[2:])
    angles = F.pad(as_angles(to_gray(frames)[..., :height, :width]), (stride,) * 4, mode="replicate")
    patches = F.unfold(angles, PATCH * stride, stride=stride)  # (F, numbers of a patch, positions)
    return patches.view(*patches.shape[:2], height // stride, width // stride)


def to_gray(frames: UInt8[Tensor, "F C H W"]) -> Float[Tensor, "F 1 H W"]:
    """Return L of Lab in [0, 1]; of frames without color, the mean of their channels."""
    return lightness(frames) / 100 if frames.shape[1] == 3 else frames.float().mean(1, keepdim=True) / 255
