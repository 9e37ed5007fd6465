"""Small finished runs of every modality on files of their own, with what the process that trained them gives."""

import shutil
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pretask
import pytest
import torch
from PIL import Image
from pretask import Task
from pretask.pretext_score import evaluation_mode
from pretask_bench.artifacts.save import save_encoder
from pretask_bench.records.measured import Pretext
from pretask_bench.verbs import Run
from pretask_plugins.shared.tiny_files import SAMPLE_RATE
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
        inputs: A few files of its test part as a user would read them: pictures, texts, frames, or waveforms.
        rate: Hz of waveforms.
        batch: The same, as its data set gives them.
        features: Of them, pooled as the model does.
    """

    run: Run
    inputs: list[Any]
    rate: int | None
    batch: pretask.Batch
    features: Tensor

    @property
    def words(self) -> str:
        """How the encoder is called on `inputs`, as source."""
        return "inputs" if self.rate is None else f"inputs, rate={self.rate}"


@contextmanager
def take_tasks() -> Iterator[list[Task]]:
    """Give the tasks that are trained inside, as they are when their encoders are written."""
    found: list[Task] = []

    def save(folder: Path, prepared: Any, task: Task) -> Any:
        found.append(task)
        return save_encoder(folder, prepared, task)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pretask_bench.runs.run.save_encoder", save)
        patch.setattr("pretask_bench.runs.run.score_pretext", lambda *_: Pretext())  # seconds of each run
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
    own = {name.removeprefix("data."): settings.pop(name) for name in [*settings] if name.startswith("data.")}
    options = {**made.write_example(root), **own}
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
            **{"recipe.batch": 8, **settings, **{f"data.{name}": value for name, value in options.items()}},
        )
    (trained,) = tasks
    samples = made(**options)("test")
    batch = samples.batch(torch.arange(min(3, len(samples))), torch.device("cpu"))
    with evaluation_mode(trained), torch.no_grad():
        features = trained.encode(batch)
    (pooled,) = features.pooled.values()
    inputs = READ[modality](root)[: len(batch)]
    rate = SAMPLE_RATE if modality == "audio" else None
    shutil.rmtree(root)
    return Finished(run, inputs, rate, batch, pooled.flatten(1))


def read_pictures(root: Path) -> list[Any]:
    """Read pictures as arrays (H, W, C)."""
    return [np.asarray(Image.open(path)) for path in sorted(root.glob("test/*/*.png"))]


def read_texts(root: Path) -> list[Any]:
    """Read the texts of a table."""
    return [line.partition("\t")[2] for line in (root / "test.tsv").read_text().splitlines()]


def read_clips(root: Path) -> list[Any]:
    """Read the frames of videos as arrays (T, H, W, C)."""
    clips = []
    for path in sorted(root.glob("test/*/*.mkv")):
        with av.open(str(path)) as container:
            clips.append(np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]))
    return clips


def read_recordings(root: Path) -> list[Any]:
    """Read recordings as arrays of 16 bits."""
    waves = []
    for path in sorted(root.glob("test/*/*.wav")):
        with wave.open(str(path)) as file:
            waves.append(np.frombuffer(file.readframes(file.getnframes()), np.int16))
    return waves


READ: Mapping[str, Callable[[Path], list[Any]]] = {
    "image": read_pictures,
    "text": read_texts,
    "video": read_clips,
    "audio": read_recordings,
}
