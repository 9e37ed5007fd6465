"""Ridge: a linear classifier fitted by least squares, in closed form for every C. Quicker than `linear`, a bit below.

Each class has a target, 1 for its samples and 0 for the others; the largest output wins. With C of the grid, minimized
is the sum of squared errors plus |W|^2 / C, over weights of standardized features; the bias is free. In the eigenbasis
of the covariance every C costs one division. All that is needed of the features is their covariance and their sums by
class, in double precision, so that they can stay in a file.

As in linear.py, the regularizer and the pooling of each layer and the layer of the headline are chosen on a held-out
tenth (by accuracy; of equals, by squared error), the chosen ones solved again on the whole training part, the test part
scored once. What is held out is added to the sums: nothing is read twice.

Source: Hoerl and Kennard 1970; scikit-learn's RidgeClassifier, whose alpha is 1 / C.
Differs: features are standardized, and targets are 1 and 0 where it has 1 and -1, which scales W and changes no
    prediction.
Axes: N samples, D features, C classes, G regularizers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from pretask import Budget, Choice, Data, Items, Task
from pretask.options import InnerFraction
from pretask.pooling import POOLINGS
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.evaluators.probes.logistic import GRID
from pretask_plugins.evaluators.probes.moments import CHUNK_ROWS, Moments, Rows, as_rows, compute_moments, sum_classes
from pretask_plugins.evaluators.probes.validation_split import (
    LayerChoice,
    ProbeData,
    best_poolings,
    build_probe_data,
    check_poolings,
    find_classes,
    report,
)


@dataclass(frozen=True)
class RidgeProbe:
    """Ridge classification on every layer.

    Args:
        label: Name of the labels; the first ones when empty.
        val_fraction: Fraction of the training part on which regularizer, pooling and layer are chosen.
        pooling: Those to choose from: mean, last, own (the model's own pooled vector, such as a class token), mean-max,
            segments and quarters, which keep the order of time and what is where (pretask.pooling).
    """

    label: str = ""
    val_fraction: InnerFraction = 0.1
    pooling: tuple[str, ...] = POOLINGS

    def __post_init__(self) -> None:
        check_poolings("ridge", self.pooling)

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no labels to probe, or too few samples of a class."""
        find_classes("ridge", data, self.label)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items | Choice]]:
        """Yield `accuracy`, `balanced_accuracy` and `items` of the layer and pooling chosen on validation data.

        `layer` and `pooling` name these; `layerK.accuracy` and `layerK.pooling` are of each layer. `majority` is the
        accuracy of the most frequent class.

        Raises:
            PretaskError: There are no labels to probe, or too few samples of a class.
        """
        probe = build_probe_data("ridge", task, data, budget, self.label, self.val_fraction, self.pooling)
        val_accuracy: dict[str, float] = {}
        predictions: dict[str, Int[Tensor, " N"]] = {}
        for names in probe.layers():
            choices = {name: self.choose(probe, name) for name in names}
            val_accuracy |= {name: choice.val_accuracy for name, (choice, _) in choices.items()}
            for name in best_poolings({name: val_accuracy[name] for name in names}):
                choice, sums = choices[name]
                solution = solve(sums, (GRID[choice.regularizer],))
                predictions[name] = solution.predict(probe.test.rows(name))[0]
        yield from report(probe, max(predictions, key=lambda name: val_accuracy[name]), predictions)

    def choose(self, probe: ProbeData, name: str) -> tuple[LayerChoice, "LeastSquaresSums"]:
        """Choose the regularizer with which a layer, pooled in one way, does best on what is held out.

        Returns:
            It, and the sums of the whole training part.
        """
        fit, validation = probe.fit_and_validation(name)
        fit_sums = compute_sums(fit.rows, fit.labels, probe.classes)
        solution = solve(fit_sums, GRID)
        accuracy = (solution.predict(validation.rows) == validation.labels).double().mean(1)
        error = solution.squared_error(validation.rows, validation.labels)
        best = int(error.where(accuracy == accuracy.max(), math.inf).argmin())
        return LayerChoice(best, float(accuracy.max())), fit_sums.merge(
            compute_sums(validation.rows, validation.labels, probe.classes)
        )


@dataclass(frozen=True)
class LeastSquaresSums:
    """The sums over samples that determine a least-squares solution.

    Args:
        moments: Of the features.
        products: For every class the sum of what its samples differ from the mean.
        counts: Samples of every class.
    """

    moments: Moments
    products: Float[Tensor, "C D"]
    counts: Float[Tensor, " C"]

    def merge(self, other: "LeastSquaresSums") -> "LeastSquaresSums":
        """Return the sums over the samples of both."""
        moments = self.moments.merge(other.moments)
        products, other_products = (
            sums.products + sums.counts[:, None] * (sums.moments.mean - moments.mean) for sums in (self, other)
        )
        return LeastSquaresSums(moments, products + other_products, self.counts + other.counts)


def compute_sums(features: Float[Tensor, "N D"] | Rows, labels: Int[Tensor, " N"], classes: int) -> LeastSquaresSums:
    """Compute the sums of some samples that determine a least-squares solution."""
    moments = compute_moments(features)
    counts = torch.bincount(labels, minlength=classes).double()
    return LeastSquaresSums(moments, sum_classes(features, labels, classes, moments.mean), counts)


@dataclass(frozen=True)
class RidgeSolution:
    """The linear classifier of every regularizer: weights @ features + bias."""

    weights: Float[Tensor, "G C D"]
    bias: Float[Tensor, "G C"]

    def scores(self, chunk: Float[Tensor, "n D"], index: int) -> Float[Tensor, "n C"]:
        """Return the score of each class, by one regularizer."""
        return chunk.double() @ self.weights[index].T + self.bias[index]

    def predict(self, features: Float[Tensor, "N D"] | Rows) -> Int[Tensor, "G N"]:
        """Predict the class with the highest score."""
        predictions = [
            torch.stack([self.scores(chunk, index).argmax(1) for index in range(len(self.weights))])
            for chunk in as_rows(features).chunks()
        ]
        return torch.cat(predictions, 1)

    def squared_error(self, features: Float[Tensor, "N D"] | Rows, labels: Int[Tensor, " N"]) -> Float[Tensor, " G"]:
        """Sum the squared errors over samples and classes."""
        total = self.bias.new_zeros(len(self.weights))
        for chunk, label in zip(as_rows(features).chunks(), torch.split(labels, CHUNK_ROWS), strict=True):
            target = F.one_hot(label, self.bias.shape[1])
            for index in range(len(self.weights)):
                total[index] += (self.scores(chunk, index) - target).square().sum()
        return total


def solve(sums: LeastSquaresSums, grid: tuple[float, ...]) -> RidgeSolution:
    """Solve ridge regression for every C: along an axis of variance v, weights are products / (N v + 1 / C)."""
    count, std = sums.moments.count, sums.moments.std
    scatter, axes = torch.linalg.eigh(sums.moments.scatter / std / std[:, None])  # N v along each axis
    products = (sums.products / std) @ axes
    denominators = [scatter.clamp(min=0) + 1 / inverse for inverse in grid]
    weights = torch.stack([(products / denominator) @ axes.T / std for denominator in denominators])
    return RidgeSolution(weights, sums.counts / count - weights @ sums.moments.mean)
