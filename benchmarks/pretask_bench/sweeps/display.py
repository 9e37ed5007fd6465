"""Display of a sweep: a log for every cell, a line when one ends, and on a terminal a table of what is going on.

The table has a bar for the whole sweep, with the time left, and one for each cell that trains.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from pretask.events import StepTaken
from pretask.progress import format_time, make_bars

from pretask_bench.runs.bench import Ended
from pretask_bench.runs.display import Bars, Display, Lines
from pretask_bench.sweeps.ledger import Ledger
from pretask_bench.sweeps.planning import PlannedCell

WHOLE = "sweep"  # the title of its bar


class SweepDisplay:
    """Shows how the cells of a sweep go.

    Args:
        ledger: Where logs are.
        cells: Those that are carried out, by title.
        weights: How much of the whole each is, by number.
        inner: Shows trainings.
        print_line: Prints a line.
    """

    def __init__(
        self,
        ledger: Ledger,
        cells: Mapping[str, PlannedCell],
        weights: Mapping[int, float],
        inner: Display,
        print_line: Callable[[str], None],
    ) -> None:
        self.ledger, self.cells, self.weights = ledger, cells, weights
        self.inner, self.print_line = inner, print_line
        self.began, self.counts = time.monotonic(), {"done": 0, "failed": 0, "refused": 0}
        self.ended_weight, self.total_weight = 0.0, sum(weights.values())

    def say(self, title: str, line: str) -> None:
        """Write a line into the log of a cell; what is of none is shown."""
        cell = self.cells.get(title)
        if cell is None:
            return
        path = self.ledger.log(cell.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}\n")

    def step(self, title: str, step: StepTaken) -> None:
        """Show how far the training of a cell is."""
        self.inner.step(title, step)

    def end(self, title: str) -> None:
        """Take the bar of a cell away."""
        self.inner.end(title)

    def finish(self, title: str, ended: Ended) -> None:
        """Count a cell that ended, and print a line of it."""
        state = "refused" if ended.refused else "failed" if ended.failed else "done"
        self.counts[state] += 1
        self.ended_weight += self.weights[self.cells[title].number]
        total, place = len(self.cells), sum(self.counts.values())
        reason = f": {ended.refused or ended.failed}" if state != "done" else ""
        left = f"  {format_time(self.left())} left" if place < total else ""
        self.print_line(f"[{place}/{total}] {state} {title}{reason}{left}")
        self.show_whole(place, total)

    def again(self, title: str, reason: str, attempt: int, retries: int) -> None:
        """Say that a cell is tried again, and why; it has not ended."""
        self.counts["failed"] -= 1
        self.ended_weight -= self.weights[self.cells[title].number]
        self.print_line(f"tried again ({attempt} of {retries}) {title}: {reason}")

    def left(self) -> float:
        """Return the seconds that are left, if what comes is as slow as what ended."""
        passed = time.monotonic() - self.began
        return passed * (self.total_weight - self.ended_weight) / max(self.ended_weight, 1e-9)

    def show_whole(self, place: int, total: int) -> None:
        """Move the bar of the whole sweep, on a terminal."""
        if isinstance(self.inner, Bars):
            news = f"{self.counts['failed']} failed, {self.counts['refused']} refused"
            bars, shown = self.inner.bars, self.inner.shown
            if WHOLE not in shown:
                shown[WHOLE] = bars.add_task(WHOLE, total=total, news="")
            bars.update(shown[WHOLE], completed=place, total=total, news=news if place else "")


@contextmanager
def open_sweep_display(
    ledger: Ledger, cells: Mapping[str, PlannedCell], weights: Mapping[int, float], say: Callable[[str], None]
) -> Iterator[SweepDisplay]:
    """Give a display of a sweep: bars where stderr is a terminal, else lines."""
    if not sys.stderr.isatty():
        yield SweepDisplay(ledger, cells, weights, Lines(say), say)
        return
    from rich.console import Console

    with make_bars(Console(stderr=True)) as bars:
        inner = Bars(bars)
        display = SweepDisplay(ledger, cells, weights, inner, lambda line: inner.say("", line))
        display.show_whole(0, len(cells))
        yield display


def weigh(cells: Sequence[PlannedCell], estimates: Mapping[int, Any]) -> dict[int, float]:
    """Return how much of the whole each cell is, by number: its seconds; a training counts for the first that has it.

    Where nothing is known of a cell it counts as much as the others on average.
    """
    known: dict[int, float] = {}
    trained: set[str] = set()
    for cell in cells:
        estimate = estimates.get(cell.number)
        if estimate is not None and estimate.measure is not None:
            pretrain = 0.0 if cell.pretrain in trained else estimate.pretrain or 0.0
            known[cell.number] = pretrain + estimate.measure
        trained.add(cell.pretrain)
    usual = sum(known.values()) / len(known) if known else 1.0
    return {cell.number: known.get(cell.number, usual) or usual for cell in cells}
