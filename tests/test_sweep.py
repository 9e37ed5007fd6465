"""A sweep over three modalities: each training once, whatever is killed, and only what a change touches anew."""

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest
from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.record import Record
from pretask_bench.records.store import read_all
from processes import wait_until
from registry.conftest import Shelf

GRID = Path(__file__).parent / "killing" / "three.toml"
COUNTED = Path(__file__).parent / "killing" / "counted.py"
CELLS, TRAININGS, REFUSED = 144, 72, 12
KILLS, FURTHER, LATER = 20, 2, 0.5  # a kill comes after so many further trainings at most, and so many seconds at most
SECONDS = 1800.0  # for a whole sweep, on however busy a machine
pytestmark = [pytest.mark.exhaustive, pytest.mark.slow]


def start(folder: Path, *words: str, grid: Path = GRID) -> "subprocess.Popen[bytes]":
    """Start a sweep in a folder, with a cache of its own."""
    surroundings = {"PRETASK_CACHE": str(folder / "cache"), "TRAININGS": str(folder / "trainings")}
    command = ["-m", "pretask_bench", "--plugin", str(COUNTED), "sweep", str(grid), "--device", "cpu", *words]
    with (folder / "said").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, *command], cwd=folder, env={**os.environ, **surroundings}, stdout=said, stderr=said
        )


def sweep(folder: Path, *words: str, grid: Path = GRID) -> None:
    """Carry a sweep out."""
    code = start(folder, "--jobs", "2", *words, grid=grid).wait(SECONDS)
    assert code == 0, (folder / "said").read_text()


def plan(folder: Path, grid: Path = GRID) -> list[list[str]]:
    """What the plan of a sweep says of each cell."""
    (folder / "said").write_text("")
    assert start(folder, "--plan", grid=grid).wait(SECONDS) == 0
    rows = [line.split("\t") for line in (folder / "said").read_text().splitlines()]
    return [row for row in rows if row[0].isdigit() and len(row) > 3]


def read_trainings(folder: Path) -> Counter[str]:
    """How often each training came to its end."""
    return Counter((folder / "trainings").read_text().split())


def read_outcomes(folder: Path) -> dict[bytes, Mapping[str, Any]]:
    """What every complete record of a sweep found, by its cell; each cell has one. Refusals leave failed ones."""
    every, refused = read_all([folder / "runs" / "records"])
    assert refused == []
    records = [record for record in every if record.status == "complete"]
    found = {canonical_bytes(record.cell): outcome(record) for record in records}
    assert len(found) == len(records), "no cell was carried out twice"
    return found


def outcome(record: Record) -> Mapping[str, Any]:
    """What a run found, the same for one that was never stopped."""
    return record.model_dump(include={"cell", "weights", "results", "pretext", "code", "status"})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a sweep that nobody killed."""
    folder = tmp_path_factory.mktemp("whole")
    sweep(folder)
    return folder


def test_each_training_is_done_once_for_all_that_measure_it(whole: Path) -> None:
    assert len(read_outcomes(whole)) == CELLS
    trainings = read_trainings(whole)
    assert (len(trainings), trainings.total()) == (TRAININGS, TRAININGS)
    states = Counter(cell[-3] for cell in plan(whole))
    assert states["done"] == CELLS
    assert states["refused"] == REFUSED


def test_a_sweep_that_is_killed_twenty_times_ends_as_one_never_killed(whole: Path, tmp_path: Path) -> None:
    moments, met = random.Random(0), 0
    for _ in range(KILLS):
        process = start(tmp_path, "--jobs", "2", "--checkpoint-seconds", "0.2")
        wait_for_trainings(process, tmp_path, moments.randint(0, FURTHER))
        with suppress(subprocess.TimeoutExpired):
            process.wait(moments.uniform(0, LATER))
        met += process.poll() is None
        kill(process, everybody=moments.random() < 0.5)
        store = tmp_path / "runs" / "records"
        assert read_all([store] if store.is_dir() else [])[1] == []
    assert met >= KILLS // 2, "a machine must be very fast to end all trainings between twenty kills"
    sweep(tmp_path)
    assert read_outcomes(tmp_path) == read_outcomes(whole)
    assert [path for path in (tmp_path / "runs").rglob(".*") if path.name != ".lock"] == []
    trainings = read_trainings(tmp_path)
    assert trainings.keys() == read_trainings(whole).keys()
    assert trainings.total() - TRAININGS <= 2 * met, "what a kill came after the last step of, and no more"


def wait_for_trainings(process: "subprocess.Popen[bytes]", folder: Path, further: int) -> None:
    """Wait until a sweep has ended so many trainings more, however fast the machine is, or has ended."""
    goal = count_trainings(folder) + further
    wait_until(lambda: count_trainings(folder) >= goal or process.poll() is not None, SECONDS)


def count_trainings(folder: Path) -> int:
    """How many trainings have come to their end in a folder; none before the first."""
    return read_trainings(folder).total() if (folder / "trainings").exists() else 0


def kill(process: "subprocess.Popen[bytes]", everybody: bool) -> None:
    """End a command that may live, and its processes as well, or let these notice."""
    others = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    for one in [process, *(others if everybody else [])]:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            os.kill(one.pid, signal.SIGKILL)
    process.wait()
    psutil.wait_procs(others, timeout=60)


def test_a_further_evaluator_trains_nothing_and_a_changed_option_touches_its_cells_alone(
    whole: Path, tmp_path: Path
) -> None:
    text = GRID.read_text()
    grid = tmp_path / "three.toml"
    grid.write_text(text.replace('evaluate = ["knn", "ridge"]', 'evaluate = ["knn", "ridge", "rank"]'))
    before = read_trainings(whole)
    sweep(whole, grid=grid)
    assert read_trainings(whole) == before
    assert len(read_outcomes(whole)) == CELLS + TRAININGS
    grid.write_text(text.replace('"model.hidden" = [[16], [8, 8]]', '"model.hidden" = [[16], [8, 9]]'))
    cells = plan(whole, grid)
    changed = [cell for cell in cells if cell[-3] == "to run"]
    assert len(changed) == 4 * 2 * 3 * 2
    assert all("others have model.hidden [" in cell[-1] and cell[-1].endswith("of [8, 9]") for cell in changed)
    sweep(whole, grid=grid)
    assert read_trainings(whole).total() == TRAININGS + len(changed) // 2


def test_an_edited_file_runs_exactly_the_cells_of_its_component_anew(tmp_path: Path) -> None:
    source = "from pretask_plugins.models.mlp import Mlp\n\nclass Tall(Mlp):\n    pass\n"
    Shelf(tmp_path).offer("acme", "model('tall', 'acme_tall:Tall', modality='image')")
    module = tmp_path / "acme_tall.py"
    module.write_text(source)
    grid = tmp_path / "two.toml"
    grid.write_text(
        "[fixed]\ntask = 'vae'\ndata = 'digits'\n'recipe.samples' = 128\n'model.hidden' = [8]\n"
        "[axes]\nmodel = ['acme/tall', 'mlp']\nevaluate = ['knn', 'ridge']\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        sweep(tmp_path, grid=grid)
        module.write_text(f"# A comment changes nothing.\n{source}")
        assert [cell[-3] for cell in plan(tmp_path, grid)] == ["done"] * 4
        module.write_text(source.replace("pass", "height = 2"))
        cells = plan(tmp_path, grid)
        assert [cell[-3] for cell in cells] == ["to run", "to run", "done", "done"]
        assert {cell[-1] for cell in cells[:2]} == {"recorded with other code: acme_tall changed"}
        sweep(tmp_path, grid=grid)
        assert read_trainings(tmp_path).total() == 3


@pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra ray")
def test_a_cluster_that_loses_a_node_in_the_middle_writes_the_records_of_the_local_engine(
    whole: Path, tmp_path: Path
) -> None:
    paths = os.pathsep.join(filter(None, [str(GRID.parents[1]), os.environ.get("PYTHONPATH")]))
    environment = {"PRETASK_CACHE": str(tmp_path / "cache"), "PYTHONPATH": paths}
    words = ["-m", "killing.two_nodes", str(GRID), str(tmp_path / "runs"), str(CELLS // 3), "--measure-cpus", "0.5"]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, *words], cwd=tmp_path, env={**os.environ, **environment}, stdout=said, stderr=said
        )
    code = process.wait(SECONDS)
    printed = (tmp_path / "said").read_text(errors="replace")
    assert code == 0, printed
    found = next(json.loads(line) for line in printed.splitlines() if line.startswith('{"records"'))
    assert found["code"] == 0
    assert CELLS // 3 <= found["records"] < CELLS
    expected = {cell: one for cell, one in read_outcomes(whole).items() if b'"pretask/rank@1"' not in cell}
    assert read_outcomes(tmp_path) == {cell: one for cell, one in expected.items() if b'"hidden":[8,9]' not in cell}
