"""Compare: planted differences are found over items and over seeds, luck is not, other items are refused."""

import doctest
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pretask_bench.results.compare
import pytest
from pretask import PretaskError, Unknown
from pretask_bench.cli.main import invoke
from pretask_bench.records.measured import pack_items
from pretask_bench.records.record import build_record
from pretask_bench.records.store import write
from pretask_bench.results.compare import compare, read_compared_cells
from scipy import stats

TEST = "b" * 32
DECLARED = {  # of an evaluator that is not installed
    "acme/scales@1": {
        "headline": "accuracy",
        "metrics": {
            "accuracy": {"unit": "fraction", "higher_is_better": True},
            "nats": {"unit": "nats", "higher_is_better": False},
        },
    }
}
Put = Callable[..., Path]


@pytest.fixture
def put(tmp_path: Path, facts: dict[str, Any]) -> Put:
    """Writes a record of an encoder with these answers, and returns its folder."""

    def write_one(
        name: str, answers: Sequence[bool], seed: int = 0, test: str = TEST, metric: str = "accuracy", **metrics: float
    ) -> Path:
        items = {metric: pack_items(np.array(answers), test).model_dump(mode="json")}
        numbers = {metric: float(np.mean(answers)), **metrics}
        row = {"encoder": "trained", "evaluator": "acme/scales@1", "metrics": numbers, "items": items}
        data = {**facts["cell"]["data"], "fingerprints": {"train": "a" * 32, "test": test}}
        cell = {
            **facts["cell"],
            "task": f"pretask/{name}@1",
            "seed": seed,
            "data": data,
            "evaluators": {"acme/scales@1": {}},
        }
        changes = {"cell": cell, "results": [row], "pretext": None, "declared": DECLARED}
        write(tmp_path / name, build_record({**facts, **changes}))
        return tmp_path / name

    return write_one


def answers(right: int, of: int = 100, first: int = 0) -> list[bool]:
    return [first <= number < first + right for number in range(of)]


def test_over_items_of_one_seed_the_difference_its_interval_and_mcnemars_p_are_those_of_the_pairs(put: Put) -> None:
    one, other = answers(60), answers(50, first=22)  # 22 right in the one alone, 12 in the other alone
    (row,) = compare(read_compared_cells([put("a", one), put("b", other)]))
    assert row.estimate.value == pytest.approx(0.10)
    assert row.p_value == pytest.approx(stats.binomtest(22, 34).pvalue)
    middle, half = 10 / 102, 1.959964 * math.sqrt(35 / 102 - (10 / 102) ** 2) / math.sqrt(102)  # Agresti and Min
    assert (row.estimate.low, row.estimate.high) == pytest.approx((middle - half, middle + half))
    assert (row.over, row.verdict) == ("100 items, seed 0", "no difference found")


def test_an_encoder_that_is_better_on_the_same_items_is_said_to_be(put: Put) -> None:
    (row,) = compare(read_compared_cells([put("a", answers(50)), put("b", answers(70), seed=3)]))
    assert (row.verdict, row.over) == ("B is better", "100 items, seeds 0 and 3")


def test_where_seeds_are_shared_seeds_and_items_decide_together(put: Put) -> None:
    rights = [(60, 40), (66, 48), (50, 33)]
    for seed, (one, other) in enumerate(rights):
        folders = [put("a", answers(one), seed), put("b", answers(other), seed)]
    over_both, *over_items = compare(read_compared_cells(folders))
    one, other = np.array(rights).T
    assert over_both.p_value is not None
    assert over_both.p_value > stats.ttest_rel(one, other).pvalue  # other items could have been asked
    assert (over_both.over, over_both.decides, over_both.verdict) == ("3 seeds and 100 items", True, "A is better")
    assert [(row.decides, row.verdict) for row in over_items] == [(False, "")] * 3


def test_without_items_the_paired_t_test_decides(put: Put) -> None:
    costs = [(1.0, 1.2), (1.1, 1.35), (1.2, 1.41)]
    for seed, (one, other) in enumerate(costs):
        folders = [put("a", answers(5, 10), seed, nats=one), put("b", answers(5, 10), seed, nats=other)]
    (row,) = compare(read_compared_cells(folders), metric="nats")
    assert row.p_value == pytest.approx(stats.ttest_rel(*np.array(costs).T).pvalue)
    assert (row.over, row.verdict) == ("3 seeds", "A is better")


def test_two_seeds_that_differ_by_the_same_item_are_no_verdict(put: Put) -> None:
    for seed, right in enumerate((150, 152)):
        folders = [put("a", answers(right, 512), seed), put("b", answers(right - 1, 512), seed)]
    row = compare(read_compared_cells(folders))[0]
    assert row.corrected_p_value is not None
    assert row.corrected_p_value > 0.4
    assert row.verdict == "no difference found"


def test_one_lucky_set_of_items_is_no_verdict_over_seeds_that_agree(put: Put) -> None:
    for seed in range(3):  # the same three of thirty items in every seed: a t test without deviation says p = 0
        folders = [put("a", answers(15 + (seed == 2), 30), seed), put("b", answers(12 + (seed == 2), 30), seed)]
    assert compare(read_compared_cells(folders))[0].verdict == "no difference found"


def test_equal_differences_without_items_say_nothing_and_are_valid_json(
    put: Put, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(2):
        folders = [put(name, answers(5, 10), seed, nats=nats + seed) for name, nats in (("a", 2.0), ("b", 1.5))]
    (row,) = compare(read_compared_cells(folders), metric="nats")
    assert (row.p_value, row.verdict) == (1.0, "all seeds differ by the same, and no items: nothing can be said")
    assert invoke(["compare", *map(str, folders), "--metric", "nats", "--json"]) == 0
    (pair,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)["pairs"]
    assert (pair["low"], pair["high"]) == (None, None)


def test_among_several_pairs_p_is_corrected_and_a_lucky_one_is_no_longer_a_difference(put: Put) -> None:
    lucky, plain, third = answers(56), answers(50), answers(53)  # 6 items: p = 2 / 2^6 = 0.031
    assert compare(read_compared_cells([put("a", lucky), put("b", plain)]))[0].verdict == "A is better"
    rows = compare(read_compared_cells([put("a", lucky), put("b", plain), put("c", third)]))
    assert [row.corrected_p_value for row in rows] == pytest.approx([3 * 0.03125, 0.5, 0.5])
    assert [row.verdict for row in rows] == ["no difference found"] * 3


def test_of_costs_less_is_better_and_one_seed_without_items_says_nothing(put: Put) -> None:
    for seed in range(3):
        folders = [
            put(name, answers(5, 10), seed, nats=nats * (1 + 0.01 * seed)) for name, nats in (("a", 2.0), ("b", 1.0))
        ]
    assert compare(read_compared_cells(folders), metric="nats")[0].verdict == "B is better"
    alone = [put("c", answers(5, 10), nats=1.0), put("d", answers(5, 10), nats=2.0)]
    (row,) = compare(read_compared_cells(alone), metric="nats")
    assert (row.p_value, row.verdict) == (None, "one seed and no items: nothing can be said")


def test_items_that_are_not_those_of_their_number_are_not_compared(put: Put) -> None:
    folders = [put(name, answers(right), metric="J&F", **{"J&F": 0.1}) for name, right in (("a", 10), ("b", 90))]
    assert [row.over for row in compare(read_compared_cells(folders))] == ["1 seed"]


def test_other_test_items_are_refused_with_the_reason(put: Put) -> None:
    folders = [put("a", answers(5, 10)), put("b", answers(5, 10), test="e" * 32)]
    with pytest.raises(PretaskError, match=r"the same test items \(pretask/shapes@1, bbbbbbbbbbbb\); got .*eeee"):
        compare(read_compared_cells(folders))
    with pytest.raises(PretaskError, match="the same items"):
        compare(read_compared_cells([folders[0], put("c", answers(5, 11))]))


def test_what_they_do_not_have_in_common_is_named(put: Put) -> None:
    folders = [put("a", answers(5, 10), shoes=1.0), put("b", answers(5, 10))]
    with pytest.raises(Unknown, match="a number 'shoes' that all have; all have: accuracy"):
        compare(read_compared_cells(folders), metric="shoes")
    with pytest.raises(Unknown, match="an evaluator 'knn' that all have; all have: acme/scales@1"):
        compare(read_compared_cells(folders), evaluator="knn")
    with pytest.raises(PretaskError, match="a complete record with the evaluator knn"):
        read_compared_cells(folders, "knn")
    with pytest.raises(PretaskError, match="two or more to compare; got 1"):
        read_compared_cells(folders[:1])
    with pytest.raises(PretaskError, match="seeds that both have"):
        compare(
            read_compared_cells(
                [put("b", answers(5, 10), 1), put("c", answers(5, 10), 2), put("c", answers(5, 10), 3)][:2]
            )
        )


def test_the_command_prints_a_table_or_json(put: Put, capsys: pytest.CaptureFixture[str]) -> None:
    places = [str(put("a", answers(50))), str(put("b", answers(70)))]
    assert invoke(["compare", *places]) == 0
    drawn = capsys.readouterr().out
    assert all(words in drawn for words in ("-20.0", "B is better", "100 items, seed 0", "a (convnet)"))
    assert invoke(["compare", *places, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["pairs"][0]["difference"] == pytest.approx(-0.2)
    assert [entrant["letter"] for entrant in report["compared"]] == ["A", "B"]


def test_the_examples_in_docstrings_are_true() -> None:
    assert doctest.testmod(pretask_bench.results.compare).failed == 0
