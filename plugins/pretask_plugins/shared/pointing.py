"""Pointing: labels copied from positions by the softmax of products of vectors.

Source: Vondrick et al., ECCV 2018, section 3.2, equations 1 and 2.
Axes: B batch, V views, N positions, D width, Q query positions, P positions that may be pointed at, A views that are
queries, K classes.
"""

import torch
from jaxtyping import Bool, Float, Int
from pretask import full_precision
from torch import Tensor
from torch.nn import functional as F


def copy_labels(
    vectors: Float[Tensor, "B V N D"],
    label: Int[Tensor, "B V N"],
    given: Bool[Tensor, "B V N"],
    classes: int,
    query_views: int = 0,
) -> Float[Tensor, "B A N K"]:
    """Return the probability of every class at the positions of the last `query_views` views, or of all views.

    >>> label, given = torch.tensor([[[2, 0]]]), torch.tensor([[[True, False]]])
    >>> copy_labels(torch.zeros(1, 1, 2, 4), label, given, classes=3)[0, 0, 1].tolist()
    [0.0, 0.0, 1.0]
    """
    references = vectors.shape[1] - query_views
    queries = vectors[:, -query_views:]
    keys, labels, valid = (values[:, :references].flatten(1, 2) for values in (vectors, label, given))
    with full_precision(vectors.device):
        affinity = attend(queries.flatten(1, 2), keys, valid)
        probability = affinity @ F.one_hot(labels.clamp(min=0), classes).to(affinity.dtype)
    return probability.view(*queries.shape[:3], classes)


def attend(
    queries: Float[Tensor, "B Q D"], keys: Float[Tensor, "B P D"], valid: Bool[Tensor, "B P"]
) -> Float[Tensor, "B Q P"]:
    """Return the attention of every query to every valid key; rows add up to one."""
    products = queries @ keys.transpose(1, 2)
    return products.masked_fill(~valid[:, None], torch.finfo(products.dtype).min).softmax(-1)
