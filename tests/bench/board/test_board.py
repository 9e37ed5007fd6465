"""Board: who is ranked and who is not, what the numbers are, and that a stranger's text stays text."""

import csv
import doctest
import json
import re
import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from entrants import BASELINES, KNN, LINEAR, entrant, named, suite
from pretask import PretaskError
from pretask_bench.board import board_json as board_json_module
from pretask_bench.board import drawing, entries, evidence, ranking
from pretask_bench.board.board_csv import board_csv
from pretask_bench.board.entries import find_watched, sort_records
from pretask_bench.board.figures import Album
from pretask_bench.board.layers import draw_layers
from pretask_bench.board.matrices import matrices
from pretask_bench.board.pictures import cost_picture
from pretask_bench.board.site import render_board, write_board
from pretask_bench.board.standings import rank_competition
from pretask_bench.cli.main import invoke
from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.record import Record, build_record, record_hash
from pretask_bench.records.store import write, write_picture
from pretask_registry import Registry
from processes import run_python
from scipy import stats  # type: ignore[import-untyped]

Facts = dict[str, Any]
INJECTION = "<script>stolen=1</script><img src=x onerror=stolen=1>'"


def facts_of(*records: Record, seeds: int = 1) -> Any:
    """What board.json holds."""
    return json.loads(render_board(suite(seeds), named(*records))[1])


def only_table(*records: Record, seeds: int = 1) -> Any:
    (table,) = facts_of(*records, seeds=seeds)["tables"]
    return table


class Reader(HTMLParser):
    """Tags, their attributes, and the text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


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


def injected(facts: Facts) -> Record:
    """A record whose every free text is an attempt to run a script."""
    record = entrant(facts, task="evil/one@1", note=INJECTION, author=INJECTION, licence=INJECTION)
    evil = record.model_dump(mode="json")
    for part in ("split", "objective", "model"):
        evil["cell"][part]["options"] = {INJECTION: INJECTION}
    evil["cell"] |= {"precision": INJECTION, "recipe": {"samples": 640, INJECTION: [INJECTION]}}
    evil["pretext"] = {"metrics": {INJECTION: 0.5, f"{INJECTION}: {INJECTION}": 0.4}, "chance": {INJECTION: 0.1}}
    evil["provenance"] |= {"command": [INJECTION], "versions": {INJECTION: INJECTION}, "stages": {INJECTION: 1.0}}
    evil["provenance"]["hardware"] |= {"device": INJECTION, "platform": INJECTION}
    for row in evil["results"]:
        row["metrics"][INJECTION] = 0.5
        row["pictures"] = [{"name": INJECTION, "caption": INJECTION, "png": "ab" * 32}]
    return build_record(evil)


def test_what_a_stranger_writes_is_shown_as_text(facts: Facts) -> None:
    plain, evil = entrant(facts, task="evil/one@1"), injected(facts)
    html, _, markdown = render_board(suite(), named(plain, evil))  # of one title, so that options tell them apart
    reader = Reader(html)
    assert reader.tags.count("script") == Reader(render_board(suite(), named(plain))[0]).tags.count("script") == 1
    assert INJECTION in reader.text
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert "&lt;script&gt;" in markdown
    assert "<script" not in markdown


def test_the_page_names_no_other_place_and_its_policy_allows_none(facts: Facts) -> None:
    page = render_board(suite(), named(entrant(facts)))[0]
    reader = Reader(page)
    links = {value for name, value in reader.attributes if name in ("src", "href", "action")}
    assert all(link.startswith("#") or link in ("board.csv", "board.json", "board.md") for link in links)
    assert not re.findall(r"https?://|url\(|@import", page)
    (policy,) = (value for name, value in reader.attributes if name == "content" and "-src" in value)
    sources = dict(directive.strip().split(" ", 1) for directive in policy.split(";"))
    assert (sources["default-src"], sources["img-src"], sources["form-action"]) == ("'none'", "data:", "'none'")
    assert re.fullmatch("'sha256-[^' ]*'", sources["script-src"])


def png(side: int = 1, filling: int = 0) -> bytes:
    """A square PNG of one colour."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(bytes(1 + min(side, 9))))
    return b"\x89PNG\r\n\x1a\n" + header + pixels + chunk(b"tEXt", bytes(filling)) + chunk(b"IEND", b"")


def test_figures_are_in_the_page_within_bounds_and_others_are_counted(tmp_path: Path, facts: Facts) -> None:
    hashes = [write_picture(tmp_path, picture) for picture in (png(), png(filling=300 << 10), png(side=60000))]
    pictured = entrant(facts).model_dump(mode="json")
    pictured["results"][0]["pictures"] = [
        {"name": "view", "caption": f"figure {number}", "png": digest}
        for number, digest in enumerate([*hashes, "0" * 64])
    ]
    (tmp_path / f"{hashes[0]}.png").read_bytes()
    page = render_board(suite(), named(build_record(pictured)), [tmp_path])[0]
    assert page.count("data:image/png;base64,") == 1
    assert "3 figures are not shown" in page
    without = render_board(suite(), named(build_record(pictured)), None)[0]
    assert "data:image/png" not in without
    assert "figures are not shown" not in without


def test_the_first_figures_of_an_entry_stand_below_its_table_and_the_others_with_its_details(
    tmp_path: Path, facts: Facts
) -> None:
    pictured = entrant(facts).model_dump(mode="json")
    pictured["results"][0]["pictures"] = [
        {"name": f"{number}", "caption": f"figure {number}", "png": write_picture(tmp_path, png(filling=number))}
        for number in range(1, 4)
    ]
    page = render_board(suite(), named(build_record(pictured)), [tmp_path])[0]
    gallery, details = page.split('id="details"')
    assert [f"figure {number}</figcaption>" in gallery for number in range(1, 4)] == [True, True, False]
    assert [f"figure {number}</figcaption>" in details for number in range(1, 4)] == [False, False, True]


def test_a_division_whose_raw_input_cannot_be_measured_needs_no_row_of_it(facts: Facts) -> None:
    asked = suite()
    (division,) = asked.file.division
    division = division.model_copy(update={"baselines": ("random-init", "supervised")})
    record = entrant(facts, beside={"random-init": 0.3, "supervised": 0.9})
    file = asked.file.model_copy(update={"division": (division,)})
    assert json.loads(render_board(asked, named(record))[1])["tables"][0]["ranking"] == []
    page, board, _ = render_board(replace(asked, file=file), named(record))
    assert len(json.loads(board)["tables"][0]["ranking"]) == 1
    assert 'data-l="raw input"' not in page


def test_a_figure_whose_bytes_do_not_fit_its_name_is_not_shown(tmp_path: Path, facts: Facts) -> None:
    name = write_picture(tmp_path, png())
    (tmp_path / f"{name}.png").write_bytes(png(side=2))
    assert Album([tmp_path]).read_bounded(tmp_path, name) is None


def test_a_cell_of_the_matrix_counts_the_models_that_fit() -> None:
    triples = [("cut", "guess", "one", True), ("cut", "guess", "two", False), ("cut", "score", "one", False)]
    rows = [
        {"modality": "image", "split": split, "objective": objective, "model": model, "fits": fits}
        for split, objective, model, fits in triples
    ]
    (matrix,) = matrices(rows)
    assert matrix.objectives == ("guess",)
    assert [(cell.models, cell.tried, cell.kind) for cell in matrix.rows[0][1]] == [(("one",), 2, "some")]


def test_an_entry_has_what_is_to_be_cited_and_its_curves_in_training(facts: Facts) -> None:
    probed = [{"step": step, "metrics": {"knn.accuracy": 0.1 * step, "rank.rankme": 5.0}} for step in (1, 2, 3)]
    record = entrant(facts, probed=probed, cell={"model": {"id": "pretask/convnet@1", "options": {}}})
    page = render_board(suite(), named(record), registry=Registry.load())[0]
    reader = Reader(page)
    assert "@inproceedings{he2016deep," in reader.text
    assert "knn.accuracy by optimizer step, in training" in [value for _, value in reader.attributes]
    assert "knn.accuracy in training, by step" in reader.text
    assert reader.tags.count("script") == 1
    agreeing = entrant(facts, cell={"model": {"id": "pretask/convnet@1", "options": {}}}, note="without curves")
    assert find_watched([agreeing, record]) == (record,)
    for note in "abcd":  # whichever of the two counts
        agreeing = entrant(facts, cell={"model": {"id": "pretask/convnet@1", "options": {}}}, note=note)
        assert "knn.accuracy in training, by step" in Reader(render_board(suite(), named(record, agreeing))[0]).text
    plain = Reader(render_board(suite(), named(entrant(facts)))[0]).text
    assert "in training, by step" not in plain
    assert "Cite" not in plain


def test_run_folders_are_records_of_a_board_as_well(
    tmp_path: Path, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pretask_bench.runs.suites.read_suite", lambda registry, name: suite())
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        record = entrant(facts, task=f"acme/{name}@1")
        (tmp_path / name / "record.json").write_bytes(canonical_bytes(record))
    assert invoke(["board", "quick", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "site")]) == 0
    assert json.loads((tmp_path / "site" / "board.json").read_text())["records"] == 2


def test_the_command_writes_its_files_and_names_what_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, facts: Facts
) -> None:
    monkeypatch.setattr(
        "pretask_bench.runs.suites.read_suite", lambda registry, name: suite()
    )  # quick loads every part
    write(tmp_path / "records", entrant(facts))
    (tmp_path / "records" / f"{'0' * 64}.json").write_text("{}")
    assert invoke(["board", "quick", str(tmp_path / "records"), "--out", str(tmp_path / "site")]) == 0
    captured = capsys.readouterr()
    names = ("index.html", "board.json", "board.md", "board.csv")
    assert captured.out.split() == [str(tmp_path / "site" / name) for name in names]
    assert "left out" in captured.err


def test_the_table_for_spreadsheets_has_every_number_once_and_no_formula(facts: Facts) -> None:
    records = named(entrant(facts, 0.5, 0.25, task="acme/a@1"), entrant(facts, 0.4, 0.3, task="acme/b@1"))
    board = json.loads(render_board(suite(), records)[1])
    rows = list(csv.DictReader(StringIO(board_csv(board))))
    assert len(rows) == 2 * 2 * 4  # entries, measures, encoders
    found = {(row["task"], row["measure"], row["encoder"]): float(row["mean"]) for row in rows}
    assert found["acme/b@1", "knn accuracy", "trained"] == 0.3
    assert found["acme/a@1", "linear accuracy", "random-init"] == BASELINES["random-init"]
    assert {row["rank"] for row in rows} <= {"1", "2"}
    board["tables"][0]["ranking"][0]["title"] = "=1+1"
    assert ",'=1+1," in board_csv(board)


def test_a_suite_without_a_supervised_reference_has_no_column_for_it(facts: Facts) -> None:
    beside = {encoder: value for encoder, value in BASELINES.items() if encoder != "supervised"}
    record = entrant(facts, 0.5, 0.5, beside=beside)
    asked = suite(measures=({**LINEAR, "reference": 1.0},))
    file = asked.file.model_copy(update={"baselines": tuple(beside)})
    page, board, markdown = render_board(replace(asked, file=file), named(record))
    (entry,) = json.loads(board)["tables"][0]["ranking"]
    assert entry["score"]["value"] == pytest.approx((0.5 - 0.3) / (1 - 0.3), abs=1e-5)
    assert "supervised" not in markdown.split("## ")[1]
    assert page.count('data-l="random init"') == 1
    assert 'data-l="supervised"' not in page


def test_a_board_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path, facts: Facts) -> None:
    (tmp_path / "taken").touch()
    with pytest.raises(PretaskError, match="the board needs to write"):
        write_board(suite(), named(entrant(facts)), tmp_path / "taken")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


MANY = """
import json, sys, time
sys.path[:0] = sys.argv[1:2]
from entrants import entrant, suite
from pretask_bench.board.site import render_board
record = entrant(json.loads(sys.argv[2]))
records = {}
for number in range(2000):
    recipe = {"samples": 640, "lr": 0.001 * (1 + number // 2)}
    cell = record.cell.model_copy(update={"seed": number % 2, "recipe": recipe})
    metrics = {**record.pretext.metrics, "order": 1 + number / 1e6}
    pretext = record.pretext.model_copy(update={"metrics": metrics})
    changed = {"cell": cell, "weights": f"{number:064x}", "pretext": pretext}
    records[f"{number:064x}"] = record.model_copy(update=changed)
begin = time.process_time()
page = render_board(suite(2), records)[0]
print(time.process_time() - begin, len(page))
"""


@pytest.mark.slow
def test_two_thousand_records_render_in_seconds_and_five_megabytes(facts: Facts) -> None:
    ran = run_python("-c", MANY, str(Path(__file__).parents[2]), json.dumps(facts))
    seconds, size = ran.out.split()
    assert float(seconds) < 20  # 3 on a slow core
    assert int(size) < 5e6
