"""Two levels: intervals hold what they promise for 93 to 99 of 100 draws of seeds and items, whatever the noise."""

import doctest
from collections.abc import Callable

import numpy as np
import pytest
from pretask_bench.board.evidence import gather_evidence
from pretask_bench.records.measured import pack_items
from pretask_bench.results import studentized_range, two_levels
from pretask_bench.results.statistics import Estimate, difference_over_items
from pretask_bench.results.studentized_range import critical_difference
from pretask_bench.results.two_levels import difference_over_seeds_and_items, mean_over_seeds_and_items
from scipy import stats  # type: ignore[import-untyped]

DRAWS, TEST = 1500, "b" * 32
LOW, HIGH = 0.93, 0.99
Noise = Callable[[np.random.Generator, int], np.ndarray]
SEEDS: dict[str, Noise] = {
    "normal": lambda rng, seeds: rng.normal(0.7, 0.02, seeds),
    "four times as wide": lambda rng, seeds: rng.normal(0.7, 0.08, seeds),
    "skewed": lambda rng, seeds: 0.7 + 0.02 * (rng.gamma(8.0, size=seeds) / 8 - 1),
    "near an edge": lambda rng, seeds: 1 - 0.03 + 0.02 * (0.5 - rng.beta(2, 2, seeds)) - 0.0,
}
MEANS = {"normal": 0.7, "four times as wide": 0.7, "skewed": 0.7, "near an edge": 0.97}


def holds(estimate: Estimate, truth: float) -> bool:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low <= truth <= estimate.high


@pytest.mark.parametrize("noise", SEEDS)
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_an_interval_over_seeds_covers(seeds: int, noise: str) -> None:
    rng = np.random.default_rng(seeds)
    found = [holds(mean_over_seeds_and_items([*SEEDS[noise](rng, seeds)], ()), MEANS[noise]) for _ in range(DRAWS)]
    assert LOW <= np.mean(found) <= HIGH


def answers(rng: np.random.Generator, seeds: int, items: int) -> np.ndarray:
    """Return (S, N) answers of an encoder to the same items: half of what is hard is so for all seeds."""
    seed = rng.normal(0, (0.25**2 + 0.15**2) ** 0.5, (seeds, 1))
    return rng.random((seeds, items)) < 1 / (1 + np.exp(-(1.0 + rng.normal(0, 1.0, items) + seed)))


@pytest.mark.parametrize("seeds", [1, 2, 3, 5, 10])
def test_an_interval_over_seeds_and_the_items_that_they_share_covers(seeds: int) -> None:
    rng = np.random.default_rng(10 * seeds + 1)
    # the mean of the logistic of a normal number, by quadrature
    width = (1.0**2 + (0.25**2 + 0.15**2) * (seeds > 1)) ** 0.5
    points = np.linspace(-8, 8, 4001)
    truth = float(np.average(1 / (1 + np.exp(-1 - width * points)), weights=np.exp(-(points**2) / 2)))
    found = []
    for _ in range(DRAWS // 10):
        correct = answers(rng, seeds, 200)
        if seeds == 1:  # says nothing of other seeds: so there is one effect only, none
            correct = rng.random((1, 200)) < 1 / (1 + np.exp(-1 - rng.normal(0, 1.0, 200)))
        items = tuple(pack_items(row, TEST) for row in correct)
        found.append(holds(gather_evidence(range(seeds), correct.mean(1).tolist(), items).estimate(), truth))
    assert np.mean(found) >= LOW - 3 * (0.05 * 0.95 / len(found)) ** 0.5


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
@pytest.mark.parametrize("count", [50, 200, 512, 2000])
def test_an_interval_over_items_covers(count: int, share: float) -> None:
    right = np.arange(count + 1)
    inside = []
    for hits in right:
        correct = np.arange(count) < hits
        mean = hits / count
        low, high = two_levels.ItemMoments(mean, mean, 0.0, count, 0.0, 1.0).interval()
        inside.append(low <= share <= high)
        assert low <= correct.mean() <= high
    assert LOW <= stats.binom.pmf(right, count, share) @ np.array(inside, float) <= HIGH


@pytest.mark.parametrize("count", [50, 512])
def test_a_perfect_score_has_an_interval_below_one_about_as_wide_as_the_exact_one(count: int) -> None:
    low, high = two_levels.ItemMoments(1.0, 1.0, 0.0, count, 0.0, 1.0).interval()
    exact = stats.binomtest(count, count).proportion_ci(0.95).low
    assert high == 1.0
    assert 1 - low == pytest.approx(1 - exact, rel=0.35)


@pytest.mark.parametrize(("plus", "minus"), [(0.1, 0.1), (0.02, 0.02), (0.01, 0.003), (0.2, 0.1)])
@pytest.mark.parametrize("count", [50, 200, 2000])
def test_an_interval_of_a_paired_difference_over_items_covers(count: int, plus: float, minus: float) -> None:
    rng = np.random.default_rng(count)
    found = []
    for first, second, _ in rng.multinomial(count, [plus, minus, 1 - plus - minus], size=200):
        kinds = np.repeat([1, -1, 0], (first, second, count - first - second))
        found.append(holds(difference_over_items(kinds == 1, kinds == -1), plus - minus))
    assert np.mean(found) >= LOW - 3 * (0.05 * 0.95 / 200) ** 0.5


def test_a_paired_difference_over_seeds_and_items_errs_at_most_at_its_level() -> None:
    rng = np.random.default_rng(0)
    alarms = []
    for _ in range(300):
        ease = rng.normal(1, 1, 100) + rng.normal(0, 0.8, (2, 1, 100)) + rng.normal(0, 0.2, (2, 3, 1))
        one, other = rng.random((2, 3, 100)) < 1 / (1 + np.exp(-ease))
        items = one.astype(int) - other.astype(int)
        alarms.append(difference_over_seeds_and_items([*items.mean(1)], items)[1] < 0.05)
    assert np.mean(alarms) <= 0.05 + 3 * (0.05 * 0.95 / 300) ** 0.5


def test_two_seeds_that_differ_by_the_same_single_item_are_no_evidence() -> None:
    items = np.zeros((2, 512), int)
    items[:, 7] = 1
    estimate, probability = difference_over_seeds_and_items([1 / 512, 1 / 512], items)
    assert probability > 0.5
    assert holds(estimate, 0.0)


def test_evidence_of_many_items_in_all_seeds_is_a_verdict() -> None:
    items = np.zeros((3, 500), int)
    for row, count in zip(items, (60, 62, 59), strict=True):
        row[:count] = 1
    estimate, probability = difference_over_seeds_and_items([*items.mean(1)], items)
    assert probability < 1e-3
    assert not holds(estimate, 0.0)


def test_the_p_value_is_the_level_at_which_the_interval_ends_at_the_difference() -> None:
    components = two_levels.VarianceComponents(0.02**2, 3, item_variance=0.01**2, interaction_variance=0.005**2)
    for difference in (0.01, 0.05, 0.2):
        assert components.half_width(components.p_value(difference)) == pytest.approx(difference, rel=1e-6)


def test_without_items_the_p_value_is_students() -> None:
    values = [0.03, 0.05, 0.02, 0.04]
    components = two_levels.VarianceComponents(two_levels.variance_of_mean(values), 4)
    assert components.p_value(float(np.mean(values))) == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-6)


@pytest.mark.parametrize(("level", "means", "freedom"), [(0.05, 2, 4), (0.02, 13, 8), (0.005, 3, 3.5), (0.02, 40, 15)])
def test_the_critical_difference_is_that_of_scipys_studentized_range(level: float, means: int, freedom: float) -> None:
    reference = stats.studentized_range.ppf(1 - level, means, freedom) / 2**0.5
    assert critical_difference(level, means, freedom) == pytest.approx(float(reference), rel=1e-3)


def test_the_critical_difference_of_two_known_errors_is_normal() -> None:
    assert critical_difference(0.01, 2, np.inf) == pytest.approx(stats.norm.ppf(0.995), rel=1e-3)


@pytest.mark.parametrize("module", [two_levels, studentized_range], ids=lambda module: str(module.__name__))
def test_the_examples_in_docstrings_are_true(module: object) -> None:
    done = doctest.testmod(module)  # type: ignore[arg-type]
    assert (done.failed, done.attempted > 0) == (0, True)
