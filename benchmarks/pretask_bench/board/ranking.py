"""Ranking: which entries of a board the records separate, and each rank as an interval.

Over all pairs together the chance of any false separation stays below 5 %, also where the deviations of entries differ
fourfold; tests/bench/board/test_ranking.py simulates it.

Two entries are told apart if no set of entries that holds both could be equal. A set of p could be equal if none of its
pairs lies further apart than the furthest pair of p equal entries may. An entry that is near fewer than p - 1 others is
in no such set, so a pair has to exceed only what belongs to the largest set in which both could be.

Source: Tukey 1953 (all pairs); Ryan 1960, Einot and Gabriel 1975, Welsch 1977 (levels of smaller sets); Marcus, Peritz
and Gabriel, Biometrika 63, 1976 (closed tests).
Differs: large sets are tested at 2 % where variances are drawn towards each other (pairs.py), which pays for deviations
that differ fourfold.
Axes: E entries, R entries of a block of rows.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Int

from pretask_bench.board.evidence import Evidence
from pretask_bench.board.pairs import Board, Pairs
from pretask_bench.results.statistics import CONFIDENCE

LEVEL = 1 - CONFIDENCE
SHARED_LEVEL = 0.02  # of sets whose variances are drawn towards each other
MIN_GROWING_SIZE = 32  # from here on sets grow by 15 %, not by one entry
MAX_SEPARATED_ENTRIES = 1500  # above, every pair has to exceed what belongs to the set of all entries
BLOCK_ROWS = 256  # entries of a block, above


def rank_intervals(entries: Sequence[Evidence], after: Sequence[bool] = ()) -> Int[np.ndarray, "E 2"]:
    """Return the first and the last rank of each entry: one more than those above it, and all but those below it.

    Args:
        entries: What is known of each.
        after: Whether an entry is ranked after all that are not, whatever its numbers; none is if left out.
    """
    count = len(entries)
    ranks = np.tile([1, count], (count, 1))
    last = np.array([*after] or [False] * count, dtype=bool)
    for start, pairs, apart in separate(Board(entries)):
        rows = slice(start, start + len(apart))
        above = apart & (pairs.difference < 0)  # the column is above the row
        below = apart & ~above
        alike = last[rows, None] == last
        ranks[rows, 0] += np.where(alike, above, last[rows, None]).sum(1)
        ranks[rows, 1] -= np.where(alike, below, last).sum(1)
    return ranks


def is_above(first: Sequence[Evidence], second: Sequence[Evidence]) -> Bool[np.ndarray, " E"]:
    """Return which of the first are told to be better than their counterparts, such as what each began as.

    Every entry is one comparison, with the same variances as between entries; that any of equals is told to be better
    has a probability of 5 % over all of them together, as that of disjoint sets of two has in a ranking.
    """
    if not first:
        return np.zeros(0, bool)
    board = Board([*first, *second])
    pairs = board.couples()
    apart = pairs.further_apart(level_of_set(2, len(board.entries), level_of_board(board)), 2)
    found: np.ndarray = (apart & (pairs.difference > 0))[:, 0]
    return found


def separate(board: Board) -> Iterator[tuple[int, Pairs, Bool[np.ndarray, "R E"]]]:
    """Yield blocks of rows: their start, their pairs, and which of these are separated."""
    count = len(board.entries)
    if count <= MAX_SEPARATED_ENTRIES:
        pairs = board.pairs(0, count)
        yield 0, pairs, separate_pairs(pairs, level_of_board(board))
        return
    for start in range(0, count, BLOCK_ROWS):
        pairs = board.pairs(start, start + BLOCK_ROWS)
        yield start, pairs, pairs.further_apart(level_of_board(board), count)


def separate_pairs(pairs: Pairs, level: float) -> Bool[np.ndarray, "E E"]:
    """Return which pairs lie further apart than any set of equal entries that could hold both.

    An entry that is near fewer than p - 1 others is in no set of p.
    """
    count = len(pairs.difference)
    sizes = sizes_of_sets(count)
    largest = np.zeros(count, np.int64)  # place in `sizes` of the largest set in which an entry could be
    unplaced = np.ones(count, bool)
    for place in reversed(range(len(sizes))):
        least, size = sizes[place]
        near = ~pairs.further_apart(level_of_set(size, count, level), size)
        in_set = unplaced & (near.sum(1) >= least)  # an entry is near itself
        largest[in_set] = place
        unplaced &= ~in_set
        if not unplaced.any():
            break
    limit = np.minimum(largest[:, None], largest)
    apart = np.zeros((count, count), bool)
    for place in np.unique(limit):
        size = sizes[place][1]
        apart |= (limit == place) & pairs.further_apart(level_of_set(size, count, level), size)
    return apart


def sizes_of_sets(count: int) -> list[tuple[int, int]]:
    """Return sizes from two to all entries, as ranges of which the largest size stands for all.

    >>> sizes_of_sets(4)
    [(2, 2), (3, 3), (4, 4)]
    """
    found, least = [], 2
    while least <= max(2, count):
        size = least if least < MIN_GROWING_SIZE else min(count, int(1.15 * least))
        found.append((least, size))
        least = size + 1
    return found


def level_of_set(size: int, count: int, level: float) -> float:
    """Return the level of a set of so many entries of a board, so that all sets together keep 5 %.

    Source: Welsch 1977.
    """
    of_size: float = 1 - CONFIDENCE ** (size / count)
    return min(level, of_size)


def level_of_board(board: Board) -> float:
    """Return the level of the set of all entries."""
    return SHARED_LEVEL if board.seeded and len(board.entries) > 2 else LEVEL
