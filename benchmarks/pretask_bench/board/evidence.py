"""Evidence: what a measure says of one encoder, by seed and by test item, with its sign such that larger is better.

Which items a seed answered correctly are the bits of one integer: two of these are compared a word at a time, and take
no more memory than their records.

Axes: S seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float

from pretask_bench.records.measured import Items
from pretask_bench.results.statistics import Estimate
from pretask_bench.results.two_levels import ItemMoments, mean_over_seeds_and_items

TestSet = tuple[str, int]  # fingerprint, and how many items


@dataclass(frozen=True)
class Evidence:
    """The values of one measure for one encoder, from its records.

    Args:
        seeds: The seeds, in order.
        values: One by seed.
        test_sets: The test set; none where it is not known which items were answered correctly.
        answers: By seed, the items that were answered correctly as the bits of one integer; none without a test set.
        item_moments: Moments of the items, one for each test set.
        reported_half_widths: Half of the interval that the evaluator reports, where there is one seed and no test set.
    """

    seeds: tuple[int, ...]
    values: Float[np.ndarray, " S"]
    test_sets: tuple[TestSet, ...]
    answers: tuple[int, ...]
    item_moments: tuple[ItemMoments, ...]
    reported_half_widths: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return float(self.values.mean())

    @property
    def max_item_value(self) -> float:
        """What one item adds to the mean over seeds at most."""
        return 1 / self.test_sets[0][1] / len(self.seeds) if self.test_sets else 0.0

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
        reported = (reported_half_width,) if reported_half_width and len(seeds) == 1 else ()
        return Evidence(tuple(seeds), scores, (), (), (), reported)
    answers, num_items = tuple(answered.answers for answered in items), items[0].count
    return Evidence(
        seeds=tuple(seeds),
        values=scores,
        test_sets=((items[0].test, num_items),),
        answers=answers,
        item_moments=(item_moments(answers, num_items),),
        reported_half_widths=(),
    )


def item_moments(answers: Sequence[int], num_items: int) -> ItemMoments:
    """Return moments of the items of one test set from the answers of every seed.

    >>> item_moments([0b110, 0b100], 3).mean
    0.5
    """
    num_seeds = len(answers)
    num_correct, squares = count_correct(answers), sum_squares(answers)
    disagreement = (num_correct - squares / num_seeds) / (num_seeds - 1) if num_seeds > 1 else 0.0
    return ItemMoments(
        mean=num_correct / (num_seeds * num_items),
        mean_square=squares / num_seeds**2 / num_items,
        interaction_variance=disagreement / num_seeds / num_items**2,
        num_items=num_items,
        min_value=0.0,
        max_value=1.0,
    )


def count_correct(answers: Sequence[int]) -> int:
    """Return how many answers are correct, over seeds and items."""
    return sum(map(int.bit_count, answers))


def sum_squares(answers: Sequence[int]) -> int:
    """Return the sum over items of the squared number of seeds that answered it correctly.

    >>> sum_squares([0b110, 0b100])
    5
    """
    both = sum((one & other).bit_count() for one, other in combinations(answers, 2))
    return count_correct(answers) + 2 * both


def constant_evidence(seeds: Sequence[int], value: float) -> Evidence:
    """Return the evidence of a number that is known without an error, such as a chance level.

    >>> constant_evidence((0, 1), 0.25).estimate()
    Estimate(value=0.25, low=None, high=None, count=2)
    """
    return gather_evidence(seeds, [value] * len(seeds))
