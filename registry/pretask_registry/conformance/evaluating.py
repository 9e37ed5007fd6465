"""Evaluating: an evaluator run on a tiny task and tiny data that it accepts, and what it yielded.

Axes: N test samples.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from pretask import Budget, Choice, Draws, Items, Labels, PretaskError, Samples, Task
from pretask.extraction import extract

from pretask_registry.canned import OBSERVED
from pretask_registry.conformance import material
from pretask_registry.conformance.check import Skip
from pretask_registry.registry import Registered

if TYPE_CHECKING:
    from pretask_registry.conformance.kinds import EvaluatorCase

PLAIN = 2  # axes that labels of samples or positions have at most
MARGIN = 0.4  # standard deviations from the middle within which a sample has no label
Yielded = list[tuple[str, Any]]


@dataclass(frozen=True)
class GivenData:
    """Data for an evaluator: two parts, and whatever else the data offer (a tokenizer, a vocabulary)."""

    train: Samples
    test: Samples
    origin: Any

    def __call__(self, part: str, /) -> Samples:
        """Return one part."""
        return {"train": self.train, "test": self.test}[part]

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "origin"), name)


@dataclass(frozen=True)
class Evaluation:
    """What an evaluator yielded, of which task and data.

    Args:
        evaluator: Built at its small size.
        task: That it measured.
        data: On which it did.
        yielded: What it yielded.
    """

    evaluator: Any
    task: Task
    data: GivenData
    yielded: Yielded

    def measure_again(self, data: GivenData | None = None, seed: int = 0) -> Yielded:
        """Evaluate the task again, on other data where they are given."""
        return list(self.evaluator(self.task, data or self.data, Budget(seed, batch=16)))


def find_first_measured(case: "EvaluatorCase") -> Evaluation:
    """Find the first of some tasks and data that the evaluator measures without complaint.

    Raises:
        Skip: It measures none of them; with the last complaint.
    """
    evaluator, complaint = case.built, "there is none"
    for task, data in iterate_tasks(case):
        try:
            made = Evaluation(evaluator, task, data, [])
            return replace(made, yielded=made.measure_again())
        except PretaskError as error:
            complaint = str(error)
    raise Skip(f"No installed task and tiny data are what it measures; the last complaint: {complaint}")


def iterate_tasks(case: "EvaluatorCase") -> Iterator[tuple[Task, GivenData]]:
    """Yield declared tasks at small sizes on data of the modality: the same plugin's first, then the smallest."""
    for data in iterate_data(case, case.where):
        found = compose_tasks(case, data)
        for _, _, task in sorted(found, key=lambda entry: (entry[0] != case.registered.plugin.name, entry[1])):
            own = replace(task, model=copy.deepcopy(task.model), objective=copy.deepcopy(task.objective))
            yield own, data


def compose_tasks(case: "EvaluatorCase", data: GivenData) -> list[tuple[str, int, Task]]:
    """Compose whatever declared tasks fit the data: plugin, number of weights and task; remembered."""
    known: dict[Any, list[tuple[str, int, Task]]] = case.registry.memory.setdefault("tiny_tasks", {})
    key = (case.where, case.seed, data.train.fingerprint)
    if key not in known:
        known[key] = []
        for declared in case.registry.current("task"):
            parts = resolve_parts(case, declared)
            if parts and material.fits_exactly(case.registry, parts, data.train):
                task = material.compose_small(parts, data.train, case.seed)
                size = sum(parameter.numel() for parameter in [*task.model.parameters(), *task.objective.parameters()])
                known[key].append((declared.plugin.name, size, task))
    return known[key]


def resolve_parts(case: "EvaluatorCase", declared: Registered) -> material.Parts | None:
    """Return the parts of a declared task, where they are installed and split data of the case's modality."""
    try:
        parts = material.declared_parts(case.registry, declared)
    except PretaskError:
        return None
    return parts if case.where in parts["split"].component.traits["modality"] else None


def iterate_data(case: "EvaluatorCase", modality: str) -> Iterator[GivenData]:
    """Yield tiny data of a modality: canned, then all that are installed and have a small size."""
    if modality in OBSERVED:
        origin = material.TinyData(modality)
        yield GivenData(origin("train"), origin("test"), origin)
    for data in material.iterate_data(case.registry, modality):
        yield GivenData(take_first(data("train")), take_first(data("test"), material.TEST), data.origin)


def take_first(samples: Samples, count: int = material.COUNT) -> Samples:
    """Take the first samples of many."""
    return samples.some(slice(0, count), f"the first {count}")


def relabel(samples: Samples, name: str, rows: torch.Tensor | None = None) -> Samples:
    """Return the same samples with labels drawn at random; of some rows only, where they are given."""
    index = torch.arange(len(samples))
    labels = dict(samples.labels)
    for key, known_labels in samples.labels.items():
        if known_labels.value.ndim > PLAIN:
            continue  # masks, which are no classes to predict
        shape = known_labels.value.shape[1:]
        answers = 2 if known_labels.multiple else len(known_labels.names)
        drawn = Draws(index, 3).branch(name).integers(key, 0, answers, *shape)
        drawn = drawn.where(known_labels.value >= 0, -1)
        labels[key] = replace(
            known_labels,
            value=drawn if rows is None else torch.where(broadcast_rows(rows, drawn), drawn, known_labels.value),
        )
    return replace(samples, labels=labels, fingerprint=f"{samples.fingerprint} {name}")


def poison_rows(samples: Samples, rows: torch.Tensor) -> Samples:
    """Return the same samples, of which some rows have other content and other labels."""
    other = samples.data[(torch.arange(len(samples)) + 5) % len(samples)]
    loud = {"int64": lambda: other.flip(-1), "uint8": lambda: 255 - other // 8}
    changed = relabel(samples, "poison", rows)
    strange: torch.Tensor = loud.get(samples.observed.dtype, lambda: other * 8)()
    return replace(changed, data=torch.where(broadcast_rows(rows, samples.data), strange, samples.data))


def plant_classes(tried: Evaluation) -> GivenData:
    """Return the same data with two classes: the sides of the plane across the longest axis of the encoder's features.

    Samples count where the mean over positions and the model's pooled vector are on the same side, so that an evaluator
    may read either.
    """
    train_features, test_features = (
        compute_features(tried.task, samples) for samples in (tried.data.train, tried.data.test)
    )
    planted = []
    for samples, features in ((tried.data.train, train_features), (tried.data.test, test_features)):
        labels = dict(samples.labels)
        for name, old_labels in samples.labels.items():
            if old_labels.multiple:  # every class is on one side
                side = common_side(train_features[1], features[1])[:, None].expand_as(old_labels.value)
                labels[name] = replace(old_labels, value=side.where(old_labels.value >= 0, -1))
                continue
            axes = old_labels.value.ndim
            train_values = train_features.get(axes, ())
            if train_values and all(len(one.flatten(0, -2)) == old_labels.value.numel() for one in features[axes]):
                side = common_side(train_values, features[axes]).view(old_labels.value.shape)
                labels[name] = Labels(side.where(old_labels.value >= 0, -1), ("here", "there"))
        planted.append(replace(samples, labels=labels, fingerprint=f"{samples.fingerprint} planted"))
    return GivenData(planted[0], planted[1], tried.data.origin)


def compute_features(task: Task, samples: Samples) -> dict[int, tuple[torch.Tensor, ...]]:
    """Compute features by the number of axes of the labels: means and own pooled vectors (N, D), or positions.

    The latter are (N, L, D).
    """
    pooled = list(extract(task, samples, Budget(), ("mean",)).values())[-1]
    task.model.eval()
    with torch.no_grad():
        features = task.encode(next(samples.batches(len(samples), material.CPU)))
    stream, own_pooled = next(iter(features.streams.values())), next(iter(features.pooled.values()))
    return {1: (pooled, own_pooled.flatten(1)), 2: (stream.flatten(1, 2),)}


def common_side(train: Sequence[torch.Tensor], values: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the side on which values of several kinds lie, each along its own axis; -1 where they do not agree."""
    common = find_sides(train[0], values[0])
    first_train_sides = find_sides(train[0], train[0])
    for other_train, other_values in zip(train[1:], values[1:], strict=True):
        sides, train_sides = find_sides(other_train, other_values), find_sides(other_train, other_train)
        is_clear = (first_train_sides >= 0) & (train_sides >= 0)
        num_equal = int((first_train_sides == train_sides)[is_clear].sum())
        if 2 * num_equal < int(is_clear.sum()):  # an axis has no direction of its own
            sides = torch.where(sides < 0, -1, 1 - sides)
        common = common.where(common == sides, -1)
    return common


def find_sides(train: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Return on which side of the middle of the training features values lie, along their longest axis; -1 near it."""
    flat = train.flatten(0, -2)
    mean = flat.mean(0)
    axis = torch.linalg.svd(flat - mean, full_matrices=False).Vh[0]
    projected, train_projected = (values - mean) @ axis, (flat - mean) @ axis
    distance: torch.Tensor = projected - train_projected.median()
    return torch.where(distance.abs() < MARGIN * train_projected.std(), -1, (distance > 0).long())


def broadcast_rows(rows: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Return a mask of rows in the shape of something."""
    return rows.view(-1, *[1] * (like.ndim - 1))


def items(yielded: Yielded) -> dict[str, torch.Tensor]:
    """Return what was correct, item by item."""
    return {name: value.correct for name, value in yielded if isinstance(value, Items)}


def choices(yielded: Yielded) -> dict[str, str]:
    """Return what was chosen, by name."""
    return {name: value.value for name, value in yielded if isinstance(value, Choice)}


def numbers(yielded: Yielded) -> dict[str, float]:
    """Return the numbers by name."""
    return {name: float(value) for name, value in yielded if isinstance(value, int | float)}
