"""The verb `pretask show`: what a component is, where it is implemented, and what can be set of it.

Of a task, the paper's settings beside those of its presets; of a suite, all that it holds fixed.
"""

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from pretask import PretaskError, Unknown
from pretask.declare import KINDS
from pretask_registry import Registered, import_implementation, read_component_options
from pretask_registry.option_texts import read_option_texts, write_value
from pretask_registry.options import describe
from pretask_registry.resolve import option_prefix

from pretask_bench.cli.completion import complete_names
from pretask_bench.cli.list import component_json, format_traits
from pretask_bench.cli.main import PLUGIN_PROBLEM, json_option, registry
from pretask_bench.results.tables import show_json, show_rows

if TYPE_CHECKING:
    from pretask_bench.runs.suites import Division, Suite

PAPER = "paper"  # heading of what a task declares without a preset


class Table(NamedTuple):
    """A table of texts; a title may be empty."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


@click.command("show")
@click.argument("name", shell_complete=complete_names())
@click.option("--kind", type=click.Choice(KINDS), help="Where several kinds have the name.")
@json_option
def command(name: str, kind: str | None, as_json: bool) -> None:
    """Show what NAME is, where it is implemented, and its options: default as it is written for --set, and meaning.

    Of a task, the paper's settings beside its presets; of a suite, all that it holds fixed.
    """
    components = [registry().find(kind, name)] if kind else find_any_kind(name)
    if as_json:
        show_json([describe_component(registered) for registered in components])
        return
    for number, registered in enumerate(components):
        for table in iterate_tables(registered):
            if table.rows:
                show_table(table, after_blank_line=bool(table.title) or number > 0)


def show_table(table: Table, *, after_blank_line: bool) -> None:
    """Print one table; where stdout is no terminal, with its headings as its first row."""
    if after_blank_line:
        click.echo()
    with_headings = bool(table.title) and not sys.stdout.isatty()
    rows = [table.columns, *table.rows] if with_headings else table.rows
    show_rows(table.columns, rows, title=table.title)


def find_any_kind(name: str) -> list[Registered]:
    """Return the components of any kind with that name; a task and its split often share one."""
    found, errors = [], []
    for kind in KINDS:
        try:
            found.append(registry().find(kind, name))
        except PretaskError as error:
            errors.append(error)
    if found:
        return found
    hints = [error for error in errors if "Did you mean" in str(error) or error.exit_code == PLUGIN_PROBLEM]
    raise (hints or [Unknown(f"Nothing is called '{name}'. See: pretask list.")])[0]


def describe_component(registered: Registered) -> dict[str, Any]:
    """Return all that is shown of a component, as JSON can hold it; this imports what implements it."""
    described = {**component_json(registered), "implemented": find_implementation_place(registered)}
    if registered.kind == "task":
        return {**described, "settings": task_settings(registered)}
    if registered.kind == "suite":
        return {**described, "divisions": suite_divisions(registered)}
    return {**described, "options": component_options(registered)}


def find_implementation_place(registered: Registered) -> str:
    """Return where a component is implemented, "module:attribute (file, line 12)"; of a task, where it is declared."""
    if registered.kind == "task":
        return f"{registered.plugin.module} ({getattr(sys.modules[registered.plugin.module], '__file__', '')})"
    named = registered.component.implementation
    if registered.kind == "suite":
        from importlib.resources import files

        module, _, name = named.partition(":")
        return f"{named} ({files(module).joinpath(name)})"
    implementation = import_implementation(registered)
    try:
        line = inspect.getsourcelines(implementation)[1]
        return f"{named} ({inspect.getsourcefile(implementation)}, line {line})"
    except (TypeError, OSError):  # an object that is the component itself, or no source
        return named


def component_options(registered: Registered) -> dict[str, dict[str, str]]:
    """Return the options of a component by name: default as it is written, values, and what the docstring says."""
    texts = read_option_texts(import_implementation(registered))
    return {
        name: {
            "default": write_value(option.default),
            "values": describe(option.annotation),
            "text": texts.get(name, ""),
        }
        for name, option in read_component_options(registered).items()
    }


def task_settings(task: Registered) -> dict[str, dict[str, str]]:
    """Return all that a task sets, by the paper and by each preset: parts, their options and fields of the recipe.

    A preset that has another part does without the paper's options of that part.
    """
    from pretask_bench.runs.plan import PlanSettings, add_task_settings

    columns = {}
    for preset in (None, *task.component.traits["presets"]):
        plan_settings = PlanSettings()
        add_task_settings(plan_settings, task, preset)
        options = {
            f"{part}.{name}": value for part, own in plan_settings.options.items() for name, value in own.items()
        }
        columns[preset or PAPER] = {
            name: write_value(value) for name, value in {**plan_settings.parts, **options}.items()
        }
    return columns


def suite_divisions(suite: Registered) -> list[dict[str, Any]]:
    """Return what a suite holds fixed, division by division: budget, data and evaluators with all of their options."""
    from pretask_bench.runs.suites import read_suite

    found = read_suite(registry(), suite.id)
    return [division_json(found, division) for division in found.file.division]


def division_json(suite: "Suite", division: "Division") -> dict[str, Any]:
    """Return a division and what it holds fixed, as JSON holds it."""
    fixed = suite.fixed[division.name]
    return {
        "name": division.name,
        "modality": division.modality,
        "samples": division.samples,
        "budgets": dict(division.budgets),
        "preset": division.preset,
        "measures": [measure.title for measure in division.measures],
        "run": list(division.run),
        "without": list(division.without),
        "seeds": suite.seeds_of(division),
        "baselines": list(suite.baselines_of(division)),
        "beside": {task: list(names) for task in division.run if (names := suite.beside(division, task))},
        "fixed": {
            fixed.data_id: write_options(fixed.data_options, division.given_of("data")),
            **({fixed.on_id: write_options(fixed.on_options, division.given_of("on"))} if fixed.on_id else {}),
            **{evaluator: write_options(options, ()) for evaluator, options in fixed.evaluators.items()},
        },
    }


def write_options(options: Mapping[str, Any], given: Sequence[str]) -> dict[str, str]:
    """Return options with their values as they are written; those that whoever runs the suite gives say so."""
    return {name: "yours to give" if name in given else write_value(value) for name, value in options.items()}


def iterate_tables(registered: Registered) -> Iterator[Table]:
    """Yield the tables that show a component to a reader."""
    component = registered.component
    about = {
        "id": registered.id,
        "kind": registered.kind,
        "what": component.summary,
        "source": component.source,
        "plugin": registered.plugin.release,
        "modality": ", ".join(component_json(registered)["modality"]) or "any",
        "traits": format_traits(registered),
        "implemented": find_implementation_place(registered),
    }
    yield Table("", ("", ""), [(name, text) for name, text in about.items() if text])
    if registered.kind == "task":
        yield preset_table(task_settings(registered))
    elif registered.kind == "suite":
        yield from suite_tables(suite_divisions(registered))
    else:
        options = component_options(registered)
        rows = [(f"{option_prefix(registered)}.{name}", *texts.values()) for name, texts in options.items()]
        yield Table("Options, as --set OPTION=VALUE takes them", ("option", "default", "values", "meaning"), rows)


def preset_table(columns: Mapping[str, Mapping[str, str]]) -> Table:
    """Return a row for every setting, a column for the paper and each preset; empty where one leaves a default."""
    names = list(dict.fromkeys(name for column in columns.values() for name in column))
    names.sort(key=lambda name: "." in name)
    rows = [(name, *(column.get(name, "") for column in columns.values())) for name in names]
    return Table("Settings; empty where a default is left", ("setting", *columns), rows)


def suite_tables(divisions: Sequence[Mapping[str, Any]]) -> Iterator[Table]:
    """Yield a table of divisions, and one of what each holds fixed."""
    columns = ("name", "modality", "samples", "preset", "measures", "run", "without", "seeds", "baselines")
    rows = [tuple(format_cell(division[column]) for column in columns) for division in divisions]
    yield Table("Divisions", ("division", *columns[1:]), rows)
    fixed: list[tuple[str, ...]] = [
        (division["name"], part, " ".join(f"{name}={value}" for name, value in options.items()))
        for division in divisions
        for part, options in division["fixed"].items()
    ]
    yield Table("Held fixed, as all entries of a division have it", ("division", "part", "options"), fixed)


def format_cell(value: Any) -> str:
    """Format a number, a word or a list of words."""
    return ", ".join(value) if isinstance(value, list) else str(value)
