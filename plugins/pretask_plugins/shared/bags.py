"""Bags: weighted sums of some rows of a table, and products of vectors with such rows, without a copy of the rows.

    s_nk = v_n . u_{c(n, k)}                                  what the loss needs
    dv_n = sum over k of g_nk u_{c(n, k)}                     its gradients, where g_nk is that by s_nk
    du_c = sum over n, k with c(n, k) = c of g_nk v_n

With g_nk the weights of a bag, the second is `embedding_bag`, whose gradient by its weights is the first, and the third
is the product of a sparse matrix with the vectors. To look up and multiply takes several times as long where the rows
that are looked up no longer fit the cache.
Axes: N vectors, K candidates of each, C rows of the table, D width.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F


def multiply_candidates(
    vectors: Float[Tensor, "N D"], table: Float[Tensor, "C D"], candidates: Int[Tensor, "N K"]
) -> Float[Tensor, "N K"]:
    """Return the product of every vector with the rows that are its candidates, on a CPU.

    >>> multiply_candidates(torch.tensor([[1.0, 2.0]]), torch.eye(2), torch.tensor([[1, 0, 1]])).tolist()
    [[2.0, 1.0, 2.0]]
    """
    products: Tensor = CandidateProducts.apply(vectors.contiguous(), table, candidates)  # type: ignore[no-untyped-call]
    return products


def sum_bags(
    table: Float[Tensor, "C D"], bags: Int[Tensor, "N K"], weights: Float[Tensor, "N K"]
) -> Float[Tensor, "N D"]:
    """Return the weighted sum of the rows of every bag.

    >>> sum_bags(torch.eye(2), torch.tensor([[1, 0]]), torch.tensor([[0.5, 2.0]])).tolist()
    [[2.0, 0.5]]
    """
    if table.device.type != "cpu" or torch.compiler.is_compiling():
        return F.embedding_bag(bags, table, per_sample_weights=weights, mode="sum")
    sums: Tensor = BagSums.apply(table, bags, weights)  # type: ignore[no-untyped-call]
    return sums


class BagSums(torch.autograd.Function):
    """The sums, and their gradient by the table; weights are taken for constants."""

    @staticmethod
    def forward(context: Any, table: Tensor, bags: Tensor, weights: Tensor) -> Tensor:
        """Return the sums."""
        context.save_for_backward(table, bags, weights)
        return F.embedding_bag(bags, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient by the table."""
        table, bags, weights = context.saved_tensors
        return sum_by_row(gradient.contiguous(), weights, bags, len(table)), None, None


class CandidateProducts(torch.autograd.Function):
    """The products, and their gradients by vectors and table."""

    @staticmethod
    def forward(context: Any, vectors: Tensor, table: Tensor, candidates: Tensor) -> Tensor:
        """Return the products: how the sum of a bag changes with the weights of its rows, along the vector."""
        context.save_for_backward(vectors, table, candidates)
        weights = torch.zeros(candidates.shape, dtype=table.dtype, requires_grad=True)
        with torch.enable_grad():
            sums = F.embedding_bag(candidates, table.detach(), per_sample_weights=weights, mode="sum")
        (products,) = torch.autograd.grad(sums, weights, vectors)
        return products

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        """Return the gradients by vectors and table."""
        vectors, table, candidates = context.saved_tensors
        by_vectors = F.embedding_bag(candidates, table, per_sample_weights=gradient.contiguous(), mode="sum")
        return by_vectors, sum_by_row(vectors, gradient, candidates, len(table)), None


def sum_by_row(
    vectors: Float[Tensor, "N D"], weights: Float[Tensor, "N K"], rows: Int[Tensor, "N K"], count: int
) -> Float[Tensor, "C D"]:
    """Return the sum of weighted vectors by row, by scipy: a third of the time of torch's own ways."""
    from scipy import sparse  # type: ignore[import-untyped]

    if vectors.dtype.itemsize < 4:  # which numpy has not
        return sum_by_row(vectors.float(), weights.float(), rows, count).to(vectors.dtype)
    starts = np.arange(0, rows.numel() + 1, rows.shape[1])
    cells = (weights.contiguous().numpy().ravel(), rows.contiguous().numpy().ravel(), starts)
    sums = sparse.csr_array(cells, (len(rows), count)).T @ vectors.numpy()
    return torch.from_numpy(sums)
