"""Forms: a class, classes of positions, or a number, each with its loss and its score on held-out training samples.

Axes: N samples, B batch, L positions, C classes, D width, U units.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from pretask import Batch, Features, Inputs
from pretask.pooling import join_widest
from torch import Tensor
from torch.nn import functional as F

Show = Callable[[Batch], Inputs]


def read_pooled(features: Features, batch: Batch) -> Float[Tensor, "B D"]:
    """Return the model's own pooled vector of every sample, views side by side; of several orders, the sum."""
    vectors = join_widest(features.pooled).flatten(1)
    orders = len(vectors) // max(len(batch), 1)
    return vectors.view(orders, len(batch), -1).sum(0) if orders > 1 else vectors


def read_positions(features: Features, batch: Batch) -> Float[Tensor, "B L D"]:
    """Return the vector of every position, views side by side."""
    return join_widest(features.streams).transpose(1, 2).flatten(2)


def labels_of(labels: Int[Tensor, "N ..."], batch: Batch) -> Int[Tensor, "B ..."]:
    """Return the labels of a batch, where it lies."""
    return labels[batch.index.to(labels.device)].to(batch.device)


@dataclass(frozen=True, eq=False)
class ClassForm:
    """One class of every sample, by the pooled vector.

    Args:
        labels: Of the training part.
        classes: How many.
        show: What the network is shown.
    """

    labels: Int[Tensor, " N"]
    classes: int
    show: Show
    rows_per_unit: int = 1

    @property
    def outputs(self) -> int:
        """One number for every class."""
        return self.classes

    def read(self, features: Features, batch: Batch, /) -> Float[Tensor, "B D"]:
        """Return the pooled vectors."""
        return read_pooled(features, batch)

    def scored(self, vectors: Float[Tensor, "B D"], batch: Batch, /) -> Float[Tensor, "B D"]:
        """Return all vectors."""
        return vectors

    def loss(self, outputs: Float[Tensor, "B C"], batch: Batch, /) -> Float[Tensor, ""]:
        """Return the mean cross-entropy, nats."""
        return F.cross_entropy(outputs, labels_of(self.labels, batch))

    def predict(self, outputs: Float[Tensor, "B C"], batch: Batch, /) -> Int[Tensor, " B"]:
        """Return the most likely class."""
        return outputs.argmax(1)

    def score(self, predictions: Int[Tensor, " U"], units: Int[Tensor, " U"], /) -> float:
        """Return the accuracy."""
        return float((predictions == self.labels[units]).double().mean())


@dataclass(frozen=True, eq=False)
class NumberForm:
    """One number of every sample, by the pooled vector; the score is a correlation.

    Args:
        values: Of the training part.
        show: What the network is shown.
        correlation: Of predictions and values.
    """

    values: Float[Tensor, " N"]
    show: Show
    correlation: Callable[[Tensor, Tensor], float]
    rows_per_unit: int = 1
    outputs: int = 1

    def read(self, features: Features, batch: Batch, /) -> Float[Tensor, "B D"]:
        """Return the pooled vectors."""
        return read_pooled(features, batch)

    def scored(self, vectors: Float[Tensor, "B D"], batch: Batch, /) -> Float[Tensor, "B D"]:
        """Return all vectors."""
        return vectors

    def standardize(self, values: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
        """Return values in standard deviations from the mean of the training part, which the head predicts."""
        std = self.values.std(correction=0)
        return (values - self.values.mean()) / std.where(std > 0, 1.0)

    def loss(self, outputs: Float[Tensor, "B 1"], batch: Batch, /) -> Float[Tensor, ""]:
        """Return the mean squared error, in variances."""
        values = self.standardize(self.values[batch.index.to(self.values.device)]).to(outputs)
        return F.mse_loss(outputs[:, 0], values)

    def predict(self, outputs: Float[Tensor, "B 1"], batch: Batch, /) -> Float[Tensor, " B"]:
        """Return the numbers, in standard deviations from the mean; correlations do not mind."""
        return outputs[:, 0].double()

    def score(self, predictions: Float[Tensor, " U"], units: Int[Tensor, " U"], /) -> float:
        """Return the correlation."""
        return self.correlation(predictions, self.values[units].double())


@dataclass(frozen=True, eq=False)
class TagForm:
    """One class of every labeled position, by its own vector.

    Args:
        labels: Of the training part; -1 where there is none.
        classes: How many.
        show: What the network is shown; position i of x is position i of the sample.
        rating: Of predicted and right classes of labeled positions, by sample.
    """

    labels: Int[Tensor, "N L"]
    classes: int
    show: Show
    rating: Callable[[Int[Tensor, "U L"], Int[Tensor, "U L"]], float]
    rows_per_unit: int = 1

    @property
    def outputs(self) -> int:
        """One number for every class."""
        return self.classes

    def read(self, features: Features, batch: Batch, /) -> Float[Tensor, "B L D"]:
        """Return the vectors of positions."""
        return read_positions(features, batch)

    def shown_labels(self, batch: Batch, count: int) -> Int[Tensor, "B M"]:
        """Return the labels of the positions that are shown, the first ones."""
        return labels_of(self.labels, batch)[:, :count]

    def scored(self, vectors: Float[Tensor, "B L D"], batch: Batch, /) -> Float[Tensor, "M D"]:
        """Return those of labeled positions."""
        return vectors[self.shown_labels(batch, vectors.shape[1]) >= 0]

    def loss(self, outputs: Float[Tensor, "B L C"], batch: Batch, /) -> Float[Tensor, ""]:
        """Return the mean cross-entropy of labeled positions, nats; 0 where there is none."""
        labels = self.shown_labels(batch, outputs.shape[1])
        total = F.cross_entropy(outputs.flatten(0, 1), labels.flatten(), ignore_index=-1, reduction="sum")
        return total / (labels >= 0).sum().clamp(min=1)

    def predict(self, outputs: Float[Tensor, "B M C"], batch: Batch, /) -> Int[Tensor, "B L"]:
        """Return the most likely class of every position; 0 where none was shown."""
        return F.pad(outputs.argmax(2), (0, self.labels.shape[1] - outputs.shape[1]))

    def score(self, predictions: Int[Tensor, "U L"], units: Int[Tensor, " U"], /) -> float:
        """Return the rating."""
        return self.rating(predictions, self.labels[units])


@dataclass(frozen=True, eq=False)
class ChoiceForm:
    """The right one of several samples that stand one after the other: one number each, by the pooled vector.

    Args:
        right: Whether a sample of the training part is a right choice.
        show: What the network is shown.
        rows_per_unit: How many choices there are.
    """

    right: Float[Tensor, " N"]
    show: Show
    rows_per_unit: int
    outputs: int = 1

    def read(self, features: Features, batch: Batch, /) -> Float[Tensor, "B D"]:
        """Return the pooled vectors."""
        return read_pooled(features, batch)

    def scored(self, vectors: Float[Tensor, "B D"], batch: Batch, /) -> Float[Tensor, "B D"]:
        """Return all vectors."""
        return vectors

    def loss(self, outputs: Float[Tensor, "B 1"], batch: Batch, /) -> Float[Tensor, ""]:
        """Return the mean cross-entropy of the right choice, nats."""
        right = self.right[batch.index.to(self.right.device)].to(outputs.device).view(-1, self.rows_per_unit)
        return F.cross_entropy(outputs.view(-1, self.rows_per_unit), right.argmax(1))

    def predict(self, outputs: Float[Tensor, "B 1"], batch: Batch, /) -> Float[Tensor, " B"]:
        """Return the number of every choice."""
        return outputs[:, 0]

    def score(self, predictions: Float[Tensor, " B"], units: Int[Tensor, " U"], /) -> float:
        """Return the accuracy."""
        rows = units[:, None] * self.rows_per_unit + torch.arange(self.rows_per_unit)
        return float(choose_right(predictions.view(-1, self.rows_per_unit), self.right[rows]).double().mean())


def choose_right(numbers: Float[Tensor, "U K"], right: Float[Tensor, "U K"]) -> Any:
    """Return whether the choice of the largest number is a right one, (U,) bool.

    >>> choose_right(torch.tensor([[0.1, 0.9], [0.8, 0.2]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]])).tolist()
    [True, False]
    """
    return right.gather(1, numbers.argmax(1, keepdim=True))[:, 0] > 0
