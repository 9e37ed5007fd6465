"""Scoring: the one weighted mean of the project, right for any number of parts and ranks, and the loss built of means.

The gradient of an optimizer step is that of sum(weight * value) / sum(weight) over all of its samples, in however many
parts they are computed and on however many ranks. Parts and ranks each backpropagate a mean, and means of means are
averaged; so each must divide by the mean weight of a part of a rank, and not by its own.
Axes: whatever `value` has; `weight` has the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch import distributed as dist

from pretask.precision import upcast
from pretask.protocols import Objective, WeighsTargets
from pretask.values import Loss, Targets


def sum_over_ranks(local: Tensor) -> tuple[Tensor, int]:
    """Sum numbers over all ranks, and count the ranks."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return local, 1
    total = local.detach().clone()
    dist.all_reduce(total)
    return total, dist.get_world_size()


def mean_over_ranks(local: Tensor) -> Tensor:
    """Return the mean of a number over all ranks, the same on each: of a state that a step leaves for the next."""
    total, ranks = sum_over_ranks(local)
    return total / ranks


def gather_over_ranks(local: Tensor) -> Tensor:
    """Return the rows of all ranks, of which each has as many, one rank after the other; no gradient reaches them."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return local.detach()
    rows = [torch.empty_like(local) for _ in range(dist.get_world_size())]
    dist.all_gather(rows, local.detach().contiguous())
    return torch.cat(rows)


def weighted_mean(
    value: Tensor, weight: Tensor | None = None, denominator: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the mean of `value` by `weight`, and the sum of weights. Without any weight the mean is 0.

    Args:
        value: What is averaged; summed in float32 or better.
        weight: How much each value counts; None where all count 1.
        denominator: `Target.denominator` of the target that the weights belong to; pass it on, or the gradient of a
            target with weights changes with `recipe.accumulate`. None for the mean over ranks of the sum of weights.

    >>> mean, weight = weighted_mean(torch.tensor([1.0, 5.0]), torch.tensor([3.0, 1.0]))
    >>> mean.item(), weight.item()
    (2.0, 4.0)
    """
    value = upcast(value)
    weight = torch.ones_like(value) if weight is None else upcast(weight)
    if denominator is None:
        total, ranks = sum_over_ranks(weight.sum())
        denominator = total / ranks
    return (value * weight).sum() / denominator.clamp(min=torch.finfo(torch.float32).tiny), weight.sum().detach()


def step_denominators(objective: Objective, parts: Sequence[Targets]) -> dict[str, Tensor]:
    """Return, by the name of a target, the denominator that makes parts and ranks of one optimizer step one mean.

    Args:
        objective: Who scores them.
        parts: The targets of every part on this rank as they are scored, in order; parts are of one size.
    """
    sums = [sum_weights(objective, targets) for targets in parts]
    names = sorted(sums[0])
    if not names:
        return {}
    local = torch.stack([torch.stack([denominators[name] for denominators in sums]).mean() for name in names])
    total, ranks = sum_over_ranks(local)
    return dict(zip(names, (total / ranks).unbind(), strict=True))


def sum_weights(objective: Objective, targets: Targets) -> dict[str, Tensor]:
    """Sum the weights that the objective's mean of each target has; targets without weights are left out."""
    scored = objective.scored_weights(targets) if isinstance(objective, WeighsTargets) else {}
    weights = {**{name: target.weight for name, target in targets.items()}, **scored}
    return {name: upcast(weight).sum() for name, weight in weights.items() if weight is not None}


def build_loss(
    terms: Mapping[str, tuple[Tensor, Tensor]],
    reports: Mapping[str, tuple[Tensor, Tensor]],
    importance: Mapping[str, float] | None = None,
) -> Loss:
    """Build a Loss from means with their weights, as `weighted_mean` gives them.

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


def mean_loss(parts: Sequence[Loss]) -> Loss:
    """Average the detached losses of an optimizer step whose parts were scored with shared denominators."""
    first = parts[0]
    if len(parts) == 1:
        return replace(first, total=first.total.detach())
    return Loss(
        torch.stack([loss.total.detach() for loss in parts]).mean(),
        {name: torch.stack([loss.parts[name] for loss in parts]).mean() for name in first.parts},
        {name: torch.stack([loss.weights[name] for loss in parts]).sum() for name in first.weights},
    )
