"""Scoring: the one weighted mean of the project, right at any number of ranks, and the loss built of such means.

Axes: whatever `value` has; `weight` has the same.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch import distributed as dist

from pretask.values import Loss


def summed_over_ranks(local: Tensor) -> tuple[Tensor, int]:
    """The sum of a number over all ranks, and how many ranks there are."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return local, 1
    total = local.detach().clone()
    dist.all_reduce(total)
    return total, dist.get_world_size()


def weighted_mean(value: Tensor, weight: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The mean of `value` by `weight`, and the sum of weights.

    The denominator is summed over ranks and the mean scaled by their number, so that averaging gradients over ranks, as
    data-parallel training does, gives the gradient of the one mean over all. Without any weight the mean is 0.

    >>> mean, weight = weighted_mean(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 1.0]))
    >>> mean.item(), weight.item()
    (2.0, 4.0)
    """
    value = value.float()
    weight = torch.ones_like(value) if weight is None else weight.float()
    total, ranks = summed_over_ranks(weight.sum())
    return (value * weight).sum() * ranks / total.clamp(min=torch.finfo(torch.float32).tiny), weight.sum().detach()


def build_loss(
    terms: Mapping[str, tuple[Tensor, Tensor]],
    reports: Mapping[str, tuple[Tensor, Tensor]],
    importance: Mapping[str, float] | None = None,
) -> Loss:
    """A Loss from means with their weights, as `weighted_mean` gives them.

    Args:
        terms: What is added up and differentiated.
        reports: What is only reported.
        importance: Factor of a term, 1 where it is not named.
    """
    importance = importance or {}
    means = [importance.get(name, 1.0) * mean for name, (mean, _) in terms.items()]
    shown = {**terms, **reports}
    return Loss(
        torch.stack(means).sum(),
        {name: mean.detach() for name, (mean, _) in shown.items()},
        {name: weight.detach() for name, (_, weight) in shown.items()},
    )
