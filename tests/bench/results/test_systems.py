"""Promises of the table of systems: rows are what was trained and how, columns what it was measured on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pretask_bench.cli.main import invoke
from pretask_bench.records.record import Record, build_record
from pretask_bench.records.store import write
from pretask_bench.results.systems import build_systems
from pretask_bench.runs.suites import read_suite
from pretask_registry import Registry

Maker = Callable[..., Record]
CLASSES = {
    "accuracy": {"unit": "fraction", "higher_is_better": True},
    "f1": {"unit": "fraction", "higher_is_better": True},
}


@pytest.fixture
def record(facts: dict[str, Any]) -> Maker:
    """Records of one system, measured on data of a name."""

    def make(on: str, value: float, seed: int = 0, evaluator: str = "classification", **options: Any) -> Record:
        data = {"id": "pretask/text@1", "options": {"root": on}, "fingerprints": {"train": "e" * 32, "test": "f" * 32}}
        full = f"pretask/{evaluator}@1"
        labels = {} if evaluator == "linear" else {"train_labels": 6920.0}
        results = [
            {"encoder": encoder, "evaluator": full, "metrics": {"accuracy": value - less, **labels}}
            for encoder, less in (("trained", 0.0), ("random-init", 0.1), ("raw-input", 0.2))
        ]
        declared = {full: {"metrics": CLASSES, "headline": "accuracy"}}
        cell = {**facts["cell"], "task": "pretask/masked-lm@1", "evaluated_on": data, "seed": seed}
        return build_record(
            {**facts, "cell": {**cell, "evaluators": {full: options}}, "declared": declared, "results": results}
        )

    return make


def test_a_system_is_a_row_and_the_data_it_was_measured_on_are_columns(record: Maker) -> None:
    records = [record("sst2", 0.8), record("rte", 0.5, seed=0), record("rte", 0.6, seed=1), record("rte", 0.7, seed=2)]
    table = build_systems(records)
    assert table.columns == ("system", "rte accuracy (6.9k)", "sst2 accuracy (6.9k)", "mean")
    trained = "masked-lm (convnet), relative-position"
    assert [row[0] for row in table.cells] == [trained, f"{trained}, from scratch", "no network"]
    assert table.cells[0] == (trained, "60.0 % ± 24.8", "80.0 %", "70.0")  # t of 2 degrees, 4.303 x 10 / sqrt(3)
    assert table.cells[1][3] == "60.0"
    assert table.fields[0]["rte accuracy low"] == pytest.approx(0.6 - 0.2484, abs=1e-4)


def test_frozen_features_are_a_row_of_their_own_and_one_that_lacks_a_column_has_no_mean(record: Maker) -> None:
    records = [record("sst2", 0.8), record("rte", 0.5), record("sst2", 0.7, evaluator="linear")]
    table = build_systems([*records, record("rte", 0.6, frozen=True)])
    rows = {row[0]: row[1:] for row in table.cells}
    trained = "masked-lm (convnet), relative-position"
    assert rows[f"{trained}, frozen"] == ("60.0 %", "70.0 %", "65.0")
    assert rows[trained] == ("50.0 %", "80.0 %", "65.0")
    assert f"{trained}, random init, frozen" in rows
    (frozen,) = (row for row in build_systems(records).cells if row[0] == f"{trained}, frozen")
    assert frozen == (f"{trained}, frozen", "", "70.0 %", "")


def test_what_needs_no_features_comes_last(record: Maker) -> None:
    of_pairs = record("rte", 0.6, evaluator="pair-classification")
    first = of_pairs.results[0]
    alone = first.model_copy(
        update={"metrics": {**first.metrics, "majority": 0.5, "overlap": 0.55, "constant_f1": 0.6}}
    )
    of_pairs = of_pairs.model_copy(update={"results": [alone, *of_pairs.results[1:]]})
    table = build_systems([of_pairs, record("sst2", 0.8)])
    assert [row[:3] for row in table.cells[-2:]] == [
        ("most frequent class", "50.0 %", ""),
        ("shared words", "55.0 %", ""),
    ]
    frozen = build_systems([record("sst2", 0.7, evaluator="linear")]).cells
    assert [row[0].removeprefix("masked-lm (convnet), relative-position, ") for row in frozen] == [
        "frozen",
        "random init, frozen",
        "no network, linear probe",
    ]


def test_the_verb_prints_the_table_and_its_numbers(
    record: Maker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, record("sst2", 0.8))
    assert invoke(["results", str(tmp_path), "--systems"]) == 0
    assert "sst2 accuracy (6.9k)" in capsys.readouterr().out
    assert invoke(["results", str(tmp_path), "--systems", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["sst2 accuracy"] == 0.8
    assert invoke(["results", str(tmp_path), "--suite", "glue"]) == 0
    assert "0" not in capsys.readouterr().out.split("mean")[1]  # no record of that suite


def test_the_divisions_of_glue_have_official_metrics_and_the_mean_leaves_wnli_out() -> None:
    suite = read_suite(Registry.load(), "glue")
    metrics = {division.name: division.headline.metric for division in suite.file.division}
    assert metrics == {
        "cola": "matthews",
        "sst2": "accuracy",
        "mrpc": "f1",
        "stsb": "spearman",
        "qqp": "f1",
        **dict.fromkeys(("mnli-m", "mnli-mm", "qnli", "rte", "wnli"), "accuracy"),
    }
    weights = {division.name: division.weight for division in suite.file.division if division.weight != 1}
    assert weights == {"mnli-m": 0.5, "mnli-mm": 0.5, "wnli": 0.0}
    assert sum(division.weight for division in suite.file.division) == 8
    options = {division.name: suite.fixed[division.name].on_options for division in suite.file.division}
    assert all(options[name]["task"] == name for name in ("cola", "sst2", "mrpc", "stsb", "qqp", "qnli", "rte", "wnli"))
    assert [options[name]["mismatched"] for name in ("mnli-m", "mnli-mm")] == [False, True]
