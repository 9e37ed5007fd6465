"""A stranger's evaluator whose number is better when lower is judged so by run, results, compare and the board."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plugin_files import plugin_file
from pretask_bench.board.site import render_board
from pretask_bench.cli.main import invoke
from pretask_bench.records.record import Record, build_record, record_hash
from pretask_bench.records.store import read_all, write
from pretask_bench.runs.suites import FixedOptions, Suite, SuiteFile

Capture = pytest.CaptureFixture[str]
SOURCE = """
import pretask
from pretask import Metric


class Misfit:
    def __call__(self, task, data, budget, /):
        features = task.encode(next(data("test").batches(8, task.device))).pooled
        yield "misfit", 1 / (1 + float(next(iter(features.values())).abs().mean().detach()))


components = [
    pretask.evaluator(
        "misfit", Misfit, metrics={"misfit": Metric("furlongs", higher_is_better=False)}, headline="misfit"
    ),
]
"""
RUN = ["run", "vae", "--preset", "small", "--samples", "256", "--evaluate", "local/misfit"]
MEASURE = {"evaluator": "misfit", "metric": "misfit", "chance": 1.0, "reference": 0.0}


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Record, Path]]:
    """A record of a run that the evaluator measured, and its folder."""
    folder = tmp_path_factory.mktemp("misfit")
    with plugin_file(folder, "yardstick", SOURCE) as path:
        assert invoke([*RUN, "--plugin", str(path), "--out", str(folder / "runs")]) == 0
        (record,) = read_all([folder / "runs" / "records"])[0]
        yield record, folder


def with_misfit(record: Record, task: str, seed: int, value: float) -> Record:
    """Return the record as that of another task and seed, with another number for the trained encoder."""
    facts: dict[str, Any] = record.model_dump(mode="json")
    facts["cell"] |= {"task": task, "seed": seed, "split": {"id": task, "options": {}}}
    for row in facts["results"]:
        row["metrics"]["misfit"] = value if row["encoder"] == "trained" else (0.8, 0.81, 0.79)[seed]
    facts["weights"] = f"{seed}{int(1000 * value)}".rjust(64, "a")
    return build_record(facts)


@pytest.fixture
def folders(ran: tuple[Record, Path], tmp_path: Path) -> list[Path]:
    """Three seeds each of a task that fits well, and of one that fits badly."""
    for name, values in (("low", (0.2, 0.215, 0.205)), ("high", (0.6, 0.605, 0.62))):
        for seed, value in enumerate(values):
            write(tmp_path / name, with_misfit(ran[0], f"acme/{name}@1", seed, value))
    return [tmp_path / "low", tmp_path / "high"]


def test_the_record_holds_what_was_declared_so_that_it_can_be_read_without_the_plugin(
    ran: tuple[Record, Path],
) -> None:
    declaration = ran[0].declared["local/misfit@1"]
    assert (declaration.headline, declaration.metrics["misfit"].higher_is_better) == ("misfit", False)
    assert declaration.metrics["misfit"].unit == "furlongs"


def test_the_table_of_a_run_says_which_way_is_better(ran: tuple[Record, Path], capsys: Capture) -> None:
    folder = ran[1]
    invoke([*RUN, "--plugin", str(folder / "yardstick.py"), "--out", str(folder / "runs")])
    assert "misfit ↓" in capsys.readouterr().out


def test_results_point_down(folders: list[Path], capsys: Capture, tmp_path: Path) -> None:
    assert invoke(["results", *map(str, folders), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["metric"], row["lower is better"]) for row in rows] == [("misfit", True)] * 2


def test_the_lower_of_two_is_called_better(folders: list[Path], capsys: Capture) -> None:
    assert invoke(["compare", *map(str, folders), "--json"]) == 0
    (pair,) = json.loads(capsys.readouterr().out)["pairs"]
    assert pair["difference"] < 0
    assert pair["verdict"] == "A is better"


def test_the_board_ranks_the_lower_one_first_and_marks_what_does_not_beat_random_init(folders: list[Path]) -> None:
    records = read_all(folders)[0]
    records += [with_misfit(records[0], "acme/idle@1", seed, value) for seed, value in enumerate((0.81, 0.78, 0.8))]
    cell = records[0].cell
    division: dict[str, Any] = {
        "name": "digits",
        "modality": cell.modality,
        "data": "digits",
        "samples": cell.recipe["samples"],
        "measures": [MEASURE],
    }
    file = SuiteFile.model_validate(
        {"summary": "Tiny.", "seeds": 3, "baselines": ["random-init"], "division": [division]}
    )
    fixed = FixedOptions(cell.data.id, cell.data.options, cell.evaluators)
    page, board, markdown = render_board(
        Suite("acme/tiny@1", file, {"digits": fixed}), {record_hash(record): record for record in records}
    )
    (table,) = json.loads(board)["tables"]
    assert [entry["ids"]["task"] for entry in table["ranking"]] == ["acme/low@1", "acme/high@1", "acme/idle@1"]
    assert table["ranking"][0]["score"]["value"] == pytest.approx((0.8 - 0.62 / 3) / 0.8, abs=1e-5)
    assert [entry["rank"] for entry in table["ranking"]] == [[1, 1], [2, 2], [3, 3]]
    assert [entry["not_above"] for entry in table["ranking"]] == [[], [], ["random-init"]]
    assert "misfit misfit, furlongs ↓" in page
    assert "0.2" in markdown
