"""Correlation of two lists of numbers, by scipy; 0 where it is left open, since one of them is constant.

Axes: N numbers.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

from jaxtyping import Float
from torch import Tensor


def pearson(one: Float[Tensor, " N"], other: Float[Tensor, " N"]) -> float:
    """Return the correlation of two lists of numbers.

    >>> round(pearson(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 4.0, 6.0])), 6)
    1.0
    """
    from scipy.stats import pearsonr  # type: ignore[import-untyped]

    return correlate(pearsonr, one, other)


def spearman(one: Float[Tensor, " N"], other: Float[Tensor, " N"]) -> float:
    """Return the correlation of ranks; equal numbers share the mean of theirs.

    >>> round(spearman(torch.tensor([1.0, 5.0, 9.0]), torch.tensor([1.0, 2.0, 100.0])), 6)
    1.0
    """
    from scipy.stats import spearmanr

    return correlate(spearmanr, one, other)


def correlate(correlation: Callable[..., Any], one: Float[Tensor, " N"], other: Float[Tensor, " N"]) -> float:
    """Return scipy's correlation, 0 where one list is constant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of constant, or nearly constant, numbers
        found = float(correlation(one.double().numpy(), other.double().numpy()).statistic)
    return found if math.isfinite(found) else 0.0
