"""Decoders: from a code to the parameters of a likelihood at every position of a target.

Source: Kingma and Welling, ICLR 2014, appendix C (the perceptron with tanh). Differs: any number of layers; a second
decoder doubles a small map until it is as large as the target. A vocabulary is reached through a vector per position.
Axes: N codes, D dimensions of a code, C outputs per position.
"""

from itertools import pairwise
from math import prod

from jaxtyping import Float
from pretask import Incompatible, TargetSpec
from torch import Tensor, nn

MAX_RANK = 64  # of the map to the outputs of a position: a vocabulary is reached through a vector of this size
MIN_MAP_SIDE = 4  # pixels that a convolutional decoder begins with, at most
MIN_CHANNELS = 16  # of its last map
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
        axes = len(target.grid)
        if axes not in (1, 2):
            raise Incompatible(
                who,
                "a target on a line or in a plane, for objective.decoder=convolution",
                f"the grid {target.grid}",
                "Set objective.decoder=perceptron.",
            )
        self.grid, self.views, self.num_outputs = target.grid, target.views, num_outputs
        doublings = max((max(target.grid) - 1) // MIN_MAP_SIDE, 0).bit_length()
        self.begin = tuple(-(-side // 2**doublings) for side in target.grid)
        widths = [max(width >> step, MIN_CHANNELS) for step in range(doublings + 1)]
        convolution = CONVOLUTIONS[axes - 1]
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
        maps = maps.reshape(len(code), self.views or 1, self.num_outputs, *self.grid).movedim(2, -1)
        return maps if self.views is not None else maps[:, 0]


def positions_shape(target: TargetSpec) -> tuple[int, ...]:
    """Return the shape of the target's positions, views first."""
    return target.grid if target.views is None else (target.views, *target.grid)
