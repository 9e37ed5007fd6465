"""`--on` several times: one pretraining, and for every transfer set the record that it would have by itself."""

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout
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


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch, take_tasks():
        patch.chdir(folder := tmp_path_factory.mktemp("transfers"))
        patch.setenv("PRETASK_CACHE", str(folder / "cache"))
        yield


@pytest.fixture(scope="module")
def ran(home: None) -> tuple[str, list[str]]:
    """What a run on several transfer sets prints, and whenever it scored the pretext task."""
    scored: list[str] = []
    score = run_module.score_pretext
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.setattr(run_module, "score_pretext", lambda *words: scored.append("") or score(*words))
        assert invoke(SEVERAL) == 0
    return printed.getvalue(), scored


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what was trained."""
    names: list[str] = []
    train = stages.train
    monkeypatch.setattr(stages, "train", lambda task, *a, **b: names.append(task.name) or train(task, *a, **b))
    return names


def test_one_training_gives_each_transfer_set_the_record_that_it_would_have_by_itself(
    ran: tuple[str, list[str]], capsys: Capture
) -> None:
    assert len(ran[1]) == 1
    alone = [*RUN, "--on", "shapes", *COMMON, "--set", "on.test_size=40", "--set", "on.image_size=20", "--json"]
    assert invoke([*alone, "--out", "alone"]) == 0
    (single,) = json.loads(capsys.readouterr().out)
    records = [record.model_dump(mode="json") for record in read_all(["runs/records"])[0]]
    first, second = sorted(records, key=lambda record: record["cell"]["evaluated_on"]["options"]["image_size"])
    for name in ("cell", "weights", "results", "pretext"):
        assert single[name] == second[name]
    assert first["weights"] == second["weights"]
    counts = {row["encoder"]: row["items"]["accuracy"]["count"] for row in first["results"]}
    assert counts == {"trained": 24, "random-init": 24}  # beside references of its own
    assert len(summary_rows(group_records(read_all(["runs/records"])[0]))) == 2


def test_the_table_names_what_each_was_measured_on_and_the_folder_holds_all(
    ran: tuple[str, list[str]], capsys: Capture
) -> None:
    printed = ran[0]
    assert printed.count("pretask/relative-position@1 on pretask/shapes@1, measured on pretask/shapes@1, seed 0") == 2
    assert printed.count("How well is the pretext task solved?") == 1
    (folder,) = {line.removeprefix("encoder: ") for line in printed.splitlines() if line.startswith("encoder: ")}
    for verb in (["results", "--json"], ["cite"], ["merge", "--into", "merged"]):
        assert invoke([verb[0], folder, *verb[1:]]) == 0
    assert "2 added, 0 known, 0 refused" in capsys.readouterr().out
    assert {path.name for path in Path("merged").iterdir()} == {path.name for path in Path("runs/records").iterdir()}
    assert invoke(["export", folder, "--to", "hub", "--out", "hub"]) == 0
    assert (Path("hub") / "README.md").read_text().count("| pretask/knn@1 accuracy ↑ on pretask/shapes@1 |") == 2
    assert invoke([*RUN, "--on", "shapes", *COMMON, "--set", "on.test_size=24"]) == 0  # once more, alone
    assert "already recorded" in capsys.readouterr().err
    assert len(read_all([folder])[0]) == 2


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
        assert invoke([*SEVERAL, "--out", "stopped"]) == 130
    assert len(read_all(["stopped/records"])[0]) == 1
    capsys.readouterr()
    assert invoke([*SEVERAL, "--out", "stopped"]) == 0
    assert capsys.readouterr().err.count("already recorded") == 1
    records, _ = read_all(["stopped/records"])
    assert len({record.weights for record in records}) == 1
    assert len(records) == 2


def test_all_are_seen_to_be_readable_before_anything_is_trained(capsys: Capture, trained: list[str]) -> None:
    small = ["--set", "on.1.size=64", "--set", "on.1.image_size=16", *FIRST]
    assert invoke([*RUN, "--on", "shapes", "--on", "digits", *small, "--out", "unread"]) == 4
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
        out="own",
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


def test_the_same_weights_are_scored_once_whatever_they_are_measured_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scored: list[str] = []
    score = run_module.score_pretext
    monkeypatch.setattr(run_module, "score_pretext", lambda *words: scored.append("") or score(*words))
    of_one, of_three = ([*RUN, "--set", f"knn.k={k}", "--baselines", "", "--out", "scored"] for k in (1, 3))
    assert invoke(of_one) == invoke(of_three) == 0
    assert len(scored) == 1
    first, other = (record.pretext for record in read_all(["scored/records"])[0])
    assert first == other
    assert invoke([*of_three, "--again"]) == 0
    assert len(scored) == 2
