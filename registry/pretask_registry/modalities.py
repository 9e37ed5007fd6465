"""Modalities: which of image, text, video, audio or another a component is for, from declarations alone."""

import tomllib
from importlib.resources import files

from pretask import PretaskError

from pretask_registry.fit import static_fit
from pretask_registry.registry import Registered, Registry


def find_modalities(registry: Registry, registered: Registered) -> frozenset[str]:
    """Return the modalities that a component is for; none where it is for any, or what it names is not installed.

    An objective is for those in which a split has a target that it scores, a task for those in which its parts fit, a
    suite for those of its divisions.
    """
    traits = registered.component.traits
    if registered.kind == "objective":
        return frozenset(
            modality
            for split in registry.current("split")
            for modality, kinds in split.component.traits["targets"].items()
            if kinds & traits["targets"]
        )
    if registered.kind == "task":
        return modalities_of_task(registry, registered)
    if registered.kind == "suite":
        return modalities_of_suite(registered)
    modality = traits["modality"]
    return frozenset({modality}) if isinstance(modality, str) else frozenset(modality)


def modalities_of_task(registry: Registry, task: Registered) -> frozenset[str]:
    """Return the modalities in which a task's parts fit, by what they declare."""
    try:
        split, objective, model = (
            registry.find(part, task.component.traits["parts"][part]) for part in ("split", "objective", "model")
        )
    except PretaskError:
        return frozenset()
    return frozenset(
        modality
        for modality in split.component.traits["modality"]
        if static_fit(split, objective, model, modality) is None
    )


def modalities_of_suite(suite: Registered) -> frozenset[str]:
    """Return the modalities of a suite's divisions; none where its file cannot be read."""
    module, _, name = suite.component.implementation.partition(":")
    try:
        content = tomllib.loads(files(module).joinpath(name).read_text(encoding="utf-8"))
        return frozenset(str(division["modality"]) for division in content.get("division", ()))
    except (OSError, ImportError, ValueError, KeyError, TypeError):  # pretask check says what is wrong with it
        return frozenset()
