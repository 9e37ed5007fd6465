"""Display: how several runs at once go, for people, a whole line at a time and with the name of its run.

On a terminal a bar for each run that trains, below the lines; elsewhere a line every ten seconds for each.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pretask.events import StepTaken
from pretask.progress import Pace, format_news, make_bars, shorten_title

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@runtime_checkable
class Display(Protocol):
    """Shows how runs go, each by its title."""

    def say(self, title: str, line: str) -> None:
        """Show a line of a run."""
        ...

    def step(self, title: str, step: StepTaken) -> None:
        """Show how far a run's training is."""
        ...

    def end(self, title: str) -> None:
        """Forget a run."""
        ...


def name_line(title: str, line: str) -> str:
    """Return a line with the title of its run before it, unless it has that already.

    >>> name_line("vae", "knn on trained features"), name_line("vae", "vae 4/8"), name_line("", "ready")
    ('vae: knn on trained features', 'vae 4/8', 'ready')
    """
    return line if not title or line.startswith(title) else f"{title}: {line}"


class Lines:
    """Shows lines alone.

    Args:
        say: Prints one.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.print = say
        self.paces: dict[str, Pace] = {}

    def say(self, title: str, line: str) -> None:
        """Print a line."""
        self.print(name_line(title, line))

    def step(self, title: str, step: StepTaken) -> None:
        """Print how far it is, where the last such line is long enough ago."""
        pace = self.paces.setdefault(title, Pace())
        if step.step < pace.first:  # another training of the same run, as of the supervised reference
            pace = self.paces[title] = Pace()
        if pace.is_due(step.step, step.steps):
            self.print(f"{title} {pace.format(step)}")

    def end(self, title: str) -> None:
        """Forget its pace."""
        self.paces.pop(title, None)


class Bars:
    """Shows a bar for each run that trains, and lines above the bars.

    Args:
        bars: Of rich, shown already.
    """

    def __init__(self, bars: "Progress") -> None:
        self.bars = bars
        self.shown: dict[str, TaskID] = {}

    def say(self, title: str, line: str) -> None:
        """Print a line above the bars."""
        self.bars.console.print(name_line(title, line), markup=False, highlight=False, soft_wrap=True)

    def step(self, title: str, step: StepTaken) -> None:
        """Move the bar of a run; one that is full goes."""
        if title not in self.shown:
            self.shown[title] = self.bars.add_task(shorten_title(title), total=None, news="")
        self.bars.update(self.shown[title], completed=step.step, total=step.steps, news=format_news(step))
        if step.step >= step.steps:
            self.end(title)

    def end(self, title: str) -> None:
        """Take the bar of a run away."""
        if title in self.shown:
            self.bars.remove_task(self.shown.pop(title))


@contextmanager
def open_display(say: Callable[[str], None]) -> Iterator[Display]:
    """Give a display: bars where stderr is a terminal, else lines."""
    if not sys.stderr.isatty():
        yield Lines(say)
        return
    from rich.console import Console

    with make_bars(Console(stderr=True)) as bars:
        yield Bars(bars)
