"""Small finished runs of every modality on files of their own, with what the process that trained them gives."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pretask
import pytest
import torch
from pretask import Task
from pretask.front_door import Run
from pretask.pretext_score import evaluation_mode
from pretask_bench.artifacts.save import save_encoder
from pretask_registry import Registry
from torch import Tensor

SMALL: Mapping[str, Mapping[str, Any]] = {
    "image": {
        "task": "colorization",
        "data": "folder",
        "model": "convnet",
        "recipe.lr": 0.01,
        "model.width": 4,
        "model.depth": 1,
    },
    "text": {"task": "masked-lm", "data": "text", "model": "transformer", "model.width": 8, "model.depth": 2},
    "video": {
        "task": "sequence-verification",
        "data": "video-folder",
        "model": "convnet",
        "model.width": 4,
        "model.depth": 1,
        "data.length": 8,
        "split.nearest": 1,
    },
    "audio": {"task": "masked-speech", "data": "audio-folder", "model.width": 8, "model.depth": 1, "model.heads": 2},
}


@dataclass(frozen=True)
class Finished:
    """A run, and what the trained network gave in the process that trained it.

    Args:
        run: The run.
        inputs: Samples of its data, as their data set gives them.
        features: Of them, pooled as the model does.
    """

    run: Run
    inputs: pretask.Batch
    features: Tensor


@contextmanager
def take_tasks() -> Iterator[list[Task]]:
    """Give the tasks that are trained inside, as they are when their encoders are written."""
    found: list[Task] = []

    def save(folder: Path, prepared: Any, task: Task) -> Any:
        found.append(task)
        return save_encoder(folder, prepared, task)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pretask_bench.runs.run.save_encoder", save)
        yield found


def make_run(registry: Registry, folder: Path, modality: str) -> Finished:
    """Train a few steps on example files of a modality, and keep what the network gives."""
    settings = dict(SMALL[modality])
    task, data, model = settings.pop("task"), settings.pop("data"), settings.pop("model", None)
    implementation = registry.find("data", data).component.implementation
    module, _, name = implementation.partition(":")
    made = getattr(__import__(module, fromlist=[name]), name)
    root = folder / f"{modality}-files"
    root.mkdir()
    options = {f"data.{option}": value for option, value in made.write_example(root).items()}
    with take_tasks() as tasks:
        run = pretask.run(
            task,
            preset="small",
            data=data,
            model=model,
            samples=16,
            evaluate=(),
            baselines=(),
            out=folder / "runs",
            device="cpu",
            pictures=False,
            **{"recipe.batch": 8, **options, **settings},
        )
    (trained,) = tasks
    samples = pretask.Remembered(made(**{name.removeprefix("data."): value for name, value in options.items()}))("test")
    batch = samples.batch(torch.arange(min(3, len(samples))), torch.device("cpu"))
    with evaluation_mode(trained), torch.no_grad():
        features = trained.encode(batch)
    (pooled,) = features.pooled.values()
    return Finished(run, batch, pooled.flatten(1))
