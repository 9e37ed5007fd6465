"""The verb `pretask cite`: BibTeX of exactly what a task, a run or a suite is made of."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pretask_bench.cli.main import registry

if TYPE_CHECKING:
    from pretask_registry import Registered, Registry

    from pretask_bench.records.record import Cell

EPILOG = """Example: pretask cite runs/colorization-f2b9c6b4bd18-cfee03ad > references.bib"""


@click.command("cite", epilog=EPILOG)
@click.argument("what", metavar="TASK|RUN|SUITE")
def command(what: str) -> None:
    """Print BibTeX of what a task, a run (its folder or record) or a suite goes back to, each entry once.

    What has a source and no entry is named on stderr. A component of any other kind is found by its name as well.
    """
    from pretask.printable import escape_invisible
    from pretask_registry.citations import collect_citations

    citation = collect_citations(find_cited(registry(), what))
    for key, entry in citation.entries.items():
        lines = [f"% {', '.join(citation.used_by[key])}", *entry.splitlines(), ""]
        print("\n".join(map(escape_invisible, lines)))
    for line in citation.missing:
        print(f"without BibTeX: {line}", file=sys.stderr)


def find_cited(registry: "Registry", what: str) -> "list[Registered]":
    """Return the components that a name or path means, in the order of data, split, model, objective, evaluators."""
    if Path(what).exists():
        return list_of_record(registry, Path(what))
    from pretask.declare import KINDS
    from pretask.errors import PretaskError, Unknown

    found: list[Registered] = []
    for kind in ("task", "suite", *KINDS):
        try:
            found = [registry.find(kind, what)]
        except PretaskError:
            continue
        break
    if not found:
        raise Unknown(f"No task, suite or other component '{what}', and no such file or folder. See: pretask list.")
    if found[0].kind == "task":
        return [*found, *list_parts(registry, found[0])]
    return list_of_suite(registry, found[0]) if found[0].kind == "suite" else found


def list_parts(registry: "Registry", task: "Registered") -> "list[Registered]":
    """Return split, model and objective of a task."""
    parts = task.component.traits["parts"]
    return [registry.find(kind, parts[kind]) for kind in ("split", "model", "objective")]


def list_of_record(registry: "Registry", place: Path) -> "list[Registered]":
    """Return what the run of a record, or of a folder that has one, was made of."""
    from pretask_bench.records.store import enter, read

    named = [component for path in enter(place) for component in list_of_cell(read(path).cell)]
    return find_installed(registry, dict.fromkeys(named))


def list_of_cell(cell: "Cell") -> list[tuple[str, str]]:
    """Return kind and id of what a cell is made of."""
    named = [("task", cell.task)] if cell.task else []
    named += [(kind, getattr(cell, kind).id) for kind in ("data", "split", "model", "objective")]
    named += [("data", cell.evaluated_on.id)] if cell.evaluated_on else []
    return [*named, *(("evaluator", evaluator) for evaluator in cell.evaluators)]


def list_of_suite(registry: "Registry", declared: "Registered") -> "list[Registered]":
    """Return the tasks that a suite runs with their parts, its data and its evaluators."""
    from pretask_bench.runs.bench import plan_suite
    from pretask_bench.runs.suites import read_suite

    found: list[Registered] = []
    for planned in plan_suite(registry, read_suite(registry, declared.id)):
        if planned.plan is not None:
            plan = planned.plan
            found += [plan.task] if plan.task is not None else []
            found += [*plan.parts.values(), *plan.evaluators]
    return found


def find_installed(registry: "Registry", named: Iterable[tuple[str, str]]) -> "list[Registered]":
    """Return what is installed of these ids, and name the others on stderr."""
    from pretask.errors import PretaskError

    found = []
    for kind, name in named:
        try:
            found.append(registry.find(kind, name))
        except PretaskError as error:
            print(f"not installed: {kind} {name}: {error}", file=sys.stderr)
    return found
