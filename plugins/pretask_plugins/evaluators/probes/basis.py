"""Basis: standardized features in the eigenbasis of their covariance, rotated beforehand or as they are read.

In it the Hessian of the regression is nearly diagonal and |W| is what it was. A rotated copy of the features is the
quick way. Where it would take more than MAX_COPY_BYTES, features stay where they are: they are read and
standardized chunk by chunk, and it is the weights that are rotated, since (W V') z = W (V' z). Minima are the same.

Mean, std, covariance and eigenvectors are in double precision, whatever that of the solver, since a weak
regularizer uses directions of little variance: one outlier of 1e4 times the others leaves them 1e-8 of it. The outlier
still takes up the std, as in scikit-learn's StandardScaler; beyond 100 N times the others it leaves less of
them than the weakest regularizer of the grid can use.

Axes: N samples, n samples of a chunk, D features, R basis vectors plus one for the bias, K rows of weights.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from pretask_plugins.evaluators.probes.moments import Rows, as_rows, compute_moments, gram, std_or_infinity
from pretask_plugins.evaluators.probes.products import multiply

MAX_COPY_BYTES = 1 << 31  # bytes of a rotated copy, at most
MIN_VARIANCE = 1e-12  # of the largest: what double precision and the rounding of float32 features leave is below it
PRECISE_VARIANCE = 1e-6  # of the largest: below it a product in float32 would be mostly rounding


@dataclass(frozen=True)
class Basis:
    """Standardization and rotation, fitted on training features.

    Args:
        mean: Of every feature, in double precision.
        std: Of every feature, in double precision; infinite where it is constant, so that it becomes 0.
        rotation: Eigenvectors of the covariance of standardized features, in double precision, those of no variance
            left out.
        variance: Their eigenvalues, ascending, in the precision of what comes.
    """

    mean: Float[Tensor, " D"]
    std: Float[Tensor, " D"]
    rotation: Float[Tensor, "D R"]
    variance: Float[Tensor, " R"]

    @property
    def dtype(self) -> torch.dtype:
        """The type of the features in the basis."""
        return self.variance.dtype

    def __call__(self, features: Float[Tensor, "N D"] | Rows, /) -> Float[Tensor, "R1 N"]:
        """Return features in the basis, with a row of ones for the bias."""
        rows, begin = as_rows(features), 0
        rotated = self.variance.new_ones(len(self.variance) + 1, len(rows))
        num_precise = self.count_small_variances()
        rotation = self.rotation[:, num_precise:].to(self.dtype)
        for chunk in rows.chunks():
            standardized, end = self.standardize(chunk), begin + len(chunk)
            rotated[:num_precise, begin:end] = (standardized @ self.rotation[:, :num_precise]).T  # in double precision
            rotated[num_precise:-1, begin:end] = multiply(rotation.T, standardized.to(self.dtype).T)
            begin = end
        return rotated

    def count_small_variances(self) -> int:
        """Count the basis vectors, the first ones, whose variance is so small that float32 would be mostly rounding."""
        if not len(self.variance):
            return 0
        return int((self.variance < PRECISE_VARIANCE * self.variance.amax()).sum())

    def standardize(self, features: Float[Tensor, "n D"]) -> Float[Tensor, "n D"]:
        """Scale features to mean 0 and std 1, in double precision: float32 would overflow at 1e38."""
        return features.to(torch.float64, copy=True).sub_(self.mean).div_(self.std)


def fit_basis(
    features: Float[Tensor, "N D"] | Rows,
    dtype: torch.dtype = torch.float32,
    std: Float[Tensor, " D"] | None = None,
) -> Basis:
    """Fit standardization and the eigenbasis of the covariance.

    Args:
        features: Or some rows of them. Where there are more features than samples, all are held in memory.
        dtype: Of what comes.
        std: What features are divided by, where these few samples are not to tell.
    """
    rows = as_rows(features)
    if rows.width > len(rows):
        return build_wide_basis(rows.all().double(), dtype, std)
    moments = compute_moments(rows)
    std = moments.std if std is None else std.double()
    covariance = moments.scatter / moments.count / std / std[:, None]
    variance, rotation = drop_rounding(*torch.linalg.eigh(covariance))
    return Basis(moments.mean, std, rotation, variance.to(dtype))


def build_wide_basis(features: Float[Tensor, "N D"], dtype: torch.dtype, std: Float[Tensor, " D"] | None) -> Basis:
    """Build the basis of more features than samples from the smaller Gram matrix of samples."""
    spread, mean = torch.std_mean(features, 0, correction=0)
    std = std_or_infinity(spread, mean) if std is None else std.double()
    standardized = (features - mean) / std
    variance, vectors = drop_rounding(*torch.linalg.eigh(gram(standardized.T) / len(standardized)))
    return Basis(mean, std, standardized.T @ vectors / (variance * len(standardized)).sqrt(), variance.to(dtype))


def drop_rounding(variance: Float[Tensor, " D"], vectors: Float[Tensor, "D D"]) -> tuple[Tensor, Tensor]:
    """Keep the eigenvalues that are more than rounding, with their vectors."""
    kept = variance > variance[-1].clamp(min=0) * MIN_VARIANCE
    return variance[kept], vectors[:, kept]


@runtime_checkable
class Columns(Protocol):
    """Training features as the solver reads them."""

    @property
    def dtype(self) -> torch.dtype:
        """The type in which products are computed."""
        ...

    def chunks(self) -> Iterator[Float[Tensor, "R1 n"]]:
        """Yield all columns in order, CHUNK_ROWS at a time, with ones for the bias."""
        ...

    def rotate_weights(self, weights: Float[Tensor, "K R1"]) -> Float[Tensor, "K _"]:
        """Return weights for these columns from weights in the basis."""
        ...

    def rotate_gradient(self, gradient: Float[Tensor, "K _"]) -> Float[Tensor, "K R1"]:
        """Return a gradient in the basis from one for these columns."""
        ...


@dataclass(frozen=True)
class RotatedColumns:
    """Features in the basis, in memory: every chunk a matrix of its own, since products read those faster."""

    values: tuple[Float[Tensor, "R1 n"], ...]

    @property
    def dtype(self) -> torch.dtype:
        """The type in which products are computed."""
        return self.values[0].dtype

    def chunks(self) -> Iterator[Float[Tensor, "R1 n"]]:
        """Yield all columns in order, CHUNK_ROWS at a time, with ones for the bias."""
        yield from self.values

    def rotate_weights(self, weights: Float[Tensor, "K R1"]) -> Float[Tensor, "K R1"]:
        """Return the weights as they are: these columns are the basis."""
        return weights

    def rotate_gradient(self, gradient: Float[Tensor, "K R1"]) -> Float[Tensor, "K R1"]:
        """Return the gradient as it is: these columns are the basis."""
        return gradient


@dataclass(frozen=True)
class StreamedColumns:
    """Features as they are, standardized as they are read."""

    rows: Rows
    basis: Basis
    dtype: torch.dtype

    def chunks(self) -> Iterator[Float[Tensor, "D1 n"]]:
        """Read all columns in order, CHUNK_ROWS at a time, standardized, with ones for the bias."""
        for chunk in self.rows.chunks():
            standardized = self.basis.standardize(chunk).to(self.dtype)
            columns = standardized.new_ones(standardized.shape[1] + 1, len(standardized))
            columns[:-1] = standardized.T
            yield columns

    def rotate_weights(self, weights: Float[Tensor, "K R1"]) -> Float[Tensor, "K D1"]:
        """Return weights for features that are not rotated from weights in the basis."""
        return torch.cat([(weights[:, :-1].double() @ self.basis.rotation.T).to(weights.dtype), weights[:, -1:]], 1)

    def rotate_gradient(self, gradient: Float[Tensor, "K D1"]) -> Float[Tensor, "K R1"]:
        """Return a gradient in the basis from one for features that are not rotated."""
        return torch.cat([(gradient[:, :-1].double() @ self.basis.rotation).to(gradient.dtype), gradient[:, -1:]], 1)


def build_columns(rows: Rows, basis: Basis, dtype: torch.dtype) -> Columns:
    """Build the solver's training features: rotated in memory where that takes at most MAX_COPY_BYTES."""
    if len(rows) * (len(basis.variance) + 1) * basis.variance.itemsize > MAX_COPY_BYTES:
        return StreamedColumns(rows, basis, dtype)
    return RotatedColumns(tuple(basis(chunk).to(dtype) for chunk in rows.chunks()))
