"""Running: one failing cell stops none, what fails is tried again with its reason, and each cell has a log."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from pretask.events import StepTaken
from pretask_bench.cli.main import invoke
from pretask_bench.records.store import read_all
from pretask_bench.runs.bench import Ended
from pretask_bench.runs.context import RunContext
from pretask_bench.runs.display import Display, Lines
from pretask_bench.runs.jobs import Job, Place
from pretask_bench.sweeps.display import SweepDisplay, weigh
from pretask_bench.sweeps.ledger import EndedCell, Ledger
from pretask_bench.sweeps.past import Estimate
from pretask_bench.sweeps.planning import PlannedCell
from pretask_bench.sweeps.running import Sweep
from pretask_bench.sweeps.summary import find_varying, title_of
from pretask_registry import Registry
from sweep_cells import plan_cells


@dataclass
class FakeEngine:
    """Carries nothing out: what ends how is given, round by round."""

    ends: Callable[[str, int], Ended]
    rounds: list[list[tuple[str, ...]]] = field(default_factory=list)

    def carry_out(
        self, jobs: Sequence[Job], context: RunContext, display: Display, tell: Callable[[Place, Ended], None]
    ) -> None:
        self.rounds.append([job.titles for job in jobs])
        for number, job in enumerate(jobs):
            for run, title in enumerate(job.titles):
                display.say(title, "a line")
                tell(Place(number, run), self.ends(title, len(self.rounds)))


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[PlannedCell]:
    folder = tmp_path_factory.mktemp("cells")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRETASK_CACHE", str(folder / "cache"))
        return plan_cells(Registry.load(), folder, axes={"recipe.lr": [0.1, 0.2], "evaluate": ["knn", "ridge"]})


def run_fake(
    cells: list[PlannedCell], folder: Path, ends: Callable[[str, int], Ended], retries: int = 0
) -> tuple[FakeEngine, Sweep, list[str]]:
    """Carry out cells by a fake engine; return it, the sweep, and the lines that were printed."""
    said: list[str] = []
    titled = {title_of(cell, find_varying(cells)): cell for cell in cells}
    ledger, engine = Ledger(folder / "sweeps" / "grid"), FakeEngine(ends)
    display = SweepDisplay(ledger, titled, weigh(cells, {}), Lines(said.append), said.append)
    sweep = Sweep(titled, engine, RunContext(folder, torch.device("cpu")), ledger, display, retries)
    sweep.run()
    return engine, sweep, said


def test_cells_with_one_training_are_one_job_and_what_fails_is_tried_again_after_all_others(
    cells: list[PlannedCell], tmp_path: Path
) -> None:
    def end(title: str, attempt: int) -> Ended:
        if title.startswith("1"):
            return Ended(failed="OSError: no") if attempt == 1 else Ended(tmp_path)
        if title.startswith("4"):
            return Ended(failed="ValueError: nan")
        return Ended(refused="no positions") if title.startswith("3") else Ended(tmp_path)

    engine, sweep, said = run_fake(cells, tmp_path, end, retries=2)
    first = [("1 recipe.lr=0.1 knn", "2 recipe.lr=0.1 ridge"), ("3 recipe.lr=0.2 knn", "4 recipe.lr=0.2 ridge")]
    assert engine.rounds == [
        first,
        [("1 recipe.lr=0.1 knn",), ("4 recipe.lr=0.2 ridge",)],
        [("4 recipe.lr=0.2 ridge",)],
    ]
    ledgered = [sweep.ledger.read(cell.described.keys.evaluate) for cell in cells if cell.described is not None]
    assert ledgered == [
        None,
        None,
        EndedCell(refused="no positions", attempts=1),
        EndedCell(failed="ValueError: nan", attempts=3),
    ]
    assert "tried again (1 of 2) 1 recipe.lr=0.1 knn: OSError: no" in said
    assert said[-1] == "[4/4] failed 4 recipe.lr=0.2 ridge: ValueError: nan"


def test_every_cell_has_a_log_of_its_own(cells: list[PlannedCell], tmp_path: Path) -> None:
    _, sweep, _ = run_fake(cells, tmp_path, lambda *_: Ended(tmp_path))
    logs = {path.stem: path.read_text() for path in (sweep.ledger.folder / "logs").iterdir()}
    assert logs.keys() == {cell.name for cell in cells}
    assert all(text.endswith(" a line\n") for text in logs.values())


def test_the_time_left_follows_from_what_ended_by_what_cells_are_estimated_to_take(
    cells: list[PlannedCell], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = weigh(cells, {1: Estimate(6.0, 2.0), 2: Estimate(6.0, 2.0), 3: Estimate(4.0, 2.0)})
    assert weights == {1: 8.0, 2: 2.0, 3: 6.0, 4: 16 / 3}
    clock = iter([0.0, 4.0, 4.0])
    monkeypatch.setattr("pretask_bench.sweeps.display.time.monotonic", lambda: next(clock))
    said: list[str] = []
    titled = {str(cell.number): cell for cell in cells}
    display = SweepDisplay(Ledger(tmp_path), titled, weights, Lines(said.append), said.append)
    display.step("1", StepTaken(1, 4, {"total": 1.0}, 0.1, 1.0))
    display.finish("1", Ended(tmp_path))
    assert said[-1] == "[1/4] done 1  0:00:07 left"


def test_a_sweep_trains_once_for_several_evaluators_and_a_second_time_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    grid = tmp_path / "grid.toml"
    grid.write_text(
        "[fixed]\ntask = 'vae'\ndata = 'digits'\n'recipe.samples' = 256\n'model.hidden' = [8]\n"
        "[axes]\nevaluate = ['ridge', 'multi-label', 'knn']\n'knn.k' = [[1], [5]]\n"
    )
    words = ["sweep", str(grid), "--out", str(tmp_path / "out"), "--device", "cpu", "--retries", "0"]
    assert run(words) == 1
    printed = capfd.readouterr().err
    assert "6 cells: 4 to run, 2 dropped" in printed
    assert "1 trainings for 4 cells" in printed
    assert re.search(r"\[2/4\] failed 3 multi-label knn.k=1: PretaskError: multi-label needs labels", printed)
    assert "4 of 6 cells" not in printed
    records, refused = read_all([tmp_path / "out" / "records"])
    assert refused == []
    assert len({record.weights for record in records}) == 1
    assert [record.status for record in records].count("complete") == 3
    assert len([*(tmp_path / "out").glob("vae-*")]) == 1, "one training"
    assert run([*words, "--plan"]) == 0
    states = [line.split("\t")[3] for line in capfd.readouterr().out.splitlines()]
    assert states == ["done", "dropped", "to run", "dropped", "done", "done"]


def run(words: list[str]) -> int:
    """Run a command; return the exit code."""
    try:
        return invoke(words)
    except SystemExit as left:
        return int(left.code or 0)
