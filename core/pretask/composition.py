"""Task: a split, an objective and a model that fit each other, with a recipe; composed before any data is read.

Axes: B batch; see values.py.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from pretask.draws import Draws, mix_int
from pretask.precision import full_precision
from pretask.protocols import Attaches, Model, Objective, SplitFn
from pretask.recipe import Recipe
from pretask.specs import FeatureSpec, InputSpec, Observed, Sight, TargetSpecs
from pretask.values import Batch, Features, Inputs, Loss, Targets

ModelFactory = Callable[[InputSpec, InputSpec], Any]
ObjectiveFactory = Callable[[FeatureSpec, TargetSpecs], Any]


@dataclass(frozen=True)
class Task:
    """What is trained and then measured.

    Args:
        name: Full id, or what the user calls it.
        split: Makes x and y.
        model: The encoder, which is kept.
        objective: Scores, and owns what is thrown away.
        recipe: How it is trained.
        observed: What it was composed for.
        device: Where its parameters are.
        source: Authors, venue and year.
    """

    name: str
    split: SplitFn
    model: Any  # a Model that is an nn.Module
    objective: Any  # an Objective that is an nn.Module
    recipe: Recipe
    observed: Observed
    device: torch.device
    source: str = ""

    def divide(self, batch: Batch, draws: Draws) -> tuple[Inputs, Targets]:
        """Return x and y of a batch. What a label is must not depend on precision, so no autocast reaches a split."""
        with full_precision(batch.device):
            return self.split(batch, draws.branch("split"))

    def score(self, inputs: Inputs, targets: Targets, draws: Draws) -> Loss:
        """Return the loss of x and y: encode the one, score the prediction of the other."""
        loss: Loss = self.objective(self.model(inputs), targets, draws.branch("objective"))
        return loss

    def loss(self, batch: Batch, draws: Draws) -> Loss:
        """Return the loss of a batch: divide, encode, score."""
        return self.score(*self.divide(batch, draws), draws)

    def encode(self, batch: Batch, layers: bool = False) -> Features:
        """Return features of undivided samples, as evaluators want them."""
        with full_precision(batch.device):
            inputs = self.split.whole(batch)
        features: Features = self.model(inputs, layers=layers)
        return features

    def predict(self, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        """Return the objective's prediction of every target of split samples."""
        prediction: Mapping[str, Tensor] = self.objective.predict(self.model(self.divide(batch, draws)[0]))
        return prediction


def fit_parts(
    observed: Observed, split: SplitFn, model: ModelFactory, objective: ObjectiveFactory
) -> tuple[Model, Objective]:
    """Build model and objective for such data by handing specs along; raise Incompatible where two parts do not fit."""
    spec, targets = split.spec(observed)
    whole = split.whole_spec(observed)
    encoder = model(spec, whole)
    features = encoder.features(spec)
    encoder.features(whole)  # raises where the undivided sample cannot be read
    scorer = objective(features, targets)
    if isinstance(scorer, Attaches):
        scorer.attach(encoder)
    return encoder, scorer


def check(observed: Observed, split: SplitFn, model: ModelFactory, objective: ObjectiveFactory) -> None:
    """Raise Incompatible unless the parts fit; nothing is allocated."""
    with torch.device("meta"):
        fit_parts(observed, split, model, objective)


def compose(
    observed: Observed,
    split: SplitFn,
    model: ModelFactory,
    objective: ObjectiveFactory,
    recipe: Recipe | None = None,
    *,
    name: str = "task",
    source: str = "",
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> Task:
    """Build a task with freshly initialized weights: the same ones for the same seed, on any device.

    Args:
        observed: What the data yields.
        split: Already fitted, where it needs fitting.
        model: Called with the specs of x and of the whole sample.
        objective: Called with the features' and the targets' specs.
        recipe: How it will be trained.
        name: For messages and records.
        source: Authors, venue and year.
        seed: Of the initial weights.
        device: Where the task shall live.

    Raises:
        Incompatible: Two parts do not fit.
    """
    with seed_randomness(seed):
        encoder, scorer = fit_parts(observed, split, model, objective)
    device = torch.empty(0, device=device).device  # with its number, so that it can be compared
    for part in (encoder, scorer):
        if isinstance(part, torch.nn.Module):
            part.to(device)
    return Task(name, split, encoder, scorer, recipe or Recipe(), observed, device, source)


@contextmanager
def seed_randomness(seed: int, *path: int) -> Iterator[None]:
    """Take ambient randomness (initial weights, dropout) from this seed inside, and put it back as it was before."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        seed_ambient(seed, *path)
        yield


def seed_ambient(seed: int, *path: int) -> None:
    """Seed torch's own generators from a seed and further numbers, such as the step and the rank."""
    word = mix_int(seed)
    for number in path:
        word = mix_int(word + number)
    torch.manual_seed(word >> 1)


def try_features(model: Any, spec: InputSpec, streams: tuple[Sight, ...] = ("all",)) -> FeatureSpec:
    """Find the FeatureSpec of a model whose arithmetic does not tell, by one pass on the meta device.

    Args:
        model: An nn.Module that keeps the Model protocol.
        spec: The inputs.
        streams: The sights that it offers.
    """
    on_meta = {name: value.to("meta") for name, value in [*model.named_parameters(), *model.named_buffers()]}
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.device("meta"):
            features: Features = functional_call(model, on_meta, (make_empty_inputs(spec),))
    finally:
        model.train(was_training)
    _, views, _, width = next(iter(features.streams.values())).shape
    return FeatureSpec(width, features.grid, views, streams)


def make_empty_inputs(spec: InputSpec, batch: int = 2, device: str = "meta") -> Inputs:
    """Make inputs of the given spec whose content does not matter."""
    dtype = torch.int64 if spec.vocabulary is not None else torch.float32
    return Inputs(torch.zeros((batch, spec.views, *spec.shape), dtype=dtype, device=device))
