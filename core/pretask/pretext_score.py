"""Pretext score: how well the task is solved on samples that were not trained on, beside what it must beat.

That is chance, which is the best constant prediction (constant_prediction.py), and the trivial predictors of a split.

The draws are the same at every call: their epochs are -1, -2, …, which training never has. There are several of them
where the loss depends on draws and one leaves too few answers (`choose_draws`).

Samples are what is independent: the answers to one sample, over its positions and over the draws, are not. So beside
each mean stand the sums of consecutive blocks of samples, all draws together, of which an interval can be made
(Cochran 1977, chapter 9: sampling of clusters). A part that is no mean over samples, because the batch it comes in
changes it (a contrastive loss, a fraction of explained variance), has whole batches for blocks.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from pretask.composition import Task
from pretask.constant_prediction import LabelCounter, count_classes, predictable_parts, score_constant_prediction
from pretask.draws import Draws
from pretask.protocols import HasTrivialPredictors, Predictor, ScoresPredictions, chance_of, count_partners
from pretask.samples import Samples, draw_others
from pretask.values import Batch, Loss, Targets

LossOfBatch = Callable[[Batch, Draws], Loss]
EPOCH = -1  # the first draw; the others count down from it
BLOCKS = 64  # at most: enough for a t interval of 63 degrees of freedom, few enough to cost what batches do
ANSWERS_WANTED = 1000  # with which a fraction has a standard error of at most 1.6 points
MIN_DRAWS, MAX_DRAWS = 4, 16
MAX_SAMPLES = 16_384  # that are split and encoded over all draws; a larger held-out part is drawn once
SAME = 1e-4  # relative difference above which a part is not a mean over samples; float32 stays below


@dataclass(frozen=True)
class PartScore:
    """One part of the loss on held-out samples.

    Args:
        value: The mean over all valid answers; nan where there is none.
        count: Valid answers: target positions of weight above 0, over all draws; of a part that belongs to no target,
            samples times draws.
        blocks: Of each block of samples its sum of value times weight, and its weight.
    """

    value: float
    count: int
    blocks: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class HeldOutScore:
    """How well the pretext task is solved on held-out samples.

    Args:
        parts: By the name of the loss's part.
        draws: How often each sample was split.
        samples: How many there are.
    """

    parts: Mapping[str, PartScore]
    draws: int
    samples: int

    @property
    def values(self) -> dict[str, float]:
        """The mean of every part, by name."""
        return {name: part.value for name, part in self.parts.items()}


def score_held_out(task: Task, samples: Samples, *, seed: int = 0) -> HeldOutScore:
    """Score every part of the loss on held-out samples.

    Args:
        task: In evaluation mode inside, as it was before outside.
        samples: The held-out part.
        seed: Of the draws.
    """
    if not len(samples):
        return HeldOutScore({}, 0, 0)
    samples = samples.resident(task.device)
    with evaluation_mode(task):
        draws = choose_draws(task, samples, seed)
        counts = count_answers(task, samples, seed, draws)
        return HeldOutScore(score_parts(task, samples, seed, draws, task.loss, counts), draws, len(samples))


@dataclass(frozen=True)
class ReferenceScores:
    """What the pretext score is held against.

    Args:
        trivial: Held-out scores of the split's trivial predictors, by name.
        chance: By part of the loss: of a target of categories what the best constant prediction reaches, counted on the
            training samples (constant_prediction.py); of other parts what the objective says.
    """

    trivial: Mapping[str, HeldOutScore]
    chance: Mapping[str, float]


def score_references(
    task: Task, train: Samples, samples: Samples, *, seed: int = 0, shown: Int[Tensor, " S"] | None = None
) -> ReferenceScores:
    """Score what the model is held against, in one pass over the training samples and one over each predictor.

    Args:
        task: Whose split and objective are used.
        train: What predictors are fitted on, and labels counted on.
        samples: The held-out part.
        seed: Of the draws.
        shown: Numbers of the training samples that the model was shown (`order.shown_samples`); None for all.
    """
    split, chance = task.split, dict(chance_of(task.objective))
    if not len(samples):
        return ReferenceScores({}, chance)
    samples, train = samples.resident(task.device), train.resident(task.device)
    predictable = find_predictable_parts(task, samples, seed)
    scores = isinstance(task.objective, ScoresPredictions)
    predicting = split if scores and isinstance(split, HasTrivialPredictors) else None
    if predicting is None and not predictable:
        return ReferenceScores({}, chance)
    seen, asked = LabelCounter(task, predictable), LabelCounter(task, predictable)
    batches = iterate_training_batches(task, train, shown)
    if predictable:
        batches = seen.watch(batches, seed)
    predictors = {} if predicting is None else predicting.trivial_predictors(batches)
    if predictable:
        for _ in batches:  # that no predictor wanted
            pass
    with evaluation_mode(task):
        draws = choose_draws(task, samples, seed)
        counts = count_answers(task, samples, seed, draws, asked)
        parts = {
            name: score_parts(task, samples, seed, draws, score_predictor(task, predict), counts)
            for name, predict in predictors.items()
        }
    trivial = {name: HeldOutScore(part, draws, len(samples)) for name, part in parts.items()}
    return ReferenceScores(trivial, chance | score_constant_prediction(seen, asked, predictable))


def find_predictable_parts(task: Task, samples: Samples, seed: int) -> dict[str, frozenset[str]]:
    """Return the parts of the loss that a constant prediction has a value of, by target, as the first batch tells."""
    if not count_classes(task):
        return {}
    first = make_batch(task, samples, torch.arange(min(task.recipe.batch, len(samples))), seed, EPOCH)
    with evaluation_mode(task):
        return predictable_parts(task, first, Draws(first.index, seed, EPOCH))


def held_out_loss(task: Task, samples: Samples, *, seed: int = 0) -> dict[str, float]:
    """Return every part of the loss, as the mean over all valid answers; see `score_held_out`."""
    return score_held_out(task, samples, seed=seed).values


def trivial_losses(task: Task, train: Samples, samples: Samples, *, seed: int = 0) -> dict[str, dict[str, float]]:
    """Return the losses of the split's trivial predictors by name, fitted on the training part."""
    return {name: score.values for name, score in score_references(task, train, samples, seed=seed).trivial.items()}


def score_predictor(task: Task, predict: Predictor) -> LossOfBatch:
    """Return what gives the loss of a trivial predictor on a batch."""

    def loss(batch: Batch, draws: Draws) -> Loss:
        _, targets = task.divide(batch, draws)
        loss: Loss = task.objective.score(predict(batch, draws.branch("split")), targets)
        return loss

    return loss


def choose_draws(task: Task, samples: Samples, seed: int = 0) -> int:
    """Choose how often each held-out sample is split: for ANSWERS_WANTED answers, from MIN_DRAWS to MAX_DRAWS times.

    Once where another draw would change nothing, or more samples than MAX_SAMPLES would have to be encoded.
    """
    first = make_batch(task, samples, torch.arange(min(task.recipe.batch, len(samples))), seed, EPOCH)
    if not depends_on_draws(task, first, seed):
        return 1
    fewest = min(count_answers(task, samples, seed, 1).values(), default=len(samples))
    wanted = math.ceil(ANSWERS_WANTED / max(fewest, 1))
    return max(1, min(max(wanted, MIN_DRAWS), MAX_DRAWS, MAX_SAMPLES // len(samples)))


def depends_on_draws(task: Task, batch: Batch, seed: int) -> bool:
    """Return whether another draw changes the loss of a batch."""
    with torch.no_grad():
        one, two = (task.loss(batch, Draws(batch.index, seed, EPOCH - draw)).parts for draw in range(2))
    return any(not torch.equal(value, two[name]) for name, value in one.items())


def count_answers(
    task: Task, samples: Samples, seed: int, draws: int, labels: LabelCounter | None = None
) -> dict[str, int]:
    """Count the valid answers of every target over all draws: positions whose weight is above 0.

    Args:
        task: Whose split makes the targets.
        samples: The held-out part.
        seed: Of the draws.
        draws: How often each sample is split.
        labels: What counts the labels of the same answers.
    """
    counts: dict[str, int] = {}
    for draw in range(draws):
        for batch in iterate_batches(task, samples, task.recipe.batch, seed, EPOCH - draw):
            with torch.no_grad():
                _, targets = task.divide_prepared(batch, Draws(batch.index, seed, EPOCH - draw))
            for name, count in count_in_batch(task, batch, targets).items():
                counts[name] = counts.get(name, 0) + count
            if labels is not None:
                labels.add(targets)
    return counts


def count_in_batch(task: Task, batch: Batch, targets: Targets) -> dict[str, int]:
    """Count the valid answers of every target in a batch."""
    specs = task.target_specs
    every = {name: len(batch) * math.prod(spec.grid) * (spec.views or 1) for name, spec in specs.items()}
    return {
        name: every[name] if target.weight is None else int((target.weight > 0).sum())
        for name, target in targets.items()
    }


def score_parts(
    task: Task, samples: Samples, seed: int, draws: int, loss_of: LossOfBatch, counts: Mapping[str, int]
) -> dict[str, PartScore]:
    """Score every part of a loss over all samples and draws: from small batches, or whole ones where needed."""
    size = min(task.recipe.batch, math.ceil(len(samples) / BLOCKS))
    found = sum_blocks(task, samples, size, seed, draws, loss_of, stacked=True)
    changed = find_batch_parts(task, samples, size, seed, loss_of)
    if changed:
        whole = sum_blocks(task, samples, task.recipe.batch, seed, draws, loss_of, stacked=False)
        found = {name: whole[name] if name in changed else blocks for name, blocks in found.items()}
    every = len(samples) * draws
    return {name: score_part(blocks, counts.get(name.split(".")[0], every)) for name, blocks in found.items()}


def score_part(blocks: Mapping[int, tuple[float, float]], count: int) -> PartScore:
    """Compute the mean of a part from the sums of its blocks; nan where all weights are 0."""
    total, weight = (math.fsum(column) for column in zip(*blocks.values(), strict=True))
    return PartScore(total / weight if weight else math.nan, count, tuple(blocks.values()))


def sum_blocks(
    task: Task, samples: Samples, size: int, seed: int, draws: int, loss_of: LossOfBatch, *, stacked: bool
) -> dict[str, dict[int, tuple[float, float]]]:
    """Sum value times weight, and weights, by part and block of samples.

    Args:
        task: Whose recipe says how large a batch may be.
        samples: The held-out part.
        size: Samples that are encoded together.
        seed: Of the draws.
        draws: How often each sample is split.
        loss_of: What is summed.
        stacked: Whether a batch may hold several draws of its samples, which saves time where `size` is small.
    """
    sums: dict[str, dict[int, tuple[float, float]]] = {}
    for start in range(0, len(samples), size):
        block = start * BLOCKS // len(samples)
        index = torch.arange(start, min(start + size, len(samples)))
        rows = max(task.recipe.batch, len(index)) if stacked else len(index)
        for batch, epoch in draw_batches(task, samples, index, seed, draws, rows):
            for name, (total, weight) in sum_parts(loss_of, batch, seed, epoch).items():
                before = sums.setdefault(name, {}).get(block, (0.0, 0.0))
                sums[name][block] = (before[0] + total, before[1] + weight)
    return sums


def draw_batches(
    task: Task, samples: Samples, index: Int[Tensor, " n"], seed: int, draws: int, rows: int
) -> Iterator[tuple[Batch, Int[Tensor, " B"]]]:
    """Yield every draw of some samples, one draw after the other, in batches of `rows`, with the epoch of each row."""
    epochs = (EPOCH - torch.arange(draws)).repeat_interleave(len(index))
    repeated = index.repeat(draws)
    for start in range(0, len(repeated), rows):
        epoch = epochs[start : start + rows]
        yield make_batch(task, samples, repeated[start : start + rows], seed, epoch), epoch.to(task.device)


def sum_parts(
    loss_of: LossOfBatch, batch: Batch, seed: int, epoch: Int[Tensor, " B"]
) -> dict[str, tuple[float, float]]:
    """Sum value times weight, and weight, by part; a part that says nothing of its weight counts by samples."""
    with torch.no_grad():
        loss = loss_of(batch, Draws(batch.index, seed, epoch))
    weights = {name: float(loss.weights[name]) if name in loss.weights else float(len(batch)) for name in loss.parts}
    return {name: (float(value) * weights[name], weights[name]) for name, value in loss.parts.items()}


def find_batch_parts(task: Task, samples: Samples, size: int, seed: int, loss_of: LossOfBatch) -> set[str]:
    """Find the parts that a batch of the recipe's size changes: those differ from the mean over its pieces."""
    first = samples.some(slice(0, task.recipe.batch), "the first batch")
    if len(first) <= size:
        return set()
    pieces, whole = (sum_blocks(task, first, count, seed, 1, loss_of, stacked=False) for count in (size, len(first)))
    values = {name: (score_part(pieces[name], 0).value, score_part(whole[name], 0).value) for name in whole}
    return {name for name, pair in values.items() if not math.isclose(*pair, rel_tol=SAME, abs_tol=SAME**2)}


def iterate_batches(task: Task, samples: Samples, size: int, seed: int, epoch: int) -> Iterator[Batch]:
    """Yield every sample once, in order, with the partners of that epoch that its split wants."""
    for start in range(0, len(samples), size):
        yield make_batch(task, samples, torch.arange(start, min(start + size, len(samples))), seed, epoch)


def iterate_training_batches(task: Task, samples: Samples, shown: Int[Tensor, " S"] | None) -> Iterator[Batch]:
    """Yield the training samples of these numbers, or all of them, once and in order."""
    numbers = torch.arange(len(samples)) if shown is None else shown
    for start in range(0, len(numbers), task.recipe.batch):
        yield make_batch(task, samples, numbers[start : start + task.recipe.batch], 0, 0)


def make_batch(
    task: Task, samples: Samples, index: Int[Tensor, " B"], seed: int, epoch: int | Int[Tensor, " B"]
) -> Batch:
    """Put samples on the task's device as a batch."""
    partners = count_partners(task.split)
    return samples.batch(
        index, task.device, draw_others(index, len(samples), partners, seed, epoch) if partners else None
    )


@contextmanager
def evaluation_mode(task: Task) -> Iterator[None]:
    """Put model and objective in evaluation mode inside, and back as they were before."""
    modes = [(part, part.training) for part in task.networks.values()]
    for part, _ in modes:
        part.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.train(mode)
