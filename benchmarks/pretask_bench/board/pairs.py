"""Pairs: how far apart two entries of a board are, seed by seed and item by item, and what that is held against.

A seed fixes the order of the data and the probe's split for all entries, so its effect on all of them is subtracted
(seeds are blocks of a randomized block design). The seeds' variance of an entry is shrunk towards the mean variance of
the board, because two degrees of freedom separate nothing: beside its own deviations count up to six of the board's,
with as many degrees of freedom.

Source: Smyth, Stat. Appl. Genet. Mol. Biol. 3(1), 2004 (variances moderated across units); Efron, J. Am. Stat. Assoc.
64, 1969 (sums over the root of their squares are no wider than normal); Edwards, Psychometrika 13, 1948 (one item's
correction of McNemar's test); two_levels.py (seeds and items together).
Differs: the weight of the board's variance is fixed and not estimated, as thirteen variances of two degrees of
freedom cannot tell it; few entries count less.
Axes: E entries, R entries of a block of rows, F different degrees of freedom, G entries of a group, S seeds, B bytes,
I items.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from pretask_bench.board.evidence import Evidence, TestSet, count_correct, sum_squares
from pretask_bench.results.statistics import CONFIDENCE, RELATIVE_ROUNDING, t_quantile
from pretask_bench.results.studentized_range import critical_difference

# The prior is the board's variance. Its weight is counted in degrees of freedom, and is at most the first of these,
# this many times an entry's own degrees of freedom, and this many for every other entry.
MAX_PRIOR_FREEDOM, PRIOR_PER_FREEDOM, PRIOR_PER_ENTRY = 6.0, 3.0, 0.5
EXACT_SUM = 2**24  # up to which single precision holds every integer
MAX_BLOCK_ITEMS = 4096  # items that are unpacked at a time
REPORTED_FREEDOM = 4  # degrees of freedom of intervals that evaluators report: Student's over few draws


@dataclass(frozen=True)
class Pairs:
    """Differences between pairs of entries with their variances; positive where the row is better than the column.

    Args:
        difference: Row minus column, over the seeds that both have.
        seed_variance: Variance of the difference over seeds.
        degrees_of_freedom: All different degrees of freedom of that variance.
        freedom_index: Index into `degrees_of_freedom`, by pair.
        item_variance: Variance of the difference over items.
        item_effect_variance: The part of `item_variance` that is no interaction with seeds (see two_levels.py).
        reported_squares: Squared half widths of intervals that evaluators report.
        max_item_value: What one item adds to a value, at most.
        several_seeds: Whether there are several seeds, so that a pair needs their evidence as well.
    """

    difference: Float[np.ndarray, "R E"]
    seed_variance: Float[np.ndarray, "R E"]
    degrees_of_freedom: Float[np.ndarray, " F"]
    freedom_index: Int[np.ndarray, "R E"]
    item_variance: Float[np.ndarray, "R E"]
    item_effect_variance: Float[np.ndarray, "R E"]
    reported_squares: Float[np.ndarray, "R E"]
    max_item_value: Float[np.ndarray, "R E"]
    several_seeds: bool

    def are_separated(self, level: float, size: int) -> Bool[np.ndarray, "R E"]:
        """Return which pairs differ by more than any pair of `size` equal entries would, over seeds and over items."""
        z_squared = critical_difference(level, size, np.inf) ** 2
        distance = abs(self.difference)
        item_squares = z_squared * self.item_variance + self.reported_factor(level, size) * self.reported_squares
        separated: np.ndarray = (distance - self.max_item_value).clip(0) ** 2 > item_squares
        if not self.several_seeds:
            separated &= self.item_variance + self.reported_squares > 0
            return separated
        t_squared = np.array(
            [critical_difference(level, size, float(freedom)) ** 2 for freedom in self.degrees_of_freedom]
        )
        squares = t_squared[self.freedom_index] * self.seed_variance + z_squared * self.item_effect_variance
        # seeds that do not vary at all say nothing of how much they could
        separated &= (self.seed_variance > RELATIVE_ROUNDING**2) & (distance**2 > squares)
        return separated

    def reported_factor(self, level: float, size: int) -> float:
        """Return what turns a reported squared half width into one for the furthest of `size` entries."""
        reported_quantile = t_quantile((1 + CONFIDENCE) / 2, REPORTED_FREEDOM)
        return float((critical_difference(level, size, REPORTED_FREEDOM) / reported_quantile) ** 2)


class Group(NamedTuple):
    """Entries with the same test set and seeds, whose items can be compared one by one.

    Args:
        indices: Of the entries.
        num_items: How many items the test set has.
        bits: Answers of every seed, eight to a byte.
        num_correct: How many answers are correct.
        squares: Sum over items of the squared number of seeds that answered it correctly.
    """

    indices: Int[np.ndarray, " G"]
    num_items: int
    bits: UInt8[np.ndarray, "G S B"]
    num_correct: Float[np.ndarray, " G"]
    squares: Float[np.ndarray, " G"]


class PairwiseComparisons:
    """The evidence of all entries of a board as arrays, from which any block of pairs is made."""

    def __init__(self, entries: Sequence[Evidence]) -> None:
        self.entries = entries
        self.values, self.has_seed = tabulate_by_seed(entries)  # (E, S)
        self.num_seeds = self.has_seed.sum(1)
        self.several_seeds = bool((self.num_seeds > 1).any())
        blocked = sums_of_squares(self.values, self.has_seed, blocks=True)
        self.variance, self.degrees_of_freedom = shrink_variances(*blocked, self.num_seeds)
        unblocked = sums_of_squares(self.values, self.has_seed, blocks=False)
        self.unpaired_variance, _ = shrink_variances(*unblocked, self.num_seeds)
        self.unpaired_item_variance = unpaired_item_variances(entries)
        self.reported_squares = np.array(
            [math.fsum(half_width**2 for half_width in entry.reported_half_widths) for entry in entries]
        )
        self.max_item_value = np.array([entry.max_item_value for entry in entries])

    @cached_property
    def groups(self) -> list[Group]:
        """Entries whose items can be compared one by one; comparing halves needs none of them."""
        return group_by_seeds_and_items(self.entries)

    def compare_block(self, start: int, stop: int) -> Pairs:
        """Return the pairs of a block of rows with all entries."""
        rows = slice(start, stop)
        difference, num_common = self.differences(rows)
        paired = (self.variance[rows, None] + self.variance) / num_common.clip(1)
        variance_of_mean = self.unpaired_variance / self.num_seeds
        unpaired = variance_of_mean[rows, None] + variance_of_mean
        freedom, index = np.unique(self.degrees_of_freedom, return_inverse=True)  # ascending
        item_variance, item_effect_variance = self.item_variances(rows)
        return Pairs(
            difference=difference,
            seed_variance=np.where(num_common > 0, paired, unpaired),
            degrees_of_freedom=freedom,
            freedom_index=np.minimum(index[rows, None], index),  # the fewer degrees of freedom of the two
            item_variance=item_variance,
            item_effect_variance=item_effect_variance,
            reported_squares=self.reported_squares[rows, None] + self.reported_squares,
            max_item_value=np.maximum(self.max_item_value[rows, None], self.max_item_value),
            several_seeds=self.several_seeds,
        )

    def compare_halves(self) -> Pairs:
        """Return the pairs of the first half of the entries with the second half, one by one, as a column.

        The two of a pair have the same seeds, such as an encoder and the network that it began as. Where no seed
        changes anything, as on a measure that all solve, beside the raw input, test items alone decide.
        """
        half = len(self.entries) // 2
        first, second = slice(0, half), slice(half, None)
        gap = np.where(self.has_seed[first], self.values[first] - self.values[second], 0.0)
        pairs = zip(self.entries[:half], self.entries[half:], strict=True)
        item_variance, item_effect_variance = (
            np.array([pair_item_variances(*pair) for pair in pairs]).reshape(half, 2).T
        )
        freedom, index = np.unique(
            np.minimum(self.degrees_of_freedom[first], self.degrees_of_freedom[second]), return_inverse=True
        )
        return Pairs(
            difference=(gap.sum(1) / self.num_seeds[first])[:, None],
            seed_variance=((self.variance[first] + self.variance[second]) / self.num_seeds[first])[:, None],
            degrees_of_freedom=freedom,
            freedom_index=index[:, None],
            item_variance=item_variance[:, None],
            item_effect_variance=item_effect_variance[:, None],
            reported_squares=(self.reported_squares[first] + self.reported_squares[second])[:, None],
            max_item_value=np.maximum(self.max_item_value[first], self.max_item_value[second])[:, None],
            several_seeds=self.several_seeds and bool((self.variance > RELATIVE_ROUNDING**2).any()),
        )

    def differences(self, rows: slice) -> tuple[Float[np.ndarray, "R E"], Float[np.ndarray, "R E"]]:
        """Return mean differences over the seeds that both have, and how many; over all seeds where both share none."""
        has_seed = self.has_seed.astype(float)
        num_common = has_seed[rows] @ has_seed.T
        values = np.where(self.has_seed, self.values, 0.0)
        means = values.sum(1) / self.num_seeds
        paired = (values[rows] @ has_seed.T - has_seed[rows] @ values.T) / num_common.clip(1)
        return np.where(num_common > 0, paired, means[rows, None] - means), num_common

    def item_variances(self, rows: slice) -> tuple[Float[np.ndarray, "R E"], Float[np.ndarray, "R E"]]:
        """Return the variance over items of each difference, and the part of it that is no interaction with seeds."""
        item_variance = self.unpaired_item_variance[rows, None] + self.unpaired_item_variance
        item_effect_variance = item_variance.copy()
        row_indices = np.arange(len(self.entries))[rows]
        for group in self.groups:
            in_rows = np.isin(group.indices, row_indices)
            block = np.ix_(group.indices[in_rows] - rows.start, group.indices)
            item_variance[block], item_effect_variance[block] = pair_variances(group, in_rows)
        return item_variance, item_effect_variance


def pair_item_variances(first: Evidence, second: Evidence) -> tuple[float, float]:
    """Return the variance over items of a difference, and the part of it that is no interaction with seeds."""
    if first.test_sets != second.test_sets or not first.test_sets:
        unpaired = float(unpaired_item_variances([first, second]).sum())
        return unpaired, unpaired
    num_items, num_seeds = first.test_sets[0][1], len(first.seeds)
    answers = (*first.answers, *second.answers)
    # of the counts of both together, and of the difference: (a - b)^2 = 2 a^2 + 2 b^2 - (a + b)^2
    squares = 2 * sum_squares(first.answers) + 2 * sum_squares(second.answers) - sum_squares(answers)
    paired = squares / (num_seeds * num_items) ** 2
    if num_seeds == 1:
        return paired, paired
    differing = sum((one ^ other).bit_count() for one, other in zip(first.answers, second.answers, strict=True))
    interaction = max(0.0, differing / num_items**2 / num_seeds - paired) / (num_seeds - 1)
    return paired, max(0.0, paired - interaction)


def pair_variances(
    group: Group, in_rows: Bool[np.ndarray, " G"]
) -> tuple[Float[np.ndarray, "R G"], Float[np.ndarray, "R G"]]:
    """Return the same of some rows of a group with all of it."""
    num_seeds = group.bits.shape[1]
    both_by_seed, both = multiply_answers(group.bits, in_rows)
    squares = group.squares[in_rows, None] + group.squares - 2 * both
    paired = squares / (num_seeds * group.num_items) ** 2
    if num_seeds == 1:
        return paired, paired
    differing = group.num_correct[in_rows, None] + group.num_correct - 2 * both_by_seed
    interaction = (differing / group.num_items**2 / num_seeds - paired).clip(0) / (num_seeds - 1)
    return paired, (paired - interaction).clip(0)


def multiply_answers(
    bits: UInt8[np.ndarray, "G S B"], in_rows: Bool[np.ndarray, " G"]
) -> tuple[Float[np.ndarray, "R G"], Float[np.ndarray, "R G"]]:
    """Return sums over items, of some rows with all: answers correct in both by seed, and of counts over seeds.

    A block of items at a time, so small that single precision holds its sums exactly.
    """
    num_seeds = bits.shape[1]
    by_seed, of_counts = np.zeros((2, int(in_rows.sum()), len(bits)))
    block = max(1, min(MAX_BLOCK_ITEMS, EXACT_SUM // num_seeds**2) // 8)
    for start in range(0, bits.shape[2], block):
        answers = np.unpackbits(bits[:, :, start : start + block], axis=2).astype(np.float32)
        by_seed += multiply_rows(answers.reshape(len(bits), -1), in_rows)
        of_counts += multiply_rows(answers.sum(1), in_rows)
    return by_seed, of_counts


def multiply_rows(values: Float[np.ndarray, "G I"], in_rows: Bool[np.ndarray, " G"]) -> Float[np.ndarray, "R G"]:
    """Return the products of some rows with all; of all rows by half of the work, since they are symmetric."""
    products: np.ndarray = (values if in_rows.all() else values[in_rows]) @ values.T
    return products


def tabulate_by_seed(entries: Sequence[Evidence]) -> tuple[Float[np.ndarray, "E S"], Bool[np.ndarray, "E S"]]:
    """Return values by entry and seed, not a number where there is none; and where there is one."""
    seeds = sorted({seed for entry in entries for seed in entry.seeds})
    column = {seed: index for index, seed in enumerate(seeds)}
    values = np.full((len(entries), len(seeds)), np.nan)
    for row, entry in zip(values, entries, strict=True):
        row[[column[seed] for seed in entry.seeds]] = entry.values
    return values, ~np.isnan(values)


def sums_of_squares(
    values: Float[np.ndarray, "E S"], has_seed: Bool[np.ndarray, "E S"], *, blocks: bool
) -> tuple[Float[np.ndarray, " E"], Float[np.ndarray, " E"]]:
    """Return sums of squared deviations of each entry's seeds, and their degrees of freedom.

    Args:
        values: Values by entry and seed.
        has_seed: Whether there is a value.
        blocks: Whether the mean effect of a seed on all entries that have it is subtracted.
    """
    num_seeds = has_seed.sum(1)
    residual = np.where(has_seed, values, 0.0)
    residual = np.where(has_seed, residual - (residual.sum(1) / num_seeds)[:, None], 0.0)
    freedom = num_seeds - 1.0
    if blocks:
        num_entries = has_seed.sum(0)
        several = num_entries > 1
        residual -= np.where(has_seed & several, residual.sum(0) / num_entries, 0.0)
        lost = np.where(several, 1 / num_entries, 0.0)  # degrees of freedom that a seed's mean takes from each entry
        freedom = freedom * (1 - (has_seed * lost).sum(1) / num_seeds)
    return (residual**2).sum(1), freedom


def shrink_variances(
    squares: Float[np.ndarray, " E"], freedom: Float[np.ndarray, " E"], num_seeds: Int[np.ndarray, " E"]
) -> tuple[Float[np.ndarray, " E"], Float[np.ndarray, " E"]]:
    """Return each entry's variance over seeds, shrunk towards that of the board, and their degrees of freedom.

    Args:
        squares: Sums of squared deviations.
        freedom: Degrees of freedom of each sum, fewer where mean effects of seeds were subtracted.
        num_seeds: How many seeds each entry has.

    Source: Smyth 2004, section 3.
    """
    total_freedom = float(freedom.sum())
    own_variance = np.divide(squares, freedom, out=np.zeros_like(squares), where=freedom > 0)
    prior_variance = squares.sum() / total_freedom if total_freedom > 0 else 0.0
    own_freedom = num_seeds - 1.0
    max_prior_freedom = min(MAX_PRIOR_FREEDOM, PRIOR_PER_ENTRY * (len(num_seeds) - 1))
    prior_freedom = np.minimum(max_prior_freedom, PRIOR_PER_FREEDOM * own_freedom.clip(1))
    posterior_freedom = (prior_freedom + own_freedom).clip(1e-9)  # 0 for one entry of one seed, without a variance
    variance = (prior_freedom * prior_variance + own_freedom * own_variance) / posterior_freedom
    return variance, np.minimum(posterior_freedom, max(1.0, total_freedom)).clip(1).round(6)


def group_by_seeds_and_items(entries: Sequence[Evidence]) -> list[Group]:
    """Return the groups of entries with the same test sets and seeds."""
    indices_by_key: dict[tuple[tuple[TestSet, ...], object], list[int]] = {}
    for index, entry in enumerate(entries):
        seeds: object = entry.seeds if len(entry.seeds) > 1 else 1  # of one seed each, items are paired whatever it is
        indices_by_key.setdefault((entry.test_sets, seeds), []).append(index)
    return [make_group(entries, indices) for (test_sets, _), indices in indices_by_key.items() if test_sets]


def make_group(entries: Sequence[Evidence], indices: Sequence[int]) -> Group:
    """Return entries with the same test set and seeds as arrays."""
    answers, num_items = [entries[index].answers for index in indices], entries[indices[0]].test_sets[0][1]
    num_bytes = -(-num_items // 8)
    packed = b"".join(of_seed.to_bytes(num_bytes) for of_entry in answers for of_seed in of_entry)
    return Group(
        indices=np.array(indices),
        num_items=num_items,
        bits=np.frombuffer(packed, np.uint8).reshape(len(indices), -1, num_bytes),
        num_correct=np.array([*map(count_correct, answers)], dtype=float),
        squares=np.array([*map(sum_squares, answers)], dtype=float),
    )


def unpaired_item_variances(entries: Sequence[Evidence]) -> Float[np.ndarray, " E"]:
    """Return the variance over items of each value by itself, for pairs whose items cannot be paired."""
    return np.array([math.fsum(moments.variance_of_mean for moments in entry.item_moments) for entry in entries])
