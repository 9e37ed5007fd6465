"""Scores that several objectives report: the class that a target names, errors, and the explained part of a variance.

Axes: B batch, K channels, or candidates; `...` is (), (V,), (*grid) or (V, *grid).
"""

import torch
from jaxtyping import Float, Int
from pretask import Target, weighted_mean
from torch import Tensor
from torch.nn import functional as F

MIN_VARIANCE = 1e-12  # of a batch, so that a constant target divides by something


def most_likely_class(target: Target) -> Int[Tensor, "B ..."]:
    """Return the class of a hard label, or the most probable candidate of a soft one."""
    if target.probability is None:
        return target.value
    return target.value.gather(-1, target.probability.argmax(-1, keepdim=True))[..., 0]


def r2(
    prediction: Float[Tensor, "B ... K"], value: Float[Tensor, "B ... K"], weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return 1 - squared error / variance about the batch's mean, and its weight.

    It is 0 for a prediction of the mean, and 1 at most.
    """
    value = value.float()
    weights = torch.ones_like(value) if weight is None else weight[..., None].expand_as(value).float()
    center, count = weighted_mean(value, weights)
    variance, _ = weighted_mean((value - center) ** 2, weights)
    squared_error, _ = weighted_mean((value - prediction) ** 2, weights)
    return 1 - squared_error / variance.clamp(min=MIN_VARIANCE), count


def errors(prediction: Float[Tensor, "B ... K"], value: Float[Tensor, "B ... K"], error: str) -> Float[Tensor, "B ..."]:
    """Return the error of every position, a mean over its channels.

    >>> errors(torch.tensor([[3.0]]), torch.tensor([[1.0]]), "huber").item()
    1.5
    """
    value = value.to(prediction.dtype)
    if error == "huber":
        return F.huber_loss(prediction, value, reduction="none").mean(-1)
    difference = prediction - value
    return (difference.square() if error == "squared" else difference.abs()).mean(-1)
