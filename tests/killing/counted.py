"""A plugin file that notes every training that comes to its last step, in the file that $TRAININGS names."""

import os

from pretask import hookimpl
from pretask.events import StepTaken


@hookimpl
def pretask_run_event(run: str, event: object) -> None:
    """Note the name of a run."""
    if isinstance(event, StepTaken) and event.step == event.steps:
        with open(os.environ["TRAININGS"], "a") as file:
            file.write(f"{run}\n")
