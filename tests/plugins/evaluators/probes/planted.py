"""Data and a task whose features are known, for tests of evaluators."""

from dataclasses import dataclass

import torch
from pretask import (
    Batch,
    Draws,
    Features,
    Inputs,
    InputSpec,
    Labels,
    Observed,
    Recipe,
    Samples,
    Targets,
    TargetSpecs,
    Task,
)
from torch import Tensor, nn


class Pixels(nn.Module):
    """Two layers: a fixed scrambling of the pixels, and the pixels themselves."""

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1, affine=False)  # running statistics that an evaluator must leave alone
        self.shift = nn.Parameter(torch.tensor(shift))

    def forward(self, inputs: Inputs, layers: bool = False) -> Features:
        flat = inputs.data.flatten(2) + self.shift
        self.norm(flat.mean(2))
        noise = torch.sin(flat * 1e4)  # keeps nothing that a line could read
        both = [Features({"all": each[:, :, None]}, {"all": each}) for each in (noise, flat)]
        return Features(both[1].streams, both[1].pooled, layers=tuple(both)) if layers else both[1]


@dataclass(frozen=True)
class Whole:
    """Shows everything and asks nothing."""

    def spec(self, observed: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        return self.whole_spec(observed), {}

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        return self.whole(batch), {}

    def whole(self, batch: Batch, /) -> Inputs:
        return Inputs(batch.data[:, None], present=None if batch.present is None else batch.present[:, None])

    def whole_spec(self, observed: Observed, /) -> InputSpec:
        return InputSpec(observed.modality, observed.shape, vocabulary=observed.vocabulary)


def task_of(model: nn.Module, observed: Observed) -> Task:
    return Task("planted", Whole(), model, nn.Identity(), Recipe(), observed, torch.device("cpu"))  # type: ignore[arg-type]


def task(shift: float = 0.0) -> Task:
    return task_of(Pixels(shift), Observed("image", (1, 4, 4), "float32"))


@dataclass(frozen=True)
class Planted:
    """Noise in 16 pixels; in `signal` data the class adds to its own pixel."""

    signal: float = 5.0
    train: int = 600
    test: int = 400
    classes: int = 4

    def __call__(self, part: str, /) -> Samples:
        count = self.train if part == "train" else self.test
        draws = Draws(torch.arange(count)).branch(part)
        label = draws.integers("class", 0, self.classes)
        pixels = draws.normal("noise", 16)
        pixels[torch.arange(count), label] += self.signal
        return samples(pixels, label, self.classes, part)


def samples(pixels: Tensor, label: Tensor, classes: int, part: str) -> Samples:
    observed = Observed("image", (1, 4, 4), "float32", len(label))
    labels = {"class": Labels(label, tuple("abcdefgh"[:classes]))}
    return Samples(observed, pixels.view(-1, 1, 4, 4), labels, fingerprint=f"{part}{float(pixels.sum())}")
