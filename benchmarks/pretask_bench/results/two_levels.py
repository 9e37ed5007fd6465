"""Two levels: the interval of a mean over seeds and test items, when other seeds and other items might have been drawn.

Every seed answers the same items, as every reader of a radiology study reads the same cases. Three effects make the
mean vary: seeds, items, and their interaction (which items a seed happens to answer correctly). The variance of the
seeds' means holds seeds and interaction, the variance of the items' means holds items and interaction. So the interval
reaches half its width to either side, with

    half_width^2 = t^2 * seed_variance + z^2 * (item_variance - interaction_variance)

where t has S - 1 degrees of freedom and z is normal; and never less than z^2 * item_variance: seeds that agree by luck
do not shrink it. Half widths with their own quantiles are added as squares, which covers at any ratio of the two
(Banerjee); one quantile for the sum of the variances (Satterthwaite) does not, where two seeds agree by luck.

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

from pretask_bench.results.statistics import CONFIDENCE, Estimate, t_quantile, variance_of_mean


@dataclass(frozen=True)
class VarianceComponents:
    """The variance of a mean over seeds and items, by the effect that it comes from.

    Args:
        seed_variance: Variance of the mean over seeds; it includes the interaction.
        num_seeds: How many seeds it was estimated from.
        item_variance: Variance of the mean over items, interaction included; 0 where there are no items.
        interaction_variance: Variance from which items a seed happens to answer correctly.
    """

    seed_variance: float
    num_seeds: int
    item_variance: float = 0.0
    interaction_variance: float = 0.0

    @property
    def item_effect_variance(self) -> float:
        """The items' variance without the interaction: seeds have the same items, so seeds cannot show it."""
        return max(0.0, self.item_variance - self.interaction_variance)

    def half_width(self, level: float) -> float:
        """Return half of the interval outside which the mean lies with a chance of `level`."""
        z_squared = special.ndtri(1 - level / 2) ** 2
        t_squared = t_quantile(1 - level / 2, self.num_seeds - 1) ** 2
        both_effects = t_squared * self.seed_variance + z_squared * self.item_effect_variance
        return math.sqrt(max(z_squared * self.item_variance, both_effects))

    def p_value(self, difference: float) -> float:
        """Return the two-sided p-value: the level at which the half width is the difference, by bisection."""
        if self.seed_variance + self.item_variance <= 0:
            return 1.0  # without any variance there is no evidence of a difference
        low, high = -60.0, 0.0  # logarithms of the level
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if self.half_width(math.exp(middle)) < abs(difference) else (middle, high)
        return math.exp(high)


def difference_over_seeds_and_items(
    seed_differences: Sequence[float], item_differences: Shaped[np.ndarray, "S N"]
) -> tuple[Estimate, float]:
    """Return a mean difference between two encoders with its 95 % interval and its two-sided p-value.

    Args:
        seed_differences: One by seed, of two seeds or more.
        item_differences: (S, N) 1 where only the first is correct, -1 where only the second, 0 else.
    """
    num_seeds, num_items = item_differences.shape
    # about 0, not about their mean: under equality each item that only one gets right is a fair coin (McNemar)
    components = VarianceComponents(variance_of_mean(seed_differences), num_seeds, *item_variances(item_differences))
    mean = math.fsum(seed_differences) / num_seeds
    one_item = 1 / (num_seeds * num_items)  # Edwards' correction: a difference of one item is no evidence
    half_width = components.half_width(1 - CONFIDENCE) + one_item
    p_value = components.p_value(max(0.0, abs(mean) - one_item))
    return Estimate(mean, mean - half_width, mean + half_width, num_seeds), p_value


def item_variances(values: Shaped[np.ndarray, "S N"]) -> tuple[float, float]:
    """Return the variance about 0 of the mean over items, and the part of it that is interaction with the seeds.

    >>> item_variances(np.array([[1.0, -1.0], [1.0, -1.0]])), item_variances(np.array([[1.0, -1.0], [-1.0, 1.0]]))
    ((0.5, 0.0), (0.0, 0.5))
    """
    num_seeds, num_items = values.shape
    means = values.mean(0)
    interaction = float(values.var(0, ddof=1).sum()) / num_seeds / num_items**2 if num_seeds > 1 else 0.0
    return float((means**2).sum()) / num_items**2, interaction


@dataclass(frozen=True)
class ItemMoments:
    """Moments of the values of one test set's items, such as 1 for a correct answer and 0 for a wrong one.

    Args:
        mean: Mean over items and seeds.
        mean_square: The mean over items of the squared mean over seeds.
        interaction_variance: The part of the mean's variance in which the seeds disagree.
        num_items: How many items.
        min_value: Value of an item that every seed answers wrongly.
        max_value: Value of an item that every seed answers correctly.
    """

    mean: float
    mean_square: float
    interaction_variance: float
    num_items: int
    min_value: float
    max_value: float

    @property
    def variance_of_mean(self) -> float:
        """The variance of the mean over items."""
        return (self.mean_square - self.mean**2) / self.num_items

    @property
    def item_effect_fraction(self) -> float:
        """The fraction of the items' variance that is no interaction, so that seeds cannot show it."""
        variance = self.variance_of_mean
        return max(0.0, 1 - self.interaction_variance / variance) if variance > 0 else 1.0

    def interval(self) -> tuple[float, float]:
        """Return the 95 % interval over items: about four items are added, half of them all wrong, half all correct.

        With one seed this is Agresti and Coull's, which holds Wilson's.
        """
        z = normal_quantile()
        added = z**2
        total = self.num_items + added
        mean = (self.num_items * self.mean + added * (self.min_value + self.max_value) / 2) / total
        added_square = (self.min_value**2 + self.max_value**2) / 2
        mean_square = (self.num_items * self.mean_square + added * added_square) / total
        half_width = z * math.sqrt(max(0.0, mean_square - mean**2) / total)
        return max(self.min_value, mean - half_width), min(self.max_value, mean + half_width)


@cache
def normal_quantile() -> float:
    """Return half the width of a normal number's interval, in standard deviations."""
    return float(special.ndtri((1 + CONFIDENCE) / 2))


def mean_over_seeds_and_items(
    values: Sequence[float], test_sets: Sequence[ItemMoments], reported_half_widths: Sequence[float] = ()
) -> Estimate:
    """Return the mean over seeds with the interval that holds it for other seeds and other test items.

    Args:
        values: One by seed.
        test_sets: Moments of the items that the mean was computed from.
        reported_half_widths: With one seed and no items: half of the intervals that evaluators report themselves.

    Returns:
        An estimate without an interval where seeds do not differ and there is nothing else to go by.
    """
    mean = math.fsum(values) / len(values)
    seed_square = 0.0
    if len(values) > 1:
        seed_square = t_quantile((1 + CONFIDENCE) / 2, len(values) - 1) ** 2 * variance_of_mean(values)
    intervals = [items.interval() for items in test_sets]
    below = [items.mean - low for items, (low, _) in zip(test_sets, intervals, strict=True)]
    above = [high - items.mean for items, (_, high) in zip(test_sets, intervals, strict=True)]
    to_low, to_high = (
        combine_half_widths(seed_square, test_sets, distances, reported_half_widths) for distances in (below, above)
    )
    if not (to_low or to_high):
        return Estimate(mean, None, None, len(values))
    return Estimate(mean, mean - to_low, mean + to_high, len(values))


def combine_half_widths(
    seed_square: float,
    test_sets: Sequence[ItemMoments],
    item_half_widths: Sequence[float],
    reported_half_widths: Sequence[float],
) -> float:
    """Return one side of an interval from the squared half width over seeds and the half widths over items."""
    item_square = math.fsum(half_width**2 for half_width in (*item_half_widths, *reported_half_widths))
    item_effect_square = math.fsum(
        items.item_effect_fraction * half_width**2
        for items, half_width in zip(test_sets, item_half_widths, strict=True)
    )
    return math.sqrt(max(item_square, seed_square + item_effect_square))
