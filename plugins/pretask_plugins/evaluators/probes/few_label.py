"""Few-label: logistic regression on frozen features when few samples have a label.

1, 5, 10 and 100 labels per class, then 1 % and 10 % of every class. For each size several subsets are drawn by the
seed; within a draw the larger ones contain the smaller ones. On each, the logistic regression of linear.py is solved
and the whole test part is scored. Reported is the mean over draws with a 95 % interval, which says how much the choice
of labels (Student's t) and of test samples (Agresti and Coull) matters, squared half widths added; another seed of
pretraining is not in it.

One layer is probed, the output, pooled in one way, by the mean, unless others are requested. A layer or pooling chosen
by all labels would be no few-label probe; every layer offers the mean, which is of content alone. Where every class of
a subset has five samples or more, the regularizer is chosen on a validation fifth of it (at least one of each class)
and solved again on all of it; below, C is 1. Features are divided by their standard deviation over the whole training
part, which needs no label. A size that some class cannot supply is left out.

Source: Zhai et al. 2019 (few labels); Chen, Kornblith, Norouzi and Hinton, ICML 2020 (1 % and 10 %).
Differs: frozen features, where they train the network on; balanced by class.
Axes: N samples, C classes, D features.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

import torch
from jaxtyping import Float, Int
from pretask import Budget, Data, Draws, PretaskError, Task
from pretask.options import DepthOrZero, FractionAboveZero, InnerFraction, PositiveInt, Size, require_range
from torch import Tensor

from pretask_plugins.evaluators.probes.linear import DTYPES, choose_regularizer
from pretask_plugins.evaluators.probes.logistic import GRID, fit_grid
from pretask_plugins.evaluators.probes.moments import Rows, compute_moments
from pretask_plugins.evaluators.probes.validation_split import (
    LabeledRows,
    ProbeData,
    balanced_accuracy,
    build_probe_data,
    check_poolings,
    find_classes,
    layer_name,
    majority,
    split_stratified,
)

MIN_CLASS_SIZE = 5  # samples of every class, with which a regularizer can be chosen
DEFAULT_REGULARIZER = 24  # the index of C = 1 in the grid: where there are fewer samples
CONFIDENCE = 0.95


@dataclass(frozen=True)
class FewLabels:
    """Logistic regression on few labeled samples.

    Args:
        per_class: Numbers of labels per class.
        label_fraction: Fractions of every class.
        draws: Subsets of each size.
        layer: Number of the layer; 0 for the output.
        pooling: mean, last, own (the model's own summary, such as a class token), mean-max, segments or quarters.
        label: Name of the labels; the first ones when empty.
        val_fraction: Fraction of a subset on which the regularizer is chosen.
        dtype: Of the arithmetic.
    """

    per_class: tuple[PositiveInt, ...] = (1, 5, 10, 100)
    label_fraction: tuple[FractionAboveZero, ...] = (0.01, 0.1)
    draws: Size = 5
    layer: DepthOrZero = 0
    pooling: str = "mean"
    label: str = ""
    val_fraction: InnerFraction = 0.2
    dtype: Literal["bfloat16", "float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        check_poolings("few-label", (self.pooling,))
        require_range("few-label", "few-label", self)

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no labels to probe, or too few samples of a class."""
        find_classes("few-label", data, self.label)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float]]:
        """Yield `5.accuracy`, `5.low`, `5.high` and `5.balanced_accuracy` of five labels per class, and of other sizes.

        `1%.accuracy` is of one hundredth. `majority` is the accuracy of the most frequent class, `layer` which one was
        probed. With one draw there is no interval.

        Raises:
            PretaskError: There are no labels to probe, no such layer, or too few samples for every size.
        """
        probe = build_probe_data("few-label", task, data, budget, self.label, self.val_fraction, (self.pooling,))
        name = self.choose_features(probe)
        std = compute_moments(probe.train.rows(name)).std
        sizes = available_sizes(probe, self.per_class, self.label_fraction)
        if not sizes:
            raise PretaskError("few-label", "classes that supply a size", "too few samples", "Set smaller sizes.")
        for size, counts in sizes.items():
            accuracies = [self.measure(probe, name, std, counts, budget.seed, draw) for draw in range(self.draws)]
            yield from summarize(size, *map(list, zip(*accuracies, strict=True)), samples=len(probe.test.labels))
        yield "majority", majority(probe)
        yield "layer", float(layer_name(name).removeprefix("layer"))

    def choose_features(self, probe: ProbeData) -> str:
        """Return the name of the features that are probed."""
        names = [*probe.train.features]
        name = f"layer{self.layer}.{self.pooling}" if self.layer else names[-1]
        if name not in names:
            numbers = ", ".join(layer_name(name).removeprefix("layer") for name in names)
            needs = f"one of {numbers}, the layers that offer the pooling {self.pooling}"
            raise PretaskError("few-label.layer", needs, str(self.layer), "Set it to 0.")
        return name

    def measure(
        self, probe: ProbeData, name: str, std: Float[Tensor, " D"], counts: Int[Tensor, " C"], seed: int, draw: int
    ) -> tuple[float, float]:
        """Measure accuracy and balanced accuracy on the test part after training on one subset."""
        index = draw_labels(probe.train.labels, counts, seed, draw)
        subset = probe.train.select(name, index)
        grid = GRID[: self.choose_regularizer_index(subset, probe.classes, std, seed) + 1]
        solution = fit_grid(subset.rows, subset.labels, probe.classes, grid, dtype=DTYPES[self.dtype], std=std)
        prediction = solution.predict(probe.test.rows(name))[-1]
        correct = float((prediction == probe.test.labels).double().mean())
        return correct, balanced_accuracy(prediction, probe.test.labels, probe.classes)

    def choose_regularizer_index(self, subset: LabeledRows, classes: int, std: Float[Tensor, " D"], seed: int) -> int:
        """Choose the index in the grid on a validation split of the subset, or a fixed one where that is too small."""
        count = torch.bincount(subset.labels, minlength=classes)
        if int(count[count > 0].min()) < MIN_CLASS_SIZE:
            return DEFAULT_REGULARIZER
        validation = split_stratified(subset.labels, classes, self.val_fraction, seed)
        fit_rows, validation_rows = (
            LabeledRows(Rows(subset.rows.all(), chosen.nonzero()[:, 0]), subset.labels[chosen])
            for chosen in (~validation, validation)
        )
        return choose_regularizer(fit_rows, validation_rows, classes, dtype=DTYPES[self.dtype], std=std).regularizer


def available_sizes(
    probe: ProbeData, per_class: tuple[int, ...], fractions: tuple[float, ...]
) -> dict[str, Int[Tensor, " C"]]:
    """Return the sizes that every class can supply, by name, as samples of each class."""
    available = torch.bincount(probe.train.labels, minlength=probe.classes)
    present = available > 0
    sizes = {f"{size}": torch.where(present, size, 0) for size in per_class}
    sizes |= {f"{100 * fraction:g}%": (fraction * available.double()).round().long() for fraction in fractions}
    return {
        name: counts for name, counts in sizes.items() if bool(((counts >= 1) & (counts <= available))[present].all())
    }


def draw_labels(labels: Int[Tensor, " N"], counts: Int[Tensor, " C"], seed: int, draw: int) -> Int[Tensor, " M"]:
    """Draw the samples that keep their label: of each class the first ones in an order drawn by the seed.

    >>> labels = torch.tensor([0, 1, 0, 1, 0])
    >>> labels[draw_labels(labels, torch.tensor([2, 1]), seed=0, draw=0)].sort().values.tolist()
    [0, 0, 1]
    """
    order = Draws(torch.arange(len(labels)), seed).branch("few labels").uniform(f"draw {draw}")
    classes = [(labels == label).nonzero()[:, 0] for label in range(len(counts))]
    taken = [members[order[members].argsort()[:count]] for members, count in zip(classes, counts.tolist(), strict=True)]
    return torch.cat(taken).sort().values


def summarize(size: str, accuracy: list[float], balanced: list[float], *, samples: int) -> Iterator[tuple[str, float]]:
    """Summarize the accuracies of one size on so many test samples."""
    mean = fmean(accuracy)
    yield f"{size}.accuracy", mean
    if len(accuracy) > 1:
        margin = half_width(accuracy, samples)
        yield f"{size}.low", max(0.0, mean - margin)
        yield f"{size}.high", min(1.0, mean + margin)
    yield f"{size}.balanced_accuracy", fmean(balanced)


def half_width(values: list[float], samples: int) -> float:
    """Return half of the 95 % interval of a mean accuracy over two draws of labels or more.

    Draws that agree by luck, or all at 100 %, leave the half width over the test samples: four are added to them, two
    of which are wrong.

    >>> round(half_width([0.4, 0.5, 0.6], 10**9), 4), round(half_width([1.0, 1.0], 50), 4)
    (0.2484, 0.0505)

    Source: Agresti and Coull 1998.
    """
    from scipy import stats  # type: ignore[import-untyped]

    count, added = len(values), 4
    over_draws = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * stdev(values) / math.sqrt(count)
    fraction = (fmean(values) * samples + added / 2) / (samples + added)
    over_samples = float(stats.norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt(
        fraction * (1 - fraction) / (samples + added)
    )
    return math.hypot(over_draws, over_samples)
