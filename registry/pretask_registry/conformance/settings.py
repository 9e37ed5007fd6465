"""Settings: the options with which a split or a task is really used, and canned data that are large enough for them."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from pretask import Observed, PretaskError, Samples, Task
from pretask.composition import compose

from pretask_registry.canned import OBSERVED, make_canned_samples, observe_canned
from pretask_registry.conformance import material
from pretask_registry.conformance.check import Skip
from pretask_registry.fit import PARTS
from pretask_registry.registry import Registered, Registry
from pretask_registry.resolve import build, resolve_options

SCALES = (1, 2, 4, 16)  # times the sides of canned data: up to images of 512 pixels
CLIP_SCALES = ((1, 1), (2, 1), (4, 1), (4, 4), (8, 1), (8, 4))  # times frames and sides: up to 64 of 128 pixels
PAPER = "the paper"  # whose options a task declares
COUNT = 16  # samples, that a split is fitted to as well


@dataclass(frozen=True)
class Setting:
    """Parts with their options, by the name of the part.

    Args:
        parts: The components.
        options: Of each.
    """

    parts: Mapping[str, Registered]
    options: Mapping[str, Mapping[str, Any]]

    def build(self, part: str) -> Any:
        """Build one part with its options."""
        return build(self.parts[part], self.options.get(part, {}))


def read_settings(registry: Registry, task: Registered, preset: str | None = None) -> Setting:
    """Read the parts and options of a task as its paper or one of its presets has them."""
    traits = task.component.traits
    parts, options = dict(traits["parts"]), dict[str, dict[str, Any]]()
    for layer in (traits["options"], traits["presets"][preset] if preset else {}):
        for name, value in layer.items():
            if name in PARTS and parts[name] != value:
                parts[name] = value
                options.pop(name, None)  # they are another part's
        for name, value in layer.items():
            part, _, option = name.partition(".")
            if option:
                options.setdefault(part, {})[option] = value
    return Setting({part: registry.find(part, parts[part]) for part in PARTS}, options)


def all_settings(registry: Registry, task: Registered) -> Iterator[tuple[str, Setting]]:
    """Yield the paper's parts and options, and those of every preset, each with a name."""
    yield PAPER, read_settings(registry, task)
    for preset in task.component.traits["presets"]:
        yield f"the preset {preset}", read_settings(registry, task, preset)


def split_options(registry: Registry, split: Registered) -> dict[str, Mapping[str, Any]]:
    """Return by name the sets of options with which a split is used: small, its defaults, and those of tasks."""
    used: dict[str, Mapping[str, Any]] = {"its small size": split.component.small, "its defaults": {}}
    for task in registry.current("task"):
        for name, setting in all_settings(registry, task):
            if setting.parts["split"].id == split.id:
                used[f"{name} of {task.id}"] = setting.options.get("split", {})
    different = {json.dumps(resolve_options(split, options)): name for name, options in reversed(used.items())}
    return {name: used[name] for name in reversed(different.values())}


def enlarge_for(split: Any, registry: Registry, modality: str) -> Samples | None:
    """Make the smallest canned data of a modality that a split takes, fitted or not; None where none are.

    Of a modality without canned data, the tiny data that a plugin offers.
    """
    if modality not in OBSERVED:
        samples = material.load_samples(registry, modality)
        return samples if can_split(split, samples.observed) else None
    for frames, scale in CLIP_SCALES if modality == "video" else [(1, scale) for scale in SCALES]:
        if can_split(split, observe_canned(modality, COUNT, scale, frames)):
            return make_canned_samples(modality, COUNT, scale=scale, frames=frames)
    return None


def can_split(split: Any, observed: Observed) -> bool:
    """Return whether a split can divide such data."""
    try:
        split.spec(observed)
    except PretaskError:
        return False
    return True


def compose_large(
    setting: Setting, registry: Registry, seed: int, device: torch.device = material.CPU
) -> tuple[Task, Samples]:
    """Compose a task of some parts on the smallest data that they fit, with those data, which stay on the CPU.

    Args:
        setting: The parts.
        registry: Where data of other modalities are.
        seed: Of the weights.
        device: Of the network; on the meta device it takes no memory.

    Raises:
        Skip: They fit no data that are there.
    """
    split = setting.build("split")
    for modality in sorted(setting.parts["split"].component.traits["modality"]):
        samples = enlarge_for(split, registry, modality)
        if samples is not None:
            divided = material.fit_split(split, samples)
            with contextlib.suppress(PretaskError), device:
                model, objective = setting.build("model"), setting.build("objective")
                return compose(samples.observed, divided, model, objective, seed=seed, device=device), samples
    raise Skip("The parts fit no canned data, however large.")
