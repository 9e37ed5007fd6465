"""Components: a page for every kind, with all of it that pretask offers."""

import inspect
from collections.abc import Iterator

from pretask import Metric
from pretask_bench.cli.list import format_traits
from pretask_bench.cli.show import suite_divisions, suite_tables
from pretask_registry import Registered, import_implementation
from pretask_registry.citations import find_entries
from pretask_registry.modalities import find_modalities
from pretask_registry.resolve import option_prefix

from generated.methods import ANY, load_registry, own, write_options
from generated.text import as_prose, fenced, first_paragraphs, write_table

FOLDER = "components"
BETTER = {True: "higher", False: "lower", None: ""}
PAGES = {
    "split": ("splits", "Splits", "What is hidden of a sample, and what is predicted of it."),
    "objective": ("objectives", "Objectives", "How a prediction is scored; what is trained is this number."),
    "model": ("models", "Models", "The encoders, and any head that they need."),
    "data": ("data", "Data", "Data sets that come with pretask, and loaders of files of your own."),
    "evaluator": ("evaluators", "Evaluators", "What an encoder, or a trained task, is worth."),
    "suite": ("suites", "Suites", "What a leaderboard holds fixed: data, budgets and measures."),
}


def write_component_pages() -> dict[str, str]:
    """Return the page of every kind, by name."""
    return {f"{FOLDER}/{name}.md": write_page(kind) for kind, (name, _, _) in PAGES.items()}


def write_page(kind: str) -> str:
    """Return the page of a kind: a section for each of its components."""
    _, title, meaning = PAGES[kind]
    sections = [f"{part}\n" for registered in own(kind) for part in iterate_parts(registered) if part]
    return "\n".join([f"# {title}\n", f"{meaning} `pretask show NAME` says the same.\n", *sections])


def iterate_parts(registered: Registered) -> Iterator[str]:
    """Yield the parts of the section of a component."""
    component = registered.component
    yield f"## {registered.name if registered.kind != 'suite' else registered.id.partition('/')[2]}"
    yield as_prose(component.summary)
    modalities = ", ".join(sorted(find_modalities(load_registry(), registered))) or ANY
    yield f"`{registered.id}`, for {modalities}. {describe_traits(registered)}"
    if registered.kind == "suite":
        for table in suite_tables(suite_divisions(registered)):
            yield f"**{table.title}**\n\n{write_table(table.columns, table.rows)}"
        return
    yield as_prose(first_paragraphs(inspect.getdoc(import_implementation(registered)) or ""))
    yield write_metrics(registered)
    yield write_options(registered, option_prefix(registered))
    if component.source:
        yield f"Source: {as_prose(component.source)}."
    if entries := [entry for entry in find_entries(registered).values() if entry]:
        yield fenced("\n\n".join(entries), "bibtex")


def describe_traits(registered: Registered) -> str:
    """Return what decides what a component fits, in one sentence; nothing where there is nothing to say."""
    traits = format_traits(registered)
    return f"Declared: `{traits}`." if traits and registered.kind != "suite" else ""


def write_metrics(registered: Registered) -> str:
    """Return the table of the numbers that an evaluator or an objective gives, as it declares them."""
    rows = [
        (f"`{name}`", metric.unit, BETTER[metric.higher_is_better], describe_trivial(metric))
        for name, metric in registered.component.traits.get("metrics", {}).items()
    ]
    return write_table(("number", "unit", "better", "trivial predictor"), rows)


def describe_trivial(metric: Metric) -> str:
    """Return what predictor a number is of, and what it is to be held against; nothing where it is of none."""
    return f"{metric.title}, for `{metric.trivial_for}`" if metric.trivial_for else ""
