"""Ranking: one score for each entry from several measures and seeds, and a rank as an interval.

A seed is one encoder, which all measures look at. So seeds are resampled as wholes: the measures of a seed stay
together. Where there is one seed, each measure is resampled for itself: its test items, or the interval that its
evaluator gives. Every entry has random numbers of its own, so that its interval is the same whoever else competes.

Source: Agarwal, Schwarzer, Castro, Courville and Bellemare, NeurIPS 2021 (interquartile mean, stratified bootstrap,
rank distributions); Efron 1979 (bootstrap).
Differs: there every run of every task is independent; here the measures of a seed are not, which makes intervals wider.
Axes: E entries, M measures, S seeds, R resamples, N numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from pretask_bench.statistics import CONFIDENCE

RESAMPLES = 2000
TAIL = (1 - CONFIDENCE) / 2
NORMAL = 1.959964  # half of the 95 % interval of a normal number, in standard deviations


@dataclass(frozen=True)
class Answered:
    """What one measure of one seed says of test items.

    Args:
        right: Share of items that were answered rightly.
        count: How many items.
    """

    right: float
    count: int

    def drawn(self, numbers: np.random.RandomState) -> Float[np.ndarray, " R"]:
        """The share in resamples of the items; how many are right is then binomial."""
        return np.asarray(numbers.binomial(self.count, self.right, RESAMPLES) / self.count)


@dataclass(frozen=True)
class Spread:
    """What one measure of one seed says with an interval of its own.

    Args:
        value: The number.
        half: Half of the 95 % interval.
    """

    value: float
    half: float

    def drawn(self, numbers: np.random.RandomState) -> Float[np.ndarray, " R"]:
        """Normal numbers with that interval."""
        return np.asarray(numbers.normal(self.value, self.half / NORMAL, RESAMPLES))


def interquartile_mean(values: Float[np.ndarray, "*R N"]) -> Float[np.ndarray, "*R"]:
    """The mean of what is left after a quarter of the numbers, rounded down, was cut off at each end.

    >>> float(interquartile_mean(np.array([0.0, 4.0, 6.0, 90.0])))
    5.0
    """
    count = values.shape[-1]
    cut = count // 4
    return np.asarray(np.sort(values, axis=-1)[..., cut : count - cut].mean(-1))


def over_seeds(values: Float[np.ndarray, "M S"], entry: str) -> Float[np.ndarray, " R"]:
    """The interquartile mean of each resample, which draws as many seeds as there are, with replacement."""
    seeds = values.shape[1]
    drawn = numbers_of(entry).randint(seeds, size=(RESAMPLES, seeds))  # (R, S)
    resamples = values[:, drawn].transpose(1, 0, 2)  # (R, M, S)
    return interquartile_mean(resamples.reshape(RESAMPLES, -1))


def over_items(
    found: Sequence[Answered | Spread], chance: Float[np.ndarray, " M"], reference: Float[np.ndarray, " M"], entry: str
) -> Float[np.ndarray, " R"]:
    """The interquartile mean of each resample of one seed's measures, each drawn for itself."""
    numbers = numbers_of(entry)
    drawn = np.stack([each.drawn(numbers) for each in found], 1)  # (R, M)
    return interquartile_mean((drawn - chance) / (reference - chance))


def numbers_of(entry: str) -> np.random.RandomState:
    """The random numbers of an entry, by its hash; RandomState gives the same ones under every version of numpy."""
    return np.random.RandomState(int(entry[:8], 16))


def interval(resamples: Float[np.ndarray, " R"]) -> tuple[float, float]:
    """The middle 95 % of the resamples."""
    low, high = np.quantile(resamples, [TAIL, 1 - TAIL])
    return float(low), float(high)


def rank_intervals(resamples: Float[np.ndarray, "E R"]) -> Int[np.ndarray, "E 2"]:
    """The lowest and the highest of the middle 95 % of the ranks that an entry has, ranked anew in each resample.

    >>> rank_intervals(np.array([[0.9, 0.9], [0.1, 0.5], [0.2, 0.4]])).tolist()
    [[1, 1], [2, 3], [2, 3]]
    """
    ranks = np.stack([ranked(scores) for scores in resamples.T], 1)
    ordered = np.sort(ranks, axis=1)  # (E, R)
    count = ordered.shape[1]
    first = int(np.floor(TAIL * (count - 1)))
    return ordered[:, [first, count - 1 - first]]


def ranked(scores: Float[np.ndarray, " E"]) -> Int[np.ndarray, " E"]:
    """One more than the number of entries that are better; equal scores share the better rank.

    >>> ranked(np.array([0.5, 0.9, 0.5, 0.1])).tolist()
    [2, 1, 2, 4]
    """
    return 1 + len(scores) - np.searchsorted(np.sort(scores), scores, side="right")
