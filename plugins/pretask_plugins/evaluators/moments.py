"""Moments: mean and covariance of features that may lie in a file larger than memory, summed in double precision.

Features are read in pieces. Each is centred on its own mean, or large means would swallow small variances; pieces, and
sums of other rows, are joined by their means.

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

PIECE = 8192  # samples that are looked at at once


@dataclass(frozen=True)
class Rows:
    """Some rows of features, which are read when they are asked for.

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
        """D."""
        return self.features.shape[1]

    def some(self, begin: int, end: int) -> Float[Tensor, "n D"]:
        """A piece of them."""
        return self.features[begin:end] if self.index is None else self.features[self.index[begin:end]]

    def pieces(self) -> Iterator[Float[Tensor, "n D"]]:
        """All of them in order."""
        for begin in range(0, len(self), PIECE):
            yield self.some(begin, begin + PIECE)

    def all(self) -> Float[Tensor, "M D"]:
        """All of them at once."""
        return self.some(0, len(self))


def rows_of(features: "Float[Tensor, 'N D'] | Rows") -> Rows:
    """All rows of features, or the rows that were picked already."""
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

    def joined(self, other: "Moments") -> "Moments":
        """The moments of the samples of both."""
        count = self.count + other.count
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.count / count)
        scatter = self.scatter + other.scatter
        return Moments(count, mean, scatter.addr_(apart, apart, alpha=self.count * other.count / count))

    @property
    def deviation(self) -> Float[Tensor, " D"]:
        """Of every feature; 1 where it is constant."""
        return torch.where(self.varies, self.spread, 1.0)

    @property
    def varies(self) -> Tensor:
        """Which features are not constant: what they deviate by is more than the rounding of float32."""
        return self.spread > 1e-6 * (1 + self.mean.abs())

    @property
    def spread(self) -> Float[Tensor, " D"]:
        """The root of the variance."""
        return (self.scatter.diagonal() / self.count).clamp(min=0).sqrt()


def moments(features: Float[Tensor, "N D"] | Rows, dtype: torch.dtype = torch.float64) -> Moments:
    """Moments of features, of one sample or more.

    Args:
        features: Or some rows of them.
        dtype: Of the products within a piece.
    """
    found: Moments | None = None
    for piece in rows_of(features).pieces():
        part = moments_of_piece(piece.to(dtype))
        found = part if found is None else found.joined(part)
    if found is None:
        raise ValueError("no samples")
    return found


def moments_of_piece(piece: Float[Tensor, "n D"]) -> Moments:
    """The moments of samples that are in memory."""
    centre = piece.mean(0)
    away = piece - centre
    left = away.mean(0, dtype=torch.float64)  # of the rounding of the mean
    scatter = (away.T @ away).double().addr_(left, left, alpha=-len(piece))
    return Moments(len(piece), centre.double() + left, scatter)


def class_sums(
    features: Float[Tensor, "N D"] | Rows, labels: Int[Tensor, " N"], classes: int, mean: Float[Tensor, " D"]
) -> Float[Tensor, "C D"]:
    """For every class the sum of what its samples differ from a mean, in double precision."""
    found = torch.zeros(classes, len(mean), dtype=torch.float64)
    begin = 0
    for piece in rows_of(features).pieces():
        answer = F.one_hot(labels[begin : begin + len(piece)], classes).double()
        found += answer.T @ (piece.double() - mean)
        begin += len(piece)
    return found
