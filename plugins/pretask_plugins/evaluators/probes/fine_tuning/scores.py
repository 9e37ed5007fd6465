"""Scores: what benchmarks of language report of predictions beside accuracy, by scikit-learn and scipy.

Where these leave a correlation open, since one side is constant, it is 0.

Source: Matthews 1975; Wang et al., ICLR 2019 (GLUE), section 3 (which task is scored by what).
Axes: N samples.
"""

import math
import warnings
from collections.abc import Callable
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor


def f1_score(predictions: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: int) -> float:
    """Return the F1 of the second of two classes; of several the mean over those that occur or were predicted.

    >>> f1_score(torch.tensor([1, 1, 0, 0]), torch.tensor([1, 0, 1, 0]), 2)
    0.5
    """
    from sklearn.metrics import f1_score as score

    only = {"labels": [1]} if classes == 2 else {}
    return float(score(labels.numpy(), predictions.numpy(), average="macro", zero_division=0, **only))


def matthews(predictions: Int[Tensor, " N"], labels: Int[Tensor, " N"]) -> float:
    """Return Matthews' correlation of classes.

    >>> round(matthews(torch.tensor([1, 1, 1, 0]), torch.tensor([1, 1, 0, 0])), 4)
    0.5774
    """
    from sklearn.metrics import matthews_corrcoef

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a single class
        return float(matthews_corrcoef(labels.numpy(), predictions.numpy()))


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
