"""Scores: micro-averaged F1 of binary decisions, one for every edge and class, and its error by resampled sentences.

Source: Tenney et al., ICLR 2019, section 4 (micro-averaged F1); Efron 1979 (the bootstrap), of whole sentences.
Axes: M edges, C classes, N sentences, R resamples.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from pretask import Draws
from torch import Tensor

RESAMPLES = 200


@dataclass(frozen=True)
class Tally:
    """What was decided of every edge.

    Args:
        hits: Classes of the edge that were predicted.
        predicted: Classes that were predicted.
        true: Classes that it has.
    """

    hits: Int[Tensor, " M"]
    predicted: Int[Tensor, " M"]
    true: Int[Tensor, " M"]

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall over all decisions."""
        return float(f1_of(self.hits.sum(), self.predicted.sum() + self.true.sum()))

    @property
    def correct(self) -> Bool[Tensor, " M"]:
        """Whether the classes of an edge are exactly those that were predicted."""
        return (self.hits == self.predicted) & (self.hits == self.true)


def tally(predicted: Bool[Tensor, "M C"], true: Bool[Tensor, "M C"]) -> Tally:
    """Count the classes of every edge that are predicted, true, and both.

    >>> tally(torch.tensor([[True, False], [True, True]]), torch.tensor([[True, False], [False, True]])).f1
    0.8
    """
    return Tally((predicted & true).sum(1), predicted.sum(1), true.sum(1))


def f1_of(hits: Tensor, predicted_and_true: Tensor) -> Tensor:
    """Return 2 TP / (2 TP + FP + FN); 0 where nothing was predicted and nothing is true."""
    return 2 * hits.double() / predicted_and_true.double().clamp(min=1)


def gain_error(lower: Tally, upper: Tally, rows: Int[Tensor, " M"], seed: int) -> float:
    """Return the standard error of the difference of two F1, of the same edges, by resampling their sentences."""
    _, sentence = torch.unique(rows, return_inverse=True)
    count = int(sentence.max()) + 1
    drawn = Draws(torch.arange(RESAMPLES), seed).branch("gain").integers("sentence", 0, count, count)
    times = torch.zeros(RESAMPLES, count).scatter_add_(1, drawn, torch.ones(drawn.shape)).double()
    lower_f1, upper_f1 = (resample(part, sentence, times) for part in (lower, upper))
    return float((upper_f1 - lower_f1).std())


def resample(part: Tally, sentence: Int[Tensor, " M"], times: Float[Tensor, "R N"]) -> Float[Tensor, " R"]:
    """Return F1 of every resample of the sentences."""
    hits, total = (
        torch.zeros(times.shape[1], dtype=torch.float64).index_add_(0, sentence, values.double())
        for values in (part.hits, part.predicted + part.true)
    )
    return f1_of(times @ hits, times @ total)
