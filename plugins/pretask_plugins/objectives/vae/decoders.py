"""Decoders: from a code to what is said of every position of a target.

Source: Kingma and Welling, ICLR 2014, appendix C (the perceptron with tanh). Differs: any number of layers; a second
decoder doubles a small map until it is as large as the target. A vocabulary is reached through a vector per position.
Axes: N codes, D dimensions of a code, C answers per position.
"""

from itertools import pairwise
from math import prod

from jaxtyping import Float
from pretask import Incompatible, TargetSpec
from torch import Tensor, nn

WORD = 64  # size of the vector from which one of more classes than that is told
SMALLEST = 4  # side of the map that a convolutional decoder begins with, or less
NARROWEST = 16  # channels of its last map
CONVOLUTIONS: tuple[type[nn.Conv1d], type[nn.Conv2d]] = (nn.Conv1d, nn.Conv2d)


class PerceptronDecoder(nn.Module):
    """A perceptron that says everything at once.

    Args:
        latent: Dimensions of the code.
        target: What is decoded.
        answers: Numbers to say of a position.
        hidden: Widths of the hidden layers.
    """

    def __init__(self, latent: int, target: TargetSpec, answers: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape_of(target)
        each = min(answers, WORD) if prod(self.shape) > 1 else answers
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(latent, width), nn.Tanh()]
            latent = width
        self.body = nn.Sequential(*layers, nn.Linear(latent, prod(self.shape) * each))
        self.last = nn.Linear(each, answers) if each < answers else nn.Identity()

    def forward(self, code: Float[Tensor, "N D"]) -> Float[Tensor, "N ... C"]:
        """What is said of every position."""
        said: Tensor = self.last(self.body(code).view(len(code), *self.shape, -1))
        return said


class ConvolutionalDecoder(nn.Module):
    """A small map, doubled with a convolution after every doubling, and cut to the size of the target.

    Args:
        who: The objective, for the error.
        latent: Dimensions of the code.
        target: What is decoded.
        answers: Numbers to say of a position.
        width: Channels of the first map; halved at every doubling.

    Raises:
        Incompatible: The target has no positions, or is more than a line or a plane.
    """

    def __init__(self, who: str, latent: int, target: TargetSpec, answers: int, width: int) -> None:
        super().__init__()
        axes = len(target.grid)
        if axes not in (1, 2):
            raise Incompatible(
                who,
                "a target on a line or in a plane, for objective.decoder=convolution",
                f"the grid {target.grid}",
                "Set objective.decoder=perceptron.",
            )
        self.grid, self.views, self.answers = target.grid, target.views, answers
        doublings = max((max(target.grid) - 1) // SMALLEST, 0).bit_length()
        self.begin = tuple(-(-side // 2**doublings) for side in target.grid)
        widths = [max(width >> step, NARROWEST) for step in range(doublings + 1)]
        convolution = CONVOLUTIONS[axes - 1]
        self.first = nn.Linear(latent, widths[0] * prod(self.begin))
        layers: list[nn.Module] = [nn.GELU()]
        for before, after in pairwise(widths):
            layers += [nn.Upsample(scale_factor=2), convolution(before, after, 3, padding=1), nn.GELU()]
        self.body = nn.Sequential(*layers, convolution(widths[-1], (target.views or 1) * answers, 3, padding=1))

    def forward(self, code: Float[Tensor, "N D"]) -> Float[Tensor, "N ... C"]:
        """What is said of every position."""
        maps: Tensor = self.body(self.first(code).view(len(code), -1, *self.begin))
        for axis, side in enumerate(self.grid, start=2):
            maps = maps.narrow(axis, 0, side)
        maps = maps.reshape(len(code), self.views or 1, self.answers, *self.grid).movedim(2, -1)
        return maps if self.views is not None else maps[:, 0]


def shape_of(target: TargetSpec) -> tuple[int, ...]:
    """The target's positions, views first."""
    return target.grid if target.views is None else (target.views, *target.grid)
