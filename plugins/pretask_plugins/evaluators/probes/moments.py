"""Moments: mean and covariance of features that may lie in a file larger than memory, in double precision.

Features are read in pieces. Each is centered on its own mean, or large means would swallow small variances; pieces, and
sums of other rows, are joined by their means. Every product is in double precision: one row of 1e4 times the others
leaves them a 1e-8th of the variance, which is less than the rounding of float32. So no scale of float32 features, 1e-38
to 1e38, nor a different one for every feature, changes what is found, and all thresholds are relative.

Source: Chan, Golub and LeVeque, Stanford report STAN-CS-79-773, 1979 (joining).
Differs: covariances, where they join variances.
Axes: N samples, n samples of a piece, D features, C classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

PIECE_ROWS = 8192  # samples that are looked at at once
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

    def some(self, begin: int, end: int) -> Float[Tensor, "n D"]:
        """Read some of the rows."""
        return self.features[begin:end] if self.index is None else self.features[self.index[begin:end]]

    def pieces(self) -> Iterator[Float[Tensor, "n D"]]:
        """Yield all rows in order, a piece at a time."""
        for begin in range(0, len(self), PIECE_ROWS):
            yield self.some(begin, begin + PIECE_ROWS)

    def all(self) -> Float[Tensor, "M D"]:
        """Read all rows at once."""
        return self.some(0, len(self))


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
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        scatter = self.scatter + other.scatter
        return Moments(count, mean, scatter.addr_(apart, apart, alpha=self.count * other.count / count))

    @property
    def std(self) -> Float[Tensor, " D"]:
        """Of every feature; infinite where it is constant, so that what is divided by it is 0."""
        return divisor(self.spread, self.mean)

    @property
    def varies(self) -> Tensor:
        """Which features are not constant: their spread is more than float32's rounding of their own mean."""
        return self.std.isfinite()

    @property
    def spread(self) -> Float[Tensor, " D"]:
        """The root of the variance."""
        return (self.scatter.diagonal() / self.count).clamp(min=0).sqrt()


def divisor(spread: Float[Tensor, " D"], mean: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
    """Return the std of every feature; infinite where it is float32's rounding of the feature's own mean, or 0.

    >>> divisor(torch.tensor([2e-9, 2e-9, 0.0]), torch.tensor([1e-8, 1.0, 0.0]))
    tensor([2.0000e-09,        inf,        inf])
    """
    return torch.where(spread > CONSTANT_SPREAD * mean.abs(), spread, torch.inf)


def compute_moments(features: Float[Tensor, "N D"] | Rows) -> Moments:
    """Compute the moments of features, or of some rows of them, of one sample or more."""
    found: Moments | None = None
    for piece in as_rows(features).pieces():
        part = moments_of_piece(piece)
        found = part if found is None else found.merge(part)
    if found is None:
        raise ValueError("no samples")
    return found


def moments_of_piece(piece: Float[Tensor, "n D"]) -> Moments:
    """Compute the moments of samples that are in memory."""
    away = piece.to(torch.float64, copy=True)
    center = away.mean(0)
    away -= center
    rest = away.mean(0)  # the rounding of the mean
    return Moments(len(piece), center + rest, gram(away).addr_(rest, rest, alpha=-len(piece)))


def gram(rows: Float[Tensor, "n D"]) -> Float[Tensor, "D D"]:
    """Multiply every two columns, at little more than half of the cost of a product of two matrices.

    >>> gram(torch.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[10.0, 14.0], [14.0, 20.0]]
    """
    width = rows.shape[1]
    products = rows.new_empty(width, width)
    stripe = max(1, -(-width // STRIPES))
    for begin in range(0, width, stripe):
        some = rows[:, begin : begin + stripe].T @ rows[:, begin:]
        products[begin : begin + stripe, begin:] = some
        products[begin:, begin : begin + stripe] = some.T
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
    """Sum, for every class, what its samples differ from a mean, in double precision."""
    found = mean.new_zeros(classes, len(mean))
    begin = 0
    for piece in as_rows(features).pieces():
        answer = F.one_hot(labels[begin : begin + len(piece)], classes).double()
        found += answer.T @ (piece.double() - mean)
        begin += len(piece)
    return found
