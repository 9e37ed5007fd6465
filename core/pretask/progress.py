"""Progress: how training goes, for people: a bar on a terminal, plain lines elsewhere; always on stderr."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pretask.events import StepTaken, TrainingEvent, Watcher

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

PLAIN = 10.0  # seconds between plain lines
NARROW, MEDIUM = 60, 110  # columns of a terminal below which a bar has no room for the time left, or for the loss
MAX_TITLE_CHARACTERS = 24


def format_progress(losses: Mapping[str, float]) -> str:
    """Format loss and pretext score.

    >>> format_progress({"total": 1.98, "position": 1.98, "position.accuracy": 0.21})
    'loss 1.9800, position.accuracy 0.210'
    """
    scores = [f"{name} {value:.3f}" for name, value in losses.items() if "." in name]
    return ", ".join([f"loss {losses['total']:.4f}", *scores[:2]])


def format_news(event: StepTaken) -> str:
    """Format losses and throughput."""
    return f"{format_progress(event.losses)}  {event.samples_per_second:.0f} samples/s"


@contextmanager
def make_watcher(title: str) -> Iterator[Watcher]:
    """Make a watcher for `train`: a rich progress bar where stderr is a terminal, else a line every ten seconds."""
    if sys.stderr.isatty():
        with make_bar_watcher(title) as watcher:
            yield watcher
    else:
        yield make_line_watcher(title)


def make_line_watcher(title: str) -> Watcher:
    """Print lines: `relative-position 400/3906  loss 1.71, position.accuracy 0.35  2100 samples/s  0:03:20 left`."""
    pace = Pace()

    def watch(event: TrainingEvent) -> None:
        if isinstance(event, StepTaken) and pace.is_due(event.step, event.steps):
            print(f"{title} {pace.format(event)}", file=sys.stderr, flush=True)

    return watch


class Pace:
    """When the next plain line of a training is due, and what it says: from how fast it went so far."""

    def __init__(self) -> None:
        self.last = 0.0
        self.first, self.begin = 0, 0.0

    def is_due(self, step: int, steps: int) -> bool:
        """Return whether the last line is long enough ago, or the training at its end."""
        return time.monotonic() - self.last >= PLAIN or step >= steps

    def format(self, event: StepTaken) -> str:
        """Return the line of a step, without a title; the next one is due later."""
        step, steps, now = event.step, event.steps, time.monotonic()
        speed = (now - self.begin) / max(step - self.first, 1) if self.first else 0.0
        left = f"  {format_time(speed * (steps - step))} left" if self.first and step < steps else ""
        self.last = now
        if not self.first:
            self.first, self.begin = step, now
        return f"{step}/{steps}  {format_news(event)}{left}"


def format_time(seconds: float) -> str:
    """Format a time as hours, minutes and seconds.

    >>> format_time(3661)
    '1:01:01'
    """
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"


@contextmanager
def make_bar_watcher(title: str) -> Iterator[Watcher]:
    """Make a watcher that shows a rich progress bar with loss, pretext score, throughput and time left."""
    from rich.console import Console

    with make_bars(Console(stderr=True)) as progress:
        line = progress.add_task(shorten_title(title), total=None, news="")

        def watch(event: TrainingEvent) -> None:
            if isinstance(event, StepTaken):
                progress.update(line, completed=event.step, total=event.steps, news=format_news(event))

        yield watch


def make_bars(console: "Console") -> "Progress":
    """Make rich progress bars, each on one line of such a console: with less beside it where that is narrow."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    title = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
    share = TextColumn("{task.percentage:>3.0f} %", table_column=Column(no_wrap=True))
    if console.width < NARROW:
        return Progress(title, BarColumn(bar_width=8), share, console=console)
    if console.width < MEDIUM:
        return Progress(title, BarColumn(bar_width=16), share, TimeRemainingColumn(), console=console)
    news = TextColumn("{task.fields[news]}", table_column=Column(no_wrap=True, overflow="ellipsis"))
    return Progress(title, BarColumn(), MofNCompleteColumn(), news, TimeRemainingColumn(), console=console)


def shorten_title(title: str) -> str:
    """Return a title that leaves room for its bar on any terminal.

    >>> shorten_title("colorization"), shorten_title("sequence-verification of clips")
    ('colorization', 'sequence-verification o…')
    """
    return title if len(title) <= MAX_TITLE_CHARACTERS else f"{title[: MAX_TITLE_CHARACTERS - 1]}…"
