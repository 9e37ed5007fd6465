"""`--on` several times: one pretraining, and for every transfer set the record that it would have by itself."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pretask
import pytest
import torch
from pretask_bench.cli.main import invoke
from pretask_bench.records.store import read_all
from pretask_bench.results.groups import group_records, summary_rows
from pretask_bench.runs import run as run_module
from pretask_bench.runs import stages
from pretask_bench.verbs import Run
from small_runs import take_tasks

Capture = pytest.CaptureFixture[str]
RUN = ["run", "relative-position", "--preset", "demo", "--data", "shapes", "--model", "convnet", "--device", "cpu"]
SIZES = ("data.size=64", "data.test_size=32", "data.image_size=16", "split.patch=4", "split.gap=1", "split.jitter=1")
for setting in (*SIZES, "model.depth=1", "model.width=8", "recipe.batch=16", "recipe.samples=32", "knn.k=1"):
    RUN += ["--set", setting]
RUN += ["--evaluate", "knn", "--baselines", "random-init", "--no-pictures"]
COMMON = ["--set", "on.size=64", "--set", "on.image_size=16"]
FIRST, SECOND = ["--set", "on.1.test_size=24"], ["--set", "on.2.test_size=40", "--set", "on.2.image_size=20"]
SEVERAL = [*RUN, "--on", "shapes", "--on", "shapes", *COMMON, *FIRST, *SECOND]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    with take_tasks():
        yield


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was trained."""
    names: list[str] = []
    train = stages.train
    monkeypatch.setattr(stages, "train", lambda task, *a, **b: names.append(task.name) or train(task, *a, **b))
    return names


def cells(records: list[Any]) -> list[Any]:
    return [record["cell"] for record in records]


def test_one_training_gives_each_transfer_set_the_record_that_it_would_have_by_itself(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[str] = []
    score = run_module.score_pretext
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "score_pretext", lambda *words: scored.append("") or score(*words))
        assert invoke([*SEVERAL, "--json"]) == 0
    several = json.loads(capsys.readouterr().out)
    assert len(scored) == 1
    alone = [*RUN, "--on", "shapes", *COMMON, "--set", "on.test_size=40", "--set", "on.image_size=20", "--json"]
    assert invoke([*alone, "--out", "alone"]) == 0
    (single,) = json.loads(capsys.readouterr().out)
    assert cells([single]) == cells(several)[1:]
    assert [single[name] for name in ("weights", "results", "pretext")] == [
        several[1][name] for name in ("weights", "results", "pretext")
    ]
    assert several[0]["weights"] == several[1]["weights"]
    counts = {row["encoder"]: row["items"]["accuracy"]["count"] for row in several[0]["results"]}
    assert counts == {"trained": 24, "random-init": 24}  # beside references of its own
    assert len(summary_rows(group_records(read_all(["runs/records"])[0]))) == 2


def test_the_table_names_what_each_was_measured_on_and_the_folder_holds_all(capsys: Capture) -> None:
    assert invoke(SEVERAL) == 0
    printed = capsys.readouterr().out
    assert printed.count("pretask/relative-position@1 on pretask/shapes@1, measured on pretask/shapes@1, seed 0") == 2
    assert printed.count("How well is the pretext task solved?") == 1
    (folder,) = {line.removeprefix("encoder: ") for line in printed.splitlines() if line.startswith("encoder: ")}
    for verb in (["results", "--json"], ["cite"], ["merge", "--into", "merged"]):
        assert invoke([verb[0], folder, *verb[1:]]) == 0
    assert {path.name for path in Path("merged").iterdir()} == {path.name for path in Path("runs/records").iterdir()}
    out = capsys.readouterr().out
    assert invoke(["export", folder, "--to", "hub", "--out", "hub"]) == 0
    assert (Path("hub") / "README.md").read_text().count("| pretask/knn@1 accuracy ↑ on pretask/shapes@1 |") == 2
    assert invoke([*RUN, "--on", "shapes", *COMMON, "--set", "on.test_size=24"]) == 0  # once more, alone
    assert "already recorded" in capsys.readouterr().err
    assert len(read_all([folder])[0]) == 2
    assert "2 added, 0 known, 0 refused" in out


def test_what_was_stopped_goes_on_with_the_transfer_set_that_is_missing(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, trained: list[str]
) -> None:
    measure, seen = stages.evaluate_encoder, []

    def stop(evaluator: Any, encoder: str, task: Any, prepared: Any, context: Any) -> Any:
        seen.append(encoder)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return measure(evaluator, encoder, task, prepared, context)

    with monkeypatch.context() as patch:
        patch.setattr(stages, "evaluate_encoder", stop)
        assert invoke(SEVERAL) == 130
    assert len(read_all(["runs/records"])[0]) == 1
    capsys.readouterr()
    assert invoke(SEVERAL) == 0
    assert capsys.readouterr().err.count("already recorded") == 1
    records, _ = read_all(["runs/records"])
    assert len({record.weights for record in records}) == 1
    assert len(records) == 2


def test_all_are_seen_to_be_readable_before_anything_is_trained(capsys: Capture, trained: list[str]) -> None:
    assert invoke([*RUN, "--on", "shapes", "--on", "digits", "--set", "on.1.size=64"]) == 4
    assert "images of 3 channels" in capsys.readouterr().err
    assert not trained


@pytest.mark.parametrize("name", ["on.3.size", "on.0.size"])
def test_an_option_of_a_transfer_set_that_is_not_there_is_refused(capsys: Capture, name: str) -> None:
    assert invoke([*RUN, "--on", "shapes", "--on", "shapes", "--set", f"{name}=3"]) == 2
    assert f"{name} is of transfer set {name[3]}; there are 2" in capsys.readouterr().err


def test_from_python_a_list_is_several_and_own_data_are_told_apart() -> None:
    random = torch.Generator().manual_seed(0)
    mine, theirs = (torch.randint(0, 256, (40, 3, 16, 16), dtype=torch.uint8, generator=random) for _ in range(2))
    classes = torch.arange(40) % 2
    run: Run = pretask.run(  # type: ignore[assignment]
        "relative-position",
        preset="demo",
        data=(mine, classes),
        model="convnet",
        on=[(theirs, classes), "shapes"],
        evaluate="knn",
        baselines="random-init",
        samples=16,
        device="cpu",
        pictures=False,
        **{"split.patch": 4, "split.gap": 1, "split.jitter": 1, "model.depth": 1, "model.width": 8, "knn.k": "1"},
        **{"on.2.size": 32, "on.2.test_size": 16, "on.2.image_size": 16, "recipe.batch": 16},
    )
    first, second = run.records
    assert (first.cell.data.id, first.cell.evaluated_on.id) == ("local/own-data@1", "local/own-data-2@1")
    assert first.cell.data.fingerprints != first.cell.evaluated_on.fingerprints
    assert (second.cell.data, second.cell.evaluated_on.id) == (first.cell.data, "pretask/shapes@1")
    assert run.record is first
    assert "measured on local/own-data-2@1" in run.table()
    assert "measured on pretask/shapes@1" in run.table()
