"""Distances between two sets of feature vectors: of Gaussians with their moments, and of means in a kernel's space.

Source: Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter, NIPS 2017 (Frechet distance); Binkowski, Sutherland,
Arbel and Gretton, ICLR 2018 (kernel distance, unbiased). Differs: features are those of the given encoder, not
Inception's, so that no number here can be compared with published ones.
Axes: N and M vectors of the two sets, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor

KERNEL_DEGREE = 3  # of (x . y / D + 1)^3


def frechet_distance(first: Float[Tensor, "N D"], second: Float[Tensor, "M D"]) -> float:
    """Return |m - n|^2 + tr(S + T - 2 (S T)^(1/2)) of the means and covariances of both sets.

    >>> points = torch.tensor([[0.0], [2.0]])
    >>> round(frechet_distance(points, points + 3), 4)
    9.0
    """
    first, second = first.double(), second.double()
    one, two = covariance(first), covariance(second)
    root = matrix_root(one)
    # The eigenvalues of S T are those of the symmetric S^(1/2) T S^(1/2).
    cross = torch.linalg.eigvalsh(root @ two @ root).clamp(min=0).sqrt().sum()
    apart = (first.mean(0) - second.mean(0)).square().sum()
    return float(apart + one.trace() + two.trace() - 2 * cross)


def covariance(vectors: Float[Tensor, "N D"]) -> Float[Tensor, "D D"]:
    """Return the unbiased covariance."""
    centered = vectors - vectors.mean(0)
    return centered.T @ centered / max(len(vectors) - 1, 1)


def matrix_root(matrix: Float[Tensor, "D D"]) -> Float[Tensor, "D D"]:
    """Return the symmetric root of a positive semidefinite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    return root


def kernel_distance(first: Float[Tensor, "N D"], second: Float[Tensor, "M D"]) -> float:
    """Return the squared distance of the mean embeddings under a cubic kernel, without a bias: it may be below 0."""
    first, second = first.double(), second.double()
    within = [mean_of_others(kernel(vectors, vectors)) for vectors in (first, second)]
    return float(sum(within) - 2 * kernel(first, second).mean())


def kernel(first: Float[Tensor, "N D"], second: Float[Tensor, "M D"]) -> Float[Tensor, "N M"]:
    """Return the cubic kernel of all pairs."""
    return (first @ second.T / first.shape[1] + 1) ** KERNEL_DEGREE


def mean_of_others(matrix: Float[Tensor, "N N"]) -> Tensor:
    """Return the mean of what is off the diagonal."""
    count = len(matrix)
    return (matrix.sum() - matrix.trace()) / (count * (count - 1))
