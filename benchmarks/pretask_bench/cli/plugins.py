"""The verb `pretask plugins`: what is installed, working or not, and what stands in the way."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import click
from pretask import PretaskError, Unknown
from pretask_registry import Plugin, Registry, read_component_options
from pretask_registry.resolve import DATA_ONLY

from pretask_bench.cli.main import PLUGIN_PROBLEM, json_option, registry
from pretask_bench.cli.problems import end_sentence
from pretask_bench.results.tables import show_json, show_rows


@click.command("plugins")
@click.argument("name", required=False, metavar="[NAMESPACE]")
@click.option("--deep", is_flag=True, help="Import what implements every component as well, which takes longer.")
@json_option
def command(name: str | None, deep: bool, as_json: bool) -> None:
    """List plugins, working or not, each with its problems and the way out; exit code 3 where one is broken.

    With --deep, an implementation that cannot be imported is a problem as well.
    """
    installed = registry()
    found = [plugin for plugin in installed.plugins if name is None or name in (plugin.name, plugin.namespace)]
    if name is not None and not found:
        raise Unknown(f"No plugin '{name}'. See: pretask plugins.")
    hidden = {plugin.name: list(find_deep_problems(installed, plugin)) if deep else [] for plugin in found}
    rows = [
        {
            "name": plugin.name,
            "release": plugin.release,
            "state": "partly" if plugin.state == "ok" and hidden[plugin.name] else plugin.state,
            "components": len(plugin.components),
            "problems": [
                *(f"{end_sentence(problem.cause)} {problem.fix}" for problem in plugin.problems),
                *hidden[plugin.name],
            ],
        }
        for plugin in found
    ]
    if as_json:
        show_json(rows)
    else:
        show_rows(tuple(rows[0]) if rows else (), [format_row(row) for row in merge_repeated_problems(rows)])
    if any(plugin.state == "broken" for plugin in found) or any(hidden.values()):
        raise SystemExit(PLUGIN_PROBLEM)


def format_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Format a row as cells of a table."""
    return tuple(" ".join(cell) if isinstance(cell, list) else str(cell) for cell in row.values())


def find_deep_problems(installed: Registry, plugin: Plugin) -> Iterator[str]:
    """Yield a sentence for each component of a plugin whose implementation cannot be imported, or its options read."""
    for registered in installed.components():
        if registered.plugin.name == plugin.name and registered.kind not in DATA_ONLY:
            try:
                read_component_options(registered)
            except PretaskError as error:
                yield str(error)
            except Exception as error:  # a signature that cannot be read
                yield f"{registered.kind} {registered.id} has options that cannot be read: {error}"


def merge_repeated_problems(rows: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows, where one with the problems of an earlier row names that row instead."""
    first: dict[str, object] = {}
    for row in rows:
        problems = str(row["problems"])
        same = first.setdefault(problems, row["name"])
        is_new = same == row["name"] or not row["problems"]
        yield row if is_new else {**row, "problems": [f"the same as {same}"]}
