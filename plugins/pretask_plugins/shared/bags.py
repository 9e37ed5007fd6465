"""Bags: weighted sums of some rows of a table, and products of vectors with such rows, without a copy of the rows.

    s_nk = v_n . u_{c(n, k)}                                  what the loss needs
    dv_n = sum over k of g_nk u_{c(n, k)}                     its gradients, where g_nk is that by s_nk
    du_c = sum over n, k with c(n, k) = c of g_nk v_n

With g_nk the weights of a bag, the second is `embedding_bag`, whose gradient by its weights is the first, and the third
is the product of a sparse matrix with the vectors. To look up and multiply takes several times as long where the rows
that are looked up no longer fit the cache.
Axes: N vectors, K candidates of each, P candidates in all, M vectors and an end, C rows of the table, D width.
"""

from typing import Any

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
        rows, weights, starts = drop_weightless(bags, weights)
        context.save_for_backward(table, rows, weights, starts)
        return F.embedding_bag(rows, table, starts, per_sample_weights=weights, mode="sum", include_last_offset=True)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient by the table."""
        table, rows, weights, starts = context.saved_tensors
        return sum_by_row(gradient.contiguous(), weights, rows, starts, len(table)), None, None


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
        starts = torch.arange(0, candidates.numel() + 1, candidates.shape[1])
        by_row = sum_by_row(vectors, gradient.flatten(), candidates.flatten(), starts, len(table))
        return by_vectors, by_row, None


def drop_weightless(
    bags: Int[Tensor, "N K"], weights: Float[Tensor, "N K"]
) -> tuple[Int[Tensor, " P"], Float[Tensor, " P"], Int[Tensor, " M"]]:
    """Return rows that have a weight, these, and where every bag begins, with the end: windows are seldom full.

    >>> drop_weightless(torch.tensor([[4, 5], [6, 7]]), torch.tensor([[1.0, 0.0], [0.5, 0.5]]))[2].tolist()
    [0, 1, 3]
    """
    has_weight = weights != 0
    starts = F.pad(has_weight.sum(1).cumsum(0), (1, 0))
    return bags[has_weight], weights[has_weight], starts


def sum_by_row(
    vectors: Float[Tensor, "N D"],
    weights: Float[Tensor, " P"],
    rows: Int[Tensor, " P"],
    starts: Int[Tensor, " M"],
    count: int,
) -> Float[Tensor, "C D"]:
    """Return the sum of weighted vectors by row, by scipy: a third of the time of torch's own ways.

    Args:
        vectors: One for every bag.
        weights: Of all rows of all bags.
        rows: Their numbers.
        starts: Where every bag begins, with the end.
        count: Rows of the table.
    """
    from scipy import sparse  # type: ignore[import-untyped]

    if vectors.dtype.itemsize < 4:  # which numpy has not
        return sum_by_row(vectors.float(), weights.float(), rows, starts, count).to(vectors.dtype)
    cells = (weights.contiguous().numpy(), rows.contiguous().numpy(), starts.numpy())
    sums = sparse.csr_array(cells, (len(vectors), count)).T @ vectors.numpy()
    return torch.from_numpy(sums)
