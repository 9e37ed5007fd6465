"""Board: who is ranked and who is not, and what the numbers are."""

import doctest
import json
import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from entrants import BASELINES, KNN, LINEAR, entrant, named, suite
from page_reader import Reader
from pretask_bench.board import board_json as board_json_module
from pretask_bench.board import drawing, entries, evidence, ranking
from pretask_bench.board.entries import sort_records
from pretask_bench.board.layers import draw_layers
from pretask_bench.board.pictures import cost_picture
from pretask_bench.board.site import render_board
from pretask_bench.board.standings import rank_competition
from pretask_bench.records.record import Record, build_record, record_hash
from scipy import stats  # type: ignore[import-untyped]

Facts = dict[str, Any]


def facts_of(*records: Record, seeds: int = 1) -> Any:
    """What board.json holds."""
    return json.loads(render_board(suite(seeds), named(*records))[1])


def only_table(*records: Record, seeds: int = 1) -> Any:
    (table,) = facts_of(*records, seeds=seeds)["tables"]
    return table


def test_a_measure_is_the_mean_over_seeds_with_an_interval_over_seeds_and_items_beside_all_baselines(
    facts: Facts,
) -> None:
    values = [0.5, 0.62, 0.7]
    table = only_table(*(entrant(facts, value, seed=seed) for seed, value in enumerate(values)), seeds=3)
    found = table["ranking"][0]["measures"]["linear accuracy"]
    student = stats.t.ppf(0.975, 2) * stats.sem(values)
    items = 1.96 * (0.6 * 0.4 / 100) ** 0.5  # at most; the seeds answer the same items
    assert found["trained"]["mean"] == pytest.approx(np.mean(values))
    assert student < found["trained"]["mean"] - found["trained"]["low"] < np.hypot(student, items)
    assert {encoder: found[encoder]["mean"] for encoder in BASELINES} == pytest.approx(BASELINES)


def test_seeds_that_agree_leave_the_interval_over_items(facts: Facts) -> None:
    table = only_table(*(entrant(facts, 1.0, 1.0, seed=seed) for seed in range(3)), seeds=3)
    found = table["ranking"][0]
    assert found["measures"]["linear accuracy"]["trained"]["low"] == pytest.approx(0.9556, abs=0.001)  # of 100 items
    assert found["score"]["low"] < found["score"]["value"]


def test_one_seed_has_an_interval_over_test_items_and_the_page_says_so(facts: Facts) -> None:
    record = entrant(facts, 0.5)
    found = only_table(record)["ranking"][0]
    expected = stats.binomtest(50, 100).proportion_ci(0.95, "wilson")  # at one half Agresti and Coull's
    assert found["interval_over"] == "one seed"
    assert found["measures"]["linear accuracy"]["trained"]["low"] == pytest.approx(expected.low, abs=1e-5)
    assert 'data-l="seeds">1†' in render_board(suite(), named(record))[0]


def test_an_evaluators_own_interval_stands_in_for_test_items(facts: Facts) -> None:
    few = {"evaluator": "linear", "metric": "5.accuracy", "chance": 0.1}
    record = entrant(facts).model_dump(mode="json")
    for row in record["results"]:
        value = row["metrics"]["accuracy"]
        low, high = (0.2, 0.95) if row["encoder"] == "trained" else (value - 0.01, value + 0.02)
        row["metrics"] |= {"5.accuracy": value, "5.low": low, "5.high": high}
    (table,) = json.loads(render_board(suite(measures=(few,)), named(build_record(record)))[1])["tables"]
    found = table["ranking"][0]["measures"]["linear 5.accuracy"]["trained"]
    assert (found["low"], found["mean"], found["high"]) == (0.2, 0.5, 0.95)
    (score,) = (entry["score"] for entry in table["ranking"])
    assert score["high"] - score["low"] == pytest.approx(2 * 0.45 / 0.6, abs=1e-5)  # an end might have been cut off


def test_the_score_is_the_part_of_the_way_from_zero_to_supervised_on_the_headline_measure(facts: Facts) -> None:
    values = [0.5, 0.58, 0.9]
    records = [entrant(facts, value, 0.3, seed=seed) for seed, value in enumerate(values)]
    (found,) = only_table(*records, seeds=3)["ranking"]
    assert found["score"]["value"] == pytest.approx((0.66 - 0.3) / (0.9 - 0.3), abs=1e-5)
    assert found["score"]["low"] <= found["score"]["value"] <= found["score"]["high"]
    assert (found["score"]["zero"], found["score"]["zero_of"], found["score"]["reference"]) == (0.3, "random-init", 0.9)
    assert found["baseline_scores"] == pytest.approx({"random-init": 0, "raw-input": -0.05 / 0.6, "supervised": 1})


def test_where_chance_is_better_than_random_initialization_it_is_zero(facts: Facts) -> None:
    (found,) = only_table(entrant(facts, beside={**BASELINES, "random-init": 0.05}))["ranking"]
    assert (found["score"]["zero"], found["score"]["zero_of"]) == (0.1, "chance")
    assert found["score"]["value"] == pytest.approx(0.5, abs=1e-5)


def test_a_number_can_be_the_reference(facts: Facts) -> None:
    perfect = suite(measures=({**LINEAR, "reference": 1.0}, KNN))
    (table,) = json.loads(render_board(perfect, named(entrant(facts, 0.55)))[1])["tables"]
    assert [scale["reference"] for scale in table["scales"]] == pytest.approx([1.0, 0.9])
    assert table["ranking"][0]["score"]["value"] == pytest.approx(0.25 / 0.7, abs=1e-5)


def test_a_reference_of_one_task_is_shown_beside_it_and_needed_of_no_other(facts: Facts) -> None:
    perfect = ({**LINEAR, "reference": 1.0}, {**KNN, "reference": 1.0})
    tasks = {"jigsaw": {"beside": ["supervised"]}}
    one_task = suite(measures=perfect, changes={"baselines": ["random-init"], "tasks": tasks})
    with_it = entrant(facts, 0.5, beside={"random-init": 0.3, "supervised": 0.77})
    without = entrant(facts, 0.6, task="acme/other@1", beside={"random-init": 0.3})
    page, board, markdown, *_ = render_board(one_task, named(with_it, without))
    (table,) = json.loads(board)["tables"]
    assert [entry["title"] for entry in table["ranking"]] == ["other (convnet)", "jigsaw (convnet)"]
    assert (table["baselines"], table["shown"]) == (["random-init"], ["random-init", "supervised"])
    heads = next(line for line in markdown.splitlines() if line.startswith("| rank"))
    assert "linear accuracy, supervised" in heads
    assert page.count(">77.0<") == markdown.count("77.0 %") > 0  # of one entry alone


def test_a_division_may_need_fewer_seeds_than_its_suite(facts: Facts) -> None:
    (table,) = json.loads(render_board(suite(3, changes={"seeds": 1}), named(entrant(facts)))[1])["tables"]
    assert len(table["ranking"]) == 1


def test_a_number_as_the_reference_need_not_be_far_above_uncertain_random_weights(facts: Facts) -> None:
    shaky = [entrant(facts, 0.4 + 0.01 * seed, seed=seed, beside={"random-init": 0.2 + 0.2 * seed}) for seed in (0, 1)]
    perfect = suite(2, measures=({**LINEAR, "reference": 1.0},), changes={"baselines": ["random-init"]})
    (table,) = json.loads(render_board(perfect, named(*shaky))[1])["tables"]
    assert (table["fault"], len(table["ranking"])) == ("", 1)


def test_training_that_made_nothing_better_than_pixels_is_ranked_after_what_did(facts: Facts) -> None:
    """Trained 41.0, random 41.6, raw 99.6: it had rank 1 and a score of 1.135."""
    untrained = {"random-init": 0.416, "raw-input": 0.996, "supervised": 0.996}
    idle = entrant(facts, 0.41, 0.41, task="acme/idle@1", beside=untrained, items=500)
    below_raw = entrant(facts, 0.7, 0.9, task="acme/below-raw@1", beside={**BASELINES, "raw-input": 0.85}, items=500)
    modest = entrant(facts, 0.5, 0.4, task="acme/modest@1", items=500)
    records = named(idle, below_raw, modest)
    page, board_json, markdown = render_board(suite(), records)
    ranking = json.loads(board_json)["tables"][0]["ranking"]
    assert [(entry["title"].split(" ")[0], entry["rank"], entry["not_above"]) for entry in ranking] == [
        ("modest", [1, 1], []),
        ("below-raw", [2, 2], ["raw-input"]),
        ("idle", [3, 3], ["random-init", "raw-input"]),
    ]
    assert ranking[2]["score"]["value"] == pytest.approx((0.41 - 0.416) / (0.996 - 0.416), abs=1e-5)
    assert ranking[1]["score"]["value"] > ranking[0]["score"]["value"]  # which decides nothing
    assert re.findall(r'class="rank">([\d–]+)(?:<small class="worse">([^<]*)</small>)?', page) == [
        ("1", ""),
        ("2", "not above raw input"),
        ("3", "not above random init, raw input"),
    ]
    rows = [line.split(" | ") for line in markdown.splitlines() if " (convnet) | " in line]
    assert [row[3] for row in rows] == ["", "raw input", "random init, raw input"]
    for text in (markdown, Reader(page).text):
        assert "to 1, the supervised reference or what the suite has in its place; it decides no rank." in text


def test_a_division_whose_supervised_reference_is_not_above_zero_ranks_nothing_and_says_why(facts: Facts) -> None:
    supervised_fails = {"random-init": 0.416, "raw-input": 0.2, "supervised": 0.38}
    records = named(
        entrant(facts, 0.9, 0.9, beside=supervised_fails, items=500), entrant(facts, 0.3, task="acme/two@1", beside={})
    )
    page, board_json, markdown = render_board(suite(), records)
    (table,) = json.loads(board_json)["tables"]
    assert (table["ranking"], len(table["unranked"]), 'class="ranking"' in page) == ([], 2, False)
    reason = (
        "linear accuracy: the supervised reference is not significantly above the score's zero (38.0\u202f% against "
    )
    assert table["fault"] == reason + "41.6\u202f% of random init)"
    for text in (markdown, Reader(page).text):
        assert f"Ranks nothing: {table['fault']}." in text
        assert "the division ranks nothing" in text


def test_chance_within_noise_is_not_beaten_by_the_supervised_reference(facts: Facts) -> None:
    def beside(supervised: float) -> dict[str, float]:
        return {"random-init": 0.05, "raw-input": 0.05, "supervised": supervised}

    # 100 items: the standard error of 15 is 3.6, of 19 it is 3.9
    assert "15.0\u202f% against 10.0\u202f% of chance" in only_table(entrant(facts, 0.3, beside=beside(0.15)))["fault"]
    assert only_table(entrant(facts, 0.3, beside=beside(0.19)))["ranking"]


def test_where_one_network_can_be_taught_the_division_ranks_and_the_others_have_no_score(facts: Facts) -> None:
    dull = entrant(facts, 0.8, task="acme/dull@1", beside={**BASELINES, "supervised": 0.3})
    page, board_json, _ = render_board(suite(), named(dull, entrant(facts)))
    ranking = json.loads(board_json)["tables"][0]["ranking"]
    assert [(entry["title"].split(" ")[0], entry["score"] is None) for entry in ranking] == [
        ("dull", True),
        ("jigsaw", False),
    ]
    assert '<td class="score"><b>–</b>' in page


def test_an_encoder_that_is_not_above_random_initialization_is_marked(facts: Facts) -> None:
    marks = [
        render_board(suite(), named(entrant(facts, linear, 0.5)))[0].count("≤ random</small>") for linear in (0.3, 0.31)
    ]
    assert marks == [1, 0]


def test_what_one_entry_says_of_its_chance_level_does_not_move_the_scale_alone(facts: Facts) -> None:
    honest = [entrant(facts, task=f"pretask/{name}@1") for name in ("one", "two", "three")]
    lie = honest[0].model_dump(mode="json")
    for row in lie["results"]:
        row["metrics"]["majority"] = 0.0
    lie["cell"]["task"] = "acme/liar@1"
    assert only_table(*honest, build_record(lie))["scales"][0]["chance"] == pytest.approx(0.1)


def test_entries_are_ranked_by_the_headline_measure_and_ranks_that_cannot_be_told_apart_overlap(facts: Facts) -> None:
    best = entrant(facts, 0.85, 0.35, task="acme/best@1")
    alike = [entrant(facts, value, 0.9, task=f"acme/{name}@1") for name, value in (("a", 0.51), ("b", 0.5))]
    ranking = only_table(best, *alike)["ranking"]
    assert [(entry["title"].split(" ")[0], entry["rank"]) for entry in ranking] == [
        ("best", [1, 1]),
        ("a", [2, 3]),
        ("b", [2, 3]),
    ]


@pytest.mark.parametrize("baseline", BASELINES)
def test_an_entry_that_lacks_a_baseline_is_shown_apart_with_what_it_lacks(facts: Facts, baseline: str) -> None:
    beside = {encoder: value for encoder, value in BASELINES.items() if encoder != baseline}
    table = only_table(entrant(facts, 0.9, beside=beside), entrant(facts, task="acme/whole@1"))
    assert [entry["title"] for entry in table["ranking"]] == ["whole (convnet)"]
    assert table["unranked"][0]["missing"] == [f"{evaluator} accuracy of {baseline}" for evaluator in ("linear", "knn")]


def test_without_baselines_no_ranking_is_rendered(facts: Facts) -> None:
    page = render_board(suite(), named(entrant(facts, beside={})))[0]
    assert 'class="ranking"' not in page
    assert "no ranking" in page


def test_too_few_seeds_and_a_null_are_incomplete(facts: Facts) -> None:
    null = entrant(facts, task="acme/null@1").model_dump(mode="json")
    null["results"][0] |= {"metrics": {"accuracy": None}, "missing": {"accuracy": "nan"}, "items": {}}
    few = facts_of(entrant(facts), seeds=3)["tables"][0]["unranked"]
    found = {entry["title"]: entry["missing"] for entry in only_table(build_record(null))["unranked"]}
    assert few[0]["missing"] == ["1 of 3 seeds"]
    assert "linear accuracy of trained" in found["null (convnet)"]


def test_entries_on_other_data_of_the_same_name_have_a_table_of_their_own(facts: Facts) -> None:
    data = entrant(facts).cell.data.model_dump(mode="json")
    other = entrant(facts, cell={"data": {**data, "fingerprints": {"train": "c" * 32, "test": "b" * 32}}})
    tables = facts_of(entrant(facts), entrant(facts, task="acme/two@1"), other)["tables"]
    assert [len(table["ranking"]) for table in tables] == [2, 1]


def test_no_record_is_dropped_silently(facts: Facts) -> None:
    ran = entrant(facts)
    again = entrant(facts, note="again", provenance={**facts["provenance"], "threads": 8})
    failed = entrant(facts, seed=1, status="failed", error="out of memory")
    short = entrant(facts, cell={"recipe": {"samples": 10}})
    elsewhere = entrant(facts, cell={"data": facts["cell"]["data"] | {"id": "pretask/digits@1"}})
    huge = entrant(facts, provenance={**facts["provenance"], "seconds": 1e300})
    found = facts_of(ran, again, failed, short, elsewhere, huge)
    assert (found["records"], found["failed"], found["spare"]) == (6, 1, 1)
    assert found["outside"] == {
        "it saw 10 samples, not 640": 1,
        "no division learns from pretask/digits@1": 1,
        "a number beyond 1e+100": 1,
    }
    (ranked,) = found["tables"][0]["ranking"]
    assert {*ranked["records"], *ranked["confirming"]} == {record_hash(ran), record_hash(again)}


def test_entries_of_one_title_are_told_apart_by_the_options_in_which_they_differ(facts: Facts) -> None:
    slow = entrant(facts, cell={"recipe": {"samples": 640, "lr": 0.01}})
    table = only_table(entrant(facts, 0.6), slow)
    assert [entry["distinction"] for entry in table["ranking"]] == ["recipe.lr=0.1", "recipe.lr=0.01"]


def test_the_same_records_in_any_order_give_the_same_bytes(facts: Facts) -> None:
    records = [
        entrant(facts, 0.1 * seed, seed=seed, task=f"acme/{name}@1") for seed in range(3) for name in ("one", "two")
    ]
    assert render_board(suite(2), named(*records)) == render_board(suite(2), named(*records[::-1]))


def test_seeds_that_lack_different_rows_and_numbers_at_their_bounds_still_make_a_page(facts: Facts) -> None:
    one, two = (entrant(facts, seed=seed).model_dump(mode="json") for seed in (0, 1))
    one["results"] = [row for row in one["results"] if row["encoder"] != "trained"]
    two["results"] = [row for row in two["results"] if row["encoder"] == "trained"]
    for row in two["results"]:
        row["metrics"] |= {"layer9999.accuracy": 1e99, "layer0.accuracy": -1e99}
    two["provenance"] |= {"seconds": 0.0, "stages": {}, "samples": 0, "flops": 1e99}
    table = only_table(build_record(one), build_record(two))
    assert len(table["unranked"]) == 1


def circles(drawn: str, kind: str) -> list[tuple[float, float]]:
    """The places of a picture's circles of one kind."""
    found = re.findall(rf'<circle cx="([\d.]+)" cy="([\d.]+)" r="[\d.]+" class="{kind}"/>', drawn)
    return [(float(x), float(y)) for x, y in found]


def test_in_the_picture_of_costs_the_dearer_is_to_the_right_and_the_better_above_its_beginning(facts: Facts) -> None:
    runs = {"cheap": (10.0, 0.7), "dear": (90.0, 0.4)}
    records = [
        entrant(
            facts, value, value, task=f"acme/{name}@1", provenance={**facts["provenance"], "stages": {"pretrain": s}}
        )
        for name, (s, value) in runs.items()
    ]
    (field,) = sort_records(suite(), named(*records)).competitions
    drawn = str(cost_picture(rank_competition(field), "seconds of training"))
    (cheap, dear), begun = circles(drawn, "trained"), circles(drawn, "random")
    assert cheap[0] < dear[0]
    assert cheap[1] < dear[1] < begun[0][1] == begun[1][1]  # down is more


def test_the_picture_of_layers_has_every_layer_of_trained_and_random_at_its_height(facts: Facts) -> None:
    (field,) = sort_records(suite(), named(entrant(facts, 0.6))).competitions
    ((_, picture), _) = draw_layers(rank_competition(field), field.complete[0])
    drawn = str(picture)
    trained, random = circles(drawn, "trained"), circles(drawn, "random")
    heights = [y for _, y in (*trained, *random)]
    values = [0.3, 0.6, 0.15, 0.3]
    assert np.corrcoef(heights, values)[0, 1] == pytest.approx(-1, abs=1e-3)
    assert [x for x, _ in trained] == [x for x, _ in random]


def test_data_that_anybody_may_claim_does_not_fill_the_page(facts: Facts) -> None:
    data = entrant(facts).cell.data.model_dump(mode="json")
    prints = [{"train": f"{number:032x}", "test": "b" * 32} for number in range(12)]
    records = [entrant(facts, cell={"data": {**data, "fingerprints": fingerprints}}) for fingerprints in prints]
    page, board_json, _ = render_board(suite(), named(*records))
    assert (page.count('<section class="table"'), len(json.loads(board_json)["tables"])) == (10, 12)
    assert "And 2 tables of other data" in page


@pytest.mark.parametrize(
    "module", [drawing, entries, evidence, board_json_module, ranking], ids=lambda module: str(module.__name__)
)
def test_examples_in_docstrings_hold(module: ModuleType) -> None:
    done = doctest.testmod(module)
    assert (done.failed, done.attempted > 0) == (0, True)
