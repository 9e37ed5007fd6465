"""Several runs at once: the records of one after the other, whatever becomes of a neighbor, and whole lines."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pretask_bench.cli import bench
from pretask_bench.cli.main import invoke
from pretask_bench.records.store import read_all
from pretask_bench.runs.suites import Suite, SuiteFile, fix_options
from pretask_registry import Registry
from processes import wait_until

LINEAR = {"evaluator": "ridge", "metric": "accuracy", "chance": "majority"}
SUITE: dict[str, Any] = {
    "summary": "…",
    "seeds": 2,
    "baselines": ["random-init", "raw-input"],
    "division": [
        {"name": "digits", "modality": "image", "data": "digits", "samples": 512, "measures": [LINEAR], "preset": "small"}
    ],
}
PLUGIN = """
import os, signal, sys
import pretask
from pretask import hookimpl

@hookimpl
def pretask_components():
    vae = dict(split="whole", objective="elbo", options={"objective.latent_dim": 2, "objective.hidden": (4,)})
    recipe = dict(batch=8, lr=1e-3)
    yield pretask.task("small", model="mlp", **vae | {"options": vae["options"] | {"model.hidden": (8,)}}, recipe=recipe)
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


@pytest.fixture(autouse=True)
def _tiny_suite(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    def read(registry: Registry, name: str) -> Suite:
        file = SuiteFile.model_validate(SUITE)
        return Suite("acme/tiny@1", file, {division.name: fix_options(registry, division) for division in file.division})

    monkeypatch.setattr(bench, "read_suite", read)


def run_bench(plugin: Path, out: Path, tasks: str, *options: str) -> int:
    """Run the suite; return the exit code."""
    return invoke(["--plugin", str(plugin), "bench", "tiny", "--tasks", tasks, "--out", str(out), "--device", "cpu", *options])


def records_of(out: Path) -> list[dict[str, Any]]:
    """The records of a folder of runs, but for how they came about."""
    records, refused = read_all([out / "records"])
    assert refused == []
    facts = [record.model_dump(mode="json", exclude={"provenance"}) for record in records]
    return sorted(facts, key=lambda record: (record["status"], record["cell"]["seed"]))


def test_two_at_once(plugin, tmp_path, capfd) -> None:
    print(run_bench(plugin, tmp_path / "two", "raising,small,killed", "--jobs", "2"))
    print(capfd.readouterr())
    assert 0
