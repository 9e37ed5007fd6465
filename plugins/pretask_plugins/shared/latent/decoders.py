"""Decoders: from a code to the parameters of a likelihood at every position of a target.

Source: Kingma and Welling, ICLR 2014, appendix C (the perceptron with tanh). Differs: any number of layers; a second
decoder doubles a small map until it is as large as the target, and a third one does so with residual blocks (He et al.,
ECCV 2016). A vocabulary is reached through a vector per position.
Axes: N codes, D dimensions of a code, C outputs per position.
"""

from itertools import pairwise
from math import prod
from typing import Literal

from jaxtyping import Float
from pretask import Incompatible, TargetSpec
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.shared.latent.autoregressive import AutoregressiveDecoder

DecoderName = Literal["perceptron", "convolution", "residual", "gru", "transformer"]

MAX_RANK = 64  # of the map to the outputs of a position: a vocabulary is reached through a vector of this size
MIN_MAP_SIDE = 4  # pixels that a convolutional decoder begins with, at most
MIN_CHANNELS = 16  # of its last map
DEFAULT_CHANNELS = 64  # of its first map
CONVOLUTIONS: tuple[type[nn.Conv1d], type[nn.Conv2d]] = (nn.Conv1d, nn.Conv2d)


class PerceptronDecoder(nn.Module):
    """A perceptron that outputs all positions at once.

    Args:
        latent_dim: Dimensions of the code.
        target: What is decoded.
        num_outputs: Numbers per position: parameters of its likelihood.
        hidden: Widths of the hidden layers.
    """

    def __init__(self, latent_dim: int, target: TargetSpec, num_outputs: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = positions_shape(target)
        rank = min(num_outputs, MAX_RANK) if prod(self.shape) > 1 else num_outputs
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(latent_dim, width), nn.Tanh()]
            latent_dim = width
        self.body = nn.Sequential(*layers, nn.Linear(latent_dim, prod(self.shape) * rank))
        self.last = nn.Linear(rank, num_outputs) if rank < num_outputs else nn.Identity()

    def forward(self, code: Float[Tensor, "N D"]) -> Float[Tensor, "N ... C"]:
        """Decode codes into the outputs of every position."""
        output: Tensor = self.last(self.body(code).view(len(code), *self.shape, -1))
        return output


class ConvolutionalDecoder(nn.Module):
    """A small map, doubled with a convolution after every doubling, and cut to the size of the target.

    Args:
        who: The objective, for the error.
        latent_dim: Dimensions of the code.
        target: What is decoded.
        num_outputs: Numbers per position: parameters of its likelihood.
        width: Channels of the first map; halved at every doubling.

    Raises:
        Incompatible: The target has no positions, or is more than a line or a plane.
    """

    def __init__(self, who: str, latent_dim: int, target: TargetSpec, num_outputs: int, width: int) -> None:
        super().__init__()
        convolution = choose_convolution(who, "convolution", target)
        self.grid, self.views, self.num_outputs = target.grid, target.views, num_outputs
        doublings = max((max(target.grid) - 1) // MIN_MAP_SIDE, 0).bit_length()
        self.begin = tuple(-(-side // 2**doublings) for side in target.grid)
        widths = [max(width >> step, MIN_CHANNELS) for step in range(doublings + 1)]
        self.first = nn.Linear(latent_dim, widths[0] * prod(self.begin))
        layers: list[nn.Module] = [nn.GELU()]
        for before, after in pairwise(widths):
            layers += [nn.Upsample(scale_factor=2), convolution(before, after, 3, padding=1), nn.GELU()]
        self.body = nn.Sequential(*layers, convolution(widths[-1], (target.views or 1) * num_outputs, 3, padding=1))

    def forward(self, code: Float[Tensor, "N D"]) -> Float[Tensor, "N ... C"]:
        """Decode codes into the outputs of every position."""
        maps: Tensor = self.body(self.first(code).view(len(code), -1, *self.begin))
        for axis, side in enumerate(self.grid, start=2):
            maps = maps.narrow(axis, 0, side)
        return as_outputs(maps, self.views, self.num_outputs)


class ResidualDecoder(nn.Module):
    """A small map, resized and refined by residual blocks until it is as large as the target.

    The sides of the maps are those of the target halved again and again, rounded up, so that nothing is cut.

    Args:
        who: The objective, for the error.
        latent_dim: Dimensions of the code.
        target: What is decoded.
        num_outputs: Numbers per position: parameters of its likelihood.
        width: Channels of the first map; halved with every map.

    Raises:
        Incompatible: The target has no positions, or is more than a line or a plane.
    """

    def __init__(self, who: str, latent_dim: int, target: TargetSpec, num_outputs: int, width: int) -> None:
        super().__init__()
        convolution = choose_convolution(who, "residual", target)
        self.views, self.num_outputs = target.views, num_outputs
        self.sides = map_sides(target.grid)
        widths = [max(width >> step, MIN_CHANNELS) for step in range(len(self.sides))]
        self.first = nn.Linear(latent_dim, widths[0] * prod(self.sides[0]))
        self.blocks = nn.ModuleList(
            DecoderBlock(convolution, before, after) for before, after in zip(widths[:1] + widths, widths, strict=False)
        )
        self.last = convolution(widths[-1], (target.views or 1) * num_outputs, 3, padding=1)

    def forward(self, code: Float[Tensor, "N D"]) -> Float[Tensor, "N ... C"]:
        """Decode codes into the outputs of every position."""
        maps = self.first(code).view(len(code), -1, *self.sides[0])
        for block, sides in zip(self.blocks, self.sides, strict=True):
            maps = block(F.interpolate(maps, sides))
        return as_outputs(self.last(F.gelu(maps)), self.views, self.num_outputs)


class DecoderBlock(nn.Module):
    """Two convolutions, each behind its activation, beside a shortcut."""

    def __init__(self, convolution: type[nn.Conv1d] | type[nn.Conv2d], in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GELU(),
            convolution(in_channels, out_channels, 3, padding=1),
            nn.GELU(),
            convolution(out_channels, out_channels, 3, padding=1),
        )
        same = in_channels == out_channels
        self.shortcut = nn.Identity() if same else convolution(in_channels, out_channels, 1)

    def forward(self, maps: Float[Tensor, "N D ..."]) -> Float[Tensor, "N D2 ..."]:
        """Return maps of the same sides."""
        refined: Tensor = self.shortcut(maps) + self.body(maps)
        return refined


def map_sides(grid: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the sides of maps from the smallest to the grid, each half of the next, rounded up.

    >>> map_sides((28, 20))
    [(4, 3), (7, 5), (14, 10), (28, 20)]
    """
    sides = [grid]
    while max(sides[0]) > MIN_MAP_SIDE:
        sides.insert(0, tuple(-(-side // 2) for side in sides[0]))
    return sides


def choose_convolution(who: str, kind: str, target: TargetSpec) -> type[nn.Conv1d] | type[nn.Conv2d]:
    """Return the convolution for a target's line or plane; raise Incompatible where it has neither."""
    if len(target.grid) not in (1, 2):
        raise Incompatible(
            who,
            f"a target on a line or in a plane, for objective.decoder={kind}",
            f"the grid {target.grid}",
            "Set objective.decoder=perceptron.",
        )
    return CONVOLUTIONS[len(target.grid) - 1]


def as_outputs(maps: Float[Tensor, "N M ..."], views: int | None, num_outputs: int) -> Float[Tensor, "N ... C"]:
    """Return maps of all views' outputs with the outputs of a position last."""
    maps = maps.reshape(len(maps), views or 1, num_outputs, *maps.shape[2:]).movedim(2, -1)
    return maps if views is not None else maps[:, 0]


def positions_shape(target: TargetSpec) -> tuple[int, ...]:
    """Return the shape of the target's positions, views first."""
    return target.grid if target.views is None else (target.views, *target.grid)


def build_decoder(
    who: str,
    kind: DecoderName,
    latent_dim: int,
    target: TargetSpec,
    num_outputs: int,
    hidden: tuple[int, ...],
    word_dropout: float,
) -> nn.Module:
    """Build a decoder of the wanted kind."""
    if kind == "perceptron":
        return PerceptronDecoder(latent_dim, target, num_outputs, hidden)
    if kind == "gru" or kind == "transformer":
        return AutoregressiveDecoder(who, latent_dim, target, kind, hidden, word_dropout)
    maps = ConvolutionalDecoder if kind == "convolution" else ResidualDecoder
    return maps(who, latent_dim, target, num_outputs, hidden[0] if hidden else DEFAULT_CHANNELS)
