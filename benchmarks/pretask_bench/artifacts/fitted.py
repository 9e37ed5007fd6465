"""Fitted: what a split learned of its data, as JSON and tensors, so that the same split can be built without the data.

What is kept are the fields in which the fitted split differs from one that was only built: a vocabulary, a prior of
colors, centers of clusters. Never a pickle: a class is named only where it is one of pretask's or of the split's own
package, and is made anew from its fields.
"""

import math
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import fields, is_dataclass, replace
from importlib import import_module
from typing import Any

import numpy as np
import torch
from pretask.extraction import fingerprint_of
from torch import Tensor

PLAIN = (bool, int, float, str, type(None))
KEPT_AS: Mapping[type, str] = {tuple: "tuple", list: "list", set: "set", frozenset: "frozenset"}
MAKERS: Mapping[str, Callable[[list[Any]], Any]] = {name: kind for kind, name in KEPT_AS.items()}
CORE = "pretask"

Tensors = dict[str, Tensor]


class Unkept(Exception):
    """A value that cannot be written as JSON and tensors; its message says what it is."""


def keep_state(built: Any, fitted: Any, tensors: Tensors) -> dict[str, Any]:
    """Return what a fitted split has that a built one has not; its tensors are added to those given.

    Raises:
        Unkept: It holds something that is neither numbers, text, tensors nor dataclasses of them.
    """
    before, after = state_of(built), state_of(fitted)
    same_class = type(built) is type(fitted)
    changed = {
        name: value
        for name, value in after.items()
        if not (same_class and name in before and fingerprint_of([before[name]]) == fingerprint_of([value]))
    }
    kept = {name: keep(value, name, tensors) for name, value in changed.items()}
    return kept if same_class else {"class": place_of(type(fitted)), "fields": kept}


def restore_state(built: Any, kept: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    """Return the split as it was fitted; raise Unkept where a class of it is not there or is none of its package."""
    package = type(built).__module__.partition(".")[0]
    if set(kept) == {"class", "fields"}:
        return restore(kept, package, tensors)
    values = {name: restore(value, package, tensors) for name, value in kept.items()}
    if is_dataclass(built) and not isinstance(built, type):
        return replace(built, **values)
    restored = copy(built)
    vars(restored).update(values)
    return restored


def state_of(part: Any) -> dict[str, Any]:
    """Return the fields of a dataclass, or the attributes of another object."""
    if is_dataclass(part):
        return {field.name: getattr(part, field.name) for field in fields(part)}
    return dict(vars(part)) if hasattr(part, "__dict__") else {}


def make(cls: type, values: Mapping[str, Any]) -> Any:
    """Make an object of its fields or attributes."""
    if is_dataclass(cls):
        return cls(**values)
    made: Any = object.__new__(cls)
    vars(made).update(values)
    return made


def keep(value: Any, name: str, tensors: Tensors) -> Any:
    """Return a value as JSON; a tensor or an array goes to `tensors`, by the way to it."""
    if isinstance(value, float) and not math.isfinite(value):  # which JSON has no number for
        return {"float": repr(value)}
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, Tensor | np.ndarray):
        tensors[name] = torch.as_tensor(value).detach().to("cpu", copy=True).contiguous()
        return {"tensor" if isinstance(value, Tensor) else "array": name}
    if type(value) in KEPT_AS:
        return {KEPT_AS[type(value)]: [keep(part, f"{name}.{place}", tensors) for place, part in enumerate(value)]}
    if isinstance(value, Mapping):
        pairs = enumerate(value.items())
        return {"mapping": [[keep(part, f"{name}.{place}", tensors) for part in pair] for place, pair in pairs]}
    if is_dataclass(value) and not isinstance(value, type):
        state = state_of(value).items()
        return {
            "class": place_of(type(value)),
            "fields": {field: keep(part, f"{name}.{field}", tensors) for field, part in state},
        }
    return refuse(value)


def refuse(value: Any) -> Any:
    """Raise Unkept for a value that nothing writes."""
    raise Unkept(f"a {type(value).__name__}")


def restore(kept: Any, package: str, tensors: Mapping[str, Tensor]) -> Any:
    """Return the value that `keep` wrote."""
    if not isinstance(kept, Mapping):
        return kept
    if set(kept) == {"class", "fields"}:
        values = {name: restore(value, package, tensors) for name, value in kept["fields"].items()}
        return make(find_class(kept["class"], package), values)
    ((kind, content),) = kept.items()
    if kind in MAKERS:
        return MAKERS[kind]([restore(part, package, tensors) for part in content])
    if kind == "mapping":
        return dict([restore(part, package, tensors) for part in pair] for pair in content)
    if kind == "float":
        return float(content)
    return tensors[content] if kind == "tensor" else tensors[content].numpy()


def place_of(cls: type) -> str:
    """Return where a class is defined, as "module:name"."""
    return f"{cls.__module__}:{cls.__qualname__}"


def find_class(place: str, package: str) -> type:
    """Return the class of that place; raise Unkept unless it is pretask's or of the split's package."""
    module, _, name = place.partition(":")
    if module.partition(".")[0] not in (CORE, package):
        raise Unkept(f"{place}, which is of another package than the split")
    try:
        found: Any = import_module(module)
        for attribute in name.split("."):
            found = getattr(found, attribute)
    except (ImportError, AttributeError) as error:
        raise Unkept(f"{place}, which is not there") from error
    if not isinstance(found, type):
        raise Unkept(f"{place}, which is no class")
    return found


def has_weights(objective: Any) -> bool:
    """Return whether an objective learns anything, which a run folder keeps beside the encoder."""
    return isinstance(objective, torch.nn.Module) and bool(objective.state_dict())
