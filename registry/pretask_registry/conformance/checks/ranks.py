"""What every objective promises of a step that is computed in parts or on several ranks.

Ranks are threads here, each with a copy of the network (conformance/ranks.py), whose gradients are averaged as in
distributed training.
Axes: B batch.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from pretask import Batch, Draws, Task
from pretask.training import MicroBatch, Score, share_denominators
from torch import Tensor

from pretask_registry.conformance.check import check, require
from pretask_registry.conformance.checks.objectives import scores_samples_alone
from pretask_registry.conformance.checks.rewriting import read_state, shake
from pretask_registry.conformance.kinds import ObjectiveCase, Trial
from pretask_registry.conformance.material import pad_second_half, split_numbered
from pretask_registry.conformance.ranks import simulate_ranks
from pretask_registry.conformance.tensors import describe_difference, map_tensors

RANKS = 2
MAX_RELATIVE_ERROR = 1e-3  # of a whole gradient: float32 sums in another order
FAINT = 1e-7  # of a gradient's norm, below which it is 0 but for rounding
Gradients = Mapping[str, Tensor]


@check("objective", when=scores_samples_alone)
def parts_and_ranks_weigh_as_the_whole(case: ObjectiveCase) -> None:
    """Check that a step has the same gradient as a whole, in two parts that are accumulated, and on two ranks."""
    for trial in case.tasks:
        batch = make_uneven(trial)
        halves = cut(batch)
        whole = differentiate(trial.task, [batch], case.seed)
        ranks = simulate_ranks(RANKS, partial(differentiate_alone, trial, halves, case.seed))
        for way, found in (
            ("in two parts", differentiate(trial.task, halves, case.seed)),
            ("on two ranks", average(ranks)),
        ):
            problem = compare_gradients(whole, found)
            require(not problem, f"A step must have the gradient of its whole batch; {way}, {problem}.")


@check("objective", when=lambda component: bool(component.traits.get("state")) or not scores_samples_alone(component))
def ranks_agree_on_state(case: ObjectiveCase) -> None:
    """Check that, after a step on two ranks, state is the same on both, and the same parameters have gradients."""
    names = case.component.traits.get("state", frozenset())
    for trial in case.tasks:
        steps = simulate_ranks(RANKS, partial(take_step, trial, cut(trial.batch), case.seed, names))
        one, two = (state for _, state in steps)
        change = describe_difference(one, two, 0.0)
        require(not change, f"State must be the same on every rank after a step; on two ranks, {change}.")
        lonely = sorted({*steps[0][0]} ^ {*steps[1][0]})
        require(
            not lonely, f"The same parameters must have gradients on every rank; {lonely[:3]} have one on one only."
        )


def make_uneven(trial: Trial) -> Batch:
    """Return the batch of a trial, of which the second half has padding where there can be some."""
    can_be_padded = trial.batch.data.ndim == 2 and trial.batch.partners is None
    return pad_second_half(trial.batch, trial.task.observed) if can_be_padded else trial.batch


def cut(batch: Batch) -> list[Batch]:
    """Cut a batch into a part for each rank."""
    numbers = torch.arange(len(batch)).chunk(RANKS)
    return [map_tensors(batch, partial(torch.index_select, dim=0, index=part)) for part in numbers]


def differentiate(task: Task, parts: list[Batch], seed: int) -> Gradients:
    """Return the gradient of a step by the name of a parameter, computed as training does in so many parts."""
    for network in task.networks.values():
        network.zero_grad(set_to_none=True)
    score = Score(task)
    halves = [split_numbered(task, part, Draws(part.index, seed)) for part in parts]
    made = [MicroBatch(*half, part.index, seed, 0) for half, part in zip(halves, parts, strict=True)]
    for part in share_denominators(task, made):
        (score(part).total / len(parts)).backward()
    named = [
        (f"{name}.{key}", value) for name, network in task.networks.items() for key, value in network.named_parameters()
    ]
    return {name: value.grad.to_dense() for name, value in named if value.grad is not None}


def copy_task(task: Task) -> Task:
    """Return a task with networks of its own, as a rank has."""
    networks: dict[str, Any] = {name: copy.deepcopy(network) for name, network in task.networks.items()}
    return replace(task, **networks)


def differentiate_alone(trial: Trial, parts: list[Batch], seed: int, rank: int) -> Gradients:
    """Return the gradient that one rank computes of its part."""
    return differentiate(copy_task(trial.task), [parts[rank]], seed)


def take_step(
    trial: Trial, parts: list[Batch], seed: int, names: Any, rank: int
) -> tuple[Gradients, dict[str, Tensor]]:
    """Return the gradient of one rank, and its state after a step that moves the weights alike on all."""
    mine = replace(trial, task=copy_task(trial.task))
    gradients = differentiate(mine.task, [parts[rank]], seed)
    shake(mine)
    mine.task.follow(0.5)
    return gradients, read_state(mine, names)


def average(found: list[Gradients]) -> Gradients:
    """Return the mean gradient of all ranks, as they exchange it; a parameter without one counts as 0."""
    names = {name for gradients in found for name in gradients}
    return {
        name: torch.stack([gradients[name] for gradients in found if name in gradients]).sum(0) / len(found)
        for name in names
    }


def compare_gradients(whole: Gradients, found: Gradients) -> str:
    """Say how a gradient differs from another as a whole; empty where it does not."""
    if whole.keys() != found.keys():
        return f"there is one for {sorted(found.keys() ^ whole.keys())[:3]} in one way only"
    one, two = (torch.cat([gradients[name].flatten() for name in whole]) for gradients in (whole, found))
    error, size = float((one - two).norm()), float(one.norm())
    return f"it differs by {error:.3g} from its {size:.3g}" if error > MAX_RELATIVE_ERROR * size + FAINT else ""
