"""A tiny task whose answer is planted in the data, for tests of core: which of two halves is brighter?

Run as a script it trains with checkpoints into a folder, so that tests can kill it: FOLDER STEPS CHECKPOINT_SECONDS.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pretask import (
    Batch,
    Categories,
    Draws,
    Features,
    FeatureSpec,
    Inputs,
    InputSpec,
    Loss,
    Observed,
    Recipe,
    Samples,
    Target,
    Targets,
    TargetSpecs,
    Task,
    build_loss,
    find_readout,
    weighted_mean,
)
from pretask.checkpoint_content import weights_of
from pretask.composition import compose
from pretask.training import train
from torch import Tensor, nn

OBSERVED = Observed("image", (1, 8, 8), samples=50)
RECIPE = Recipe(lr=1e-2, batch=12, samples=12 * 40, warmup=0.1)


@dataclass(frozen=True)
class Halves:
    """Swap left and right at random; tell which half is the brighter one."""

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        return InputSpec("image", images.shape), {"brighter": Categories(2)}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        return InputSpec("image", images.shape)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        swapped = draws.bernoulli("swap", 0.5)
        data = torch.where(swapped[:, None, None, None], batch.data.flip(-1), batch.data) / 255
        label = (data[..., 4:].mean((1, 2, 3)) > data[..., :4].mean((1, 2, 3))).long()
        return Inputs(data[:, None]), {"brighter": Target(label)}

    def whole(self, batch: Batch, /) -> Inputs:
        return Inputs(batch.data[:, None] / 255)


class Flat(nn.Module):
    """A linear map with dropout, which is ambient randomness."""

    def __init__(self, spec: InputSpec, whole_spec: InputSpec, /) -> None:
        super().__init__()
        self.linear, self.dropout = nn.Linear(64, 6), nn.Dropout(0.2)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        return FeatureSpec(6)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        tokens = self.dropout(self.linear(inputs.data.flatten(2))).tanh()[:, :, None]
        features = Features({"all": tokens}, {"all": tokens.mean(2)})
        return replace(features, layers=(features,)) if layers else features


class BrighterObjective(nn.Module):
    """Cross-entropy with a linear head."""

    def __init__(self, features: FeatureSpec, targets: TargetSpecs, /) -> None:
        super().__init__()
        self.read = find_readout("guess", "brighter", features, targets["brighter"])
        self.head = nn.Linear(self.read.width, 2)
        self.progress: list[float] = []

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        logits, target = self.head(self.read(features)), targets["brighter"]
        nats = nn.functional.cross_entropy(logits, target.value, reduction="none")
        right = (logits.argmax(1) == target.value).float()
        return build_loss(
            {"brighter": weighted_mean(nats, target.weight)}, {"brighter.accuracy": weighted_mean(right, target.weight)}
        )

    def predict(self, features: Features, /) -> dict[str, Tensor]:
        return {"brighter": self.head(self.read(features)).log_softmax(-1)}

    def after_step(self, model: nn.Module, progress: float) -> None:
        self.progress.append(progress)


def samples(count: int = 50) -> Samples:
    pixels = Draws(torch.arange(count)).integers("pixel", 0, 256, 1, 8, 8)
    pixels[..., 4:] //= 2  # the left half is the brighter one, until it is swapped
    return Samples(replace(OBSERVED, samples=count), pixels.to(torch.uint8))


def task(recipe: Recipe = RECIPE, seed: int = 0) -> Task:
    return compose(OBSERVED, Halves(), Flat, BrighterObjective, recipe, seed=seed)


def weights(of: Task) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in weights_of({"model": of.model, "objective": of.objective}).items()}


if __name__ == "__main__":
    folder, steps, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    torch.set_num_threads(1)
    trained = task(replace(RECIPE, samples=12 * steps))
    ended = train(trained, samples(), seed=7, folder=folder, key="tiny", checkpoint_seconds=seconds)
    print(ended.steps, ended.interrupted, float(sum(value.double().sum() for value in weights(trained).values())))
