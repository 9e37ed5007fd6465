"""Task: a split, an objective and a model that fit each other, with a recipe; composed before any data is read.

Axes: B batch, V views; see values.py.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial, reduce
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pretask.draws import Draws, mix_int
from pretask.errors import Incompatible
from pretask.precision import full_precision
from pretask.protocols import (
    AfterStep,
    Attaches,
    EncodesViews,
    HasSampleParameters,
    Model,
    Objective,
    Rewrites,
    SplitFn,
    averages_views,
)
from pretask.recipe import Recipe
from pretask.specs import FeatureSpec, InputSpec, Observed, TargetSpecs
from pretask.teacher import Encoders, Momentum, Teacher
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
        teacher: The slow copy of the network, where the objective declares one.
    """

    name: str
    split: SplitFn
    model: Any  # a Model that is an nn.Module
    objective: Any  # an Objective that is an nn.Module
    recipe: Recipe
    observed: Observed
    device: torch.device
    source: str = ""
    teacher: Teacher | None = None

    def apply_split(self, batch: Batch, draws: Draws) -> tuple[Inputs, Targets]:
        """Return x and y of a batch. What a label is must not depend on precision, so no autocast reaches a split."""
        with full_precision(batch.device):
            return self.split(batch, draws.branch("split"))

    @property
    def networks(self) -> dict[str, Any]:
        """All that has weights, by the name under which a checkpoint keeps it."""
        networks = {"model": self.model, "objective": self.objective}
        return networks if self.teacher is None else {**networks, "teacher": self.teacher}

    @property
    def target_specs(self) -> TargetSpecs:
        """Specs of the targets that are scored: those of the split, or what the objective rewrites them to."""
        spec, targets = self.split.spec(self.observed)
        return self.objective.rewritten_targets(spec, targets) if isinstance(self.objective, Rewrites) else targets

    def prepare(self, inputs: Inputs, targets: Targets, draws: Draws) -> tuple[Inputs, Targets]:
        """Return x and y as they are encoded and scored: rewritten, where the objective does that."""
        if self.objective_rewrites:
            rewritten: tuple[Inputs, Targets] = self.objective.rewrite(inputs, targets, draws.branch("rewrite"))
            return rewritten
        return inputs, targets

    def apply_split_and_prepare(self, batch: Batch, draws: Draws) -> tuple[Inputs, Targets]:
        """Return x and y of a batch as they are encoded and scored."""
        return self.prepare(*self.apply_split(batch, draws), draws)

    def score(
        self, inputs: Inputs, targets: Targets, draws: Draws, denominators: Mapping[str, Tensor] | None = None
    ) -> Loss:
        """Return the loss of x and y: encode the one, score the prediction of the other.

        Args:
            inputs: x.
            targets: y.
            draws: Of the batch.
            denominators: By the name of a target, `Target.denominator` of a step that is computed in parts.
        """
        inputs, targets = self.prepare(inputs, targets, draws)
        if denominators:
            targets = {name: replace(target, denominator=denominators.get(name)) for name, target in targets.items()}
        return self.score_features(self.encode_inputs(inputs), inputs, targets, draws)

    def score_features(self, features: Features, inputs: Inputs, targets: Targets, draws: Draws) -> Loss:
        """Return the objective's loss of features of x, prepared as y is."""
        draws = draws.branch("objective")
        if self.objective_encodes:
            teach = None if self.teacher is None else partial(encode_views, self.teacher.model)
            encode = Encoders(inputs, self.encode_inputs, self.teacher, teach)
            loss: Loss = self.objective(features, targets, draws, encode)
        else:
            loss = self.objective(features, targets, draws)
        return loss

    def loss(self, batch: Batch, draws: Draws) -> Loss:
        """Return the loss of a batch: divide, encode, score."""
        return self.score(*self.apply_split(batch, draws), draws)

    def follow(self, progress: float) -> None:
        """Move what follows the network after a step of its optimizer; `progress` through the budget is in (0, 1]."""
        if self.teacher is not None:
            self.teacher.follow(self.model, self.objective, progress)
        if self.objective_follows:
            self.objective.after_step(self.model, progress)

    @cached_property
    def objective_follows(self) -> bool:
        """Whether the objective does something after a step; to ask a protocol takes longer than a small layer."""
        return isinstance(self.objective, AfterStep)

    @cached_property
    def objective_rewrites(self) -> bool:
        """Whether the objective rewrites x and y, asked once for the same reason."""
        return isinstance(self.objective, Rewrites)

    @cached_property
    def objective_encodes(self) -> bool:
        """Whether the objective has views encoded by itself, likewise."""
        return isinstance(self.objective, EncodesViews)

    def encode_inputs(self, inputs: Inputs, layers: bool = False) -> Features:
        """Return features of every group of views, all by the one model."""
        return encode_views(self.model, inputs, layers)

    def encode(self, batch: Batch, layers: bool = False) -> Features:
        """Return features of undivided samples, as evaluators want them."""
        return encode_whole(self.split, self.model, batch, layers)[1]

    def predict(self, batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        """Return the objective's prediction of every target of split samples."""
        inputs, _ = self.apply_split_and_prepare(batch, draws)
        prediction: Mapping[str, Tensor] = self.objective.predict(self.encode_inputs(inputs))
        return prediction


def encode_whole(split: SplitFn, model: Any, batch: Batch, layers: bool = False) -> tuple[Inputs, Features]:
    """Return what an encoder is shown of undivided samples, and its features: of versions of a sample their mean."""
    with full_precision(batch.device):
        inputs = split.whole(batch)
    return inputs, join_versions(split, encode_views(model, inputs, layers))


def join_versions(split: SplitFn, features: Features) -> Features:
    """Return the mean features of the versions of a sample that a split's `whole` shows; others as they are."""
    return average_views(features) if averages_views(split) else features


def average_views(features: Features) -> Features:
    """Return features whose only view is the mean of all views."""
    streams, pooled = (
        {sight: mean_of_views(vectors) for sight, vectors in by_sight.items()}
        for by_sight in (features.streams, features.pooled)
    )
    layers = tuple(average_views(layer) for layer in features.layers)
    return replace(features, streams=streams, pooled=pooled, layers=layers)


def mean_of_views(vectors: Float[Tensor, "B V *rest"]) -> Float[Tensor, "B 1 *rest"]:
    """Return the mean over views, added one by one: of maps seen as tokens, torch's reduction takes twenty times that.

    >>> mean_of_views(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist()
    [[[2.0, 3.0]]]
    """
    views = vectors.float().unbind(1)
    mean = reduce(torch.add, views) / len(views)
    return mean.to(vectors.dtype)[:, None]


def encode_views(model: Any, inputs: Inputs, layers: bool = False) -> Features:
    """Return a model's features of x, and of every further group of its views."""
    if not inputs.groups:
        features: Features = model(inputs, layers=layers)
        return features
    groups = {name: encode_views(model, group, layers) for name, group in inputs.groups.items()}
    return replace(encode_views(model, replace(inputs, groups={}), layers), groups=groups)


def describe_features(model: Model, spec: InputSpec) -> FeatureSpec:
    """Return the spec of a model's features of x, and of every further group; raises Incompatible where it cannot."""
    groups = tuple((name, describe_features(model, group)) for name, group in spec.groups)
    features = model.features(replace(spec, groups=()) if groups else spec)
    return replace(features, groups=groups) if groups else features


def fit_parts(
    observed: Observed, split: SplitFn, model: ModelFactory, objective: ObjectiveFactory
) -> tuple[Model, Objective]:
    """Build model and objective for such data by handing specs along; raise Incompatible where two parts do not fit."""
    spec, targets = split.spec(observed)
    whole = split.whole_spec(observed)
    encoder = model(spec, whole)
    allocate_samples(encoder, observed)
    features = describe_features(encoder, spec)
    if whole != spec:
        encoder.features(whole)  # raises where the undivided sample cannot be read
    scorer = objective(features, targets)
    if isinstance(scorer, Rewrites):
        scorer.rewritten_targets(spec, targets)  # raises where it cannot
    if isinstance(scorer, Attaches):
        scorer.attach(encoder)
    return encoder, scorer


def allocate_samples(model: Model, observed: Observed) -> None:
    """Make the parameters that a model has for every sample, where it has some."""
    if isinstance(model, HasSampleParameters):
        model.allocate(observed.samples)


def require_encodes_unseen(model: Model, who: str) -> None:
    """Raise Incompatible where a model refuses samples that it was not trained on: they are what is measured."""
    if isinstance(model, HasSampleParameters) and model.unseen == "refused":
        raise Incompatible(
            who,
            "a model that encodes held-out samples, on which its task is scored and its features are measured",
            'one that has parameters for each training sample and refuses others (unseen = "refused")',
            "Choose another model; or train this one by pretask.training.train, without measuring it.",
        )


def check(observed: Observed, split: SplitFn, model: ModelFactory, objective: ObjectiveFactory) -> None:
    """Raise Incompatible unless the parts fit; nothing is allocated."""
    with torch.device("meta"):
        copy_teacher(*fit_parts(observed, split, model, objective))


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
    teacher = copy_teacher(encoder, scorer)
    return Task(name, split, encoder, scorer, recipe or Recipe(), observed, device, source, teacher)


def copy_teacher(encoder: Any, objective: Any) -> Teacher | None:
    """Return the teacher that an objective declares, which begins as the network; None where it declares none."""
    momentum = objective.teacher_momentum if isinstance(objective, EncodesViews) else None
    return Teacher(encoder, objective, momentum) if isinstance(momentum, Momentum) else None


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
    # torch.manual_seed asks every backend, which takes half a millisecond.
    torch.default_generator.manual_seed(word >> 1)
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        for generator in torch.cuda.default_generators:
            generator.manual_seed(word >> 1)
    elif has_accelerator():
        torch.manual_seed(word >> 1)


@cache
def has_accelerator() -> bool:
    """Return whether there is a device beside the processor."""
    return torch.accelerator.is_available()
