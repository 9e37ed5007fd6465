"""TensorBoard: one folder of event files for every run, within the folder `tensorboard`."""

from pathlib import Path
from typing import Any

from pretask.events import Event, RunEnded, RunStarted, StepTaken

from pretask_plugins.trackers.scalars import scalars_of


class TensorBoard:
    """Writes scalars of every step; ids, options and how the run ended as texts.

    Args:
        folder: In which the folder `tensorboard` is made: `tensorboard --logdir` takes it.
    """

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.create, self.folder = SummaryWriter, folder / "tensorboard"
        self.writers: dict[str, Any] = {}
        self.steps: dict[str, int] = {}

    def __call__(self, run: str, event: Event, /) -> None:
        """Write an event."""
        if isinstance(event, RunStarted):
            self.writers[run] = self.create(str(self.folder / run))
            self.writers[run].add_text("run", format_table({**event.ids, **event.options, "seed": event.seed}), 0)
        writer = self.writers[run]
        if isinstance(event, StepTaken):
            self.steps[run] = event.step
        step = getattr(event, "step", self.steps.get(run, 0))
        for name, value in scalars_of(event).items():
            writer.add_scalar(name, value, step)
        if isinstance(event, RunEnded):
            writer.add_text("status", f"{event.status}: {event.reason}" if event.reason else event.status, step)
            writer.close()
            del self.writers[run]


def format_table(facts: dict[str, Any]) -> str:
    """Format facts as a table in Markdown, which TensorBoard shows.

    >>> format_table({"seed": 0})
    '| | |\\n|---|---|\\n| seed | `0` |'
    """
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | `{value}` |" for name, value in facts.items())])
