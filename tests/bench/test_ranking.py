"""Ranking: scores, their intervals and ranks, against scipy and against loops that do what the words say."""

import numpy as np
import pytest
from pretask_bench.board.ranking import (
    Answered,
    interquartile_mean,
    interval,
    over_items,
    over_seeds,
    rank_intervals,
    ranked,
)
from scipy import stats  # type: ignore[import-untyped]

ENTRY, OTHER = "0123456789abcdef", "fedcba9876543210"
NONE, ONE = np.array([0.0]), np.array([1.0])


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6, 9, 16])
def test_the_interquartile_mean_is_the_mean_trimmed_by_a_quarter_at_each_end(count: int) -> None:
    values = np.random.default_rng(count).normal(size=(5, count))
    assert interquartile_mean(values) == pytest.approx(stats.trim_mean(values, 0.25, axis=1))


def test_an_interval_over_the_items_of_one_seed_is_the_binomial_one() -> None:
    low, high = interval(over_items([Answered(0.7, 400)], NONE, ONE, ENTRY))
    expected = stats.binom.ppf([0.025, 0.975], 400, 0.7) / 400
    assert (low, high) == pytest.approx(tuple(expected), abs=0.006)  # of 2,000 draws; the interval is 0.09 wide


def test_items_are_resampled_on_the_scale_of_chance_and_reference() -> None:
    whole = over_items([Answered(0.7, 400)], NONE, ONE, ENTRY)
    scaled = over_items([Answered(0.7, 400)], np.array([0.2]), np.array([0.7]), ENTRY)
    assert scaled == pytest.approx((whole - 0.2) / 0.5)


def test_a_resample_of_seeds_has_the_spread_of_a_mean_of_that_many_seeds() -> None:
    values = np.random.default_rng(0).normal(size=(1, 40))  # (M, S)
    spread = over_seeds(values, ENTRY).std()
    trimmed = stats.trim_mean(np.random.default_rng(1).choice(values[0], (4000, 40)), 0.25, axis=1)
    assert spread == pytest.approx(np.std(trimmed), rel=0.06)  # 3.5 standard errors of a spread of 2,000 draws


def test_the_measures_of_a_seed_stay_together() -> None:
    opposite = np.array([[0.0, 1.0], [1.0, 0.0]])  # every seed's mean is one half
    assert over_seeds(opposite, ENTRY) == pytest.approx(0.5)


def test_random_numbers_belong_to_an_entry_and_are_the_same_again() -> None:
    values = np.array([[0.1, 0.4, 0.9]])
    assert np.array_equal(over_seeds(values, ENTRY), over_seeds(values, ENTRY))
    assert not np.array_equal(over_seeds(values, ENTRY), over_seeds(values, OTHER))


def test_a_rank_is_one_more_than_the_number_of_better_entries() -> None:
    scores = np.array([0.3, 0.9, 0.3, 0.5, -1.0])
    assert ranked(scores).tolist() == [1 + sum(other > each for other in scores) for each in scores]


def test_a_rank_interval_holds_the_middle_95_percent_of_the_ranks_of_the_resamples() -> None:
    scores = np.random.default_rng(0).normal([[0.0], [0.5], [0.6], [3.0]], 0.4, size=(4, 1000))
    for entry, (low, high) in enumerate(rank_intervals(scores)):
        ranks = np.array([ranked(scores[:, each])[entry] for each in range(1000)])
        assert (ranks < low).mean() <= 0.025 < (ranks <= low).mean()
        assert (ranks > high).mean() <= 0.025 < (ranks >= high).mean()


def test_two_entries_that_differ_by_nothing_share_both_ranks_and_one_far_ahead_has_the_first() -> None:
    rng = np.random.default_rng(0)
    alike, ahead = rng.normal(0.5, 0.05, (2, 2000)), rng.normal(0.9, 0.01, (1, 2000))
    assert rank_intervals(np.concatenate([alike, ahead])).tolist() == [[2, 3], [2, 3], [1, 1]]
