"""Constant prediction: what one answer, whatever the input, reaches on a target of categories. That is chance.

Where most labels are the same, 1 / C is a level that the majority class alone beats. So the prediction is
counted: for accuracy it is the majority class of the training labels, for the loss the frequencies of all labels in
training. Both are scored on the held-out labels, with the weights of the objective's mean. Every class counts as if it
had been seen once more (Laplace), also one that training never had.

Only a loss that is the cross-entropy of what the objective predicts has such a level. Whether it is one is measured on
a batch, not declared: with label smoothing or sampled negatives the two differ.
Axes: B batch, C classes, K candidates; `...` is (), (V,), (*grid) or (V, *grid).
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pretask.composition import Task
from pretask.draws import Draws
from pretask.precision import upcast
from pretask.protocols import WeighsTargets
from pretask.specs import Categories
from pretask.values import Batch, Features, Target, Targets

NOISE_STD = 10.0  # standard deviation of the features on which the loss is compared
SAME_LOSS = 1e-3  # relative difference up to which a metric is the cross-entropy of the predictions


@dataclass
class LabelCounts:
    """How often every class of a target was the label, summed over batches.

    Args:
        mass: By class the sum of weight times probability.
        argmax_mass: By class the sum of weights where it was the most probable label; for a hard label the same as
            `mass`.
        weight: The sum of weights.
        num_labels: How many positions had a weight above 0.
    """

    mass: Float[Tensor, " C"]
    argmax_mass: Float[Tensor, " C"]
    weight: float = 0.0
    num_labels: int = 0

    def add(self, target: Target, weight: Tensor | None) -> None:
        """Add the labels of a batch. Sums are made on the CPU in float64, in which their order does not show."""
        value = target.value.detach().cpu()
        probability = None if target.probability is None else target.probability.detach().cpu().double()
        hard = value if probability is None else value.gather(-1, probability.argmax(-1, keepdim=True))[..., 0]
        weights = torch.ones(hard.shape, dtype=torch.double) if weight is None else weight.detach().cpu().double()
        valid = weights > 0  # elsewhere a label may be anything
        valid_weights = weights[valid]
        self.argmax_mass += sum_by_class(hard[valid], valid_weights, len(self.argmax_mass))
        if probability is None:
            self.mass += sum_by_class(hard[valid], valid_weights, len(self.mass))
        else:
            self.mass += sum_by_class(value[valid], valid_weights[:, None] * probability[valid], len(self.mass))
        self.weight += float(valid_weights.sum())
        self.num_labels += len(valid_weights)

    def log_frequencies(self) -> Float[Tensor, " C"]:
        """Return log-probabilities of all classes, each counted once more than it was seen."""
        total = float(self.mass.sum())
        seen = self.mass * (self.num_labels / total) if total > 0 else torch.zeros_like(self.mass)
        return ((seen + 1) / (seen.sum() + len(seen))).log()


class LabelCounter:
    """Counts the labels of some targets of a task, batch by batch.

    Args:
        task: Whose split makes the targets and whose objective weighs them.
        names: Targets of categories.
    """

    def __init__(self, task: Task, names: Iterable[str]) -> None:
        self.task, classes = task, count_classes(task)
        self.counts = {
            name: LabelCounts(
                torch.zeros(classes[name], dtype=torch.double), torch.zeros(classes[name], dtype=torch.double)
            )
            for name in names
        }

    def add(self, targets: Targets) -> None:
        """Add the labels of a batch."""
        weights = scored_weights(self.task, targets)
        for name, counts in self.counts.items():
            counts.add(targets[name], weights[name])

    def count_labels(self, batches: Iterable[Batch], seed: int) -> Iterator[Batch]:
        """Yield the same training batches, after counting the labels of each, as the first epoch draws them."""
        for batch in batches:
            with torch.no_grad():
                self.add(self.task.apply_split_and_prepare(batch, Draws(batch.index, seed, 0))[1])
            yield batch


def count_classes(task: Task) -> dict[str, int]:
    """Return how many classes every target of categories has."""
    return {name: spec.classes for name, spec in task.target_specs.items() if isinstance(spec, Categories)}


def scored_weights(task: Task, targets: Targets) -> dict[str, Tensor | None]:
    """Return the weights of the objective's mean of every target; None where all positions count 1."""
    objective_weights = task.objective.scored_weights(targets) if isinstance(task.objective, WeighsTargets) else {}
    return {name: objective_weights.get(name, target.weight) for name, target in targets.items()}


def score_constant_prediction(
    train: LabelCounter, held_out: LabelCounter, predictable: Mapping[str, frozenset[str]]
) -> dict[str, float]:
    """Return what the constant prediction reaches, by metric.

    Args:
        train: Labels of the training samples.
        held_out: Labels of the samples that are scored.
        predictable: By target, the metrics that a constant prediction has a value of (`predictable_metrics`).
    """
    found: dict[str, float] = {}
    for name, metrics in predictable.items():
        train_counts, counts = train.counts[name], held_out.counts[name]
        if counts.weight <= 0:
            continue
        majority_class = train_counts.argmax_mass.argmax()
        values = {
            name: -float(counts.mass @ train_counts.log_frequencies()) / counts.weight,
            f"{name}.accuracy": float(counts.argmax_mass[majority_class]) / counts.weight,
        }
        found |= {metric: value for metric, value in values.items() if metric in metrics}
    return found


def predictable_metrics(task: Task, batch: Batch, draws: Draws) -> dict[str, frozenset[str]]:
    """Return the metrics that are a cross-entropy over a target's own classes or its accuracy, by target.

    Targets without such a metric are left out.

    Args:
        task: In evaluation mode.
        batch: Held-out samples, on whose targets the loss is compared with what the objective predicts of noise.
        draws: Of the batch.
    """
    with torch.no_grad():
        inputs, targets = task.apply_split_and_prepare(batch, draws)
        features = replace_by_noise(task.encode_inputs(inputs))
        metrics = task.score_features(features, inputs, targets, draws).parts
        predictions = task.objective.predict(features)
    weights = scored_weights(task, targets)
    found: dict[str, frozenset[str]] = {}
    for name, count in count_classes(task).items():
        names = {f"{name}.accuracy"} & metrics.keys()
        if name in metrics and name in predictions:
            expected = mean_cross_entropy(predictions[name], targets[name], weights[name], count)
            names |= {name} if math.isclose(expected, float(metrics[name]), rel_tol=SAME_LOSS, abs_tol=1e-5) else set()
        if names:
            found[name] = frozenset(names)
    return found


def replace_by_noise(features: Features) -> Features:
    """Return features of the same shapes that are noise, for which predictions are far from uniform.

    Where all classes are equally probable, a smoothed loss is the cross-entropy too; an untrained network is close.
    """
    noise = torch.Generator().manual_seed(0)

    def draw(vectors: Tensor) -> Tensor:
        return NOISE_STD * torch.randn(vectors.shape, generator=noise).to(vectors)

    return replace(
        features,
        streams={sight: draw(vectors) for sight, vectors in features.streams.items()},
        pooled={sight: draw(vectors) for sight, vectors in features.pooled.items()},
    )


def mean_cross_entropy(prediction: Tensor, target: Target, weight: Tensor | None, classes: int) -> float:
    """Return the mean cross-entropy of predicted log-probabilities; nan where these are not of the target's classes."""
    positions = target.value if target.probability is None else target.value[..., 0]
    if prediction.shape != (*positions.shape, classes):
        return math.nan
    valid = torch.ones_like(positions, dtype=torch.bool) if weight is None else weight > 0
    log_probability = upcast(prediction)[valid].log_softmax(-1)
    value = target.value[valid] if target.probability is not None else target.value[valid][:, None]
    probability = torch.ones_like(value) if target.probability is None else target.probability[valid]
    nats = -(probability * log_probability.gather(-1, value)).sum(-1).double()
    weights = torch.ones_like(nats) if weight is None else weight[valid].double()
    return float((nats * weights).sum() / weights.sum()) if len(nats) else math.nan


def sum_by_class(labels: Int[Tensor, "..."], weights: Float[Tensor, "..."], classes: int) -> Float[Tensor, " C"]:
    """Sum weights by class.

    >>> sum_by_class(torch.tensor([2, 0, 2]), torch.tensor([1.0, 1.0, 0.5]), 3).tolist()
    [1.0, 0.0, 1.5]
    """
    return torch.bincount(labels.flatten(), weights.flatten().double(), classes)
