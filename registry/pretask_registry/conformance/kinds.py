"""Kinds: the cases of every kind of component, with what their checks need, built when it is first needed."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import Any

import torch
from pretask import (
    Batch,
    Draws,
    Features,
    FeatureSpec,
    Inputs,
    InputSpec,
    Loss,
    Observed,
    PretaskError,
    Samples,
    Targets,
    TargetSpecs,
    Task,
)
from pretask.composition import copy_teacher, describe_features, seed_randomness
from pretask.protocols import Attaches, HasSampleParameters

from pretask_registry.canned import OBSERVED, make_canned_inputs
from pretask_registry.conformance import ambient, material
from pretask_registry.conformance.cases import Case
from pretask_registry.conformance.check import Skip
from pretask_registry.conformance.small_data import SmallData, read_small
from pretask_registry.registry import Registered, Registry

BATCH = 12


@dataclass(frozen=True)
class SplitCase(Case):
    """A split on data of one modality, which it has been fitted to."""

    @cached_property
    def samples(self) -> Samples:
        """The samples that the split is tried on."""
        return material.load_samples(self.registry, self.where)

    @property
    def observed(self) -> Observed:
        """The description of the data that the split is tried on."""
        return self.samples.observed

    @cached_property
    def split(self) -> Any:
        """The split, fitted where it needs to be."""
        return material.fit_split(self.built, self.samples)

    @cached_property
    def specs(self) -> tuple[InputSpec, TargetSpecs]:
        """The specs of x and y."""
        spec, targets = self.split.spec(self.observed)
        return spec, targets

    def batch(self, size: int = BATCH, start: int = 0) -> Batch:
        """Take some samples."""
        return material.make_batch(self.samples, self.split, size, start)

    def draws(self, batch: Batch, epoch: int | torch.Tensor = 0, more: int = 0) -> Draws:
        """Return the draws of a batch; `more` is added to the case's seed."""
        return Draws(batch.index, self.seed + more, epoch).branch("split")

    def __call__(self, batch: Batch, epoch: int = 0, more: int = 0) -> tuple[Inputs, Targets]:
        """Split a batch into x and y."""
        made: tuple[Inputs, Targets] = self.split(batch, self.draws(batch, epoch, more))
        return made


@dataclass(frozen=True)
class ModelCase(Case):
    """A model on inputs of one modality."""

    @cached_property
    def given(self) -> tuple[InputSpec, Inputs]:
        """What it is shown: canned, or what an installed split that fits it makes of tiny data."""
        for spec, inputs in self.canned():
            if self.accepts(spec):
                return spec, inputs
        parts = next(iter(material.iterate_fitting(self.registry, {"model": self.registered}, self.where)), None)
        if parts is None:
            raise Skip(f"No installed split and objective fit {self.id} on {self.where}.")
        task = material.compose_small(parts, material.load_samples(self.registry, self.where))
        batch = material.make_batch(material.load_samples(self.registry, self.where), task.split, 8)
        spec, _ = task.split.spec(task.observed)
        return spec, task.split(batch, Draws(batch.index))[0]

    def canned(self) -> Iterator[tuple[InputSpec, Inputs]]:
        """Yield canned inputs of the modality; of images, one by one and as frames in order."""
        if self.where in OBSERVED:
            yield make_canned_inputs(self.where)
        if self.where == "image":
            spec, clips = make_canned_inputs("video")
            yield replace(spec, modality="image"), clips

    def accepts(self, spec: InputSpec) -> bool:
        """Return whether a model can be built for such inputs."""
        try:
            with torch.device("meta"):
                self.built(spec, spec).features(spec)
        except PretaskError:
            return False
        return True

    @property
    def spec(self) -> InputSpec:
        """The spec of the inputs."""
        return self.given[0]

    @cached_property
    def inputs(self) -> Inputs:
        """Eight canned inputs, with their numbers where the model has parameters for each sample."""
        inputs = self.given[1]
        numbered = isinstance(self.model, HasSampleParameters)
        return replace(inputs, index=torch.arange(len(inputs.data))) if numbered else inputs

    def make(self, more: int = 0) -> Any:
        """Make a model with freshly initialized weights; `more` is added to the case's seed."""
        with seed_randomness(self.seed + more):
            model = self.built(self.spec, self.spec)
            if isinstance(model, HasSampleParameters):
                model.allocate(len(self.given[1].data))
            return model

    @cached_property
    def model(self) -> Any:
        """A model that checks do not change."""
        return self.make().eval()


@dataclass(frozen=True)
class ObjectiveCase(Case):
    """An objective for one kind of target, in tasks composed with installed splits and models."""

    @cached_property
    def tasks(self) -> tuple["Trial", ...]:
        """One task with an answer per position and one with an answer per sample, as far as there are such splits."""
        found: dict[bool, Trial] = {}
        for parts, modality in self.candidates():
            trial = Trial.compose(parts, material.load_samples(self.registry, modality), self.seed)
            found.setdefault(any(spec.grid for spec in trial.specs.values()), trial)
            if len(found) == 2:
                break
        if not found:
            raise Skip(f"No installed split asks for {self.where} in a way that fits {self.id}.")
        return tuple(found.values())

    def candidates(self) -> Iterator[tuple[material.Parts, str]]:
        """Yield parts that fit, and the modality, where the split has a target of this kind."""
        for split in material.order_candidates(self.registry, "split", {}, self.registered):
            for modality, kinds in sorted(split.component.traits["targets"].items()):
                if self.where in kinds:
                    fixed = {"objective": self.registered, "split": split}
                    for parts in material.iterate_fitting(self.registry, fixed, modality):
                        yield parts, modality


@dataclass(frozen=True)
class Trial:
    """A task, and what its objective is given on a batch.

    Args:
        task: Composed at small sizes.
        batch: Eight samples.
        specs: Of the targets that are scored.
        features: Of the batch, detached.
        targets: Of the batch, as they are scored.
        inputs: x of the batch, as it is encoded.
    """

    task: Task
    batch: Batch
    specs: TargetSpecs
    features: Features
    targets: Targets
    inputs: Inputs

    @classmethod
    def compose(cls, parts: material.Parts, samples: Samples, seed: int) -> "Trial":
        """Compose the task of some parts on some samples."""
        task = material.compose_small(parts, samples, seed)
        for network in (task.model, task.teacher):
            if network is not None:
                network.eval()
        batch = material.make_batch(samples, task.split, 8)
        with torch.no_grad():
            draws = Draws(batch.index, seed)
            inputs, targets = task.prepare(*material.split_numbered(task, batch, draws), draws)
            features = task.encode_inputs(inputs)
        return cls(task, batch, task.target_specs, features, targets, inputs)

    @property
    def split_specs(self) -> TargetSpecs:
        """Specs of the split's targets, which an objective is built for."""
        specs: TargetSpecs = self.task.split.spec(self.task.observed)[1]
        return specs

    @property
    def feature_spec(self) -> FeatureSpec:
        """Spec of the features."""
        return describe_features(self.task.model, self.task.split.spec(self.task.observed)[0])

    def replace_objective(self, objective: Any) -> "Trial":
        """Return the same trial with another objective, after it has met the model where it wants to."""
        if isinstance(objective, Attaches):
            objective.attach(copy.deepcopy(self.task.model))
        teacher = copy_teacher(self.task.model, objective)
        task = replace(self.task, objective=objective, teacher=teacher if teacher is None else teacher.eval())
        return replace(self, task=task)

    def score(self, seed: int = 0) -> Loss:
        """Compute the objective's loss."""
        return self.task.score_features(self.features, self.inputs, self.targets, Draws(self.batch.index, seed))


@dataclass(frozen=True)
class DataCase(Case):
    """Data at their small size."""

    @cached_property
    def small(self) -> SmallData:
        """Both parts, from the cache where they are there; of data that write files, of a few such files.

        Raises:
            Skip: They need something of their user's.
        """
        return read_small(self.registered)

    @property
    def parts(self) -> Mapping[str, Samples]:
        """Both parts."""
        return self.small.parts

    @cached_property
    def again(self) -> tuple[Mapping[str, Samples], str]:
        """Both parts, made once more under other ambient seeds, and the generators that were moved."""
        _ = self.parts
        ambient.seed_everything(1)
        before = ambient.read_states()
        return read_small(self.registered, fresh=True).parts, ambient.name_moved(before)


@dataclass(frozen=True)
class EvaluatorCase(Case):
    """An evaluator with a task and data that it accepts."""

    @cached_property
    def tried(self) -> "Evaluation":
        """The first of the candidate tasks and data that the evaluator measures.

        Raises:
            Skip: It measures none of them.
        """
        from pretask_registry.conformance.evaluating import find_first_measured

        return find_first_measured(self)


Evaluation = Any  # evaluating.Evaluation


@dataclass(frozen=True)
class TaskCase(Case):
    """A declared task, of its parts at their small sizes."""

    @cached_property
    def parts(self) -> material.Parts:
        """The parts that the task names."""
        return material.declared_parts(self.registry, self.registered)

    @cached_property
    def samples(self) -> Samples:
        """Tiny data that its parts fit."""
        return material.load_samples(self.registry, material.find_modality(self.registry, self.parts))

    def make(self) -> Task:
        """Make the task with freshly initialized weights."""
        return material.compose_small(self.parts, self.samples, self.seed)


MAKE: dict[str, Callable[..., Case]] = {
    "split": SplitCase,
    "model": ModelCase,
    "objective": ObjectiveCase,
    "data": DataCase,
    "evaluator": EvaluatorCase,
    "task": TaskCase,
    "suite": Case,
}


def iterate_cases(registry: Registry, registered: Registered, seed: int = 0) -> Iterator[Case]:
    """Yield every way in which a component is tried: on each modality, or for each kind of target.

    A model that reads images and clips is tried on clips, which are images in order.
    """
    traits = registered.component.traits
    wheres = {
        "split": lambda: sorted(traits["modality"]),
        "model": lambda: sorted(traits["modality"] - ({"image"} if "video" in traits["modality"] else set())),
        "objective": lambda: sorted(traits["targets"]),
        "data": lambda: [traits["modality"]],
        "evaluator": lambda: list(islice(sorted(traits["modality"]) or ["image"], 1)),
    }
    for where in wheres.get(registered.kind, lambda: [""])():
        yield MAKE[registered.kind](registry, registered, where, seed)
