"""Heads: from a feature vector to a prediction. Thrown away after pretraining.

Differs: layer normalization where papers have batch normalization, so that a prediction depends on its own sample only.
"""

from collections.abc import Sequence

from torch import nn


def perceptron(width: int, hidden: Sequence[int], out_dim: int) -> nn.Sequential:
    """Build a linear map, or with `hidden` widths a multilayer perceptron.

    Args:
        width: Size of a feature vector.
        hidden: Widths of the hidden layers; none for a linear map.
        out_dim: Size of the prediction, or of the embedding.
    """
    layers: list[nn.Module] = []
    for size in hidden:
        layers += [nn.Linear(width, size), nn.LayerNorm(size), nn.GELU()]
        width = size
    return nn.Sequential(*layers, nn.Linear(width, out_dim))
