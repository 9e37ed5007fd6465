"""`--init`: a run that begins with weights of elsewhere names them; without a budget it measures them alone."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pretask_bench.artifacts.load import find_folder, load
from pretask_bench.cli.main import invoke
from pretask_bench.records.record import parse_record, record_hash
from pretask_bench.results.report import report_runs
from safetensors.torch import load_file, save_file
from small_runs import take_tasks

Capture = pytest.CaptureFixture[str]
RUN = ["run", "relative-position", "--preset", "demo", "--data", "shapes", "--model", "convnet", "--device", "cpu"]
SIZES = ("data.size=64", "data.test_size=32", "data.image_size=16", "split.patch=4", "split.gap=1", "split.jitter=1")
for setting in (*SIZES, "model.depth=1", "model.width=8", "recipe.batch=16", "knn.k=1"):
    RUN += ["--set", setting]
RUN += ["--evaluate", "knn", "--baselines", "random-init", "--no-pictures", "--json"]
IMAGES = torch.randint(0, 256, (4, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch, take_tasks():
        patch.chdir(folder := tmp_path_factory.mktemp("init"))
        patch.setenv("PRETASK_CACHE", str(folder / "cache"))
        yield folder


@pytest.fixture(scope="module")
def run(home: Path) -> Callable[..., tuple[Any, Path]]:
    """Run with some more words; the record and the folder of the run."""

    def make(*words: str) -> tuple[Any, Path]:
        before = {*Path("runs/records").glob("*.json")}
        assert invoke([*RUN, *words]) == 0
        (path,) = {*Path("runs/records").glob("*.json")} - before
        return json.loads(path.read_bytes()), find_folder(path)

    return make


@pytest.fixture(scope="module")
def first(run: Callable[..., tuple[Any, Path]]) -> tuple[Any, Path]:
    return run("--samples", "64")


def test_without_a_budget_the_weights_of_another_run_are_measured_as_they_are(
    run: Callable[..., tuple[Any, Path]], first: tuple[Any, Path]
) -> None:
    record, folder = run("--init", str(first[1]), "--samples", "0")
    assert record["cell"]["begun_with"] == first[0]["weights"]
    assert record["pretext"] is None
    assert record["provenance"]["samples"] == 0
    assert torch.equal(load(folder)(IMAGES), load(first[1])(IMAGES))
    rows = [{row["encoder"]: row["metrics"] for row in found["results"]} for found in (record, first[0])]
    assert rows[0] == rows[1]  # random init is still random


def test_training_goes_on_from_a_file_and_the_record_names_its_hash(
    run: Callable[..., tuple[Any, Path]], first: tuple[Any, Path], home: Path
) -> None:
    weights = {f"module.{name}": value for name, value in load_file(first[1] / "weights.safetensors").items()}
    save_file({**weights, "module.classifier": torch.zeros(3)}, home / "other.safetensors")
    record, folder = run("--init", "other.safetensors", "--samples", "16", "--set", "recipe.lr=1e-9")
    assert record["cell"]["begun_with"] not in (None, first[0]["weights"])
    learned, before = load_file(folder / "weights.safetensors"), load_file(first[1] / "weights.safetensors")
    torch.testing.assert_close(learned["first.weight"], before["first.weight"])
    assert "begun_with" not in first[0]["cell"]


def rows_of(record: Any) -> dict[str, Any]:
    return {row["encoder"]: row["metrics"] for row in record["results"]}


def test_a_run_that_starts_from_weights_is_held_against_these_weights(
    run: Callable[..., tuple[Any, Path]], first: tuple[Any, Path], capsys: Capture
) -> None:
    record, folder = run("--init", str(first[1]), "--samples", "32", "--set", "recipe.lr=0.5")
    rows = rows_of(record)
    assert rows["initial"] == rows_of(first[0])["trained"] != rows["trained"]
    assert "given" not in record
    report_runs([parse_record((folder / "record.json").read_bytes())])
    assert "initial weights" in capsys.readouterr().out


def test_encoders_of_elsewhere_are_rows_that_are_named_by_their_hash(
    run: Callable[..., tuple[Any, Path]], first: tuple[Any, Path], home: Path, capsys: Capture
) -> None:
    save_file(load_file(first[1] / "weights.safetensors"), home / "copy.safetensors")
    words = ["--samples", "32", "--reference", str(first[1]), "--reference", "copy.safetensors"]
    record, folder = run(*words)
    names = {name: given["name"] for name, given in record["given"].items()}
    assert sorted(names.values()) == ["copy.safetensors", first[1].name]
    assert f"given-{first[0]['weights'][:12]}" in names
    rows = rows_of(record)
    assert [rows[name] for name in names] == [rows_of(first[0])["trained"]] * 2
    capsys.readouterr()
    assert invoke([*RUN, *words]) == 0
    assert "already recorded" in capsys.readouterr().err
    stored = Path("runs/records") / f"{record_hash(parse_record((folder / 'record.json').read_bytes()))}.json"
    assert invoke(["rerun", str(stored), "--device", "cpu"]) == 0
    captured = capsys.readouterr()
    assert "left out encoders of elsewhere: " in captured.err
    assert captured.out.rstrip().endswith("exact")
    assert invoke(["export", str(folder), "--to", "hub", "--out", "hub"]) == 0
    assert "copy.safetensors" in (Path("hub") / "README.md").read_text()


def test_an_encoder_that_cannot_read_what_is_measured_on_is_refused_before_training(
    first: tuple[Any, Path], capsys: Capture
) -> None:
    words = ["causal-lm", "--preset", "small", "--data", "toy-grammar", "--samples", "16", "--device", "cpu"]
    assert invoke(["run", *words, "--set", "data.size=64", "--reference", str(first[1])]) == 4
    assert "needs samples like those that it learned from (image, uint8); got others (text, " in capsys.readouterr().err


@pytest.mark.parametrize("place", ["timm.safetensors", "timm"])
def test_pretrained_weights_come_from_a_file_as_timm_has_them_or_from_its_cache(
    home: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm

    torch.manual_seed(1)
    made = timm.create_model("test_resnet").eval()
    repository = home / "hub" / f"models--{made.pretrained_cfg['hf_hub_id'].replace('/', '--')}"
    for part in (repository / "refs", repository / "snapshots" / "abc"):
        part.mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text("abc")
    for file in (home / "timm.safetensors", repository / "snapshots" / "abc" / "model.safetensors"):
        save_file(made.state_dict(), file)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    words = ["run", "--split", "whole", "--objective", "elbo", "--model", "timm", "--data", "shapes", "--device", "cpu"]
    for setting in ("model.name=test_resnet", "data.size=32", "data.test_size=16", "data.image_size=16"):
        words += ["--set", setting]
    assert invoke([*words, "--samples", "0", "--evaluate", "", "--init", place, "--out", f"from-{place}"]) == 0
    (task,) = Path(f"from-{place}").glob("*/task.json")
    with torch.no_grad():
        expected = made.forward_features((IMAGES / 255 - 0.5) / 0.25).mean((2, 3))
    torch.testing.assert_close(load(task.parent)(IMAGES), expected)


def test_timm_names_what_it_lacks_where_there_is_no_network(
    home: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import timm

    def fail(**_: Any) -> Any:
        raise OSError("We couldn't connect to 'https://huggingface.co'")

    made = timm.create_model
    monkeypatch.setattr("timm.create_model", lambda *a, pretrained=False, **b: fail() if pretrained else made(*a, **b))
    words = ["--split", "whole", "--objective", "elbo", "--model", "timm", "--data", "shapes", "--device", "cpu"]
    for setting in ("model.name=test_resnet", "data.size=32", "data.test_size=16", "data.image_size=32"):
        words += ["--set", setting]
    assert invoke(["run", *words, "--init", "timm", "--samples", "0"]) == 1
    assert "--init timm needs pretrained weights of test_resnet; got none here (We couldn't" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--samples", "0"],
            "recipe.samples=0 needs weights to measure; got none. Name some: --init RUN, FILE or timm.",
        ),
        (["--init", "nowhere"], "nowhere needs a file task.json; got no such folder"),
        (["--init", "nowhere.safetensors"], "--init needs weights that can be read; got"),
        (["--samples", "16", "--reference", "nowhere"], "nowhere needs a file task.json; got no such folder"),
        (["--samples", "16", "--reference", "timm"], "--reference timm needs an architecture of timm; got Convnet."),
        (
            ["--samples", "16", "--baselines", "initial"],
            "--baselines needs some of random-init, raw-input, supervised;",
        ),
        (["--init", "timm"], "--init timm needs an architecture of timm; got Convnet. Choose --model timm"),
        (
            ["--init", "FIRST", "--set", "model.width=4"],
            "needs first.weight of float32 (4, 3, 3, 3); got float32 (8, 3",
        ),
        (["--init", "FIRST", "--set", "model.depth=2"], "needs the weights of this model; got 18 of 42 missing"),
    ],
)
def test_weights_that_are_not_the_models_are_refused(
    first: tuple[Any, Path], words: list[str], told: str, capsys: Capture
) -> None:
    words = [str(first[1]) if word == "FIRST" else word for word in words]
    assert invoke([*RUN, *words]) in (2, 4)
    assert told in capsys.readouterr().err
