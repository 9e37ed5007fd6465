"""The verb `pretask list`: what is installed, by kind and modality, without importing what implements it."""

from collections.abc import Iterable
from typing import Any

import click
from pretask import Unknown
from pretask.declare import KINDS
from pretask_registry import Registered
from pretask_registry.modalities import find_modalities
from pretask_registry.names import hint

from pretask_bench.cli.completion import complete_kinds
from pretask_bench.cli.main import json_option, registry
from pretask_bench.results.tables import show_json, show_rows

WIDE = ("kind", "id", "what", "modality", "traits", "source", "plugin")
OTHER_TRAITS = ("modality", "metrics", "recipe", "options", "presets")  # that have a column of their own, or are many


@click.command("list")
@click.argument("kind", required=False, metavar="[KIND]", shell_complete=complete_kinds)
@click.option("--modality", help="Only what is for this modality, or for any: image, text, video, audio.")
@click.option("--wide", is_flag=True, help="Show modality, traits, source and plugin as well.")
@json_option
def command(kind: str | None, modality: str | None, wide: bool, as_json: bool) -> None:
    """List what is installed; KIND is data, split, model, objective, evaluator, task or suite."""
    if kind is not None and kind not in KINDS:
        raise Unknown(f"No kind '{kind}'. There are: {', '.join(KINDS)}.")
    found = choose_by_modality(registry().components(kind), modality)
    if as_json:
        show_json([component_json(registered) for registered in found])
    elif wide:
        show_rows(WIDE, [wide_row(registered) for registered in found])
    else:
        show_rows(
            ("kind", "id", "what"),
            [(registered.kind, registered.id, registered.component.summary) for registered in found],
        )


def choose_by_modality(found: list[Registered], modality: str | None) -> list[Registered]:
    """Return what is for a modality, or for any; all where none is given.

    Raises:
        Unknown: Nothing is for that modality.
    """
    if modality is None:
        return found
    modalities = [find_modalities(registry(), registered) for registered in found]
    known = sorted(frozenset[str]().union(*modalities))
    if modality not in known:
        otherwise = f"There are: {', '.join(known)}."
        raise Unknown(f"No modality '{modality}'. {hint(modality, known, otherwise)}")
    return [registered for registered, own in zip(found, modalities, strict=True) if not own or modality in own]


def wide_row(registered: Registered) -> tuple[str, ...]:
    """Return all that is known of a component without importing it, as a row of a table."""
    component = registered.component
    return (
        registered.kind,
        registered.id,
        component.summary,
        ", ".join(sorted(find_modalities(registry(), registered))) or "any",
        format_traits(registered),
        component.source,
        registered.plugin.release,
    )


def format_traits(registered: Registered) -> str:
    """Format what decides what a component fits, such as `targets=categories views=2 sees=all`."""
    traits = {name: value for name, value in registered.component.traits.items() if name not in OTHER_TRAITS}
    traits |= traits.pop("parts", {})
    if registered.kind == "split":
        traits["targets"] = frozenset().union(*traits["targets"].values())
    return " ".join(f"{name}={format_trait(value)}" for name, value in traits.items() if value not in ("", None))


def format_trait(value: Any) -> str:
    """Format one trait as a word."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(sorted(value)) if isinstance(value, Iterable) and not isinstance(value, str) else str(value)


def component_json(registered: Registered) -> dict[str, Any]:
    """Return what is declared of a component, as JSON can hold it."""
    component = registered.component
    return {
        "id": registered.id,
        "kind": registered.kind,
        "summary": component.summary,
        "source": component.source,
        "plugin": registered.plugin.release,
        "modality": sorted(find_modalities(registry(), registered)),
        "traits": plain_traits(component.traits),
    }


def plain_traits(value: Any) -> Any:
    """Return traits as JSON can hold them."""
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, dict):
        return {key: plain_traits(part) for key, part in value.items()}
    return value
