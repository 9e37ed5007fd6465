"""Declarations: the calls that declare components, written as source."""

from collections.abc import Mapping
from inspect import Parameter, signature
from typing import Any

from pretask import Component, Metric, data, evaluator, model, objective, split, suite, task

WIDTH = 100  # characters of a line
KINDS = {declare.__name__: declare for declare in (data, evaluator, model, objective, split, suite, task)}


def format_declaration(component: Component) -> str:
    """Format the call that declares a component, as a line of a hook for every argument."""
    first = [format_literal(component.name)] + (
        [format_literal(component.implementation)] if component.implementation else []
    )
    defaults = {name: parameter.default for name, parameter in signature(KINDS[component.kind]).parameters.items()}
    given = {key: value for key, value in collect_arguments(component).items() if not is_default(value, defaults[key])}
    lines = [*first, *(f"{key}={format_nested(value, 8 + len(key) + 2)}" for key, value in given.items())]
    inside = "".join(f"        {line},\n" for line in lines)
    return f"    yield pretask.{component.kind}(\n{inside}    )"


def is_default(value: Any, default: Any) -> bool:
    """Return whether an argument may be left out: it is the default, or as empty as that."""
    empty = not isinstance(value, bool | int | None) and not value
    return bool(value == default) or (empty and not default and default is not Parameter.empty)


def collect_arguments(component: Component) -> dict[str, Any]:
    """Return what a component was declared with, by keyword."""
    traits = dict(component.traits)
    about = {"summary": component.summary, "source": component.source, "version": component.version}
    about |= {"cites": component.cites}
    if component.kind == "task":
        traits = {**traits.pop("parts"), **traits}
        return {**traits, **about}
    if component.kind == "suite":
        return {"summary": component.summary, "version": component.version}
    return {**traits, **about, "small": dict(component.small)}


def format_nested(value: Any, used: int, depth: int = 2) -> str:
    """Format a value on one line, or a mapping that is too long for one on a line for each member."""
    line = format_literal(value)
    if not isinstance(value, Mapping) or not value or used + len(line) <= WIDTH:
        return line
    indent = " " * 4 * (depth + 1)
    members = [
        f"{indent}{format_literal(key)}: {format_nested(member, len(indent) + len(str(key)) + 5, depth + 1)},\n"
        for key, member in value.items()
    ]
    return "{\n" + "".join(members) + " " * 4 * depth + "}"


def format_literal(value: Any) -> str:
    """Format a value as source, sets in order so that the same file makes the same package.

    >>> format_literal({"image": frozenset({"values", "categories"})})
    '{"image": {"categories", "values"}}'
    """
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{format_literal(key)}: {format_literal(member)}" for key, member in value.items()) + "}"
        )
    if isinstance(value, Metric):
        unit = [format_literal(value.unit)] if value.unit else []
        named = [f"{name}={format_literal(of)}" for name, of in list(vars(value).items())[1:] if of not in (None, "")]
        return f"pretask.Metric({', '.join([*unit, *named])})"
    if isinstance(value, frozenset | set):
        return "{" + ", ".join(map(format_literal, sorted(value))) + "}" if value else "()"
    if isinstance(value, tuple | list):
        return "(" + ", ".join(map(format_literal, value)) + ("," if len(value) == 1 else "") + ")"
    text = repr(value)
    return f'"{text[1:-1]}"' if isinstance(value, str) and text[0] == "'" and '"' not in text else text
