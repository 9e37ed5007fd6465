"""Held out: how well the pretext task is solved on samples that were not trained on, beside what trivial guesses reach.

The draws are the same at every call: their epoch is -1, which training never has.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from pretask.compose import Task
from pretask.draws import Draws
from pretask.samples import Samples
from pretask.values import Batch, Loss

Guesser = Callable[[Batch, Draws], Mapping[str, Tensor]]
EPOCH = -1


def held_out_loss(task: Task, samples: Samples, *, seed: int = 0) -> dict[str, float]:
    """Every part of the loss, as the mean over all that is asked of the samples.

    Args:
        task: In evaluation mode inside, as it was before outside.
        samples: The held-out part.
        seed: Of the draws.
    """
    with evaluating(task):
        return mean_parts(task, samples, seed, task.loss)


def baseline_losses(task: Task, train: Samples, samples: Samples, *, seed: int = 0) -> dict[str, dict[str, float]]:
    """The same for the guesses of the split's own baselines, by name; empty where split or objective have none.

    A split may have `baselines(batches) -> name -> guesser`; it is shown the training batches. A guesser takes a batch
    and the split's draws and guesses as `Objective.predict` does; `Objective.score(guess, targets)` says what it is
    worth.
    """
    if not (hasattr(task.split, "baselines") and hasattr(task.objective, "score")):
        return {}
    guessers: Mapping[str, Guesser] = task.split.baselines(all_batches(task, train))
    with evaluating(task):
        return {name: mean_parts(task, samples, seed, scored(task, guess)) for name, guess in guessers.items()}


def scored(task: Task, guess: Guesser) -> Callable[[Batch, Draws], Loss]:
    """The loss of a guesser on a batch."""

    def loss(batch: Batch, draws: Draws) -> Loss:
        _, targets = task.divide(batch, draws)
        result: Loss = task.objective.score(guess(batch, draws.branch("split")), targets)
        return result

    return loss


def all_batches(task: Task, samples: Samples) -> Iterator[Batch]:
    """Every sample once, on the task's device, with the partners that its split asks for."""
    partners = getattr(task.split, "partners", 0)
    return samples.resident(task.device).batches(task.recipe.batch, task.device, partners)


def mean_parts(task: Task, samples: Samples, seed: int, loss_of: Callable[[Batch, Draws], Loss]) -> dict[str, float]:
    """The parts of a loss, averaged over batches by what each part says it weighs."""
    sums: dict[str, float] = {}
    weights: dict[str, float] = {}
    for batch in all_batches(task, samples):
        with torch.no_grad():
            loss = loss_of(batch, Draws(batch.index, seed, EPOCH))
        for name, value in loss.parts.items():
            weight = float(loss.weights[name]) if name in loss.weights else float(len(batch))
            sums[name] = sums.get(name, 0.0) + float(value) * weight
            weights[name] = weights.get(name, 0.0) + weight
    return {name: total / weights[name] if weights[name] else math.nan for name, total in sums.items()}


@contextmanager
def evaluating(task: Task) -> Iterator[None]:
    """Model and objective in evaluation mode inside, and as they were before outside."""
    modes = [(part, part.training) for part in (task.model, task.objective)]
    for part, _ in modes:
        part.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.train(mode)
