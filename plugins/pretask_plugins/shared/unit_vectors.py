"""Unit vectors: what cosines of words and of their occurrences are computed of.

Axes: N vectors, D width.
"""

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F


def to_unit_length(vectors: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """Return vectors of length 1, in float64: equal ones shall not differ by rounding; a vector of 0 stays 0.

    >>> import torch
    >>> to_unit_length(torch.tensor([[3.0, 4.0], [0.0, 0.0]])).tolist()
    [[0.6, 0.8], [0.0, 0.0]]
    """
    return F.normalize(vectors.double(), dim=1)
