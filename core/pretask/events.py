"""Events: what happens in a run, as facts for whoever watches: a progress bar, a tracker, a plugin.

Every run that starts ends, also on failure. Training tells of steps about twice a second, not of each.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Status = Literal["complete", "interrupted", "failed"]


@dataclass(frozen=True)
class RunStarted:
    """A run begins, or goes on where it was stopped.

    Args:
        ids: Full id of every component by part, such as {"split": "pretask/relative-position@1"}.
        options: Of the parts and the recipe, such as {"recipe.lr": 0.1}.
        seed: Of weights, order and draws.
        cell: Hash of all that determines its numbers.
    """

    ids: Mapping[str, str]
    options: Mapping[str, Any]
    seed: int
    cell: str


@dataclass(frozen=True)
class StepTaken:
    """Training came to a step.

    Args:
        step: Optimizer steps done.
        steps: Of the whole training.
        losses: Of that step by name: `total`, and the parts that the objective reports.
        lr: Learning rate of that step.
        samples_per_second: Since the last event, over all devices.
        encoder: Which encoder is trained: `trained`, or a reference such as `supervised`.
    """

    step: int
    steps: int
    losses: Mapping[str, float]
    lr: float
    samples_per_second: float
    encoder: str = "trained"


@dataclass(frozen=True)
class CheckpointSaved:
    """Training can go on from here.

    Args:
        step: Optimizer steps done.
        folder: Of the checkpoint.
        encoder: As of StepTaken.
    """

    step: int
    folder: Path
    encoder: str = "trained"


@dataclass(frozen=True)
class EncoderProbed:
    """The encoder was measured while it is trained, on the held-out part.

    Args:
        step: Optimizer steps done.
        metrics: Numbers by EVALUATOR.METRIC, such as `knn.accuracy`.
    """

    step: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class EncoderEvaluated:
    """An evaluator measured an encoder after training.

    Args:
        encoder: `trained`, or a reference such as `random-init`.
        evaluator: Full id.
        metrics: Numbers by name; those that are not finite are left out.
    """

    encoder: str
    evaluator: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class RunEnded:
    """A run ends.

    Args:
        status: Whether it has a complete record, was stopped and can go on, or failed.
        reason: Why it was interrupted or failed; empty where it is complete.
        record: File of its record; None where it was interrupted.
    """

    status: Status
    reason: str = ""
    record: Path | None = None


TrainingEvent = StepTaken | CheckpointSaved
Event = RunStarted | StepTaken | CheckpointSaved | EncoderProbed | EncoderEvaluated | RunEnded
Watcher = Callable[[TrainingEvent], None]
Tracker = Callable[[str, Event], None]  # called with the name of a run and what happened in it
