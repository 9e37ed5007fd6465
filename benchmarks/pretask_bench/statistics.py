"""Statistics of result tables: what a number is worth over seeds, over test items, and against another number.

Nothing here is random: where a bootstrap is asked for, its distribution is computed instead of sampled.

Source: Student 1908 (t interval); Wilson 1927, Clopper and Pearson 1934 (binomial intervals); McNemar 1947, in its
exact binomial form; Efron 1979 (bootstrap).
Differs: the paired bootstrap over items has infinitely many resamples, because its distribution has a closed form.
Axes: N test items.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool
from pretask.errors import PretaskError
from scipy import special  # type: ignore[import-untyped]

from pretask_bench.records import Items

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number and the interval around it.

    Args:
        value: The mean, share or difference.
        low: Lower end; None where one observation gives no interval.
        high: Upper end.
        count: Observations: seeds or items.
    """

    value: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class McNemar:
    """Whether two classifiers differ on the same items.

    Args:
        first: Items that only the first answered rightly.
        second: Items that only the second answered rightly.
        probability: Two-sided p-value of so uneven a division, were both equally good.
    """

    first: int
    second: int
    probability: float


def mean_over_seeds(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """The mean over independent seeds with Student's t interval; one seed gives a mean and no interval.

    >>> mean_over_seeds([0.25, 0.25])
    Estimate(value=0.25, low=0.25, high=0.25, count=2)
    """
    count = len(values)
    if not count or not all(math.isfinite(value) for value in values):
        raise PretaskError(
            "a mean over seeds", "one or more finite numbers", f"{list(values)}", "Leave failed runs out."
        )
    mean = math.fsum(values) / count
    if count == 1:
        return Estimate(mean, None, None, 1)
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1) / count)
    reach = student((1 + confidence) / 2, count - 1) * error
    return Estimate(mean, mean - reach, mean + reach, count)


@cache
def student(level: float, freedom: int) -> float:
    """Quantile of Student's t distribution."""
    return float(special.stdtrit(freedom, level))


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], confidence: float = CONFIDENCE
) -> Estimate:
    """First minus second, over the seeds that both have, as the mean of the differences with its t interval.

    Args:
        first: A number by seed.
        second: Another, measured with the same seeds.
        confidence: Of the interval.
    """
    shared = sorted(first.keys() & second.keys())
    if not shared:
        raise PretaskError(
            "a paired difference", "seeds that both have", f"{sorted(first)} and {sorted(second)}", "Run both alike."
        )
    return mean_over_seeds([first[seed] - second[seed] for seed in shared], confidence)


def paired_probability(first: Mapping[int, float], second: Mapping[int, float]) -> float | None:
    """Two-sided p-value of the paired t test over the seeds that both have; None for a single seed."""
    shared = sorted(first.keys() & second.keys())
    if len(shared) < 2:
        return None
    differences = [first[seed] - second[seed] for seed in shared]
    mean = math.fsum(differences) / len(shared)
    error = math.sqrt(math.fsum((each - mean) ** 2 for each in differences) / (len(shared) - 1) / len(shared))
    if error == 0:
        return 1.0 if mean == 0 else 0.0
    return 2 * float(special.stdtr(len(shared) - 1, -abs(mean) / error))


def holm(probabilities: Sequence[float]) -> list[float]:
    """P-values after Holm's correction: the chance of one false alarm among all of them stays below the level.

    Source: Holm 1979.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(probabilities)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(probabilities)), key=probabilities.__getitem__)):
        largest = max(largest, min(1.0, (len(probabilities) - rank) * probabilities[place]))
        corrected[place] = largest
    return corrected


def share(
    right: int, count: int, method: Literal["wilson", "exact"] = "wilson", confidence: float = CONFIDENCE
) -> Estimate:
    """An accuracy over `count` independent items with its binomial interval; `exact` is Clopper and Pearson's."""
    interval = binomial(right, count).proportion_ci(confidence, method)
    return Estimate(right / count, float(interval.low), float(interval.high), count)


def paired_items(first: Items, second: Items) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """The correctness of two records on the same items; raises PretaskError where the items are not the same."""
    if (first.test, first.count) != (second.test, second.count):
        raise PretaskError(
            "a paired comparison",
            f"the same items ({first.count} of test data {first.test})",
            f"{second.count} of {second.test}",
            "Compare records of one test set.",
        )
    return first.correct(), second.correct()


def mcnemar(first: Bool[np.ndarray, " N"], second: Bool[np.ndarray, " N"]) -> McNemar:
    """McNemar's exact test: were both equally good, each item that only one gets right would be a fair coin."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    uneven = only_first + only_second
    probability = float(binomial(only_first, uneven).pvalue) if uneven else 1.0
    return McNemar(only_first, only_second, probability)


def difference_over_items(
    first: Bool[np.ndarray, " N"], second: Bool[np.ndarray, " N"], confidence: float = CONFIDENCE
) -> Estimate:
    """Accuracy of the first minus that of the second, with the percentile interval of the paired bootstrap over items.

    A resample's difference is a sum of N draws, each +1, -1 or 0 with the shares of items that only the first, only the
    second, or both or neither answered rightly; so its distribution is known, and no resample is drawn.
    """
    count, test = len(first), mcnemar(first, second)
    values, probability = sum_of_signs(count, test.first / count, test.second / count)
    below = probability.cumsum()
    tail = (1 - confidence) / 2
    low, high = (values[min(int(np.searchsorted(below, level)), len(values) - 1)] for level in (tail, 1 - tail))
    return Estimate((test.first - test.second) / count, low / count, high / count, count)


def binomial(right: int, count: int) -> Any:
    """SciPy's exact binomial test, whose module takes a second to import and is not needed for a mean."""
    from scipy import stats

    return stats.binomtest(right, count)


def sum_of_signs(count: int, plus: float, minus: float) -> tuple[np.ndarray, np.ndarray]:
    """Values and probabilities of the sum of `count` draws of +1 (with probability `plus`), -1 (`minus`) or 0.

    By the characteristic function, on the points within 12 standard deviations and 60. What lies beyond has less than
    1e-19 of the mass (Bernstein's inequality), and wraps around.
    """
    centre = round(count * (plus - minus))
    deviation = math.sqrt(count * (plus + minus - (plus - minus) ** 2))
    half = min(2 * count, math.ceil(12 * deviation) + 60)
    values = centre + np.arange(-half, half + 1)
    turn = np.exp(2j * np.pi * np.arange(len(values)) / len(values))
    wave = (1 - plus - minus + plus * turn + minus / turn) ** count
    probability = np.fft.fft(wave).real / len(values)
    return values, probability[values % len(values)].clip(min=0)


def normalised(score: float, chance: float, reference: float) -> float | None:
    """The score on a scale where chance is 0 and the reference 1; None where these two are the same.

    >>> normalised(0.5, chance=0.25, reference=0.75)
    0.5
    """
    return None if reference == chance else (score - chance) / (reference - chance)
