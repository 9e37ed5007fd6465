"""Overlap: how many tokens of a pair's second text the first one has, and what that alone tells of the class.

Axes: N samples, L tokens.
"""

import torch
from jaxtyping import Float, Int
from pretask import Samples
from torch import Tensor

BINS = 10  # of the fraction that is shared


def measure_overlap(samples: Samples) -> Float[Tensor, " N"]:
    """Return the fraction of the second text's tokens that the first one has; 0 where there is no second text."""
    vocabulary = samples.observed.vocabulary
    separator = vocabulary.id("separator") if vocabulary is not None else None
    special = {number for _, number in vocabulary.special} if vocabulary is not None else set()
    fractions = []
    for row in samples.data.tolist():
        place = row.index(separator) if separator in row else len(row)
        first, second = {*row[:place]}, [token for token in row[place + 1 :] if token not in special]
        fractions.append(sum(token in first for token in second) / max(len(second), 1))
    return torch.tensor(fractions, dtype=torch.float64)


def predict_by_overlap(
    train: Float[Tensor, " N"], labels: Int[Tensor, " N"], test: Float[Tensor, " M"], classes: int
) -> Int[Tensor, " M"]:
    """Return the class that is most frequent among training samples of about the same overlap.

    >>> train, labels = torch.tensor([0.1, 0.1, 0.9]), torch.tensor([0, 0, 1])
    >>> predict_by_overlap(train, labels, torch.tensor([0.95, 0.12, 0.5]), 2).tolist()
    [1, 0, 0]
    """
    bins = [(fraction * BINS).long().clamp(max=BINS - 1) for fraction in (train, test)]
    count = torch.bincount(bins[0] * classes + labels, minlength=BINS * classes).view(BINS, classes)
    return count.argmax(1).where(count.any(1), count.sum(0).argmax())[bins[1]]
