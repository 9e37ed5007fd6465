"""Progress: how training goes, for people: a bar on a terminal, plain lines elsewhere; always on stderr."""

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pretask.events import StepTaken, TrainingEvent, Watcher

PLAIN = 10.0  # seconds between plain lines


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
    last = 0.0

    def watch(event: TrainingEvent) -> None:
        nonlocal last
        if not isinstance(event, StepTaken):
            return
        step, steps, now = event.step, event.steps, time.monotonic()
        if now - last < PLAIN and step < steps:
            return
        speed = (now - begin) / max(step - first, 1) if first else 0.0
        left = f"  {format_time(speed * (steps - step))} left" if first and step < steps else ""
        print(f"{title} {step}/{steps}  {format_news(event)}{left}", file=sys.stderr, flush=True)
        last = now
        mark(step, now)

    first, begin = 0, 0.0

    def mark(step: int, now: float) -> None:
        nonlocal first, begin
        if not first:
            first, begin = step, now

    return watch


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
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[news]}"),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=Console(stderr=True)) as progress:
        line = progress.add_task(title, total=None, news="")

        def watch(event: TrainingEvent) -> None:
            if isinstance(event, StepTaken):
                progress.update(line, completed=event.step, total=event.steps, news=format_news(event))

        yield watch
