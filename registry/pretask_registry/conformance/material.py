"""Material: tiny data of every modality, and tasks composed of a component and whatever installed parts fit it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from pretask import Batch, Draws, Inputs, Observed, PretaskError, Samples, SplitFn, Targets, Task
from pretask.composition import compose
from pretask.protocols import count_partners

from pretask_registry.canned import OBSERVED, SHARED_COUNT, make_canned_samples, share_canned_samples
from pretask_registry.conformance.check import Skip
from pretask_registry.conformance.small_data import SmallData, can_be_small, read_small
from pretask_registry.fit import PARTS, exact_fit, static_fit
from pretask_registry.registry import Registered, Registry
from pretask_registry.resolve import build
from pretask_registry.stand_in import fit_on_trial

CPU = torch.device("cpu")
COUNT, TEST = SHARED_COUNT, 32  # samples of the training and of the test part
Parts = Mapping[str, Registered]


class TinyData:
    """Canned data of a modality with both parts; no sample is in both."""

    def __init__(self, modality: str, count: int = COUNT, test: int = TEST) -> None:
        self.modality, self.sizes = modality, {"train": (count, 0), "test": (test, 1_000_000)}

    def __call__(self, part: str, /) -> Samples:
        """Return one part."""
        return make_canned_samples(self.modality, *self.sizes[part])


def load_samples(registry: Registry, modality: str) -> Samples:
    """Load tiny data of a modality: canned, or the training part of installed data that have a small size.

    Raises:
        Skip: There is neither.
    """
    if modality in OBSERVED:
        return share_canned_samples(modality)
    for data in iterate_data(registry, modality):
        return data("train")
    raise Skip(f"No tiny data of the modality '{modality}': declare data of it with small options or write_example.")


def iterate_data(registry: Registry, modality: str) -> Iterator[SmallData]:
    """Yield installed data of a modality at their small size, those that write files of their own last."""
    found = [data for data in registry.current("data") if data.component.traits["modality"] == modality]
    for registered in sorted(found, key=lambda data: not data.component.small):
        if registered.component.small or writes_example(registered):
            yield read_small(registered)


def writes_example(registered: Registered) -> bool:
    """Return whether data can be imported, and write files of their own."""
    try:
        return can_be_small(registered)
    except PretaskError:  # a plugin that is broken: its own checks say so
        return False


def fit_split(split: Any, samples: Samples) -> SplitFn:
    """Return the split, after it has seen the samples where it needs to."""
    return fit_on_trial(split, samples)


def pad_second_half(batch: Batch, observed: Observed) -> Batch:
    """Return the same rows of tokens or sound, of which the second half has padding in its last quarter."""
    present = torch.ones(batch.data.shape[:2], dtype=torch.bool)
    present[len(batch) // 2 :, -(batch.data.shape[1] // 4) :] = False
    vocabulary = observed.vocabulary
    filler = 0 if vocabulary is None else vocabulary.id("pad") or 0
    return replace(batch, data=batch.data.where(present, filler), present=present)


def make_batch(samples: Samples, split: Any, size: int, start: int = 0) -> Batch:
    """Make a batch with the partners that a split wants."""
    partners = count_partners(split)
    index = torch.arange(start, start + size) % len(samples)
    others = (index[:, None] + 1 + torch.arange(partners)) % len(samples)
    return samples.batch(index, CPU, others if partners else None)


def split_numbered(task: Task, batch: Batch, draws: Draws) -> tuple[Inputs, Targets]:
    """Return x and y of samples that are trained on: x has their numbers."""
    inputs, targets = task.apply_split(batch, draws)
    return replace(inputs, index=batch.index), targets


def compose_small(parts: Parts, samples: Samples, seed: int = 0) -> Task:
    """Compose a task of parts at their small sizes.

    Raises:
        Incompatible: They do not fit.
    """
    built = {kind: build(part, part.component.small) for kind, part in parts.items()}
    split = fit_split(built["split"], samples)
    return compose(samples.observed, split, built["model"], built["objective"], seed=seed, name=parts["split"].id)


def iterate_fitting(registry: Registry, fixed: Parts, modality: str) -> Iterator[Parts]:
    """Yield parts that fit the fixed ones on data of a modality, the same plugin's first, one a split and objective.

    Args:
        registry: Where the others are.
        fixed: The parts that are given, by kind.
        modality: Of the data.
    """
    samples = load_samples(registry, modality)
    given = next(iter(fixed.values()))
    splits, objectives, models = (order_candidates(registry, kind, fixed, given) for kind in PARTS)
    for split in splits:
        for objective in objectives:
            for model in models:
                parts = {"split": split, "objective": objective, "model": model}
                if static_fit(split, objective, model, modality) is None and fits_exactly(registry, parts, samples):
                    yield parts
                    break


def order_candidates(registry: Registry, kind: str, fixed: Parts, given: Registered) -> list[Registered]:
    """Order the candidates of a kind: the fixed one alone, or all, those of the same plugin and namespace first."""
    if kind in fixed:
        return [fixed[kind]]
    near = {given.plugin.name: 0, given.namespace: 1}
    return sorted(
        registry.current(kind),
        key=lambda registered: min(near.get(registered.plugin.name, 2), near.get(registered.namespace, 2)),
    )


def fits_exactly(registry: Registry, parts: Parts, samples: Samples) -> bool:
    """Return whether parts at their small sizes fit, by handing specs along; the registry remembers the answer."""
    known: dict[Any, bool] = registry.memory.setdefault("fitting", {})
    key = (*(parts[kind].id for kind in PARTS), samples.observed)
    if key not in known:
        try:
            built = {kind: build(part, part.component.small) for kind, part in parts.items()}
            known[key] = exact_fit(built["split"], built["objective"], built["model"], samples.observed) is None
        except PretaskError:
            known[key] = False
    return known[key]


def declared_parts(registry: Registry, task: Registered) -> Parts:
    """Return the parts that a declared task names."""
    return {kind: registry.find(kind, name) for kind, name in task.component.traits["parts"].items()}


def find_modality(registry: Registry, parts: Parts) -> str:
    """Return the first modality on which parts fit.

    Raises:
        Skip: There is no tiny data on which they do.
    """
    known = [*OBSERVED]
    declared = sorted(parts["split"].component.traits["modality"])
    for modality in sorted(declared, key=lambda name: known.index(name) if name in known else len(known)):
        fit = static_fit(parts["split"], parts["objective"], parts["model"], modality) is None
        if fit and fits_exactly(registry, parts, load_samples(registry, modality)):
            return str(modality)
    raise Skip("The parts at their small sizes do not fit tiny data of any of their modalities.")
