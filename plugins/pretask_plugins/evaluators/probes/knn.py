"""Knn: the class that the nearest training samples vote for, by the cosine of features.

The score of a class is the sum over the k nearest training samples of exp(cosine / temperature). k, temperature,
pooling and layer are chosen on a validation tenth of the training part; then the whole training part predicts the
test part, once.

Source: Wu, Xiong, Yu and Lin, CVPR 2018, section 3.4.
Differs: k and temperature are chosen, where the paper has 200 and 0.07.
Axes: N samples, Q queries, K neighbors, C classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float, Int
from pretask import Budget, Choice, Data, Items, PretaskError, Task
from pretask.options import InnerFraction, PositiveInt, Temperature
from pretask.pooling import POOLINGS
from torch import Tensor

from pretask_plugins.evaluators.probes.moments import normalize_rows
from pretask_plugins.evaluators.probes.validation_split import (
    ProbeData,
    best_poolings,
    build_probe_data,
    check_neighbors,
    check_poolings,
    find_classes,
    report,
)

QUERY_BATCH = 1024  # looked up at once


@dataclass(frozen=True)
class NearestNeighbors:
    """Weighted nearest neighbors on every layer.

    Args:
        k: Numbers of neighbors to choose from.
        temperature: Temperatures to choose from; the smaller, the more the nearest one decides.
        label: Name of the labels; the first ones when empty.
        val_fraction: Fraction of the training part on which all is chosen.
        pooling: Those to choose from: mean, last, own (the model's own pooled vector, such as a class token), mean-max,
            segments and quarters, which keep the order of time and what is where (pretask.pooling).
    """

    k: tuple[PositiveInt, ...] = (1, 5, 10, 20, 50, 100, 200)
    temperature: tuple[Temperature, ...] = (0.03, 0.07, 0.2)
    label: str = ""
    val_fraction: InnerFraction = 0.1
    pooling: tuple[str, ...] = POOLINGS

    def __post_init__(self) -> None:
        check_poolings("knn", self.pooling)
        check_neighbors("knn", self.k)
        if not self.temperature or min(self.temperature) <= 0:
            raise PretaskError(
                "knn.temperature", "numbers above 0", str(self.temperature), "Set it to (0.07,).", exit_code=2
            )

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no labels to probe, or too few samples of a class."""
        find_classes("knn", data, self.label)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items | Choice]]:
        """Yield `accuracy`, `balanced_accuracy` and `items` of the layer and pooling chosen on validation data.

        `layer` and `pooling` name these; `layerK.accuracy` and `layerK.pooling` are of each layer. `majority` is the
        accuracy of the most frequent class.

        Raises:
            PretaskError: There are no labels, or too few samples of a class.
        """
        probe = build_probe_data("knn", task, data, budget, self.label, self.val_fraction, self.pooling)
        choices = {name: self.choose(probe, name) for name in probe.train.features}
        names = best_poolings({name: score for name, (score, _, _) in choices.items()})
        predictions = {name: self.predict(probe, name, *choices[name][1:]) for name in names}
        yield from report(probe, max(names, key=lambda name: choices[name][0]), predictions)

    def choose(self, probe: ProbeData, name: str) -> tuple[float, int, float]:
        """Choose the k and temperature with the best accuracy on validation samples."""
        fit, validation = probe.fit_and_validation(name)
        neighbors = find_neighbors(fit.rows.all(), fit.labels, validation.rows.all(), max(self.k))
        scores = [
            (
                float((vote(*neighbors, k, temperature, probe.classes) == validation.labels).float().mean()),
                k,
                temperature,
            )
            for k, temperature in product(self.k, self.temperature)
        ]
        return max(scores, key=lambda score: score[0])

    def predict(self, probe: ProbeData, name: str, k: int, temperature: float) -> Int[Tensor, " N"]:
        """Predict the classes of the test samples from the whole training part."""
        neighbors = find_neighbors(probe.train.rows(name).all(), probe.train.labels, probe.test.rows(name).all(), k)
        return vote(*neighbors, k, temperature, probe.classes)


def find_neighbors(
    train_features: Float[Tensor, "N D"], labels: Int[Tensor, " N"], queries: Float[Tensor, "Q D"], count: int
) -> tuple[Float[Tensor, "Q K"], Int[Tensor, "Q K"]]:
    """Find cosine and class of the nearest known samples of every query, nearest first."""
    train_features = normalize_rows(train_features)
    found = [
        (normalize_rows(query_batch) @ train_features.T).topk(min(count, len(train_features)), dim=1)
        for query_batch in torch.split(queries, QUERY_BATCH)
    ]
    return torch.cat([block.values for block in found]), labels[torch.cat([block.indices for block in found])]


def vote(
    cosine: Float[Tensor, "Q K"], label: Int[Tensor, "Q K"], k: int, temperature: float, classes: int
) -> Int[Tensor, " Q"]:
    """Return the class with the largest sum of exp(cosine / temperature) over the k nearest."""
    weight = (
        (cosine[:, :k] - cosine[:, :1]) / temperature
    ).exp()  # the nearest one's factor cancels, and nothing overflows
    return torch.zeros(len(cosine), classes).scatter_add_(1, label[:, :k], weight).argmax(1)
