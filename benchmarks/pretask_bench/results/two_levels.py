"""Two levels: what a mean over seeds and test items is worth, when other seeds and other items might have been drawn.

Every seed answers the same items, as every reader of a radiology study reads the same cases. Three parts make the mean
vary: seeds, items, and which items a seed happens to answer correctly. The variance of the seeds' means holds the first
and the third, the variance of the items' means the second and the third. So half of the interval is

    half^2 = t^2 * seeds + z^2 * (items - both)    with t of S - 1 degrees of freedom and z normal

and never less than z^2 * items: seeds that agree by luck do not shrink it. Half widths with their own quantiles are
added as squares, which covers at any ratio of the two (Banerjee); one quantile for the sum of the variances
(Satterthwaite) does not, where two seeds agree by luck.

Source: Obuchowski and Rockette, Commun. Stat. Simul. 24, 1995 (random readers and random cases); Banerjee, Biometrika
48, 1961 (the sum of squared half widths covers); Zou and Donner, Stat. Med. 27, 2008 (the same with unequal sides);
Agresti and Coull, Am. Stat. 52, 1998 (added answers: Wilson's interval at its edges, and for several measures).
Axes: S seeds, N items.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Shaped
from scipy import special  # type: ignore[import-untyped]

from pretask_bench.results.statistics import CONFIDENCE, Estimate, student_quantile, variance_of_mean


@dataclass(frozen=True)
class Levels:
    """The variance of a mean, by where it comes from.

    Args:
        seeds: Variance of the mean over seeds, estimated from their deviations.
        count: How many seeds.
        items: Variance of the mean over items, estimated from theirs; 0 where there are no items.
        both: Variance from which items a seed happens to answer correctly; it is in `seeds` and in `items`.
    """

    seeds: float
    count: int
    items: float = 0.0
    both: float = 0.0

    @property
    def shared(self) -> float:
        """The items' variance that the seeds' deviations cannot show, since all seeds have the same items."""
        return max(0.0, self.items - self.both)

    def half_width(self, level: float) -> float:
        """Return half of the interval outside which the mean lies with a chance of `level`."""
        normal = special.ndtri(1 - level / 2) ** 2
        quantile = student_quantile(1 - level / 2, self.count - 1)
        return math.sqrt(max(normal * self.items, quantile**2 * self.seeds + normal * self.shared))

    def probability(self, difference: float) -> float:
        """Return the two-sided p-value: the level at which half of the interval is the difference, by bisection."""
        if self.seeds + self.items <= 0:
            return 1.0  # nothing varies, so nothing tells how much it could
        low, high = -60.0, 0.0  # logarithms
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if self.half_width(math.exp(middle)) < abs(difference) else (middle, high)
        return math.exp(high)


def difference_over_both(differences: Sequence[float], items: Shaped[np.ndarray, "S N"]) -> tuple[Estimate, float]:
    """Return a mean difference between two encoders with its 95 % interval and its two-sided p-value.

    Args:
        differences: One by seed, of two seeds or more.
        items: (S, N) 1 where only the first is correct, -1 where only the second, 0 else.
    """
    seeds, count = items.shape
    # about 0, not about their mean: under equality each item that only one gets right is a fair coin (McNemar)
    levels = Levels(variance_of_mean(differences), seeds, *item_variances(items))
    mean, step = math.fsum(differences) / seeds, 1 / (seeds * count)  # Edwards: an item's worth is no evidence
    half = levels.half_width(1 - CONFIDENCE) + step
    return Estimate(mean, mean - half, mean + half, seeds), levels.probability(max(0.0, abs(mean) - step))


def item_variances(items: Shaped[np.ndarray, "S N"]) -> tuple[float, float]:
    """Return the variance about 0 of the mean over items, and the part of it in which the seeds disagree.

    >>> item_variances(np.array([[1.0, -1.0], [1.0, -1.0]])), item_variances(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    ((0.5, 0.0), (0.0, 0.5))
    """
    seeds, count = items.shape
    means = items.mean(0)
    both = float(items.var(0, ddof=1).sum()) / seeds / count**2 if seeds > 1 else 0.0
    return float((means**2).sum()) / count**2, both


@dataclass(frozen=True)
class Answers:
    """Moments of the answers to one test set: the score is the mean over items of what a correct answer is worth.

    Args:
        mean: Mean over items and seeds.
        square: The mean over items of the squared mean over seeds.
        both: The part of the mean's variance in which the seeds disagree.
        count: How many items.
        worst: Worth of an item that every measure answers wrongly.
        best: Worth of an item that every measure answers correctly.
    """

    mean: float
    square: float
    both: float
    count: int
    worst: float
    best: float

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval over items: about four items are added, half of them all wrong, half all correct.

        With one measure this is Agresti and Coull's, which holds Wilson's.
        """
        normal = quantile_of_normal()
        added = normal**2
        total = self.count + added
        mean = (self.count * self.mean + added * (self.worst + self.best) / 2) / total
        square = (self.count * self.square + added * (self.worst**2 + self.best**2) / 2) / total
        half = normal * math.sqrt(max(0.0, square - mean**2) / total)
        return max(self.worst, mean - half), min(self.best, mean + half)

    @property
    def shared(self) -> float:
        """The share of the items' variance that the seeds' deviations cannot show."""
        variance = (self.square - self.mean**2) / self.count
        return max(0.0, 1 - self.both / variance) if variance > 0 else 1.0


@cache
def quantile_of_normal() -> float:
    """Return half of the interval of a normal number, in standard deviations."""
    return float(special.ndtri((1 + CONFIDENCE) / 2))


def mean_over_both(values: Sequence[float], answers: Sequence[Answers], own: Sequence[float] = ()) -> Estimate:
    """Return the mean over seeds with the interval that holds it for other seeds and other test items.

    Args:
        values: One by seed.
        answers: What test sets say; together with `own` they add up to the mean.
        own: With one seed, half widths that evaluators give themselves, of what has no test items.

    Returns:
        An estimate without an interval where seeds do not differ and there is nothing else to go by.
    """
    mean = math.fsum(values) / len(values)
    ends = [answer.interval() for answer in answers]
    seeds = 0.0
    if len(values) > 1:
        seeds = student_quantile((1 + CONFIDENCE) / 2, len(values) - 1) ** 2 * variance_of_mean(values)
    below = [answer.mean - low for answer, (low, _) in zip(answers, ends, strict=True)]
    above = [high - answer.mean for answer, (_, high) in zip(answers, ends, strict=True)]
    halves = [combine(seeds, answers, side, own) for side in (below, above)]
    if not any(halves):
        return Estimate(mean, None, None, len(values))
    return Estimate(mean, mean - halves[0], mean + halves[1], len(values))


def combine(seeds: float, answers: Sequence[Answers], sides: Sequence[float], own: Sequence[float]) -> float:
    """Return one side of an interval from the squared half width over seeds and those over items."""
    items = math.fsum(side**2 for side in (*sides, *own))
    shared = math.fsum(answer.shared * side**2 for answer, side in zip(answers, sides, strict=True))
    return math.sqrt(max(items, seeds + shared))
