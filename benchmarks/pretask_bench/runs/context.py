"""Context: where and how a run happens; nothing here changes its numbers."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from pretask import PretaskError, Recipe
from pretask.events import Tracker, Watcher
from pretask.progress import make_watcher
from pretask.stopping import exit_code
from pretask.training import Trained

from pretask_bench.records.attribution import Attribution
from pretask_bench.records.encoders import RANDOM, RAW


def print_line(line: str) -> None:
    """Print a line on stderr."""
    print(line, file=sys.stderr, flush=True)


def take_memory(needed: int) -> None:
    """Take memory without asking: nobody else runs beside this run."""


@dataclass(frozen=True)
class RunContext:
    """Where and how a run happens.

    Args:
        out: Folder of runs and records.
        device: cpu, cuda or cuda:N.
        checkpoint_seconds: Between two checkpoints.
        again: Whether to run what is already recorded.
        references: Reference encoders to evaluate beside the trained one.
        given: Places of encoders of elsewhere, to evaluate likewise.
        pictures: Whether pictures are kept, of those who offer some.
        probe_every: Optimizer steps between two measures of the encoder while it is trained; 0 for none.
        profile: Whether the steps of a training are timed by phase, and a table is shown at its end.
        trackers: By name; one that fails is taken out.
        attribution: Who the records are by, and what else is said of them.
        say: Called with one line at a time of what is going on.
        watch: Makes what is called with every step of a training, by its title.
        take_memory: Called with the bytes that a run will need, before it takes them; returns when it may.
    """

    out: Path
    device: torch.device
    checkpoint_seconds: float = 60.0
    again: bool = False
    references: tuple[str, ...] = (RANDOM, RAW)
    given: tuple[str, ...] = ()
    pictures: bool = True
    probe_every: int = 0
    profile: bool = False
    trackers: dict[str, Tracker] = field(default_factory=dict)
    attribution: Attribution = field(default_factory=Attribution)
    say: Callable[[str], None] = print_line
    watch: Callable[[str], AbstractContextManager[Watcher]] = make_watcher
    take_memory: Callable[[int], None] = take_memory

    @property
    def store(self) -> Path:
        """The folder of records."""
        return self.out / "records"


class Interrupted(PretaskError):
    """Ctrl-C was pressed, or a signal came; everything is saved. The exit code says which; see pretask.stopping."""


def check_finished(trained: Trained, recipe: Recipe) -> None:
    """Raise Interrupted where a signal came in training, be it in the last step: what was trained is saved."""
    if trained.interrupted or trained.signal is not None:
        steps = f"Stopped at step {trained.steps} of {recipe.steps} and saved."
        raise Interrupted(f"{steps} Run the same command again to go on.", exit_code=exit_code(trained.signal))


@dataclass
class StageTimer:
    """Measures how many seconds every stage of a run takes."""

    stages: dict[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)

    def elapsed(self) -> float:
        """Return the seconds since it was made, which no change of the machine's clock can turn back."""
        return time.monotonic() - self.began

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time that passes inside to this stage."""
        started = time.monotonic()
        try:
            yield
        finally:
            self.stages[name] = self.stages.get(name, 0.0) + time.monotonic() - started
