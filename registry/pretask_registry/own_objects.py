"""Own objects: a split, an objective, a model or data that a user made in this process, as components of a registry.

They are found as local/NAME like those of a plugin file. What stands for their version is the hash of their source and
content, so that a changed one is another run; only the user can give them again.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from inspect import isclass
from itertools import count
from types import ModuleType
from typing import Any

from pretask import Component
from pretask.declare import data, model, objective, split
from pretask.specs import SEES_AT_MOST, Observed

from pretask_registry.discovery import LOCAL, Plugin
from pretask_registry.registry import Registry

MODULE = "pretask_own_objects"  # stands in sys.modules for where they are defined
DISTRIBUTION = "your own object"
MODALITIES = ("image", "video", "text", "audio")
KINDS_OF_TARGETS = ("categories", "values", "reference", "agreement", "representation")


def add_object(registry: Registry, kind: str, thing: Any, content: str, observed: Observed) -> tuple[Registry, str]:
    """Return the registry with an object as a component, and the component's id.

    What it would declare is taken from what it says of the data; whether parts fit is found out when they are composed.

    Args:
        registry: To which it is added.
        kind: data, split, objective or model.
        thing: The object: data or a split, or what builds a model or an objective of specs.
        content: Hash of it.
        observed: What the data yields.
    """
    name = choose_name(registry, kind, thing, content)
    component = DECLARE[kind](name, place_object(name, content, thing), thing, observed)
    plugin = Plugin(
        f"{LOCAL}.{kind}-{name}", MODULE, DISTRIBUTION, content[:12], "", components=(component,), content=content
    )
    others = tuple(other for other in registry.plugins if other.name != plugin.name)
    return replace(registry, plugins=(*others, plugin)), f"{LOCAL}/{name}"


def choose_name(registry: Registry, kind: str, thing: Any, content: str) -> str:
    """Return what an object is called; where another one of the kind is called so, with the next number from 2."""
    contents = {plugin.name: plugin.content for plugin in registry.plugins}
    name = component_name(kind, thing)
    numbered = (name if number == 1 else f"{name}-{number}" for number in count(1))
    return next(one for one in numbered if contents.get(f"{LOCAL}.{kind}-{one}", content) == content)


def component_name(kind: str, thing: Any) -> str:
    """Return what an object is called: the name of its class or function in lower-case words with hyphens.

    >>> component_name("split", KeyError()), component_name("model", lambda: 0)
    ('key-error', 'model')
    """
    named = getattr(thing, "func", thing)
    title = getattr(named, "__name__", type(named).__name__)
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", title).replace("_", "-").lower()
    words = re.sub(r"[^a-z0-9]+", "-", spaced).strip("-")
    return kind if words in ("", "lambda") else words


def place_object(name: str, content: str, thing: Any) -> str:
    """Keep an object where its implementation is looked up; return that place, as "module:attribute".

    A class or a function is built with its options like any other; another object is the component itself.
    """
    module = sys.modules.setdefault(MODULE, ModuleType(MODULE))
    attribute = f"{name.replace('-', '_')}_{content[:12]}"
    setattr(module, attribute, thing)
    return f"{MODULE}:{attribute}"


def declare_data(name: str, place: str, thing: Any, observed: Observed) -> Component:
    """Declare data of the modality that it yields."""
    return data(name, place, modality=observed.modality)


def declare_split(name: str, place: str, thing: Any, observed: Observed) -> Component:
    """Declare a split of the data's modality, with the targets that it says it has of such data."""
    try:
        built: Any = thing() if isclass(thing) else thing
        shown, targets = built.spec(observed)
    except Exception:  # before it is fitted; what it cannot split is refused when the parts are composed
        return split(name, place, modality=observed.modality, targets=())
    kinds = {target.kind for target in targets.values()}
    hidden = all(target.hidden for target in targets.values())
    sees = {target.sees for target in targets.values()}
    return split(name, place, modality=observed.modality, targets=kinds, gives=shown.modality, sees=sees, hidden=hidden)


def declare_model(name: str, place: str, thing: Any, observed: Observed) -> Component:
    """Declare a model that may read anything and offer any stream."""
    return model(name, place, modality={*MODALITIES, observed.modality}, streams=tuple(SEES_AT_MOST))


def declare_objective(name: str, place: str, thing: Any, observed: Observed) -> Component:
    """Declare an objective that may score anything."""
    return objective(name, place, targets=KINDS_OF_TARGETS, bottleneck=True)


DECLARE: Mapping[str, Any] = {
    "data": declare_data,
    "split": declare_split,
    "model": declare_model,
    "objective": declare_objective,
}
