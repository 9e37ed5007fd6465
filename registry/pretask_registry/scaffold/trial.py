"""Trial: the command that tries a copied component in a minute or two, put together from built-in tasks."""

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from pretask_registry.fit import PARTS, static_fit
from pretask_registry.modalities import find_modalities
from pretask_registry.options import REQUIRED
from pretask_registry.registry import Registered, Registry
from pretask_registry.resolve import read_component_options

FIRST = "relative-position"  # the task with which most is tried
TRIED_WITH = {"density": "vae", "tracking": "colorization-tracking", "tagging": "masked-lm"}  # evaluators of few tasks
EMBEDDED = {"image": "shapes", "text": "toy-grammar", "video": "sprites", "audio": "tones"}


def format_trial(registry: Registry, origin: Registered, name: str) -> str:
    """Return the arguments of `pretask` that try what was copied from a component and is now called by a name."""
    if origin.kind == "suite":
        return f"bench {name} --seeds 1 --out runs"
    if origin.kind == "task":
        presets = origin.component.traits["presets"]
        preset = next((key for key, settings in presets.items() if "data" in settings), next(iter(presets), None))
        chosen = f"run {name}" if preset is None else f"run {name} --preset {preset}"
        return chosen if preset and "data" in presets[preset] else f"{chosen} --data {embedded(registry, origin)}"
    found = find_task(registry, origin)
    if found is None:
        return format_free(registry, origin, name)
    start = f"run {found[0].name} --preset {found[1]}"
    if origin.kind == "evaluator":
        return f"{start} --evaluate {name}"
    needed = list_required(origin) if origin.kind == "data" else []
    return " ".join([start, f"--{origin.kind} {name}", *(f"--set data.{option}=PATH" for option in needed)])


def embedded(registry: Registry, registered: Registered) -> str:
    """Return the name of built-in data that a component is for."""
    mine = find_modalities(registry, registered)
    return next((data for modality, data in EMBEDDED.items() if modality in mine or not mine), EMBEDDED["image"])


def list_required(data: Registered) -> list[str]:
    """List the options of data that have no default."""
    return [name for name, option in read_component_options(data).items() if option.default is REQUIRED]


def format_free(registry: Registry, origin: Registered, name: str) -> str:
    """Return the arguments of a run of built-in parts that fit a component, where no task has a place for it."""
    choices = [[origin] if kind == origin.kind else registry.current(kind) for kind in PARTS]
    for modality, data in EMBEDDED.items():
        for split, objective, model in product(*choices):
            if static_fit(split, objective, model, modality) is None:
                parts = (split, objective, model)
                words = [f"--{part.kind} {name if part is origin else part.name}" for part in parts]
                return f"run {' '.join(words)} --data {data} --samples 20_000"
    return f"run --{origin.kind} {name}"


def find_task(registry: Registry, origin: Registered) -> tuple[Registered, str] | None:
    """Find a built-in task and its preset that a component can be put into: one that has it, else one that it fits."""
    fitting = list(iterate_fitting(registry, origin))
    wanted = TRIED_WITH.get(origin.name, FIRST)
    fitting.sort(key=lambda found: (not found[2], found[0].name != wanted))
    return fitting[0][:2] if fitting else None


def iterate_fitting(registry: Registry, origin: Registered) -> Iterator[tuple[Registered, str, bool]]:
    """Yield tasks with presets that have data and which a component fits, by declarations; and whether they have it."""
    mine = find_modalities(registry, origin)
    for task in registry.current("task"):
        for preset, settings in task.component.traits["presets"].items():
            if task.namespace == origin.namespace and "data" in settings:
                parts = find_parts(registry, task, settings)
                modality = parts["data"].component.traits["modality"]
                has_it = any(part.id == origin.id for part in parts.values())
                tried = {**parts, origin.kind: origin}
                fits = static_fit(tried["split"], tried["objective"], tried["model"], modality) is None
                if fits and (not mine or modality in mine or origin.kind == "model"):
                    yield task, preset, has_it


def find_parts(registry: Registry, task: Registered, settings: Mapping[str, Any]) -> dict[str, Registered]:
    """Return the parts of a task under the settings of a preset, data among them."""
    named = {**task.component.traits["parts"], "data": settings["data"]}
    named |= {part: settings[part] for part in named if part in settings}
    return {part: registry.find(part, name) for part, name in named.items()}
