"""Moments: mean and covariance of features that may lie in a file larger than memory, in double precision.

Features are read in chunks. Each is centered on its own mean, or large means would swallow small variances; chunks, and
sums of other rows, are joined by their means. Every product is in double precision: one row of 1e4 times the others
leaves them a 1e-8th of the variance, which is less than the rounding of float32. So no scale of float32 features, 1e-38
to 1e38, nor a different one for every feature, changes what is found, and all thresholds are relative.

Source: Chan, Golub and LeVeque, Stanford report STAN-CS-79-773, 1979 (joining).
Differs: covariances, where they join variances.
Axes: N samples, n samples of a chunk, D features, C classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

CHUNK_ROWS = 8192  # samples that are looked at at once
STRIPES = 8  # of the columns of a Gram matrix: the half below the diagonal is copied, not computed
CONSTANT_SPREAD = 1e-6  # of the mean: ten roundings of float32, in which networks compute


@dataclass(frozen=True)
class Rows:
    """Some rows of features, which are read when they are needed.

    Args:
        features: In memory, or mapped from a file.
        index: Which rows; None for all.
    """

    features: Float[Tensor, "N D"]
    index: Int[Tensor, " M"] | None = None

    def __len__(self) -> int:
        return len(self.features) if self.index is None else len(self.index)

    @property
    def width(self) -> int:
        """The number of features, D."""
        return self.features.shape[1]

    def read(self, begin: int, end: int) -> Float[Tensor, "n D"]:
        """Read the rows from `begin` to `end`."""
        return self.features[begin:end] if self.index is None else self.features[self.index[begin:end]]

    def chunks(self) -> Iterator[Float[Tensor, "n D"]]:
        """Yield all rows in order, a chunk at a time."""
        for begin in range(0, len(self), CHUNK_ROWS):
            yield self.read(begin, begin + CHUNK_ROWS)

    def all(self) -> Float[Tensor, "M D"]:
        """Read all rows at once."""
        return self.read(0, len(self))


def as_rows(features: "Float[Tensor, 'N D'] | Rows") -> Rows:
    """Return all rows of features, or the rows that were picked already."""
    return features if isinstance(features, Rows) else Rows(features)


@dataclass(frozen=True)
class Moments:
    """What is known of the distribution of features.

    Args:
        count: Samples.
        mean: Of every feature.
        scatter: Sum over samples of the products of what two features differ from their means.
    """

    count: int
    mean: Float[Tensor, " D"]
    scatter: Float[Tensor, "D D"]

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of the samples of both."""
        count = self.count + other.count
        shift = other.mean - self.mean
        mean = self.mean + shift * (other.count / count)
        scatter = self.scatter + other.scatter
        return Moments(count, mean, scatter.addr_(shift, shift, alpha=self.count * other.count / count))

    @property
    def std(self) -> Float[Tensor, " D"]:
        """Of every feature; infinite where it is constant, so that what is divided by it is 0."""
        return std_or_infinity(self.spread, self.mean)

    @property
    def varies(self) -> Tensor:
        """Which features are not constant: their spread is more than float32's rounding of their own mean."""
        return self.std.isfinite()

    @property
    def spread(self) -> Float[Tensor, " D"]:
        """The root of the variance."""
        return (self.scatter.diagonal() / self.count).clamp(min=0).sqrt()


def std_or_infinity(spread: Float[Tensor, " D"], mean: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
    """Return the std of every feature; infinite where it is float32's rounding of the feature's own mean, or 0.

    >>> std_or_infinity(torch.tensor([2e-9, 2e-9, 0.0]), torch.tensor([1e-8, 1.0, 0.0]))
    tensor([2.0000e-09,        inf,        inf])
    """
    return torch.where(spread > CONSTANT_SPREAD * mean.abs(), spread, torch.inf)


def compute_moments(features: Float[Tensor, "N D"] | Rows) -> Moments:
    """Compute the moments of features, or of some rows of them, of one sample or more."""
    moments: Moments | None = None
    for chunk in as_rows(features).chunks():
        chunk_moments = compute_chunk_moments(chunk)
        moments = chunk_moments if moments is None else moments.merge(chunk_moments)
    if moments is None:
        raise ValueError("no samples")
    return moments


def compute_chunk_moments(chunk: Float[Tensor, "n D"]) -> Moments:
    """Compute the moments of samples that are in memory."""
    centered = chunk.to(torch.float64, copy=True)
    center = centered.mean(0)
    centered -= center
    rounding = centered.mean(0)  # of the mean
    return Moments(len(chunk), center + rounding, gram(centered).addr_(rounding, rounding, alpha=-len(chunk)))


def gram(rows: Float[Tensor, "n D"]) -> Float[Tensor, "D D"]:
    """Return the Gram matrix of the columns, at little more than half of the cost of a product of two matrices.

    >>> gram(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[10.0, 14.0], [14.0, 20.0]]
    """
    width = rows.shape[1]
    products = rows.new_empty(width, width)
    stripe = max(1, -(-width // STRIPES))
    for begin in range(0, width, stripe):
        block = rows[:, begin : begin + stripe].T @ rows[:, begin:]
        products[begin : begin + stripe, begin:] = block
        products[begin:, begin : begin + stripe] = block.T
    return products


def normalize_rows(features: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """Divide rows by their length, at any scale; rows of 0 stay 0.

    The largest entry divides first: squares of 1e-23 or 1e20 are beyond float32.

    >>> normalize_rows(torch.tensor([[3e-30, 4e-30], [3e30, 4e30], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    largest = features.abs().amax(1, keepdim=True)
    return F.normalize(features / torch.where(largest > 0, largest, 1.0), dim=1)


def sum_classes(
    features: Float[Tensor, "N D"] | Rows, labels: Int[Tensor, " N"], classes: int, mean: Float[Tensor, " D"]
) -> Float[Tensor, "C D"]:
    """Sum the differences of samples from a mean, for every class, in double precision."""
    sums = mean.new_zeros(classes, len(mean))
    begin = 0
    for chunk in as_rows(features).chunks():
        one_hot = F.one_hot(labels[begin : begin + len(chunk)], classes).double()
        sums += one_hot.T @ (chunk.double() - mean)
        begin += len(chunk)
    return sums
