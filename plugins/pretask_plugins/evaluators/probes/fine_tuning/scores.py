"""Scores: what benchmarks of language report of predictions beside accuracy: F1, Matthews', Pearson's and Spearman's.

Source: Matthews 1975; Wang et al., ICLR 2019 (GLUE), section 3 (which task is scored by what).
Axes: N samples, C classes.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def count_confusion(predictions: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: int) -> Float[Tensor, "C C"]:
    """Return how many samples of a class (row) were given to another (column).

    >>> count_confusion(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2).tolist()
    [[1.0, 1.0], [0.0, 1.0]]
    """
    return torch.bincount(labels * classes + predictions, minlength=classes * classes).view(classes, classes).double()


def f1_score(predictions: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: int) -> float:
    """Return the F1 of the second of two classes; of several the mean over those that occur or were predicted.

    >>> f1_score(torch.tensor([1, 1, 0, 0]), torch.tensor([1, 0, 1, 0]), 2)
    0.5
    """
    table = count_confusion(predictions, labels, classes)
    found, hits = table.sum(0) + table.sum(1), 2 * table.diagonal()
    of_classes = hits / found.clamp(min=1)
    return float(of_classes[1]) if classes == 2 else float(of_classes[found > 0].mean())


def matthews(predictions: Int[Tensor, " N"], labels: Int[Tensor, " N"], classes: int) -> float:
    """Return Matthews' correlation of classes; 0 where either is constant.

    >>> round(matthews(torch.tensor([1, 1, 1, 0]), torch.tensor([1, 1, 0, 0]), 2), 4)
    0.5774
    """
    table = count_confusion(predictions, labels, classes)
    told, true, total = table.sum(0), table.sum(1), table.sum()
    shared = table.diagonal().sum() * total - told @ true
    spread = (total**2 - told @ told) * (total**2 - true @ true)
    return float(shared / spread.sqrt()) if spread > 0 else 0.0


def pearson(one: Float[Tensor, " N"], other: Float[Tensor, " N"]) -> float:
    """Return the correlation of two lists of numbers; 0 where either is constant.

    >>> round(pearson(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 4.0, 6.0])), 6)
    1.0
    """
    first, second = (numbers.double() - numbers.double().mean() for numbers in (one, other))
    spread = first.norm() * second.norm()
    tiny = 1e-12 * max(float(one.abs().max()) * float(other.abs().max()), 1e-300) * len(one)
    return float((first @ second / spread).clamp(-1, 1)) if spread > tiny else 0.0


def spearman(one: Float[Tensor, " N"], other: Float[Tensor, " N"]) -> float:
    """Return the correlation of ranks; equal numbers share the mean of theirs.

    >>> spearman(torch.tensor([1.0, 5.0, 9.0]), torch.tensor([1.0, 2.0, 100.0]))
    1.0
    """
    return pearson(rank(one), rank(other))


def rank(numbers: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """Return the rank of every number from 1, the mean one of equals.

    >>> rank(torch.tensor([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, group, count = torch.unique(numbers, return_inverse=True, return_counts=True)
    last = count.cumsum(0).double()
    ranks: Tensor = (last - (count.double() - 1) / 2)[group]
    return ranks
