"""Evidence: what a measure says of one encoder, by seed and by test item, with its sign such that larger is better.

Axes: S seeds, I items of all test sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pretask_bench.records.measured import Items
from pretask_bench.results.statistics import Estimate
from pretask_bench.results.two_levels import ItemMoments, item_variances, mean_over_seeds_and_items

TestSet = tuple[str, int]  # fingerprint, and how many items


@dataclass(frozen=True)
class Evidence:
    """The values of one measure for one encoder, from its records.

    Args:
        seeds: The seeds, in order.
        values: One by seed.
        test_sets: The test set; none where it is not known which items were answered correctly.
        item_values: What every item adds to the value of a seed.
        max_item_value: What one item adds to the mean over seeds at most.
        item_moments: Moments of the items, one for each test set.
        reported_half_widths: Half of the interval that the evaluator reports, where there is one seed and no test set.
    """

    seeds: tuple[int, ...]
    values: Float[np.ndarray, " S"]
    test_sets: tuple[TestSet, ...]
    item_values: Float[np.ndarray, "S I"]
    max_item_value: float
    item_moments: tuple[ItemMoments, ...]
    reported_half_widths: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return float(self.values.mean())

    def estimate(self) -> Estimate:
        """Return the mean with its 95 % interval; without one where there is nothing to estimate it from."""
        return mean_over_seeds_and_items([*map(float, self.values)], self.item_moments, self.reported_half_widths)


def gather_evidence(
    seeds: Sequence[int], values: Sequence[float], items: Sequence[Items] = (), reported_half_width: float = 0.0
) -> Evidence:
    """Put together what the records of an encoder say of one measure.

    Args:
        seeds: The seeds, in order.
        values: One by seed.
        items: Of every seed, which items of one test set were answered correctly; none where that is not known.
        reported_half_width: Half of the interval that the evaluator reports; 0 where it reports none.
    """
    scores = np.array(values, dtype=float)
    if not items:
        no_items = np.zeros((len(seeds), 0))
        reported = (reported_half_width,) if reported_half_width and len(seeds) == 1 else ()
        return Evidence(tuple(seeds), scores, (), no_items, 0.0, (), reported)
    correct = np.stack([answered.correct() for answered in items]).astype(float)
    num_items = correct.shape[1]
    variance, interaction = item_variances(correct)
    moments = ItemMoments(
        mean=float(correct.mean()),
        mean_square=variance * num_items,
        interaction_variance=interaction,
        num_items=num_items,
        min_value=0.0,
        max_value=1.0,
    )
    return Evidence(
        seeds=tuple(seeds),
        values=scores,
        test_sets=((items[0].test, num_items),),
        item_values=correct / num_items,
        max_item_value=1 / num_items / len(seeds),
        item_moments=(moments,),
        reported_half_widths=(),
    )


def constant_evidence(seeds: Sequence[int], value: float) -> Evidence:
    """Return the evidence of a number that is known without an error, such as a chance level.

    >>> constant_evidence((0, 1), 0.25).estimate()
    Estimate(value=0.25, low=None, high=None, count=2)
    """
    return gather_evidence(seeds, [value] * len(seeds))
