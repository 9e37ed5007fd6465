import doctest
import math

import numpy as np
import pytest
from pretask import PretaskError
from pretask_bench.records.measured import pack_items
from pretask_bench.results import statistics
from pretask_bench.results.statistics import (
    Estimate,
    McNemarTest,
    accuracy_estimate,
    difference_over_items,
    holm_correction,
    mcnemar_test,
    mean_over_seeds,
    normalize_score,
    paired_correctness,
    paired_difference,
    paired_t_test,
)
from scipy import stats


def flags(both: int, first: int, second: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    """Correctness of two classifiers with so many items of each kind."""
    counts = (both, first, second, neither)
    return np.repeat([True, True, False, False], counts), np.repeat([True, False, True, False], counts)


@pytest.mark.parametrize("values", [[0.4, 0.5], [0.61, 0.64, 0.60], list(np.linspace(-3, 8, 20))], ids=len)
@pytest.mark.parametrize("confidence", [0.95, 0.8])
def test_the_interval_over_seeds_is_that_of_the_t_test(values: list[float], confidence: float) -> None:
    estimate = mean_over_seeds(values, confidence)
    reference = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    assert estimate.value == pytest.approx(np.mean(values))
    assert (estimate.low, estimate.high) == pytest.approx((reference.low, reference.high))


def test_one_seed_has_a_mean_and_no_interval() -> None:
    assert mean_over_seeds([0.5]) == Estimate(0.5, None, None, 1)


@pytest.mark.parametrize("values", [[0.25] * 3, [0.1 + 0.2, 0.3]], ids=str)
def test_seeds_that_differ_by_rounding_at_most_have_no_interval(values: list[float]) -> None:
    estimate = mean_over_seeds(values)
    assert (estimate.low, estimate.high, estimate.count) == (None, None, len(values))


@pytest.mark.parametrize("gap", [1 / 512, 0.1])
def test_equal_differences_of_seeds_are_no_evidence_however_large(gap: float) -> None:
    first, second = {0: 0.3 + gap, 1: 0.6 + gap, 2: 0.2 + gap}, {0: 0.3, 1: 0.6, 2: 0.2}
    assert paired_t_test(first, second) == 1.0
    estimate = paired_difference(first, second)
    assert (estimate.low, estimate.high) == (-math.inf, math.inf)


@pytest.mark.parametrize("values", [[], [0.5, math.nan], [math.inf]], ids=str)
def test_no_seeds_and_broken_seeds_are_refused(values: list[float]) -> None:
    with pytest.raises(PretaskError, match="one or more finite numbers"):
        mean_over_seeds(values)


def test_the_paired_difference_uses_the_seeds_that_both_have() -> None:
    first = {0: 0.61, 1: 0.66, 2: 0.59, 7: 0.9}
    second = {2: 0.55, 0: 0.58, 1: 0.60, 8: 0.1}
    estimate = paired_difference(first, second)
    reference = stats.ttest_rel([0.61, 0.66, 0.59], [0.58, 0.60, 0.55]).confidence_interval(0.95)
    assert estimate.count == 3
    assert (estimate.low, estimate.high) == pytest.approx((reference.low, reference.high))


def test_a_paired_difference_without_shared_seeds_is_refused() -> None:
    with pytest.raises(PretaskError, match="seeds that both have"):
        paired_difference({0: 0.5}, {1: 0.5})


@pytest.mark.parametrize(("right", "count"), [(0, 10), (7, 10), (10, 10), (431, 5000)])
def test_the_wilson_interval_is_the_formula_of_wilson(right: int, count: int) -> None:
    z, p = stats.norm.ppf(0.975), right / count
    centre = (p + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z / (1 + z**2 / count) * math.sqrt(p * (1 - p) / count + z**2 / (4 * count**2))
    estimate = accuracy_estimate(right, count)
    assert estimate.value == p
    assert (estimate.low, estimate.high) == pytest.approx((centre - reach, centre + reach), abs=1e-12)


@pytest.mark.parametrize(("right", "count"), [(0, 10), (7, 10), (10, 10)])
def test_the_ends_of_the_exact_interval_leave_a_fortieth_to_each_side(right: int, count: int) -> None:
    estimate = accuracy_estimate(right, count, "exact")
    assert estimate.low is not None
    assert estimate.high is not None
    above = stats.binom.sf(right - 1, count, estimate.low) if right else 0.025
    below = stats.binom.cdf(right, count, estimate.high) if right < count else 0.025
    assert (above, below) == pytest.approx((0.025, 0.025))


def test_mcnemar_counts_only_what_one_of_both_gets_right() -> None:
    first, second = flags(both=50, first=9, second=1, neither=40)
    test = mcnemar_test(first, second)
    assert (test.only_first, test.only_second) == (9, 1)
    assert test.p_value == pytest.approx(2 * (1 + 10) / 2**10)


def test_mcnemar_sees_no_difference_where_there_is_none() -> None:
    first, _ = flags(5, 4, 3, 2)
    assert mcnemar_test(first, first) == McNemarTest(0, 0, 1.0)


def test_the_interval_over_items_is_the_formula_of_agresti_and_min() -> None:
    first, second = flags(both=300, first=60, second=35, neither=105)
    estimate = difference_over_items(first, second)
    p, q, n = 60.5 / 502, 35.5 / 502, 502
    half = stats.norm.ppf(0.975) * math.sqrt((p + q - (p - q) ** 2) / n)
    assert estimate.value == pytest.approx(0.05)
    assert (estimate.low, estimate.high) == pytest.approx((p - q - half, p - q + half))


def test_the_same_answers_differ_by_nothing_and_other_items_might_tell_a_difference() -> None:
    first, _ = flags(5, 4, 3, 2)
    estimate = difference_over_items(first, first)
    assert estimate.value == 0
    assert estimate.low == pytest.approx(-0.1225, abs=0.001)  # 1.96 / 16
    assert estimate.high == pytest.approx(0.1225, abs=0.001)


def test_swapping_two_classifiers_mirrors_the_interval() -> None:
    first, second = flags(30, 11, 3, 8)
    there, back = difference_over_items(first, second), difference_over_items(second, first)
    assert there.low is not None
    assert there.high is not None
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))


def test_items_of_two_records_are_paired_only_on_the_same_test_data() -> None:
    first, second = pack_items([True, False], "a" * 32), pack_items([False, False], "a" * 32)
    assert [correct.tolist() for correct in paired_correctness(first, second)] == [[True, False], [False, False]]
    for other in (pack_items([True, False], "b" * 32), pack_items([True], "a" * 32)):
        with pytest.raises(PretaskError, match="the same items"):
            paired_correctness(first, other)


def test_a_normalised_score_is_0_at_chance_1_at_the_reference_and_undefined_where_these_are_one() -> None:
    assert [normalize_score(score, 0.25, 0.75) for score in (0.25, 0.5, 0.75, 0.0)] == [0, 0.5, 1, -0.5]
    assert normalize_score(2.0, 3.0, 1.0) == 0.5  # a loss: lower is better


def test_the_examples_in_the_docstrings_are_true() -> None:
    assert doctest.testmod(statistics).failed == 0


def test_the_paired_probability_is_that_of_scipys_paired_t_test_over_shared_seeds() -> None:
    first, second = {0: 0.51, 1: 0.55, 2: 0.60, 9: 0.1}, {2: 0.52, 1: 0.53, 0: 0.50, 7: 0.9}
    shared = (0, 1, 2)
    reference = stats.ttest_rel([first[seed] for seed in shared], [second[seed] for seed in shared]).pvalue
    assert paired_t_test(first, second) == pytest.approx(float(reference), rel=1e-9)
    assert paired_t_test({0: 1.0}, {0: 2.0}) is None
    assert paired_t_test({0: 1.0, 1: 1.0}, {0: 1.0, 1: 1.0}) == 1.0


def test_holm_keeps_the_chance_of_any_false_alarm_below_its_level() -> None:
    uniform = np.random.default_rng(0).random((20000, 5))
    alarms = np.mean([min(holm_correction([*row])) < 0.05 for row in uniform])
    assert alarms == pytest.approx(1 - 0.99**5, abs=0.006)  # 4 standard errors


def test_holm_steps_down_by_rank_and_stays_in_order() -> None:
    assert holm_correction([0.04, 0.01, 0.03, 0.5]) == pytest.approx([0.09, 0.04, 0.09, 0.5])
    assert holm_correction([0.6, 0.7]) == [1.0, 1.0]
    assert holm_correction([]) == []
