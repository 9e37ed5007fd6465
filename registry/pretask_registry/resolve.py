"""Resolve: from a registered component to what implements it, imported on first use and built with its options."""

import inspect
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pretask import PretaskError, Unknown
from pretask.stopping import is_users

from pretask_registry.discovery import describe_error, import_quietly
from pretask_registry.options import Option, fill_options, read_options
from pretask_registry.registry import PLUGIN_PROBLEM, Registered

DATA_ONLY = ("task", "suite")  # kinds that nothing implements
KINDS_BUILT_FROM_SPECS = ("model", "objective")  # kinds whose positional parameters are specs
FILE = "plugin_file"  # stands among resolved options for the hash of a file that is a plugin, and so has no version


def import_implementation(registered: Registered) -> Any:
    """Return what implements a component.

    Raises:
        Unknown: It is a task or a suite, which are data.
        PretaskError: It cannot be imported (exit code 3).
    """
    if registered.kind in DATA_ONLY:
        raise Unknown(f"{registered.id} is a {registered.kind}: it names parts and is not built itself.")
    module, _, attribute = registered.component.implementation.partition(":")
    try:
        return getattr(import_quietly(module), attribute)
    except BaseException as error:
        if is_users(error):
            raise
        raise PretaskError(
            f"{registered.kind} {registered.id}",
            f"its implementation {registered.component.implementation} ({registered.plugin.release})",
            describe_error(error),
            f"Install what it needs, or reinstall {registered.plugin.distribution}. "
            f"Details: pretask plugins {registered.namespace}",
            exit_code=PLUGIN_PROBLEM,
        ) from error


def read_component_options(registered: Registered) -> dict[str, Option]:
    """Read the options of a component: by name, the default and the annotation.

    They are the fields of a dataclass, and the parameters after `*` of a model, an objective or a function.
    """
    return read_implementation_options(registered, import_implementation(registered))


def read_implementation_options(registered: Registered, implementation: Any) -> dict[str, Option]:
    """Read the options of what implements a component."""
    if not is_buildable(implementation):
        return {}
    return read_options(
        implementation, by_keyword=registered.kind in KINDS_BUILT_FROM_SPECS or not inspect.isclass(implementation)
    )


def is_buildable(implementation: Any) -> bool:
    """Return whether an implementation is a class or function; else it is the component itself."""
    return inspect.isclass(implementation) or inspect.isroutine(implementation)


def build(registered: Registered, options: Mapping[str, Any] | None = None) -> Any:
    """Build the component with its options.

    Returns:
        Of a split, data or an evaluator, the thing itself; of a model or an objective, what makes one out of specs. A
        function with further parameters (an evaluator that is written as one) comes back with its options filled in.

    Raises:
        Unknown: An option or its value is wrong.
    """
    implementation = import_implementation(registered)
    if not is_buildable(implementation):
        fill_component_options(registered, implementation, options or {})
        return implementation
    factory = partial(implementation, **fill_component_options(registered, implementation, options or {}))
    return factory if registered.kind in KINDS_BUILT_FROM_SPECS or needs_arguments(factory) else factory()


def fill_component_options(registered: Registered, implementation: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a component with their values."""
    given = dict(options)
    if registered.plugin.content:
        check_file(registered, given.pop(FILE, registered.plugin.content))
    return fill_options(
        registered.name, option_prefix(registered), read_implementation_options(registered, implementation), given
    )


def option_prefix(registered: Registered) -> str:
    """Return what stands before an option of a component in --set: an evaluator's own name, else its kind."""
    return registered.name if registered.kind == "evaluator" else registered.kind


def check_file(registered: Registered, content: str) -> None:
    """Raise PretaskError unless a component comes from the very file that resolved options are of."""
    if content != registered.plugin.content:
        raise PretaskError(
            f"{registered.kind} {registered.id}",
            f"the file that it was recorded from, {content[:12]}",
            registered.plugin.release,
            "Give that version of the file by --plugin, or run it anew.",
            exit_code=PLUGIN_PROBLEM,
        )


def needs_arguments(factory: partial[Any]) -> bool:
    """Return whether a call would still need arguments."""
    remaining = inspect.signature(factory).parameters.values()
    fixed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return any(parameter.default is inspect.Parameter.empty and parameter.kind not in fixed for parameter in remaining)


def resolve_options(registered: Registered, options: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return all options with their values, defaults included, as JSON can hold them: for a record's cell.

    A component of a single file, which has no version to raise, is distinguished by the file's hash as a further
    option. Giving them back to `build` builds the same.

    Raises:
        Unknown: An option or its value is wrong.
        PretaskError: JSON cannot hold a default (exit code 3).
    """
    settled = fill_component_options(registered, import_implementation(registered), options or {})
    plain = {name: as_json(registered, name, value) for name, value in settled.items()}
    return {**plain, FILE: registered.plugin.content} if registered.plugin.content else plain


def as_json(registered: Registered, name: str, value: Any) -> Any:
    """Return a value in the types of JSON."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple | list):
        return [as_json(registered, name, member) for member in value]
    if isinstance(value, Mapping):
        return {str(key): as_json(registered, name, member) for key, member in value.items()}
    raise PretaskError(
        registered.id,
        f"options that JSON can hold, for its records; {registered.kind}.{name} is none",
        type(value).__name__,
        f"Let {registered.plugin.distribution} declare a number, text, a path or a tuple of them.",
        exit_code=PLUGIN_PROBLEM,
    )
