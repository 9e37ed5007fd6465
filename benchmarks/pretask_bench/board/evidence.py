"""Evidence: a measure of one encoder by seed and by test item, larger where it is better.

Axes: S seeds, I items of all test sets.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pretask_bench.records.record import Items
from pretask_bench.results.statistics import Estimate
from pretask_bench.results.two_levels import Answers, item_variances, mean_over_both

TestSet = tuple[str, int]  # fingerprint, and how many items


@dataclass(frozen=True)
class Evidence:
    """The evidence of an encoder's records for one measure.

    Args:
        seeds: Numbers of the seeds, in order.
        scores: One by seed.
        tests: The test set; none where bits are missing.
        worth: What every item adds to the score of a seed.
        step: What one item adds at most.
        answers: Moments of the answers, one for each test set.
        own: Half of the interval that the evaluator gives itself, where there is one seed and no test set.
    """

    seeds: tuple[int, ...]
    scores: Float[np.ndarray, " S"]
    tests: tuple[TestSet, ...]
    worth: Float[np.ndarray, "S I"]
    step: float
    answers: tuple[Answers, ...]
    own: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean over seeds."""
        return float(self.scores.mean())

    def estimate(self) -> Estimate:
        """Return the mean with its 95 % interval; without one where there is nothing to estimate it from."""
        return mean_over_both([*map(float, self.scores)], self.answers, self.own)


def gather_evidence(
    seeds: Sequence[int], values: Sequence[float], items: Sequence[Items] = (), own: float = 0.0
) -> Evidence:
    """Put together what the records of an encoder say of one measure.

    Args:
        seeds: Numbers of the seeds, in order.
        values: One by seed.
        items: Of every seed on one test set; none where bits are missing or test sets differ.
        own: Half of the interval that the evaluator gives itself; 0 where it gives none.
    """
    scores = np.array(values, dtype=float)
    if not items:
        none = np.zeros((len(seeds), 0))
        return Evidence(tuple(seeds), scores, (), none, 0.0, (), (own,) if own and len(seeds) == 1 else ())
    correct = np.stack([found.correct() for found in items]).astype(float)
    count = correct.shape[1]
    about_zero, both = item_variances(correct)
    answers = Answers(float(correct.mean()), about_zero * count, both, count, 0.0, 1.0)
    tests = ((items[0].test, count),)
    return Evidence(tuple(seeds), scores, tests, correct / count, 1 / count / len(seeds), (answers,), ())


def constant_evidence(seeds: Sequence[int], value: float) -> Evidence:
    """Return what a number that is known without an error is compared as, such as a chance level.

    >>> constant_evidence((0, 1), 0.25).estimate()
    Estimate(value=0.25, low=None, high=None, count=2)
    """
    return gather_evidence(seeds, [value] * len(seeds))
