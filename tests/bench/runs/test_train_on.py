"""A larger budget goes on from a finished run where the same weights come out, and else says why it does not."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pretask_bench.cli.main import invoke
from small_runs import take_tasks

Capture = pytest.CaptureFixture[str]
RUN = [
    "run",
    "causal-lm",
    "--preset",
    "small",
    "--data",
    "toy-grammar",
    "--model",
    "transformer",
    "--evaluate",
    "",
    "--json",
]
for setting in (
    "data.size=32",
    "data.test_size=16",
    "model.width=8",
    "model.depth=1",
    "model.causal=true",
    "recipe.batch=16",
):
    RUN += ["--set", setting]
RUN += ["--baselines", "", "--device", "cpu", "--no-pictures"]
STEADY = ["--set", "recipe.schedule=constant", "--set", "recipe.warmup=0"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    with take_tasks():
        yield


def run(capsys: Capture, *words: str) -> tuple[Any, str]:
    """The record of a run, and what it told."""
    assert invoke([*RUN, *words]) == 0
    captured = capsys.readouterr()
    (record,) = json.loads(captured.out)
    return record, captured.err


def test_at_a_constant_rate_it_goes_on_and_ends_as_if_it_had_never_stopped(capsys: Capture) -> None:
    run(capsys, *STEADY, "--samples", "32")
    run(capsys, *STEADY, "--samples", "64")
    longer, told = run(capsys, *STEADY, "--samples", "96")
    assert "goes on from causal-lm-" in told
    assert "which saw 64 samples" in told
    anew, told = run(capsys, *STEADY, "--samples", "96", "--out", "elsewhere")
    assert "goes on" not in told
    assert longer["weights"] == anew["weights"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["--set", "recipe.schedule=cosine"],
            "its cosine schedule ends with its budget; recipe.schedule=constant could",
        ),
        (["--set", "recipe.schedule=constant", "--set", "recipe.warmup=0.5"], "its warmup is a fraction of its budget"),
    ],
)
def test_where_the_schedule_forbids_it_the_reason_is_told(words: list[str], reason: str, capsys: Capture) -> None:
    run(capsys, *words, "--samples", "32")
    _, told = run(capsys, *words, "--samples", "64")
    assert f"saw 32 samples, and this run starts anew: {reason}" in told


def test_a_run_that_differs_in_more_than_its_budget_is_left_alone(capsys: Capture) -> None:
    run(capsys, *STEADY, "--samples", "32")
    _, told = run(capsys, *STEADY, "--samples", "64", "--seed", "1")
    assert "goes on" not in told
    assert "anew" not in told
