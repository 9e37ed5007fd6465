"""MLflow: a run for every run, in the experiment `pretask`."""

import os
import re
from pathlib import Path
from typing import Any

from pretask.events import Event, RunEnded, RunStarted, StepTaken

from pretask_plugins.trackers.scalars import scalars_of

EXPERIMENT = "pretask"
STATUS = {"complete": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}
LONGEST = 500  # characters of a value that MLflow keeps


class MLflow:
    """Writes ids and options as parameters, numbers as metrics, the record as an artifact.

    A run that goes on after an interruption is the same run in MLflow.

    Args:
        folder: Of the database `mlflow.db`, unless MLFLOW_TRACKING_URI names another place.
    """

    def __init__(self, folder: Path) -> None:
        from mlflow.tracking import MlflowClient

        folder.mkdir(parents=True, exist_ok=True)
        place = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{folder.absolute() / 'mlflow.db'}"
        self.client = MlflowClient(tracking_uri=place)
        self.artifacts = (folder.absolute() / "mlflow-artifacts").as_uri()
        self.experiment = self.find_experiment()
        self.numbers: dict[str, str] = {}  # MLflow's own, by the name of the run
        self.steps: dict[str, int] = {}

    def find_experiment(self) -> str:
        """Return the experiment's number; it is created the first time."""
        known = self.client.get_experiment_by_name(EXPERIMENT)
        number: str = known.experiment_id if known else self.client.create_experiment(EXPERIMENT, self.artifacts)
        return number

    def __call__(self, run: str, event: Event, /) -> None:
        """Write an event."""
        if isinstance(event, RunStarted):
            self.numbers[run] = self.start(run, event)
        if isinstance(event, StepTaken):
            self.steps[run] = event.step
        number, step = self.numbers[run], getattr(event, "step", self.steps.get(run, 0))
        for name, value in scalars_of(event).items():
            self.client.log_metric(number, allowed(name), value, step=step)
        if isinstance(event, RunEnded):
            self.end(number, event)

    def start(self, run: str, event: RunStarted) -> str:
        """Return the number of the run of this cell that was interrupted, or of a new one."""
        asked = f"tags.`pretask.cell` = '{event.cell}' and attributes.status = 'KILLED'"
        for earlier in self.client.search_runs([self.experiment], asked, max_results=1):
            self.client.update_run(earlier.info.run_id, status="RUNNING")
            known: str = earlier.info.run_id
            return known
        created: Any = self.client.create_run(self.experiment, run_name=run, tags={"pretask.cell": event.cell})
        number: str = created.info.run_id
        for name, value in {**event.ids, **event.options, "seed": event.seed}.items():
            self.client.log_param(number, allowed(name), str(value)[:LONGEST])
        return number

    def end(self, number: str, event: RunEnded) -> None:
        """Say how it ended, and keep its record."""
        if event.reason:
            self.client.set_tag(number, "pretask.reason", event.reason[:LONGEST])
        if event.record is not None:
            self.client.log_artifact(number, str(event.record))
        self.client.set_terminated(number, STATUS[event.status])


def allowed(name: str) -> str:
    """Return a name of the characters that MLflow allows.

    >>> allowed("trained/tracking/layer1.J&F")
    'trained/tracking/layer1.J-F'
    """
    return re.sub(r"[^\w/. :-]", "-", name, flags=re.ASCII)
