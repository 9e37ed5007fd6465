"""Ranking: which entries of a board differ significantly, and each rank as an interval.

Over all pairs together the chance of any false separation stays below 5 %, also where the standard deviations of
entries differ fourfold; tests/bench/board/test_ranking.py simulates it.

Two entries are separated if no set of entries that holds both could be equal. A set of p could be equal if none of its
pairs differs by more than the furthest pair of p equal entries may: the critical difference of sets of p. An entry that
is near fewer than p - 1 others is in no such set, so a pair has to exceed only the critical difference of the largest
set in which both could be.

Source: Tukey 1953 (all pairs); Ryan 1960, Einot and Gabriel 1975, Welsch 1977 (levels of smaller sets); Marcus, Peritz
and Gabriel, Biometrika 63, 1976 (closed tests).
Differs: large sets are tested at 2 % where variances are shrunk towards each other (pairs.py), which makes up for
standard deviations that differ fourfold.
Axes: E entries, R entries of a block of rows.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int

from pretask_bench.board.evidence import Evidence
from pretask_bench.board.pairs import Pairs, PairwiseComparisons
from pretask_bench.results.statistics import CONFIDENCE

LEVEL = 1 - CONFIDENCE
SHRUNK_LEVEL = 0.02  # of sets whose variances are shrunk towards each other
MIN_COARSE_SIZE = 32  # from here on sizes of sets grow by 15 %, not by one entry
MAX_EXACT_ENTRIES = 1500  # above, every pair has to exceed the critical difference of the set of all entries
BLOCK_ROWS = 256  # entries of a block of rows, above


def rank_intervals(entries: Sequence[Evidence], is_last: Sequence[bool] = ()) -> Int[np.ndarray, "E 2"]:
    """Return the first and the last rank of each entry: one more than those above it, and all but those below it.

    Args:
        entries: The evidence of each.
        is_last: Whether an entry is ranked after all others, whatever its numbers; none is if left out.
    """
    count = len(entries)
    ranks = np.tile([1, count], (count, 1))
    last = np.array([*is_last] or [False] * count, dtype=bool)
    for start, pairs, separated in separate_entries(PairwiseComparisons(entries)):
        rows = slice(start, start + len(separated))
        column_above = separated & (pairs.difference < 0)
        column_below = separated & ~column_above
        both_last_or_neither = last[rows, None] == last
        ranks[rows, 0] += np.where(both_last_or_neither, column_above, last[rows, None]).sum(1)
        ranks[rows, 1] -= np.where(both_last_or_neither, column_below, last).sum(1)
    return ranks


def is_above(first: Sequence[Evidence], second: Sequence[Evidence]) -> Bool[np.ndarray, " E"]:
    """Return which of the first are significantly better than their counterparts, such as the network each began as.

    Every entry is one comparison, with the same variances as between entries; the chance that any of equals comes out
    as better is 5 % over all of them together, as that of disjoint sets of two is in a ranking.
    """
    if not first:
        return np.zeros(0, bool)
    board = PairwiseComparisons([*first, *second])
    pairs = board.compare_halves()
    separated = pairs.are_separated(level_of_set(2, len(board.entries), level_of_board(board)), 2)
    better: np.ndarray = (separated & (pairs.difference > 0))[:, 0]
    return better


def separate_entries(board: PairwiseComparisons) -> Iterator[tuple[int, Pairs, Bool[np.ndarray, "R E"]]]:
    """Yield blocks of rows: their start, their pairs, and which of these are separated."""
    count = len(board.entries)
    if count <= MAX_EXACT_ENTRIES:
        pairs = board.compare_block(0, count)
        yield 0, pairs, separate_pairs(pairs, level_of_board(board))
        return
    for start in range(0, count, BLOCK_ROWS):
        pairs = board.compare_block(start, start + BLOCK_ROWS)
        yield start, pairs, pairs.are_separated(level_of_board(board), count)


def separate_pairs(pairs: Pairs, level: float) -> Bool[np.ndarray, "E E"]:
    """Return which pairs differ by more than any set of equal entries that could hold both would.

    An entry that is near fewer than p - 1 others is in no set of p.
    """
    count = len(pairs.difference)
    sizes = set_sizes(count)
    largest = np.zeros(count, np.int64)  # index into `sizes` of the largest set in which an entry could be
    undecided = np.ones(count, bool)
    for index in reversed(range(len(sizes))):
        min_size, max_size = sizes[index]
        near = ~pairs.are_separated(level_of_set(max_size, count, level), max_size)
        in_set = undecided & (near.sum(1) >= min_size)  # an entry is near itself
        largest[in_set] = index
        undecided &= ~in_set
        if not undecided.any():
            break
    largest_common = np.minimum(largest[:, None], largest)
    separated = np.zeros((count, count), bool)
    for index in np.unique(largest_common):
        size = sizes[index][1]
        separated |= (largest_common == index) & pairs.are_separated(level_of_set(size, count, level), size)
    return separated


def set_sizes(count: int) -> list[tuple[int, int]]:
    """Return the sizes of sets from two to all entries, as ranges (smallest, largest) that are tested as one.

    >>> set_sizes(4)
    [(2, 2), (3, 3), (4, 4)]
    """
    ranges, smallest = [], 2
    while smallest <= max(2, count):
        largest = smallest if smallest < MIN_COARSE_SIZE else min(count, int(1.15 * smallest))
        ranges.append((smallest, largest))
        smallest = largest + 1
    return ranges


def level_of_set(size: int, count: int, level: float) -> float:
    """Return the significance level of a set of `size` of `count` entries, so that all sets together keep 5 %.

    Source: Welsch 1977.
    """
    level_of_size: float = 1 - CONFIDENCE ** (size / count)
    return min(level, level_of_size)


def level_of_board(board: PairwiseComparisons) -> float:
    """Return the level of the set of all entries."""
    return SHRUNK_LEVEL if board.several_seeds and len(board.entries) > 2 else LEVEL
