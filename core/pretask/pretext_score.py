"""Pretext score: how well the task is solved on samples that were not trained on, beside what it is compared with.

That is chance, which is the best constant prediction (constant_prediction.py), and the trivial predictors of a split.

The draws are the same at every call: their epochs are -1, -2, …, which training never has. There are several of them
where the loss depends on draws and one leaves too few predictions (`choose_draws`).

Samples are what is independent: the predictions for one sample, over its positions and over the draws, are not. So
beside each mean stand the sums of consecutive blocks of samples, all draws together, of which an interval can be made
(Cochran 1977, chapter 9: sampling of clusters). A metric that is no mean over samples, because the batch it comes in
changes it (a contrastive loss, a fraction of explained variance), has whole batches for blocks.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from jaxtyping import Int
from torch import Tensor

from pretask.composition import Task
from pretask.constant_prediction import LabelCounter, count_classes, predictable_metrics, score_constant_prediction
from pretask.draws import Draws
from pretask.protocols import HasTrivialPredictors, Predictor, ScoresPredictions, chance_of, count_partners
from pretask.samples import Samples, draw_others
from pretask.scores import HeldOutScore, MetricScore, ReferenceScores
from pretask.values import Batch, Loss, Targets

LossFunction = Callable[[Batch, Draws], Loss]
HELD_OUT_EPOCH = -1  # of the first draw; the others count down from it
MAX_BLOCKS = 64  # at most: enough for a t interval of 63 degrees of freedom, few enough to cost what batches do
PREDICTIONS_WANTED = 1000  # with which a fraction has a standard error of at most 1.6 points
MIN_DRAWS, MAX_DRAWS = 4, 16
MAX_SAMPLES = 16_384  # that are split and encoded over all draws; a larger held-out part is drawn once
MEAN_TOLERANCE = 1e-4  # relative difference above which a metric is not a mean over samples; float32 stays below


def score_held_out(task: Task, samples: Samples, *, seed: int = 0) -> HeldOutScore:
    """Score every metric of the loss on held-out samples.

    Args:
        task: In evaluation mode inside, as it was before outside.
        samples: The held-out samples.
        seed: Of the draws.
    """
    if not len(samples):
        return HeldOutScore({}, 0, 0)
    samples = samples.resident(task.device)
    with evaluation_mode(task):
        draws = choose_draws(task, samples, seed)
        counts = count_predictions(task, samples, seed, draws)
        return HeldOutScore(score_metrics(task, samples, seed, draws, task.loss, counts), draws, len(samples))


def score_references(
    task: Task, train: Samples, samples: Samples, *, seed: int = 0, shown: Int[Tensor, " S"] | None = None
) -> ReferenceScores:
    """Score what the model is compared with, in one pass over the training samples and one over each predictor.

    Args:
        task: Whose split and objective are used.
        train: What predictors are fitted on, and labels counted on.
        samples: The held-out samples.
        seed: Of the draws.
        shown: Numbers of the training samples that the model was shown (`order.shown_samples`); None for all.
    """
    split, chance = task.split, dict(chance_of(task.objective))
    if not len(samples):
        return ReferenceScores({}, chance)
    samples, train = samples.resident(task.device), train.resident(task.device)
    predictable = find_predictable_metrics(task, samples, seed)
    can_score = isinstance(task.objective, ScoresPredictions)
    predicting = split if can_score and isinstance(split, HasTrivialPredictors) else None
    if predicting is None and not predictable:
        return ReferenceScores({}, chance)
    train_labels, held_out_labels = LabelCounter(task, predictable), LabelCounter(task, predictable)
    batches = iterate_training_batches(task, train, shown)
    if predictable:
        batches = train_labels.count_labels(batches, seed)
    predictors = {} if predicting is None else predicting.trivial_predictors(batches)
    if predictable:
        for _ in batches:  # those that no predictor consumed
            pass
    with evaluation_mode(task):
        draws = choose_draws(task, samples, seed)
        counts = count_predictions(task, samples, seed, draws, held_out_labels)
        scores = {
            name: score_metrics(task, samples, seed, draws, score_predictor(task, predict), counts)
            for name, predict in predictors.items()
        }
    trivial = {name: HeldOutScore(metrics, draws, len(samples)) for name, metrics in scores.items()}
    return ReferenceScores(trivial, chance | score_constant_prediction(train_labels, held_out_labels, predictable))


def find_predictable_metrics(task: Task, samples: Samples, seed: int) -> dict[str, frozenset[str]]:
    """Return the metrics that a constant prediction has a value of, by target, judging from the first batch."""
    if not count_classes(task):
        return {}
    first = make_batch(task, samples, torch.arange(min(task.recipe.batch, len(samples))), seed, HELD_OUT_EPOCH)
    with evaluation_mode(task):
        return predictable_metrics(task, first, Draws(first.index, seed, HELD_OUT_EPOCH))


def held_out_loss(task: Task, samples: Samples, *, seed: int = 0) -> dict[str, float]:
    """Return every metric of the loss, as the mean over all valid predictions; see `score_held_out`."""
    return score_held_out(task, samples, seed=seed).values


def trivial_losses(task: Task, train: Samples, samples: Samples, *, seed: int = 0) -> dict[str, dict[str, float]]:
    """Return the losses of the split's trivial predictors by name, fitted on the training part."""
    return {name: score.values for name, score in score_references(task, train, samples, seed=seed).trivial.items()}


def score_predictor(task: Task, predict: Predictor) -> LossFunction:
    """Return the loss function of a trivial predictor."""

    def loss(batch: Batch, draws: Draws) -> Loss:
        _, targets = task.apply_split(batch, draws)
        loss: Loss = task.objective.score(predict(batch, draws.branch("split")), targets)
        return loss

    return loss


def choose_draws(task: Task, samples: Samples, seed: int = 0) -> int:
    """Choose how often each held-out sample is split: for PREDICTIONS_WANTED predictions, MIN_DRAWS to MAX_DRAWS times.

    Once where another draw would change nothing, or more samples than MAX_SAMPLES would have to be encoded.
    """
    first = make_batch(task, samples, torch.arange(min(task.recipe.batch, len(samples))), seed, HELD_OUT_EPOCH)
    if not depends_on_draws(task, first, seed):
        return 1
    fewest = min(count_predictions(task, samples, seed, 1).values(), default=len(samples))
    wanted = math.ceil(PREDICTIONS_WANTED / max(fewest, 1))
    return max(1, min(max(wanted, MIN_DRAWS), MAX_DRAWS, MAX_SAMPLES // len(samples)))


def depends_on_draws(task: Task, batch: Batch, seed: int) -> bool:
    """Return whether another draw changes the loss of a batch."""
    with torch.no_grad():
        one, two = (task.loss(batch, Draws(batch.index, seed, HELD_OUT_EPOCH - draw)).parts for draw in range(2))
    return any(not torch.equal(value, two[name]) for name, value in one.items())


def count_predictions(
    task: Task, samples: Samples, seed: int, draws: int, labels: LabelCounter | None = None
) -> dict[str, int]:
    """Count the valid predictions of every target over all draws: positions whose weight is above 0.

    Args:
        task: Whose split makes the targets.
        samples: The held-out samples.
        seed: Of the draws.
        draws: How often each sample is split.
        labels: Counts the labels of the same positions.
    """
    counts: dict[str, int] = {}
    for draw in range(draws):
        for batch in iterate_batches(task, samples, task.recipe.batch, seed, HELD_OUT_EPOCH - draw):
            with torch.no_grad():
                _, targets = task.apply_split_and_prepare(batch, Draws(batch.index, seed, HELD_OUT_EPOCH - draw))
            for name, count in count_in_batch(task, batch, targets).items():
                counts[name] = counts.get(name, 0) + count
            if labels is not None:
                labels.add(targets)
    return counts


def count_in_batch(task: Task, batch: Batch, targets: Targets) -> dict[str, int]:
    """Count the valid predictions of every target in a batch."""
    specs = task.target_specs
    positions = {name: len(batch) * math.prod(spec.grid) * (spec.views or 1) for name, spec in specs.items()}
    return {
        name: positions[name] if target.weight is None else int((target.weight > 0).sum())
        for name, target in targets.items()
    }


def score_metrics(
    task: Task, samples: Samples, seed: int, draws: int, loss_function: LossFunction, counts: Mapping[str, int]
) -> dict[str, MetricScore]:
    """Score every metric of a loss over all samples and draws: from small batches, or full ones where needed."""
    size = min(task.recipe.batch, math.ceil(len(samples) / MAX_BLOCKS))
    sums = sum_blocks(task, samples, size, seed, draws, loss_function, several_draws=True)
    batch_metrics = find_batch_metrics(task, samples, size, seed, loss_function)
    if batch_metrics:
        full_sums = sum_blocks(task, samples, task.recipe.batch, seed, draws, loss_function, several_draws=False)
        sums = {name: full_sums[name] if name in batch_metrics else blocks for name, blocks in sums.items()}
    all_samples = len(samples) * draws
    return {name: score_metric(blocks, counts.get(name.split(".")[0], all_samples)) for name, blocks in sums.items()}


def score_metric(blocks: Mapping[int, tuple[float, float]], count: int) -> MetricScore:
    """Compute the mean of a metric from the sums of its blocks; nan where all weights are 0."""
    total, weight = (math.fsum(column) for column in zip(*blocks.values(), strict=True))
    return MetricScore(total / weight if weight else math.nan, count, tuple(blocks.values()))


def sum_blocks(
    task: Task, samples: Samples, size: int, seed: int, draws: int, loss_function: LossFunction, *, several_draws: bool
) -> dict[str, dict[int, tuple[float, float]]]:
    """Sum value times weight, and weights, by metric and block of samples.

    Args:
        task: Whose recipe says how large a batch may be.
        samples: The held-out samples.
        size: Samples that are encoded together.
        seed: Of the draws.
        draws: How often each sample is split.
        loss_function: Whose values are summed.
        several_draws: Whether a batch may hold several draws of its samples, which saves time where `size` is small.
    """
    sums: dict[str, dict[int, tuple[float, float]]] = {}
    for start in range(0, len(samples), size):
        block = start * MAX_BLOCKS // len(samples)
        index = torch.arange(start, min(start + size, len(samples)))
        rows = max(task.recipe.batch, len(index)) if several_draws else len(index)
        for batch, epoch in draw_batches(task, samples, index, seed, draws, rows):
            for name, (total, weight) in sum_metrics(loss_function, batch, seed, epoch).items():
                before = sums.setdefault(name, {}).get(block, (0.0, 0.0))
                sums[name][block] = (before[0] + total, before[1] + weight)
    return sums


def draw_batches(
    task: Task, samples: Samples, index: Int[Tensor, " n"], seed: int, draws: int, rows: int
) -> Iterator[tuple[Batch, Int[Tensor, " B"]]]:
    """Yield every draw of some samples, one draw after the other, in batches of `rows`, with the epoch of each row."""
    epochs = (HELD_OUT_EPOCH - torch.arange(draws)).repeat_interleave(len(index))
    repeated = index.repeat(draws)
    for start in range(0, len(repeated), rows):
        epoch = epochs[start : start + rows]
        yield make_batch(task, samples, repeated[start : start + rows], seed, epoch), epoch.to(task.device)


def sum_metrics(
    loss_function: LossFunction, batch: Batch, seed: int, epoch: Int[Tensor, " B"]
) -> dict[str, tuple[float, float]]:
    """Sum value times weight, and weight, by metric; one without a weight in `Loss.weights` counts by samples."""
    with torch.no_grad():
        loss = loss_function(batch, Draws(batch.index, seed, epoch))
    weights = {name: float(loss.weights[name]) if name in loss.weights else float(len(batch)) for name in loss.parts}
    return {name: (float(value) * weights[name], weights[name]) for name, value in loss.parts.items()}


def find_batch_metrics(task: Task, samples: Samples, size: int, seed: int, loss_function: LossFunction) -> set[str]:
    """Find the metrics that depend on the batch: those of a full one differ from the mean over smaller ones."""
    first = samples.some(slice(0, task.recipe.batch), "the first batch")
    if len(first) <= size:
        return set()
    small, full = (
        sum_blocks(task, first, count, seed, 1, loss_function, several_draws=False) for count in (size, len(first))
    )
    values = {name: (score_metric(small[name], 0).value, score_metric(full[name], 0).value) for name in full}
    return {
        name
        for name, pair in values.items()
        if not math.isclose(*pair, rel_tol=MEAN_TOLERANCE, abs_tol=MEAN_TOLERANCE**2)
    }


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
    networks = [(network, network.training) for network in task.networks.values()]
    for network, _ in networks:
        network.eval()
    try:
        yield
    finally:
        for network, was_training in networks:
            network.train(was_training)
