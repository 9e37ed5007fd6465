"""Completion: names of components, offered by the shell where a verb takes one. Nothing heavy is imported."""

from collections.abc import Callable

import click
from click.shell_completion import CompletionItem
from pretask.declare import KINDS

from pretask_bench.cli.main import registry

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_names(*kinds: str, several: bool = False) -> Complete:
    """Return a function that offers the names of these kinds of component, all kinds if none is given.

    Args:
        kinds: Such as "task" and "data".
        several: Whether the value is a list of names with commas, of which the last is completed.
    """

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, begun = incomplete.rpartition(",") if several else ("", "", incomplete)
        chosen = before.split(",") if comma else []
        components = [registered for kind in kinds or KINDS for registered in registry().current(kind)]
        by_name = registry().shortest_name if "/" not in begun else (lambda registered: registered.unversioned_id)
        found = {by_name(registered): registered.component.summary for registered in components}
        names = sorted(name for name in found if name.startswith(begun) and name not in chosen)
        return [CompletionItem(f"{before}{comma}{name}", help=found[name]) for name in names]

    return complete


def complete_kinds(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the kinds of component."""
    return [CompletionItem(kind) for kind in KINDS if kind.startswith(incomplete)]


def complete_presets(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the presets that tasks have."""
    from pretask_bench.runs.plan import COMMON_PRESETS

    declared = {preset for task in registry().current("task") for preset in task.component.traits["presets"]}
    presets = {*declared, *COMMON_PRESETS}
    return [CompletionItem(preset) for preset in sorted(presets) if preset.startswith(incomplete)]
