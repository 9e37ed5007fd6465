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


FALLING = ["--set", "recipe.schedule=warmup-stable-decay", "--set", "recipe.decay=0.5"]


def test_with_warmup_stable_decay_it_goes_on_from_before_the_rate_fell(capsys: Capture) -> None:
    seconds = ["--checkpoint-seconds", "0"]  # so that many checkpoints come after the one that is spared
    run(capsys, *FALLING, *seconds, "--set", "recipe.warmup=0.25", "--samples", "128")  # 8 steps, 2 of them warmup
    longer = [*FALLING, "--set", "recipe.warmup=0.125", "--samples", "256", "--probe-every", "3"]
    record, told = run(capsys, *longer)
    assert "goes on from causal-lm-" in told
    assert "which saw 128 samples, at step 4 of 8, before its rate fell" in told
    anew, told = run(capsys, *longer, "--out", "elsewhere")
    assert "goes on" not in told
    assert record["weights"] == anew["weights"]


def test_what_was_measured_before_is_in_the_record_of_the_longer_run(capsys: Capture) -> None:
    words = [*STEADY, "--probe-every", "2", "--samples"]
    run(capsys, *words, "64")
    longer, _ = run(capsys, *words, "128")
    anew, _ = run(capsys, *words, "128", "--out", "elsewhere")
    assert [probed["step"] for probed in longer["probed"]] == [2, 4, 6, 8]
    assert longer["probed"] == anew["probed"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["--set", "recipe.schedule=cosine"],
            "its cosine schedule ends with its budget; recipe.schedule=constant or warmup-stable-decay could go on.",
        ),
        (
            ["--set", "recipe.schedule=constant", "--set", "recipe.warmup=0.5"],
            "its warmup is a fraction of its budget, 2 steps instead of 1; recipe.warmup=0.25 could go on.",
        ),
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
