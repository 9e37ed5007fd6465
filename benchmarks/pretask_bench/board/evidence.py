"""Evidence: the score of one entry by seed and by test item.

The score of a seed is the interquartile mean over measures, that of an entry the mean over its seeds. (Cutting seeds
off as well would leave two of five, and no honest interval.)

Axes: M measures, S seeds, N numbers, I items of all test sets.
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
class MeasureEvidence:
    """The evidence of an entry's records for one measure.

    Args:
        values: One by seed, on the normalised scale.
        items: The items of every seed on one test set; none where bits are missing or test sets differ.
        worst: What an item answered wrongly is worth on that scale.
        best: What an item answered correctly is worth.
        own: Half of the interval that the evaluator gives itself; 0 where it gives none.
    """

    values: tuple[float, ...]
    items: tuple[Items, ...] = ()
    worst: float = 0.0
    best: float = 1.0
    own: float = 0.0

    @property
    def test(self) -> TestSet | None:
        """The test set: its fingerprint and how many items it has."""
        return (self.items[0].test, self.items[0].count) if self.items else None


@dataclass(frozen=True)
class Evidence:
    """The evidence of an entry's records for its score.

    Args:
        seeds: Numbers of the seeds, in order.
        scores: One by seed.
        tests: The test sets, in order.
        worth: What every item adds to the score of a seed, test sets one after another.
        step: What one item adds at most.
        answers: Moments of the answers, one for each test set.
        own: Half widths of evaluators' own intervals, where there is one seed.
    """

    seeds: tuple[int, ...]
    scores: Float[np.ndarray, " S"]
    tests: tuple[TestSet, ...]
    worth: Float[np.ndarray, "S I"]
    step: float
    answers: tuple[Answers, ...]
    own: tuple[float, ...]

    def estimate(self) -> Estimate:
        """Return the score with its 95 % interval; without one where there is nothing to estimate it from."""
        return mean_over_both([*map(float, self.scores)], self.answers, self.own)


def gather_evidence(seeds: Sequence[int], measures: Sequence[MeasureEvidence]) -> Evidence:
    """Put what the measures of an entry say together.

    Args:
        seeds: Numbers of the seeds, in order.
        measures: One or more, each with a number for every seed.
    """
    values = np.array([measure.values for measure in measures])  # (M, S)
    weights = weigh_quartiles(values)
    tests = tuple(sorted({measure.test for measure in measures if measure.test is not None}))
    parts = [worth_of_items(test, measures, weights) for test in tests]
    answers = tuple(
        answers_of(part, *ends_of_item(test, measures, weights)) for test, part in zip(tests, parts, strict=True)
    )
    return Evidence(
        seeds=tuple(seeds),
        scores=(weights * values).sum(0),
        tests=tests,
        worth=np.concatenate([np.zeros((len(seeds), 0)), *(part / part.shape[1] for part in parts)], 1),
        step=max(((moments.best - moments.worst) / moments.count for moments in answers), default=0.0) / len(seeds),
        answers=answers,
        own=own_halves(measures, weights) if len(seeds) == 1 else (),
    )


def own_halves(measures: Sequence[MeasureEvidence], weights: Float[np.ndarray, "M S"]) -> tuple[float, ...]:
    """Return the half widths that evaluators give themselves to measures without items."""
    halves = (float(row[0]) * measure.own for row, measure in zip(weights, measures, strict=True) if not measure.items)
    return tuple(half for half in halves if half)


def weigh_quartiles(values: Float[np.ndarray, "M S"]) -> Float[np.ndarray, "M S"]:
    """Return weights of the interquartile mean: 0 for a quarter of the measures, rounded down, at each end.

    >>> weigh_quartiles(np.array([[0.0], [4.0], [6.0], [90.0]])).T.tolist()
    [[0.0, 0.5, 0.5, 0.0]]
    """
    count = len(values)
    cut = count // 4
    ranks = values.argsort(0, kind="stable").argsort(0, kind="stable")
    return np.where((ranks >= cut) & (ranks < count - cut), 1 / (count - 2 * cut), 0.0)


def worth_of_items(
    test: TestSet, measures: Sequence[MeasureEvidence], weights: Float[np.ndarray, "M S"]
) -> Float[np.ndarray, "S I"]:
    """Return what every item of a test set is worth for every seed: the weighted sum over the measures on it."""
    found = np.zeros((weights.shape[1], test[1]))
    for row, measure in zip(weights, measures, strict=True):
        if measure.test == test:
            correct = np.stack([items.correct() for items in measure.items])
            found += row[:, None] * np.where(correct, measure.best, measure.worst)
    return found


def ends_of_item(
    test: TestSet, measures: Sequence[MeasureEvidence], weights: Float[np.ndarray, "M S"]
) -> tuple[float, float]:
    """Return what an item is worth that all measures on it answer wrongly, and one that all answer correctly."""
    mean = weights.mean(1)
    on_it = [(weight, measure) for weight, measure in zip(mean, measures, strict=True) if measure.test == test]
    ends = ([weight * measure.worst for weight, measure in on_it], [weight * measure.best for weight, measure in on_it])
    return float(sum(ends[0])), float(sum(ends[1]))


def answers_of(worth: Float[np.ndarray, "S I"], worst: float, best: float) -> Answers:
    """Return the moments of a test set."""
    about_zero, both = item_variances(worth)
    count = worth.shape[1]
    return Answers(float(worth.mean()), about_zero * count, both, count, worst, best)
