"""Pairs: how far apart two entries of a board are, seed by seed and item by item, and what that is held against.

A seed fixes the order of the data and the probe's split for all entries, so what it does to all of them is taken out.
The seeds' variance of an entry is drawn towards the mean variance of the board, because two degrees of freedom separate
nothing: beside its own deviations count up to six of the board's, with as many degrees of freedom.

Source: Smyth, Stat. Appl. Genet. Mol. Biol. 3(1), 2004 (variances moderated across units); Efron, J. Am. Stat. Assoc.
64, 1969 (sums over the root of their squares are no wider than normal); Edwards, Psychometrika 13, 1948 (one item's
correction of McNemar's test); two_levels.py (seeds and items together).
Differs: how much the board's variance counts is fixed and not estimated, as thirteen variances of two degrees of
freedom cannot tell it; few entries count less.
Axes: E entries, R entries of a block of rows, K kinds, G entries of a group, S seeds, I items.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from pretask_bench.board.evidence import Evidence
from pretask_bench.results.statistics import CONFIDENCE, RELATIVE_ROUNDING, student_quantile
from pretask_bench.results.studentized_range import critical_difference

MAX_PRIOR_FREEDOM = 6.0  # deviations of the board that count beside an entry's own, at most;
PRIOR_PER_FREEDOM, PRIOR_PER_ENTRY = 3.0, 0.5  # as many as this for one of its own, and for one other entry
OWN_FREEDOM = 4  # of intervals that evaluators give themselves: Student's over few draws


@dataclass(frozen=True)
class Pairs:
    """Differences between entries, and what they are held against; rows are the better of a pair where positive.

    Args:
        difference: Row minus column, over the seeds that both have.
        seeds: Variance of the difference over seeds.
        freedom: Degrees of freedom of that variance, by kind.
        kind: Index into `freedom`, by pair.
        items: Variance of the difference over items.
        shared: The part of `items` that the seeds' deviations cannot show.
        own: Squared half widths of evaluators' own intervals.
        step: What one item adds to a score, at most.
        seeded: Whether several seeds are at hand, so that a pair needs their evidence as well.
    """

    difference: Float[np.ndarray, "R E"]
    seeds: Float[np.ndarray, "R E"]
    freedom: Float[np.ndarray, " K"]
    kind: Int[np.ndarray, "R E"]
    items: Float[np.ndarray, "R E"]
    shared: Float[np.ndarray, "R E"]
    own: Float[np.ndarray, "R E"]
    step: Float[np.ndarray, "R E"]
    seeded: bool

    def further_apart(self, level: float, size: int) -> Bool[np.ndarray, "R E"]:
        """Return which pairs lie further apart than any of so many equal entries would, over seeds and over items."""
        normal = critical_difference(level, size, np.inf) ** 2
        ratio = (
            critical_difference(level, size, OWN_FREEDOM) / student_quantile((1 + CONFIDENCE) / 2, OWN_FREEDOM)
        ) ** 2
        apart = abs(self.difference)
        found: np.ndarray = (apart - self.step).clip(0) ** 2 > normal * self.items + ratio * self.own
        if not self.seeded:
            found &= self.items + self.own > 0
            return found
        by_kind = np.array([critical_difference(level, size, float(freedom)) ** 2 for freedom in self.freedom])
        # seeds that do not vary at all say nothing of how much they could
        found &= (self.seeds > RELATIVE_ROUNDING**2) & (
            apart**2 > by_kind[self.kind] * self.seeds + normal * self.shared
        )
        return found


class Board:
    """The evidence of all entries as arrays, from which any block of pairs is made."""

    def __init__(self, entries: Sequence[Evidence]) -> None:
        self.entries = entries
        self.numbers = sorted({seed for entry in entries for seed in entry.seeds})
        self.scores, self.has = table_of_seeds(entries, self.numbers)  # (E, S)
        self.counts = self.has.sum(1)
        self.seeded = bool((self.counts > 1).any())
        self.variance, self.freedom = moderate(*sums_of_squares(self.scores, self.has, blocks=True), self.counts)
        self.unpaired, _ = moderate(*sums_of_squares(self.scores, self.has, blocks=False), self.counts)
        self.alone, self.worth = unpaired_variances(entries), group_by_layout(entries)
        self.own = np.array([math.fsum(half**2 for half in entry.own) for entry in entries])
        self.step = np.array([entry.step for entry in entries])

    def pairs(self, start: int, stop: int) -> Pairs:
        """Return the pairs of a block of rows with all entries."""
        rows = slice(start, stop)
        difference, count = self.differences(rows)
        seeds = (self.variance[rows, None] + self.variance) / count.clip(1)
        alone = (self.unpaired / self.counts)[rows, None] + self.unpaired / self.counts
        freedom, kind = np.unique(self.freedom, return_inverse=True)  # ascending, so the smaller place has fewer
        items, shared = self.item_variances(rows)
        return Pairs(
            difference=difference,
            seeds=np.where(count > 0, seeds, alone),
            freedom=freedom,
            kind=np.minimum(kind[rows, None], kind),
            items=items,
            shared=shared,
            own=self.own[rows, None] + self.own,
            step=np.maximum(self.step[rows, None], self.step),
            seeded=self.seeded,
        )

    def couples(self) -> Pairs:
        """Return the pairs of the first half of the entries with the second half, one by one, as a column.

        The two of a couple have the same seeds, such as an encoder and the network that it began as. Where no seed
        changes anything, as on a measure that all solve, beside the raw input, test items alone decide.
        """
        half = len(self.entries) // 2
        first, second = slice(0, half), slice(half, None)
        gap = np.where(self.has[first], self.scores[first] - self.scores[second], 0.0)
        items = [couple_items(*both) for both in zip(self.entries[:half], self.entries[half:], strict=True)]
        together, shared = np.array(items).reshape(half, 2).T
        freedom, kind = np.unique(np.minimum(self.freedom[first], self.freedom[second]), return_inverse=True)
        return Pairs(
            difference=(gap.sum(1) / self.counts[first])[:, None],
            seeds=((self.variance[first] + self.variance[second]) / self.counts[first])[:, None],
            freedom=freedom,
            kind=kind[:, None],
            items=together[:, None],
            shared=shared[:, None],
            own=(self.own[first] + self.own[second])[:, None],
            step=np.maximum(self.step[first], self.step[second])[:, None],
            seeded=self.seeded and bool((self.variance > RELATIVE_ROUNDING**2).any()),
        )

    def differences(self, rows: slice) -> tuple[Float[np.ndarray, "R E"], Float[np.ndarray, "R E"]]:
        """Return mean differences over the seeds that both have, and how many; over all seeds where both share none."""
        has = self.has.astype(float)
        count = has[rows] @ has.T
        known = np.where(self.has, self.scores, 0.0)
        means = known.sum(1) / self.counts
        together = (known[rows] @ has.T - has[rows] @ known.T) / count.clip(1)
        return np.where(count > 0, together, means[rows, None] - means), count

    def item_variances(self, rows: slice) -> tuple[Float[np.ndarray, "R E"], Float[np.ndarray, "R E"]]:
        """Return the variance over items of each difference, and what of it the seeds cannot show."""
        items = self.alone[rows, None] + self.alone
        shared = items.copy()
        inside = np.arange(len(self.entries))[rows]
        for places, seeds, flat, mean in self.worth:
            mine = np.isin(places, inside)
            at = np.ix_(places[mine] - rows.start, places)
            together = squared_distances(mean[mine], mean)
            items[at] = shared[at] = together
            if seeds > 1:
                both = (squared_distances(flat[mine], flat) / seeds - together).clip(0) / (seeds - 1)
                shared[at] = (together - both).clip(0)
        return items, shared


def couple_items(first: Evidence, second: Evidence) -> tuple[float, float]:
    """Return the variance over items of the difference within a couple, and what of it the seeds cannot show."""
    if first.tests != second.tests:
        alone = float(unpaired_variances([first, second]).sum())
        return alone, alone
    difference, count = first.worth - second.worth, len(first.seeds)
    together = float((difference.mean(0) ** 2).sum())
    if count == 1:
        return together, together
    both = max(0.0, float((difference**2).sum()) / count - together) / (count - 1)
    return together, max(0.0, together - both)


def table_of_seeds(
    entries: Sequence[Evidence], numbers: Sequence[int]
) -> tuple[Float[np.ndarray, "E S"], Bool[np.ndarray, "E S"]]:
    """Return scores by entry and seed, not a number where there is none; and where there is one."""
    column = {seed: place for place, seed in enumerate(numbers)}
    scores = np.full((len(entries), len(numbers)), np.nan)
    for row, entry in zip(scores, entries, strict=True):
        row[[column[seed] for seed in entry.seeds]] = entry.scores
    return scores, ~np.isnan(scores)


def sums_of_squares(
    scores: Float[np.ndarray, "E S"], has: Bool[np.ndarray, "E S"], *, blocks: bool
) -> tuple[Float[np.ndarray, " E"], Float[np.ndarray, " E"]]:
    """Return sums of squared deviations of each entry's seeds, and their degrees of freedom.

    Args:
        scores: Scores by entry and seed.
        has: Whether there is a score.
        blocks: Whether what a seed does to all entries that have it is taken out.
    """
    count = has.sum(1)
    left = np.where(has, scores, 0.0)
    left = np.where(has, left - (left.sum(1) / count)[:, None], 0.0)
    freedom = count - 1.0
    if blocks:
        entries = has.sum(0)
        shared = entries > 1
        left -= np.where(has & shared, left.sum(0) / entries, 0.0)
        share = np.where(shared, 1 / entries, 0.0)  # of a seed's deviations that its mean takes out
        freedom = freedom * (1 - (has * share).sum(1) / count)
    return (left**2).sum(1), freedom


def moderate(
    squares: Float[np.ndarray, " E"], freedom: Float[np.ndarray, " E"], counts: Int[np.ndarray, " E"]
) -> tuple[Float[np.ndarray, " E"], Float[np.ndarray, " E"]]:
    """Return variances of a seed drawn towards that of the board, and their degrees of freedom.

    Args:
        squares: Sums of squared deviations.
        freedom: Degrees of freedom of each sum; what a seed does to all entries is taken out of it.
        counts: How many seeds each entry has.

    Source: Smyth 2004, section 3.
    """
    total = float(freedom.sum())
    own = np.divide(squares, freedom, out=np.zeros_like(squares), where=freedom > 0)
    prior = squares.sum() / total if total > 0 else 0.0
    alone = counts - 1.0
    most = min(MAX_PRIOR_FREEDOM, PRIOR_PER_ENTRY * (len(counts) - 1))
    weight = np.minimum(most, PRIOR_PER_FREEDOM * alone.clip(1))
    together = (weight + alone).clip(1e-9)  # 0 for one entry of one seed, which has no variance
    return (weight * prior + alone * own) / together, np.minimum(together, max(1.0, total)).clip(1).round(6)


def group_by_layout(
    entries: Sequence[Evidence],
) -> list[tuple[Int[np.ndarray, " G"], int, Float[np.ndarray, "G SI"], Float[np.ndarray, "G I"]]]:
    """Return entries with the same test sets and seeds: places, how many seeds, items' worth by seed and as mean."""
    groups: dict[object, list[int]] = {}
    for place, entry in enumerate(entries):
        paired: object = entry.seeds if len(entry.seeds) > 1 else 1  # of one seed each, items are paired whatever it is
        groups.setdefault((entry.tests, paired), []).append(place)
    found = []
    for places in groups.values():
        worth = np.stack([entries[place].worth for place in places])
        count, items, seeds = len(places), worth.shape[2], len(entries[places[0]].seeds)
        mean: np.ndarray = worth.mean(1)
        found.append((np.array(places), seeds, worth.reshape(count, seeds * items), mean))
    return found


def unpaired_variances(entries: Sequence[Evidence]) -> Float[np.ndarray, " E"]:
    """Return the variance over items of each score by itself, for pairs whose items cannot be paired."""
    return np.array(
        [
            math.fsum((moments.square - moments.mean**2) / moments.count for moments in entry.answers)
            for entry in entries
        ]
    )


def squared_distances(first: Float[np.ndarray, "R I"], second: Float[np.ndarray, "E I"]) -> Float[np.ndarray, "R E"]:
    """Return the squared distance of every row of the first from every row of the second."""
    lengths = (first**2).sum(1)[:, None] + (second**2).sum(1)
    distances: np.ndarray = (lengths - 2 * first @ second.T).clip(0)
    return distances
