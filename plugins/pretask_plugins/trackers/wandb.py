"""Weights & Biases: a run for every run, in the project `pretask`; on this machine unless WANDB_MODE says other."""

import os
from pathlib import Path
from typing import Any

from pretask.events import Event, RunEnded, RunStarted, StepTaken

from pretask_plugins.trackers.scalars import scalars_of

PROJECT = "pretask"
LENGTH = 16  # of the hash that names a run, so that one that goes on is the same


class WeightsAndBiases:
    """Writes ids and options as the configuration, and numbers by step.

    Args:
        folder: In which wandb makes its folder `wandb`; `wandb sync` takes what is in there.
    """

    def __init__(self, folder: Path) -> None:
        import wandb

        folder.mkdir(parents=True, exist_ok=True)
        self.wandb, self.folder = wandb, folder
        self.runs: dict[str, Any] = {}
        self.steps: dict[str, int] = {}

    def __call__(self, run: str, event: Event, /) -> None:
        """Write an event."""
        if isinstance(event, RunStarted):
            self.runs[run] = self.start(run, event)
        if isinstance(event, StepTaken):
            self.steps[run] = event.step
        tracked, numbers = self.runs[run], scalars_of(event)
        if numbers:
            tracked.log(numbers | {"step": getattr(event, "step", self.steps.get(run, 0))})
        if isinstance(event, RunEnded):
            tracked.summary.update({"status": event.status, "reason": event.reason})
            tracked.finish(exit_code=0 if event.status == "complete" else 1)
            del self.runs[run]

    def start(self, run: str, event: RunStarted) -> Any:
        """Return wandb's run."""
        return self.wandb.init(
            project=PROJECT,
            name=run,
            id=event.cell[:LENGTH],
            resume="allow",
            dir=str(self.folder),
            mode=os.environ.get("WANDB_MODE", "offline"),
            config={**event.ids, **event.options, "seed": event.seed},
            reinit="create_new",
            settings=self.wandb.Settings(silent=True, disable_git=True, save_code=False),
        )
