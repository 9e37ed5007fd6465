"""Statistics of result tables: what a number is worth over seeds, over test items, and against another number.

Nothing here is random.

Source: Student 1908 (t interval); Wilson 1927, Clopper and Pearson 1934 (binomial intervals); McNemar 1947, in its
exact binomial form; Agresti and Min 2005 (interval of a paired difference).
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

from pretask_bench.records.measured import Items

CONFIDENCE = 0.95
RELATIVE_ROUNDING = 1e-9  # a deviation below this share of the numbers is rounding, not a measured deviation


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
class McNemarTest:
    """McNemar's test of whether two classifiers differ on the same items.

    Args:
        only_first: Items that only the first classified correctly.
        only_second: Items that only the second classified correctly.
        p_value: Two-sided, under the hypothesis that both are equally good.
    """

    only_first: int
    only_second: int
    p_value: float


def mean_over_seeds(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """Return the mean over independent seeds with Student's t interval.

    One seed has no interval. Nor have equal seeds: that they do not vary says nothing of how much others would.

    >>> mean_over_seeds([0.25, 0.25])
    Estimate(value=0.25, low=None, high=None, count=2)
    """
    count = len(values)
    if not count or not all(math.isfinite(value) for value in values):
        raise PretaskError(
            "a mean over seeds", "one or more finite numbers", f"{list(values)}", "Leave failed runs out."
        )
    mean = math.fsum(values) / count
    variance = variance_of_mean(values)
    if variance == 0:
        return Estimate(mean, None, None, count)
    half_width = t_quantile((1 + confidence) / 2, count - 1) * math.sqrt(variance)
    return Estimate(mean, mean - half_width, mean + half_width, count)


def variance_of_mean(values: Sequence[float]) -> float:
    """Return the variance of the mean of independent numbers; 0 for one, or where they differ by rounding only.

    >>> variance_of_mean([0.1, 0.1 + 1e-17, 0.1]), variance_of_mean([1.0, 3.0])
    (0.0, 1.0)
    """
    count = len(values)
    if count == 1:
        return 0.0
    mean = math.fsum(values) / count
    variance = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return variance / count if math.sqrt(variance) > RELATIVE_ROUNDING * max(map(abs, values)) else 0.0


@cache
def t_quantile(level: float, degrees_of_freedom: int) -> float:
    """Return a quantile of Student's t distribution."""
    return float(special.stdtrit(degrees_of_freedom, level))


def paired_difference(
    first: Mapping[int, float], second: Mapping[int, float], confidence: float = CONFIDENCE
) -> Estimate:
    """Return first minus second, over the seeds that both have, as the mean of the differences with its t interval.

    Equal differences of several seeds say nothing of how much others would vary: their interval has no ends.

    Args:
        first: A number by seed.
        second: Another, measured with the same seeds.
        confidence: Confidence level of the interval.
    """
    common_seeds = sorted(first.keys() & second.keys())
    if not common_seeds:
        raise PretaskError(
            "a paired difference", "seeds that both have", f"{sorted(first)} and {sorted(second)}", "Run both alike."
        )
    estimate = mean_over_seeds(differences_by_seed(first, second, common_seeds), confidence)
    if len(common_seeds) > 1 and estimate.low is None:
        return Estimate(estimate.value, -math.inf, math.inf, estimate.count)
    return estimate


def differences_by_seed(first: Mapping[int, float], second: Mapping[int, float], seeds: Sequence[int]) -> list[float]:
    """Return first minus second for each seed, 0 where they differ by the rounding of their digits only."""
    return [
        0.0 if math.isclose(first[seed], second[seed], rel_tol=RELATIVE_ROUNDING) else first[seed] - second[seed]
        for seed in seeds
    ]


def paired_t_test(first: Mapping[int, float], second: Mapping[int, float]) -> float | None:
    """Return the two-sided p-value of the paired t test over the seeds that both have; None for a single seed.

    It is 1 for equal differences: their variance of 0 is no evidence of a difference.
    """
    common_seeds = sorted(first.keys() & second.keys())
    if len(common_seeds) < 2:
        return None
    differences = differences_by_seed(first, second, common_seeds)
    variance = variance_of_mean(differences)
    if variance == 0:
        return 1.0
    mean = math.fsum(differences) / len(differences)
    return 2 * float(special.stdtr(len(differences) - 1, -abs(mean) / math.sqrt(variance)))


def holm_correction(p_values: Sequence[float]) -> list[float]:
    """Return p-values after Holm's correction: the chance of any false alarm among all stays below the level.

    Source: Holm 1979.

    >>> holm_correction([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def accuracy_estimate(
    correct: int, count: int, method: Literal["wilson", "exact"] = "wilson", confidence: float = CONFIDENCE
) -> Estimate:
    """Return an accuracy over `count` items with its binomial interval; `exact` is Clopper and Pearson's."""
    interval = binomial_test(correct, count).proportion_ci(confidence, method)
    return Estimate(correct / count, float(interval.low), float(interval.high), count)


def paired_correctness(first: Items, second: Items) -> tuple[Bool[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
    """Return the correctness of two records on the same items; raises PretaskError where the items differ."""
    if (first.test, first.count) != (second.test, second.count):
        raise PretaskError(
            "a paired comparison",
            f"the same items ({first.count} of test data {first.test})",
            f"{second.count} of {second.test}",
            "Compare records of one test set.",
        )
    return first.correct(), second.correct()


def mcnemar_test(first: Bool[np.ndarray, " N"], second: Bool[np.ndarray, " N"]) -> McNemarTest:
    """Return McNemar's exact test: under equality each item that only one gets right is a fair coin."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    discordant = only_first + only_second
    p_value = float(binomial_test(only_first, discordant).pvalue) if discordant else 1.0
    return McNemarTest(only_first, only_second, p_value)


def difference_over_items(
    first: Bool[np.ndarray, " N"], second: Bool[np.ndarray, " N"], confidence: float = CONFIDENCE
) -> Estimate:
    """Return the accuracy of the first minus that of the second, with the interval over items of Agresti and Min.

    Half an item is added to each of the four kinds (both correct, only one, only the other, neither), so that two
    encoders that differ on hardly any item have an interval that covers; the percentile bootstrap covers there as
    rarely as the single items are drawn.

    Source: Agresti and Min, Stat. Med. 24, 2005.
    """
    count, test = len(first), mcnemar_test(first, second)
    only_first, only_second, total = test.only_first + 0.5, test.only_second + 0.5, count + 2
    center = (only_first - only_second) / total
    std = math.sqrt((only_first + only_second) / total - center**2)
    half_width = float(special.ndtri((1 + confidence) / 2)) * std / math.sqrt(total)
    difference = (test.only_first - test.only_second) / count
    return Estimate(difference, max(-1.0, center - half_width), min(1.0, center + half_width), count)


def binomial_test(correct: int, count: int) -> Any:
    """Return SciPy's exact binomial test, whose module takes a second to import and is not needed for a mean."""
    from scipy import stats

    return stats.binomtest(correct, count)


def normalize_score(score: float, zero: float, reference: float) -> float:
    """Return the score on the linear scale on which `zero` is 0 and `reference` is 1.

    >>> normalize_score(0.5, zero=0.25, reference=0.75)
    0.5
    """
    return (score - zero) / (reference - zero)
