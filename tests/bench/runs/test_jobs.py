"""Several runs at once: the records of one after the other, whatever becomes of a neighbor, and whole lines."""

import os
import re
import signal
from io import StringIO
from multiprocessing import Pipe, current_process
from pathlib import Path
from typing import Any

import pytest
import torch
from pretask.events import StepTaken
from pretask.progress import make_bars
from pretask_bench.cli.main import invoke
from pretask_bench.records.store import read_all
from pretask_bench.runs import suites
from pretask_bench.runs.context import RunContext
from pretask_bench.runs.display import Bars, Lines
from pretask_bench.runs.jobs import Job, Jobs, Worker, order_jobs
from pretask_bench.runs.suites import Suite, SuiteFile, fix_options
from pretask_registry import Registry
from rich.console import Console

RIDGE = {"evaluator": "ridge", "metric": "accuracy", "chance": "majority"}
SUITE: dict[str, Any] = {
    "summary": "…",
    "seeds": 2,
    "baselines": ["random-init", "raw-input"],
    "division": [{"name": "digits", "modality": "image", "data": "digits", "samples": 1024, "measures": [RIDGE]}],
}
PLUGIN = """
import os, signal, sys
import pretask
from pretask import hookimpl

@hookimpl
def pretask_components():
    vae = dict(split="whole", objective="elbo", options={"objective.latent_dim": 2, "objective.hidden": (4,)})
    recipe = dict(batch=8, lr=1e-3)
    options = vae["options"] | {"model.hidden": (8,)}
    yield pretask.task("small", model="mlp", **vae | {"options": options}, recipe=recipe)
    for name in ("raising", "killed"):
        yield pretask.model(name, f"{{}}:{name}".format(__name__), modality="image")
        yield pretask.task(name, model=name, **vae, recipe=recipe)

def raising(*specs):
    raise RuntimeError("a fault of the model")

def killed(*specs):
    print("about to die")
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("plugin") / "faulty.py"
    file.write_text(PLUGIN)
    return file


def read_tiny_suite(registry: Registry, name: str) -> Suite:
    """The suite of these tests, whatever its name."""
    file = SuiteFile.model_validate(SUITE)
    return Suite("acme/tiny@1", file, {division.name: fix_options(registry, division) for division in file.division})


@pytest.fixture(autouse=True)
def _tiny_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suites, "read_suite", read_tiny_suite)


def run_bench(plugin: Path, out: Path, tasks: str, *options: str) -> int:
    """Run the suite; return the exit code."""
    words = ["--plugin", str(plugin), "bench", "tiny", "--tasks", tasks, "--out", str(out), "--device", "cpu"]
    words += ["--author", "Ada Lovelace", "--license", "CC-BY-4.0", "--note", "on a laptop"]
    try:
        return invoke([*words, *options])
    except SystemExit as left:
        return int(left.code or 0)


def records_of(out: Path) -> list[dict[str, Any]]:
    """The records of a folder of runs, but for how they came about."""
    records, refused = read_all([out / "records"] if (out / "records").exists() else [])
    assert refused == []
    facts = [record.model_dump(mode="json", exclude={"provenance"}) for record in records]
    return sorted(facts, key=lambda record: (record["status"], record["cell"]["seed"]))


@pytest.fixture(scope="module")
def alone(plugin: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The records of two seeds, one run after the other with one thread."""
    out = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suites, "read_suite", read_tiny_suite)
        assert run_bench(plugin, out, "small", "--threads", "1") == 0
    records = records_of(out)
    said = {(record["author"], record["licence"], record["note"]) for record in records}
    assert said == {("Ada Lovelace", "CC-BY-4.0", "on a laptop")}
    return records


@pytest.mark.exhaustive  # what is stopped starts again: two benches of two processes
def test_jobs_that_were_stopped_write_the_records_of_one_run_after_the_other(
    plugin: Path, tmp_path: Path, alone: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = Lines.step

    def stop(*arguments: Any) -> None:
        steps(*arguments)
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Lines, "step", stop)
    assert run_bench(plugin, tmp_path, "small", "--jobs", "2") == 75
    assert records_of(tmp_path) == []
    assert list(tmp_path.glob("small-*/*")), "the state of whichever trained is saved"
    monkeypatch.setattr(Lines, "step", steps)
    assert run_bench(plugin, tmp_path, "small", "--jobs", "2") == 0
    assert records_of(tmp_path) == alone


def test_whatever_becomes_of_a_run_the_others_go_on_and_lines_are_whole(
    plugin: Path,
    tmp_path: Path,
    alone: list[dict[str, Any]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run_bench(plugin, tmp_path, "raising,killed,small", "--seeds", "1", "--jobs", "2") == 1
    complete = [record for record in records_of(tmp_path) if record["status"] == "complete"]
    assert complete == alone[:1]
    lines = capfd.readouterr().err.splitlines()
    assert "killed: about to die" in lines
    assert "killed: its process was ended by SIGKILL" in lines
    assert "failed: local/raising@1 on digits: RuntimeError: a fault of the model" in lines
    beginnings = re.compile(r"\[\d/3\] |(small|raising|killed)[ :]|failed: local/")
    assert [line for line in lines if not beginnings.match(line)] == []


def test_a_run_waits_until_the_memory_of_those_beside_it_leaves_enough(tmp_path: Path) -> None:
    said: list[str] = []
    cpu = torch.device("cpu")
    jobs = Jobs([], RunContext(tmp_path, cpu), 1, (), Lines(said.append), (cpu,), memory=100)
    pipes = [Pipe() for _ in range(3)]
    jobs.workers = [Worker(current_process(), ours, ours, cpu) for ours, _ in pipes]

    def ask(number: int, needed: int) -> None:
        jobs.workers[number].needed, jobs.workers[number].waits = needed, True
        jobs.grant_memory()

    def granted() -> list[bool]:
        return [theirs.poll() for _, theirs in pipes]

    ask(0, 1000)
    assert granted() == [True, False, False], "whoever is alone sees for itself"
    jobs.workers[0].needed = 60
    ask(1, 50)
    ask(2, 40)
    assert granted() == [True, False, True]
    assert said[0] == "waits for 50 B of memory, beside 60 B of the others"
    jobs.workers[0].needed = 0
    jobs.grant_memory()
    assert granted() == [True, True, True]


def test_runs_of_other_data_go_first() -> None:
    lanes = ("digits", "digits", "digits", "other", "other")
    assert order_jobs([Job((), (), lane, ()) for lane in lanes]) == [0, 3, 1, 4, 2]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_bar_and_what_stands_beside_it_fit_the_terminal(columns: int) -> None:
    console = Console(width=columns, file=StringIO(), force_terminal=True)
    bars = Bars(make_bars(console))
    bars.step(
        "sequence-verification on clips", StepTaken(40, 125, {"total": 4.3126, "color.accuracy": 0.067}, 0.1, 32.0)
    )
    bars.say("a title", "a line")
    lines = [line for line in console.render_lines(bars.bars.get_renderable(), pad=False) if line]
    assert len(lines) == 1
    text = "".join(segment.text for segment in lines[0])
    assert "sequence-ver" in text
    assert "32" in text


@pytest.mark.parametrize(
    ("option", "text", "needs"),
    [
        ("--author", "A" * 401, "--author needs one line of at most 400 characters"),
        ("--license", "CC\nBY", "--license needs one line"),
        ("--note", "\u202e", "--note needs a text of at most 8000 characters, none of them invisible"),
    ],
)
def test_what_no_record_can_hold_is_refused_before_anything_runs(
    option: str, text: str, needs: str, plugin: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_bench(plugin, tmp_path, "small", option, text) == 2
    assert needs in capfd.readouterr().err
    assert list(tmp_path.iterdir()) == []
