"""Results and their page: seeds together, baselines beside, strangers' text escaped, same records, same bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pretask_bench.cli import invoke
from pretask_bench.page import page_of
from pretask_bench.records import Record, build_record
from pretask_bench.results import best_guess, grouped, main_pretext, short, summary_rows, title
from pretask_bench.store import write, write_picture

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"


Maker = Callable[..., Record]


@pytest.fixture
def record(facts: dict[str, Any]) -> Maker:
    """Records of one cell, which differ as asked for."""

    def make(seed: int = 0, accuracy: float = 0.5, task: str | None = "pretask/jigsaw@1", note: str = "view") -> Record:
        rows = [
            {
                "encoder": encoder,
                "evaluator": "pretask/linear@1",
                "metrics": {"layer1.accuracy": 0.1, "accuracy": value},
                "pictures": [{"name": "view", "caption": note, "png": "ab" * 32}],
            }
            for encoder, value in (("trained", accuracy), ("random-init", 0.25))
        ]
        pretext = {
            "metrics": {
                "order": 0.4,
                "order.accuracy": 0.8,
                "majority: order.accuracy": 0.75,
                "pixels: order.accuracy": 0.6,
            },
            "chance": {"order.accuracy": 0.5},
        }
        cell = {**facts["cell"], "task": task, "seed": seed}
        return build_record({**facts, "cell": cell, "results": rows, "pretext": pretext})

    return make


def test_seeds_of_one_cell_are_one_row_with_an_interval_beside_chance_and_the_best_trivial_guess(record: Maker) -> None:
    groups = grouped([record(1, 0.6), record(0, 0.4), record(0, 0.9, task=None)])
    assert [len(group) for group in groups] in ([2, 1], [1, 2])
    row = next(row for row in summary_rows(groups) if row[2] == "2")
    assert row[3:6] == ("order.accuracy 80.0 % ± 0.0", "50.0 %", "majority 75.0 %")
    assert row[6] == "linear accuracy"
    assert row[7].startswith("50.0 % ±")
    assert row[8].startswith("25.0 %")


def test_a_cell_that_was_run_again_counts_once(record: Maker) -> None:
    first = record(0, 0.4)
    later = {**first.model_dump(mode="json"), "note": "again"}
    later["provenance"]["ended"] = "2026-03-02T12:00:00Z"
    ((one,),) = grouped([build_record(later), first])
    assert one.note == "again"


def test_the_best_guess_of_a_loss_is_the_lowest() -> None:
    assert best_guess({"nats": 1.0, "a: nats": 3.0, "b: nats": 2.0}, "nats") == ("b", 2.0)
    assert best_guess({"nats": 1.0}, "nats") is None


def test_a_combination_without_a_task_is_called_by_its_parts(record: Maker) -> None:
    one = record(task=None)
    assert title(one) == " + ".join(short(part.id) for part in (one.cell.split, one.cell.objective, one.cell.model))
    assert main_pretext(one) == "order.accuracy"


def test_the_same_records_in_any_order_give_the_same_page(record: Maker) -> None:
    records = [record(seed) for seed in range(3)]
    assert page_of(grouped(records), []) == page_of(grouped(records[::-1]), [])


def test_what_a_stranger_writes_is_shown_and_never_run(record: Maker) -> None:
    page = page_of(grouped([record(note="<script>alert(1)</script>")]), [])
    assert "<script>" not in page


def test_a_picture_is_in_the_page_itself(tmp_path: Path, record: Maker) -> None:
    name = write_picture(tmp_path, PNG)
    one = record()
    pictured = one.model_dump(mode="json")
    pictured["results"][0]["pictures"][0]["png"] = name
    page = page_of(grouped([build_record(pictured)]), [tmp_path])
    assert page.count("data:image/png;base64,") == 1
    assert 'src="http' not in page


def test_the_command_draws_a_table_writes_the_page_and_names_what_it_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], record: Maker
) -> None:
    write(tmp_path / "records", record())
    (tmp_path / "records" / f"{'0' * 64}.json").write_text("{}")
    assert invoke(["results", str(tmp_path / "records"), "--page", str(tmp_path / "page.html")]) == 0
    said = capsys.readouterr()
    assert "jigsaw" in said.out
    assert "left out" in said.err
    assert "jigsaw" in (tmp_path / "page.html").read_text()


def test_a_page_that_cannot_be_written_is_an_error_and_leaves_nothing(tmp_path: Path, record: Maker) -> None:
    write(tmp_path / "records", record())
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "inside").touch()
    assert (
        invoke(["results", str(tmp_path / "records"), "--page", str(tmp_path / "taken" / "inside" / "page.html")]) == 1
    )
    assert [each.name for each in (tmp_path / "taken").iterdir()] == ["inside"]
