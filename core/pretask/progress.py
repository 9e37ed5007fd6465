"""Progress: how training goes, for people: a bar on a terminal, plain lines elsewhere; always on stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pretask.training import Watcher
from pretask.values import Loss

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

PLAIN = 10.0  # seconds between plain lines
NARROW, MEDIUM = 60, 110  # columns of a terminal below which a bar has no room for the time left, or for the loss
MAX_TITLE_CHARACTERS = 24


def format_progress(loss: Loss) -> str:
    """Format loss and pretext score, such as `loss 1.98, position.accuracy 0.21`."""
    scores = [f"{name} {float(value):.3f}" for name, value in loss.parts.items() if "." in name]
    return ", ".join([f"loss {float(loss.total.detach()):.4f}", *scores[:2]])


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

    def watch(step: int, steps: int, loss: Loss, rate: float) -> None:
        if pace.is_due(step, steps):
            print(f"{title} {pace.format(step, steps, format_progress(loss), rate)}", file=sys.stderr, flush=True)

    return watch


class Pace:
    """When the next plain line of a training is due, and what it says: from how fast it went so far."""

    def __init__(self) -> None:
        self.last = 0.0
        self.first, self.begin = 0, 0.0

    def is_due(self, step: int, steps: int) -> bool:
        """Return whether the last line is long enough ago, or the training at its end."""
        return time.monotonic() - self.last >= PLAIN or step >= steps

    def format(self, step: int, steps: int, news: str, rate: float) -> str:
        """Return the line of a step, without a title; the next one is due later."""
        now = time.monotonic()
        speed = (now - self.begin) / max(step - self.first, 1) if self.first else 0.0
        left = f"  {format_time(speed * (steps - step))} left" if self.first and step < steps else ""
        self.last = now
        if not self.first:
            self.first, self.begin = step, now
        return f"{step}/{steps}  {news}  {rate:.0f} samples/s{left}"


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

        def watch(step: int, steps: int, loss: Loss, rate: float) -> None:
            progress.update(line, completed=step, total=steps, news=f"{format_progress(loss)}  {rate:.0f} samples/s")

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
