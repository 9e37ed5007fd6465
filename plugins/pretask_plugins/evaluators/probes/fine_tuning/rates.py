"""Rates: how fast every weight of a network is trained further, slower the nearer it is to the input.

A weight belongs to the first layer whose features depend on it, which the gradient tells of any network, also of one
whose parts run side by side, such as a BiLSTM's two directions.
Source: Howard and Ruder, ACL 2018 (discriminative fine-tuning); Clark et al., ICLR 2020 (a factor per layer).
Differs: depth by the gradient, where they read it off names.
Axes: none.
"""

from collections.abc import Sequence
from typing import Any

import torch
from pretask import Features, Inputs
from pretask.pooling import join_widest
from torch import Tensor, nn


def find_depths(model: nn.Module, inputs: Inputs) -> dict[str, int]:
    """Return, by the name of a weight, the number of the first layer that depends on it, from 0; the last one else.

    Args:
        model: The network; weights and statistics stay as they are.
        inputs: A few samples.
    """
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    # cuDNN differentiates recurrent layers in training mode alone, where statistics would move.
    with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        features: Features = model(inputs, layers=True)
        layers = features.layers or (features,)
        depths: dict[str, int] = {}
        for depth, layer in enumerate(layers):
            for (name, _), gradient in zip(named, differentiate(layer, [weight for _, weight in named]), strict=True):
                if gradient is not None:
                    depths.setdefault(name, depth)
    return {name: depths.get(name, len(layers) - 1) for name, _ in named}


def differentiate(layer: Features, weights: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """Return the gradients of a layer's features, None where they do not depend on a weight."""
    total = join_widest(layer.streams).float().sum() + join_widest(layer.pooled).float().sum()
    if not total.requires_grad:
        return [None] * len(weights)
    return torch.autograd.grad(total, weights, retain_graph=True, allow_unused=True)


def group_weights(
    model: nn.Module, heads: Sequence[nn.Module], depths: dict[str, int], decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Return an optimizer's groups of parameters, with `scale`, by which the rate of each is multiplied.

    That of the heads is 1, that of the last layer `decay`, that of the one before its square. Vectors are not decayed.

    Args:
        model: The network.
        heads: What is on top of it.
        depths: Of `find_depths`; empty where the network stays as it is.
        decay: A layer's rate over that of the one above.
        weight_decay: Of matrices.
    """
    top = max(depths.values(), default=0)
    scaled = [
        (weight, decay ** (top + 1 - depths[name])) for name, weight in model.named_parameters() if name in depths
    ]
    scaled += [(weight, 1.0) for head in heads for weight in head.parameters() if weight.requires_grad]
    groups: dict[tuple[float, bool], list[Tensor]] = {}
    for weight, scale in scaled:
        groups.setdefault((scale, weight.ndim > 1), []).append(weight)
    return [
        {"params": weights, "scale": scale, "weight_decay": weight_decay if is_matrix else 0.0}
        for (scale, is_matrix), weights in groups.items()
    ]
