"""Results: seeds together, baselines beside, what is asked for and nothing else."""

import csv
import doctest
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pretask import Metric
from pretask_bench.cli.main import invoke
from pretask_bench.records.cell import Part
from pretask_bench.records.ids import short_name
from pretask_bench.records.measured import Pretext
from pretask_bench.records.record import Record, build_record
from pretask_bench.records.store import write
from pretask_bench.results.groups import (
    COLUMNS,
    group_by_key,
    group_records,
    run_title,
    summarize_groups,
    summary_rows,
)
from pretask_bench.results.index import read_summaries, read_whole
from pretask_bench.results.pretext import headline_metrics, pretext_metrics
from pretask_bench.results.references import TrivialPredictor, pretext_references, probe_references
from pretask_bench.results.report import evaluator_rows, pretext_rows

Maker = Callable[..., Record]


@pytest.fixture
def record(facts: dict[str, Any]) -> Maker:
    """Records of one cell, which differ as asked for."""

    def make(
        seed: int = 0, accuracy: float = 0.5, task: str | None = "pretask/jigsaw@1", pooling: str = "", **extra: object
    ) -> Record:
        chosen = {"layer": "layer1", "pooling": pooling, "layer1.pooling": pooling} if pooling else {}
        rows = [
            {
                "encoder": encoder,
                "evaluator": "pretask/linear@1",
                "metrics": {"layer1.accuracy": 0.1, "accuracy": value},
                "chosen": chosen if encoder == "trained" else {},
            }
            for encoder, value in (("trained", accuracy), ("random-init", 0.25))
        ]
        pretext = {
            "metrics": {
                "order": 0.4,
                "order.accuracy": 0.8,
                "majority: order.accuracy": 0.75,
                "pixels: order.accuracy": 0.6,
                "majority: order": 0.35,
            },
            "chance": {"order.accuracy": 0.5},
            **extra,
        }
        cell = {**facts["cell"], "task": task, "seed": seed}
        return build_record({**facts, "cell": cell, "results": rows, "pretext": pretext})

    return make


def test_what_was_chosen_stands_in_both_tables_and_every_seeds_choice_in_the_order_of_seeds(record: Maker) -> None:
    group = [record(0, pooling="mean"), record(1, pooling="last"), record(2, pooling="mean")]
    (line,) = summarize_groups([group])
    assert line.cells[6] == "linear accuracy ↑ (layer1, mean/last)"
    assert line.fields["chosen"] == {
        "layer": ["layer1"],
        "pooling": ["mean", "last"],
        "layer1.pooling": ["mean", "last"],
    }
    rows = {row[0]: row[1:] for row in evaluator_rows(group, "pretask/linear@1")}
    assert rows["chosen layer"] == ("layer1", "", "", "", "")
    assert rows["chosen pooling"] == ("mean, last", "", "", "", "")
    assert "chosen layer1.pooling" not in rows
    assert summarize_groups([[record()]])[0].cells[6] == "linear accuracy ↑"


def test_seeds_of_one_cell_are_one_row_with_an_interval_beside_chance_and_the_best_trivial_guess(record: Maker) -> None:
    groups = group_records([record(1, 0.6), record(0, 0.4), record(0, 0.9, task=None)])
    assert [len(group) for group in groups] in ([2, 1], [1, 2])
    row = next(row for row in summary_rows(groups) if row[2] == "2")
    assert row[3] == "order ↓ 0.4; order.accuracy ↑ 80.0 %"
    assert row[4] == "50.0 %"
    assert row[6] == "linear accuracy ↑"
    assert row[7].startswith("50.0 % ±")
    assert row[8].startswith("25.0 %")


def test_an_encoder_is_held_against_what_its_records_say_of_the_others(record: Maker) -> None:
    found = probe_references([record(0), record(1)], "pretask/linear@1", "accuracy")
    assert found.random_init is not None
    assert (found.random_init.value, found.random_init.count) == (0.25, 2)
    assert (found.raw_input, found.supervised, found.chance, found.trivial) == (None, None, None, ())


def test_a_cell_that_was_run_again_counts_once(record: Maker) -> None:
    first = record(0, 0.4)
    later = {**first.model_dump(mode="json"), "note": "again"}
    later["provenance"]["ended"] = "2026-03-02T12:00:00Z"
    ((one,),) = group_records([build_record(later), first])
    assert one.note == "again"


def test_a_model_that_loses_in_what_was_trained_does_not_look_ahead(record: Maker) -> None:
    (row,) = summary_rows([[record(seen=1000)]])
    assert row[5] == "majority 0.35 (ahead); majority 75.0 %"


def test_a_trivial_predictor_that_may_have_seen_more_than_the_model_says_so(record: Maker) -> None:
    (row,) = summary_rows([[record()]])
    assert row[5].count("saw all training samples") == 2


def test_no_pretext_number_is_shown_that_rests_on_fewer_than_a_hundred_answers(record: Maker) -> None:
    (row,) = summary_rows([[record(count={"order": 20, "order.accuracy": 100})]])
    assert row[3] == "order ↓ 20 predictions: too few; order.accuracy ↑ 80.0 %"
    assert row[5] == "majority 75.0 % (saw all training samples)"
    shown = {name: score for name, score, _, _ in pretext_rows([record(count={"order": 20, "order.accuracy": 100})])}
    assert (shown["order ↓"], shown["order.accuracy ↑"]) == ("20 predictions: too few", "80.0 %")


def test_the_interval_holds_what_seeds_and_samples_leave_open(record: Maker) -> None:
    interval = {"order.accuracy": [0.7, 0.9]}
    one = pretext_metrics([record(0, interval=interval)])[1].estimate
    assert one is not None
    assert (one.low, one.high) == pytest.approx((0.7, 0.9))
    two = pretext_metrics([record(seed, interval=interval) for seed in (0, 1)])[1].estimate  # the same number twice
    assert two is not None
    assert (two.low, two.high) == pytest.approx((0.7, 0.9))


def test_the_best_trivial_predictor_is_the_lowest_of_a_loss_and_the_highest_of_a_share(record: Maker) -> None:
    metrics = {"a: nats": 3.0, "b: nats": 2.0, "a: nats.accuracy": 0.6, "b: nats.accuracy": 0.5, "nats": 1.0}
    one = record().model_copy(update={"pretext": Pretext(metrics=metrics, seen=9)})
    loss, fraction = Metric("nats", higher_is_better=False), Metric("fraction", higher_is_better=True)
    assert pretext_references(one, "nats").best_trivial(loss) == TrivialPredictor("b", 2.0, 9)
    assert pretext_references(one, "nats.accuracy").best_trivial(fraction) == TrivialPredictor("a", 0.6, 9)
    assert pretext_references(one, "other").best_trivial(loss) is None
    assert pretext_references(one, "nats").best_trivial(Metric("nats")) is None


def test_what_was_trained_is_read_first_whatever_its_place_in_the_alphabet(record: Maker) -> None:
    metrics = {"active_units": 3.0, "kl": 2.0, "negative_elbo": 90.0, "whole.accuracy": 0.4}
    first = record()
    cell = first.cell.model_copy(update={"objective": Part(id="pretask/elbo@1")})
    pretexts = (Pretext(metrics=metrics, trained=trained) for trained in ("negative_elbo", "kl"))
    found = [first.model_copy(update={"cell": cell, "pretext": pretext}) for pretext in pretexts]
    assert [headline_metrics(record) for record in found] == [
        ["negative_elbo", "whole.accuracy"],
        ["kl", "whole.accuracy"],
    ]


def test_a_combination_without_a_task_is_called_by_its_parts(record: Maker) -> None:
    one = record(task=None)
    assert run_title(one) == " + ".join(
        short_name(part.id) for part in (one.cell.split, one.cell.objective, one.cell.model)
    )
    assert headline_metrics(one) == ["order", "order.accuracy"]


def test_the_command_draws_a_table_and_names_what_it_left_out(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], record: Maker
) -> None:
    write(tmp_path / "records", record())
    (tmp_path / "records" / f"{'0' * 64}.json").write_text("{}")
    assert invoke(["results", str(tmp_path / "records")]) == 0
    captured = capsys.readouterr()
    assert "jigsaw" in captured.out
    assert "left out" in captured.err


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where indices lie."""
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "records"


def show_results(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    assert invoke(["results", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_conditions_choose_records_by_id_name_or_any_of_several_and_nothing_else_is_shown(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], record: Maker
) -> None:
    for task in ("pretask/jigsaw@1", "acme/jigsaw@2", "pretask/vae@1", None):
        write(tmp_path / "store", record(task=task))

    def shown(*conditions: str) -> int:
        return len(
            show_results(
                capsys, tmp_path / "store", *(word for condition in conditions for word in ("--where", condition))
            )
        )

    assert shown("task=jigsaw") == 2
    assert shown("task=pretask/jigsaw") == shown("task=acme/jigsaw@2") == shown("task=none") == 1
    assert shown("task=vae,jigsaw", "seed=0", "modality=image", "status=complete") == 3
    assert shown("task=vae", "seed=1") == shown("evaluator=knn") == shown("status=failed") == 0


def test_a_failed_run_is_shown_with_its_reason_where_it_is_asked_for(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], facts: dict[str, Any]
) -> None:
    failed = {"status": "failed", "error": "ValueError: [red]no\nmore", "results": [], "pretext": None}
    write(tmp_path / "store", build_record({**facts, **failed}))
    assert show_results(capsys, tmp_path / "store") == []
    assert [row["failed"] for row in show_results(capsys, tmp_path / "store", "--where", "status=failed")] == [
        "ValueError: [red]no"
    ]
    assert invoke(["results", str(tmp_path / "store"), "--where", "status=failed"]) == 0
    assert "[red]no" in capsys.readouterr().out


def test_rows_are_sorted_by_their_numbers_and_what_has_none_comes_last(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], record: Maker
) -> None:
    for number, accuracy in enumerate((0.095, 0.5, 0.11)):
        write(tmp_path / "store", record(accuracy=accuracy, task=f"pretask/t{number}@1"))
    without = record(task="pretask/other@1").model_copy(update={"results": ()})
    write(tmp_path / "store", without)
    for sort, order in (("trained", [0.095, 0.11, 0.5, None]), ("-trained", [0.5, 0.11, 0.095, None])):
        assert [row["trained"] for row in show_results(capsys, tmp_path / "store", "--sort", sort)] == order
    assert show_results(capsys, tmp_path / "store", "--sort", "-what")[0]["what"].startswith("t2")
    assert invoke(["results", str(tmp_path), "--sort", "shoe-size"]) == 2


def test_a_group_is_the_mean_over_encoders_each_counted_once_from_the_lowest_to_the_highest(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], record: Maker
) -> None:
    for seed, accuracy, task in ((0, 0.2, "pretask/a@1"), (1, 0.4, "pretask/a@1"), (0, 0.9, "pretask/b@1")):
        write(tmp_path / "store", record(seed, accuracy, task))
    (row,) = show_results(capsys, tmp_path / "store", "--group", "modality,evaluator")
    assert (row["modality"], row["evaluator"], row["encoders"]) == ("image", "linear", 2)
    assert (row["trained"], row["trained low"], row["trained high"]) == pytest.approx((0.6, 0.3, 0.9))
    assert invoke(["results", str(tmp_path), "--group", "colour"]) == 2


def test_other_forms_hold_plain_numbers_and_nothing_that_their_reader_would_obey(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], record: Maker
) -> None:
    evil = record().model_dump(mode="json")
    name = "=HYPERLINK(1)|<b>[/]*.accuracy"
    evil["pretext"] |= {"metrics": {name: 0.5}, "chance": {}}
    write(tmp_path / "store", build_record(evil))
    assert invoke(["results", str(tmp_path / "store"), "--format", "csv"]) == 0
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert (row["trained"], row["random init"], row["pretext metric"]) == ("0.5", "0.25", f"'{name}")
    assert invoke(["results", str(tmp_path / "store"), "--format", "md"]) == 0
    written = capsys.readouterr().out
    assert r"=HYPERLINK(1)\|&lt;b&gt;\[/\]\*.accuracy ↑ 50.0 %" in written
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in written.splitlines()} == {len(COLUMNS) + 1}
    assert invoke(["results", str(tmp_path / "store")]) == 0
    assert "[/]*" in "".join(capsys.readouterr().out.split())


def test_a_known_record_is_not_read_again_and_a_deleted_index_loses_nothing(
    tmp_path: Path, cache: Path, record: Maker
) -> None:
    store = tmp_path / "store"
    paths = [write(store, record(seed)) for seed in range(3)]
    first = read_summaries([store])
    content = paths[0].read_bytes()
    paths[0].write_bytes(b"unread")
    assert read_summaries([store]) == first
    (index,) = cache.iterdir()
    index.unlink()
    found, refused = read_summaries([store])
    assert (len(found), [path for path, _ in refused]) == (2, paths[:1])
    paths[0].write_bytes(content)
    paths[1].unlink()
    write(store, record(7))
    assert [summary.record.cell.seed for summary in read_summaries([store, tmp_path])[0]].count(7) == 1
    assert {summary.record.cell.seed for summary in read_summaries([store])[0]} == {0, 2, 7}


def test_an_index_shows_what_the_records_themselves_show(
    tmp_path: Path, cache: Path, record: Maker, facts: dict[str, Any]
) -> None:
    records = [record(), record(1, 0.7), record(task=None), build_record(facts)]
    for stored in records:
        write(tmp_path, stored)
    for _ in range(2):
        found = [(summary.key, summary.record) for summary in read_summaries([tmp_path])[0]]
        assert summary_rows(group_by_key(found)) == summary_rows(group_records(records))


def test_bytes_that_an_index_knows_are_read_whole_without_another_look_at_their_form(
    tmp_path: Path, cache: Path, record: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [write(tmp_path, record(seed)) for seed in range(2)]
    first, refused = read_whole([tmp_path])
    assert ({path.stem for path in paths}, refused) == (first.keys(), [])
    monkeypatch.setattr("pretask_bench.records.store.canonical_bytes", lambda _: b"another form")
    assert read_whole([tmp_path]) == (first, [])
    paths[0].write_bytes(paths[0].read_bytes().replace(b"complete", b"Complete"))
    damaged, refused = read_whole([tmp_path])
    assert (damaged.keys(), [path for path, _ in refused]) == ({paths[1].stem}, [paths[0]])


@pytest.mark.parametrize("place", ["a number", 0, 20, 100, 0.3, 0.9])
def test_a_damaged_index_is_made_anew(tmp_path: Path, cache: Path, record: Maker, place: float | str) -> None:
    paths = [write(tmp_path / "store", record(seed)) for seed in range(20)]
    whole = read_summaries([tmp_path / "store"])
    (index,) = cache.iterdir()
    damage(index, place)
    assert read_summaries([tmp_path / "store"]) == whole
    paths[0].write_bytes(b"unread")
    assert read_summaries([tmp_path / "store"]) == whole


def damage(index: Path, place: float | str) -> None:
    if place == "a number":
        with closing(sqlite3.connect(index)) as file, file:
            changed = file.execute("UPDATE summaries SET summary = replace(summary, '0.25', '0.95')")
            assert changed.rowcount == 20
        return
    content = bytearray(index.read_bytes())
    at = int(len(content) * place) if isinstance(place, float) else int(place)
    content[at : at + 64] = bytes(byte ^ 0x15 for byte in content[at : at + 64])
    index.write_bytes(content)


def test_where_no_index_can_be_kept_the_records_are_read(tmp_path: Path, cache: Path, record: Maker) -> None:
    write(tmp_path / "store", record())
    cache.parent.write_text("a file where the cache should be")
    assert len(read_summaries([tmp_path / "store"])[0]) == 1


@pytest.mark.parametrize(
    "module",
    [
        "records.encoders",
        "records.metrics",
        "results.compare",
        "results.groups",
        "results.pretext",
        "results.query",
        "results.references",
        "results.tables",
    ],
)
def test_the_examples_in_docstrings_are_true(module: str) -> None:
    assert doctest.testmod(import_module(f"pretask_bench.{module}")).failed == 0


def test_of_a_cell_that_was_run_again_the_median_counts_whatever_records_say_of_time(record: Maker) -> None:
    again = [
        with_end(record(accuracy=accuracy), f"2026-01-0{day}T00:00:00Z")
        for day, accuracy in enumerate([0.7, 0.4, 0.6, 0.5, 0.9], start=1)
    ]
    for records in (again, again[::-1]):
        ((chosen,),) = group_records(records)
        assert chosen.results[0].metrics["accuracy"] == 0.6
    ((lower,),) = group_records(again[:2])
    assert lower.results[0].metrics["accuracy"] == 0.4, "of two the lower"


def with_end(record: Record, ended: str) -> Record:
    """The record as if it had ended then."""
    return record.model_copy(update={"provenance": record.provenance.model_copy(update={"ended": ended})})
