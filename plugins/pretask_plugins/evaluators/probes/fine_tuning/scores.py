"""Scores: what benchmarks of language report of predicted classes beside accuracy, by scikit-learn.

Source: Matthews 1975; Wang et al., ICLR 2019 (GLUE), section 3 (which task is scored by what).
Axes: N samples.
"""

import warnings

from jaxtyping import Int
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
