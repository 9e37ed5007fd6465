"""Heads: from a feature vector to an answer. Thrown away after pretraining.

Differs: layer normalization where papers have batch normalization, so that an answer depends on its own sample only.
"""

from collections.abc import Sequence

from torch import nn


def perceptron(width: int, hidden: Sequence[int], answers: int) -> nn.Sequential:
    """A linear map, or with `hidden` widths a multilayer perceptron.

    Args:
        width: Size of a feature vector.
        hidden: Widths of the hidden layers; none for a linear map.
        answers: Size of the answer.
    """
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(width, size), nn.LayerNorm(size), nn.GELU()]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, answers))
