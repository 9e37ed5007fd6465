"""Declarations, checked at the border: what must be true of a Component before anything relies on it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pretask import Component
from pretask.declare import KINDS
from pretask.specs import SEES_AT_MOST

from pretask_registry.names import WORDS

ATTRIBUTE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
FILE = re.compile(r"[A-Za-z_][\w.]*:\w[\w./-]*")

# What fitting and composing read, by kind: the functions of pretask.declare always give it.
TRAITS = {
    "data": ("modality",),
    "split": ("modality", "targets", "gives", "sees", "hidden"),
    "model": ("modality", "streams"),
    "objective": ("targets", "bottleneck"),
    "evaluator": ("needs", "modality"),
    "task": ("parts", "recipe", "options", "presets"),
    "suite": (),
}


def find_declaration_fault(thing: Any) -> str | None:
    """Return what is wrong with something that a plugin declares, or None."""
    try:
        return find_fault(thing)
    except Exception as error:  # of what it is made of
        return f"a {type(thing).__name__} that it declares cannot be read: {type(error).__name__}"


def find_fault(thing: Any) -> str | None:
    """Return what is wrong with a declaration, or None; raises whatever its parts raise."""
    if not isinstance(thing, Component):
        return f"{thing!r:.60} is no component"
    who = f"{thing.kind} {thing.name!r}"
    if thing.kind not in KINDS:
        return f"{who} is of no known kind: {', '.join(KINDS)}"
    if not isinstance(thing.name, str) or not WORDS.fullmatch(thing.name):
        return f"{who} is not named in lower-case words with hyphens"
    if type(thing.version) is not int or thing.version < 1:
        return f"{who} has the version {thing.version!r}, not a whole number from 1"
    if thing.kind != "task" and not (FILE if thing.kind == "suite" else ATTRIBUTE).fullmatch(thing.implementation):
        wanted = "module:file.toml" if thing.kind == "suite" else "module:attribute"
        return f"{who} has the implementation {thing.implementation!r}, not '{wanted}'"
    for name in ("summary", "source"):
        if not isinstance(text := getattr(thing, name), str):
            return f"{who} has the {name} {text!r:.60}, which is no text"
    if not isinstance(thing.cites, tuple) or not all(isinstance(key, str) for key in thing.cites):
        return f"{who} cites {thing.cites!r:.60}, which are no texts"
    if any(not text.isprintable() for text in iterate_texts((thing.summary, thing.source, thing.traits))):
        return f"{who} has texts with line ends or with what nobody sees"
    return find_trait_fault(who, thing)


def iterate_texts(value: Any) -> Iterator[str]:
    """Yield all texts of a declaration."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from iterate_texts([*value, *value.values()])
    elif isinstance(value, list | tuple | set | frozenset):
        for part in value:
            yield from iterate_texts(part)


def find_trait_fault(who: str, component: Component) -> str | None:
    """Return what is wrong with the traits of a component that is otherwise well formed, or None."""
    traits = component.traits
    missing = [name for name in TRAITS[component.kind] if name not in traits]
    if missing:
        return f"{who} does not declare {' and '.join(missing)}"
    strange = {*traits.get("sees", ()), *traits.get("streams", ())} - set(SEES_AT_MOST)
    if strange:
        return f"{who} says '{min(strange)}', which is no sight: {', '.join(SEES_AT_MOST)}"
    if component.kind == "split" and set(traits["targets"]) != set(traits["modality"]):
        return f"{who} declares targets for {sorted(traits['targets'])}, but splits {sorted(traits['modality'])}"
    return None
