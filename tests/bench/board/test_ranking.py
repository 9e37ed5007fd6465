"""Ranking: equal entries are told apart on at most one board in twenty, and an entry that is better on most of them."""

from collections.abc import Iterator

import jaxtyping
import numpy as np
import pytest
from pretask_bench.board.evidence import Evidence, constant_evidence, gather_evidence
from pretask_bench.board.pairs import PairwiseComparisons
from pretask_bench.board.ranking import is_above, rank_intervals
from pretask_bench.records.measured import pack_items
from scipy import stats  # type: ignore[import-untyped]

ENTRIES, BOARDS, TEST = 13, 200, "b" * 32
STDS = {
    "equal": np.ones(ENTRIES),
    "from one to four": np.geomspace(1, 4, ENTRIES),
    "six of thirteen fourfold": np.repeat([1.0, 4.0], (7, 6)),
    "one of thirteen fourfold": np.repeat([1.0, 4.0], (12, 1)),
}
# 5 % and two standard errors; the worst case is 4.1 % over 8,000 boards. Bootstrapping the seeds showed 20 to 100 %.
MOST_FALSE = 0.05 + 2 * (0.05 * 0.95 / BOARDS) ** 0.5


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Leave shapes unchecked while thousands of boards are ranked: checking takes longer than ranking."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def bare(scores: np.ndarray, seeds: tuple[int, ...] | None = None) -> Evidence:
    """Return the evidence of scores by seed, without items."""
    return gather_evidence(seeds or range(len(scores)), [*map(float, scores)])


def answered(correct: np.ndarray) -> Evidence:
    """Return the evidence of one measure from correctness by seed and item."""
    items = tuple(pack_items(row, TEST) for row in correct)
    return gather_evidence(range(len(correct)), correct.mean(1).tolist(), items)


def board(rng: np.random.Generator, stds: np.ndarray, seeds: int, ahead: float = 0.0) -> list[list[int]]:
    """Return the rank intervals of entries of which the first is ahead; a seed moves all of them alike as well."""
    scores = rng.normal(size=(len(stds), seeds)) * stds[:, None] + rng.normal(size=seeds)
    scores[0] += ahead
    ranks: list[list[int]] = rank_intervals([bare(0.01 * row) for row in scores]).tolist()
    return ranks


@pytest.mark.parametrize("stds", STDS)
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
@pytest.mark.usefixtures("unchecked")
def test_thirteen_equal_entries_are_told_apart_on_at_most_one_board_in_twenty(seeds: int, stds: str) -> None:
    rng = np.random.default_rng(seeds)
    boards = [board(rng, STDS[stds], seeds) for _ in range(BOARDS)]
    assert np.mean([ranks != [[1, ENTRIES]] * ENTRIES for ranks in boards]) <= MOST_FALSE


@pytest.mark.usefixtures("unchecked")
def test_an_entry_that_is_better_by_five_deviations_has_the_first_rank_alone_on_four_boards_in_five() -> None:
    rng = np.random.default_rng(0)
    alone = [board(rng, np.ones(ENTRIES), 3, ahead=5.0)[0] == [1, 1] for _ in range(BOARDS)]
    assert np.mean(alone) >= 0.8


@pytest.mark.parametrize("entries", [2, 3, 6])
@pytest.mark.usefixtures("unchecked")
def test_small_boards_of_equal_entries_keep_the_level_as_well(entries: int) -> None:
    rng = np.random.default_rng(entries)
    stds = np.repeat([1.0, 4.0], (entries - 1, 1))
    boards = [board(rng, stds, 3) for _ in range(BOARDS)]
    assert np.mean([ranks != [[1, entries]] * entries for ranks in boards]) <= MOST_FALSE


def test_two_entries_over_seeds_are_told_apart_as_by_the_paired_t_test() -> None:
    rng = np.random.default_rng(0)
    for _ in range(40):
        first, second = rng.normal(size=(2, 4)) + np.array([[1.5], [0.0]])
        apart = stats.ttest_rel(first, second).pvalue < 0.05
        assert (rank_intervals([bare(first), bare(second)]).tolist() != [[1, 2], [1, 2]]) == apart


def test_entries_with_other_numbers_of_seeds_compare_over_those_they_share() -> None:
    rng = np.random.default_rng(0)
    effect = 5 * rng.normal(size=6)  # of a seed on all entries: much larger than what tells them apart
    short = bare(effect[:3] + rng.normal(size=3) / 10, (0, 1, 2))
    entries = [bare(effect + 5 + rng.normal(size=6) / 10), short, *(bare(effect + rng.normal(size=6) / 10),) * 2]
    assert rank_intervals(entries)[0].tolist() == [1, 1]
    assert rank_intervals([short]).tolist() == [[1, 1]]
    assert rank_intervals([short, bare(np.array([9.0]), (7,))]).tolist() == [[1, 2], [1, 2]]


def test_seeds_that_agree_by_luck_tell_nothing_apart() -> None:
    entries = [bare(np.array([value, value])) for value in (0.5, 0.6, 0.9)]
    assert rank_intervals(entries).tolist() == [[1, 3]] * 3


def answers_of_equals(rng: np.random.Generator, entries: int, seeds: int, items: int) -> np.ndarray:
    """Return (E, S, N) answers of entries that are equal over items and seeds, hard and easy alike for all.

    With one seed it adds nothing: items alone cannot tell what another seed would have changed.
    """
    by_seed = rng.normal(0, 0.1 if seeds > 1 else 0.0, (entries, seeds, 1))
    ease = rng.normal(1.0, 1.0, items) + rng.normal(0, 0.7, (entries, 1, items)) + by_seed
    found: np.ndarray = rng.random((entries, seeds, items)) < 1 / (1 + np.exp(-ease))
    return found


@pytest.mark.parametrize(("seeds", "items"), [(1, 256), (3, 128)])
@pytest.mark.usefixtures("unchecked")
def test_equal_entries_are_seldom_told_apart_by_their_items(seeds: int, items: int) -> None:
    rng = np.random.default_rng(seeds + items)
    boards = [[answered(row) for row in answers_of_equals(rng, ENTRIES, seeds, items)] for _ in range(200)]
    separated = [rank_intervals(entries).tolist() != [[1, ENTRIES]] * ENTRIES for entries in boards]
    assert np.mean(separated) <= 0.05 + 3 * (0.05 * 0.95 / len(boards)) ** 0.5


def test_of_one_seed_two_entries_are_told_apart_as_by_mcnemars_exact_test() -> None:
    for only_first, only_second in [(6, 0), (5, 0), (9, 1), (15, 6), (16, 5), (40, 20), (40, 25)]:
        first = np.repeat([True, True, False], (100, only_first, only_second))
        second = np.repeat([True, False, True], (100, only_first, only_second))
        ranks = rank_intervals([answered(first[None]), answered(second[None])]).tolist()
        exact = stats.binomtest(only_first, only_first + only_second).pvalue
        assert (ranks == [[1, 1], [2, 2]]) == (exact < 0.05), (only_first, only_second, exact)


def test_a_perfect_score_shares_the_first_rank_with_one_error_in_512_and_is_not_certain() -> None:
    answers = np.ones((2, 1, 512), bool)
    answers[1, 0, 0] = False
    entries = [answered(answer) for answer in answers]
    assert rank_intervals(entries).tolist() == [[1, 2], [1, 2]]
    estimate = entries[0].estimate()
    assert (estimate.value, estimate.high) == (1.0, 1.0)
    assert estimate.low == pytest.approx(1 - 0.0095, abs=0.001)  # Wilson: 0.9926; the rule of three: 0.9941


def test_seeds_alone_do_not_tell_apart_what_three_of_ten_items_do_not() -> None:
    worse, better = np.zeros((3, 10), bool), np.zeros((3, 10), bool)
    better[:, :3] = [[True, True, True], [True, True, True], [True, True, False]]
    assert rank_intervals([answered(better), answered(worse)]).tolist() == [[1, 2], [1, 2]]


def test_blocks_of_many_entries_give_intervals_that_hold_those_of_all_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    entries = [bare(rng.normal(place // 8, 0.05, 3)) for place in range(40)]
    exact = rank_intervals(entries)
    monkeypatch.setattr("pretask_bench.board.ranking.MAX_EXACT_ENTRIES", 10)
    monkeypatch.setattr("pretask_bench.board.ranking.BLOCK_ROWS", 7)
    coarse = rank_intervals(entries)
    assert (coarse[:, 0] <= exact[:, 0]).all()
    assert (coarse[:, 1] >= exact[:, 1]).all()
    assert (coarse[:8, 1] <= 8 + 8 * 4).all()
    assert coarse[0].tolist()[1] == 40


def test_who_comes_after_others_does_so_whatever_its_number_and_shares_no_rank_with_them() -> None:
    rng = np.random.default_rng(0)
    entries = [bare(value + rng.normal(0, 0.01, 3)) for value in (0.9, 0.5, 0.501, 0.1)]
    assert rank_intervals(entries).tolist() == [[1, 1], [2, 3], [2, 3], [4, 4]]
    assert rank_intervals(entries, [True, False, True, False]).tolist() == [[3, 3], [1, 1], [4, 4], [2, 2]]
    assert rank_intervals(entries[1:3], [True, True]).tolist() == [[1, 2], [1, 2]]


def test_a_lone_entry_is_above_what_it_began_as_where_the_paired_t_test_says_so() -> None:
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        first, second = rng.normal(size=(2, 4)) + np.array([[1.5], [0.0]])
        test = stats.ttest_rel(first, second)
        found.append(bool(test.pvalue < 0.05 and test.statistic > 0))
        assert is_above([bare(first)], [bare(second)]).tolist() == found[-1:]
    assert 0 < sum(found) < 60


def test_by_its_items_an_entry_is_above_what_it_began_as_where_mcnemars_exact_test_says_so() -> None:
    for only_first, only_second in [(6, 0), (5, 0), (9, 1), (16, 5), (5, 16), (40, 25)]:
        first = np.repeat([True, True, False], (100, only_first, only_second))[None]
        second = np.repeat([True, False, True], (100, only_first, only_second))[None]
        exact = stats.binomtest(only_first, only_first + only_second).pvalue
        expected = bool(exact < 0.05 and only_first > only_second)
        assert is_above([answered(first)], [answered(second)]).tolist() == [expected], (only_first, only_second)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.usefixtures("unchecked")
def test_of_thirteen_that_gained_nothing_any_is_said_to_have_gained_on_at_most_one_board_in_twenty(
    constant: bool,
) -> None:
    rng = np.random.default_rng(int(constant))
    false = []
    for _ in range(BOARDS):
        trained, begun = 0.01 * rng.normal(size=(2, ENTRIES, 3))
        beside = [constant_evidence(range(3), 0.0) if constant else bare(row) for row in begun]
        false.append(is_above([bare(row) for row in trained], beside).any())
    assert np.mean(false) <= MOST_FALSE


def test_a_couple_is_the_pair_that_a_ranking_compares() -> None:
    rng = np.random.default_rng(0)
    entries = [answered(rng.random((3, 50)) < share) for share in (0.3, 0.5, 0.7, 0.4, 0.6, 0.5)]
    board = PairwiseComparisons(entries)
    block, halves = board.compare_block(0, 3), board.compare_halves()
    variances = ("seed_variance", "item_variance", "item_effect_variance")
    for name in ("difference", *variances, "reported_squares", "max_item_value"):
        diagonal = getattr(block, name)[np.arange(3), np.arange(3) + 3]
        assert getattr(halves, name)[:, 0] == pytest.approx(diagonal), name
    freedom = halves.degrees_of_freedom[halves.freedom_index[0, 0]]
    assert block.degrees_of_freedom[block.freedom_index[0, 3]] == freedom
