"""Running: the cells of a sweep on an engine, until each has a record or a reason why it has none.

An engine carries out jobs, of which each trains once; the local one gives them to processes of this machine. A cell
that fails is tried again after all others, as often as is allowed. Whatever ends is written down at once: records by
the process that carries a cell out, reasons by the ledger. So a sweep that is killed goes on when it is started again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from pretask.room import free_memory

from pretask_bench.records.attribution import Attribution
from pretask_bench.records.encoders import INITIAL
from pretask_bench.runs.bench import Ended
from pretask_bench.runs.context import RunContext
from pretask_bench.runs.display import Display
from pretask_bench.runs.jobs import Job, Jobs, Place, Tell
from pretask_bench.sweeps.display import SweepDisplay
from pretask_bench.sweeps.ledger import EndedCell, Ledger
from pretask_bench.sweeps.planning import PlannedCell


@runtime_checkable
class Engine(Protocol):
    """Carries out jobs."""

    def carry_out(self, jobs: Sequence[Job], context: RunContext, display: Display, tell: Tell) -> None:
        """Carry out all jobs; tell how each of their runs ended.

        Raises:
            Stopped: A signal came; everything is saved.
        """
        ...


@dataclass(frozen=True)
class LocalEngine:
    """Carries out jobs in processes of this machine.

    Args:
        together: Jobs at once.
        threads: Of each.
        devices: On which they are, in turn.
        files: Python files that are plugins for this command.
    """

    together: int
    threads: int
    devices: tuple[torch.device, ...]
    files: tuple[Path, ...] = ()

    def carry_out(self, jobs: Sequence[Job], context: RunContext, display: Display, tell: Tell) -> None:
        """Carry out all jobs; see Engine."""
        memory = free_memory(self.devices[0])
        running = Jobs(jobs, context, self.threads, self.files, display, self.devices, memory, tell)
        running.carry_out(self.together)


@dataclass
class Sweep:
    """Cells that are being carried out.

    Args:
        cells: By title.
        engine: Carries them out.
        context: Where and how.
        ledger: Keeps why a cell has no record.
        display: Shows how they go.
        retries: How often one that fails is tried again.
    """

    cells: dict[str, PlannedCell]
    engine: Engine
    context: RunContext
    ledger: Ledger
    display: SweepDisplay
    retries: int = 0
    ended: dict[str, Ended] = field(default_factory=dict)
    tries: Counter[str] = field(default_factory=Counter)

    def run(self) -> dict[str, Ended]:
        """Carry out all cells; return how each ended, by title."""
        waiting = [*self.cells]
        for attempt in range(self.retries + 1):
            self.carry_out(waiting)
            waiting = [title for title in waiting if self.ended[title].failed]
            if not waiting or attempt == self.retries:
                break
            for title in waiting:
                self.display.again(title, self.ended[title].failed, attempt + 1, self.retries)
        return self.ended

    def carry_out(self, titles: Sequence[str]) -> None:
        """Carry out some cells, once."""
        jobs = group_cells({title: self.cells[title] for title in titles})

        def tell(place: Place, ended: Ended) -> None:
            self.take(jobs[place.job].titles[place.run], ended)

        self.engine.carry_out(jobs, self.context, self.display, tell)

    def take(self, title: str, ended: Ended) -> None:
        """Keep how a cell ended."""
        cell = self.cells[title]
        self.ended[title] = ended
        self.tries[title] += 1
        if cell.described is not None:
            key = cell.described.keys.evaluate
            if ended.path is not None:
                self.ledger.forget(key)
            else:
                self.ledger.write(key, EndedCell(ended.refused, ended.failed, cell.attempts + self.tries[title]))
        self.display.finish(title, ended)


def group_cells(cells: dict[str, PlannedCell]) -> list[Job]:
    """Return the jobs of some cells by title: those of one training together, in their order."""
    groups: dict[str, list[str]] = {}
    for title, cell in cells.items():
        groups.setdefault(cell.pretrain, []).append(title)
    return [
        Job(
            tuple(titles),
            tuple(titles),
            lane_of(cells[titles[0]]),
            tuple(cells[title].arguments for title in titles),
        )
        for titles in groups.values()
    ]


def lane_of(cell: PlannedCell) -> str:
    """Return what a cell reads."""
    return cell.plan.parts["data"].id if cell.plan is not None else ""


def make_context(
    out: Path,
    device: torch.device,
    references: tuple[str, ...],
    checkpoint_seconds: float,
    pictures: bool,
    attribution: Attribution,
) -> RunContext:
    """Return where and how cells are carried out; what begins with given weights is held against these as well."""
    measured = (*references, INITIAL) if references else ()
    return RunContext(out, device, checkpoint_seconds, references=measured, pictures=pictures, attribution=attribution)
