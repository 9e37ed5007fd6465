"""The verb `pretask cite`: BibTeX of exactly what a task, a run or a suite is made of."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pretask_bench.cli.main import registry

if TYPE_CHECKING:
    from pretask_registry import Registered, Registry
    from pretask_registry.citations import Citation

EPILOG = """Example: pretask cite runs/colorization-f2b9c6b4bd18-cfee03ad > references.bib"""


@click.command("cite", epilog=EPILOG)
@click.argument("what", metavar="TASK|RUN|SUITE")
def command(what: str) -> None:
    """Print BibTeX of what a task, a run (its folder or record) or a suite goes back to, each entry once.

    What has a source and no entry is named on stderr. A component of any other kind is found by its name as well.
    """
    from pretask_bench.results.citing import write_bibtex

    citation = find_citation(registry(), what)
    print(write_bibtex(citation))
    for line in citation.missing:
        print(f"without BibTeX: {line}", file=sys.stderr)


def find_citation(registry: "Registry", what: str) -> "Citation":
    """Return what is to be cited for what a name or path means."""
    from pretask_registry.citations import collect_citations

    from pretask_bench.records.store import enter, read
    from pretask_bench.results.citing import cite_cells

    if Path(what).exists():
        return cite_cells(registry, [read(path).cell for path in enter(Path(what))])
    return collect_citations(find_named(registry, what))


def find_named(registry: "Registry", what: str) -> "list[Registered]":
    """Return the components that a name means: of a task its parts as well, of a suite what it runs."""
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
