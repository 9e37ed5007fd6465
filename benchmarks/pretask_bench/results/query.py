"""Query: which records a table is about, what its rows have in common, their order, and the form that they come in."""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any

from pretask import Metric, Unknown
from pretask_registry.names import hint

from pretask_bench.cli.terminal import escape_invisible
from pretask_bench.records.encoders import RANDOM, RAW, TRAINED, label_of
from pretask_bench.records.record import Record
from pretask_bench.results.groups import (
    COLUMNS,
    Group,
    Line,
    group_by_key,
    interval_facts,
    lines_of,
    matches_name,
    short,
)
from pretask_bench.results.markdown import plain_text, row_text
from pretask_bench.results.report import format_number
from pretask_bench.results.statistics import Estimate

FORMATS = ("table", "md", "csv", "json")
NONE = "none"  # what a record without a task has as its task
FIELDS: Mapping[str, Callable[[Record], Sequence[str]]] = {
    "task": lambda record: [record.cell.task or NONE],
    "split": lambda record: [record.cell.split.id],
    "objective": lambda record: [record.cell.objective.id],
    "model": lambda record: [record.cell.model.id],
    "data": lambda record: [record.cell.data.id],
    "on": lambda record: [(record.cell.evaluated_on or record.cell.data).id],
    "evaluator": lambda record: [*record.cell.evaluators],
    "seed": lambda record: [str(record.cell.seed)],
    "modality": lambda record: [record.cell.modality or NONE],
    "status": lambda record: [record.status],
}
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet's formula begins

Where = Mapping[str, Sequence[str]]
Keyed = tuple[str, Record]
Table = tuple[Sequence[str], list[Sequence[str]], list[dict[str, Any]]]  # columns, cells, and facts of each row


def parse_where(texts: Sequence[str]) -> Where:
    """Parse conditions such as ["task=causal-lm,masked-lm", "seed=0"]: any value of a field, and all fields.

    Raises:
        Unknown: There is no such field, or no value.
    """
    wanted: dict[str, list[str]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or not values:
            raise Unknown(f"--where needs FIELD=VALUE, such as task=causal-lm; got '{text}'.")
        check_field("--where", name)
        wanted.setdefault(name, []).extend(value.strip() for value in values.split(","))
    return wanted


def check_field(option: str, name: str) -> None:
    """Raise Unknown where there is no such field."""
    if name not in FIELDS:
        raise Unknown(f"{option} knows no field '{name}'. {hint(name, FIELDS, '')} Fields: {', '.join(FIELDS)}.")


def select(keyed: Sequence[Keyed], where: Where) -> list[Keyed]:
    """Return the records that meet all conditions, complete ones by default; with the evaluators of the condition."""
    where = {"status": ["complete"], **where}
    meant = [
        (key, record) for key, record in keyed if all(has_value(record, *condition) for condition in where.items())
    ]
    if "evaluator" not in where:
        return meant
    return [(key, keep_evaluators(record, where["evaluator"])) for key, record in meant]


def has_value(record: Record, name: str, wanted: Sequence[str]) -> bool:
    """Return whether a record has one of the wanted values: a full id, an id without its version, or a bare name."""
    return any(matches_name(value, choice) for value in FIELDS[name](record) for choice in wanted)


def keep_evaluators(record: Record, evaluators: Sequence[str]) -> Record:
    """Return the record with the rows of these evaluators."""
    rows = tuple(
        row for row in record.results if any(matches_name(row.evaluator, evaluator) for evaluator in evaluators)
    )
    return record.model_copy(update={"results": rows})


def build_table(keyed: Sequence[Keyed], group: Sequence[str], sort: str | None) -> Table:
    """Return the table of some records.

    Args:
        keyed: Records with the key of what their seeds have in common.
        group: Fields; records that have them in common, and an evaluator, become one row. None: one row for an encoder.
        sort: A column, with a minus before it for the highest first.
    """
    groups = group_by_key(keyed)
    if group:
        columns, cells, facts = pool_groups(groups, group)
    else:
        lines = [line for group in groups for line in lines_of(group)]
        columns, cells, facts = COLUMNS, [line.cells for line in lines], [line.facts for line in lines]
    if sort is None:
        return columns, cells, facts
    order = sorted(range(len(cells)), key=order_by(sort, columns, cells, facts))
    return columns, [cells[row] for row in order], [facts[row] for row in order]


def order_by(
    sort: str, columns: Sequence[str], cells: Sequence[Sequence[str]], facts: Sequence[Mapping[str, Any]]
) -> Callable[[int], tuple[bool, Any]]:
    """Return the sort key of a row by its number: what has no value comes last in either direction.

    Raises:
        Unknown: There is no such column.
    """
    name = sort.removeprefix("-")
    if name not in columns:
        raise Unknown(f"--sort knows no column '{name}'. {hint(name, columns, '')} Columns: {', '.join(columns)}.")
    sign = -1 if sort.startswith("-") else 1
    if any(isinstance(fact.get(name), int | float) for fact in facts):
        return lambda row: (facts[row].get(name) is None, sign * (facts[row].get(name) or 0))
    place = list(columns).index(name)
    ranked = {text: rank for rank, text in enumerate(sorted({row[place] for row in cells}))}
    return lambda row: (cells[row][place] == "", sign * ranked[cells[row][place]])


def pool_groups(groups: Sequence[Group], fields: Sequence[str]) -> Table:
    """Average over encoders: one row for all records that share some fields, an evaluator and its metric.

    Each encoder counts once, with its own mean over seeds. From lowest to highest is no interval: these are different
    encoders, and not draws of one.
    """
    for name in fields:
        check_field("--group", name)
    rows = [(values_of(group, line, fields), line) for group in groups for line in lines_of(group) if line.estimates]
    rows.sort(key=lambda row: row[0])
    cells: list[Sequence[str]] = []
    facts: list[dict[str, Any]] = []
    for values, members in groupby(rows, key=lambda row: row[0]):
        lines = [line for _, line in members]
        named = dict(zip((*fields, "evaluator", "metric"), values, strict=True))
        metric = named.pop("metric")
        found = {encoder: spread_over_encoders(lines, encoder) for encoder in (TRAINED, RANDOM, RAW)}
        shown = [format_range(found[encoder], lines[0].declared) for encoder in found]
        cells.append((*values[: len(fields)], str(len(lines)), f"{short(values[-2])} {metric}", *shown))
        labels = {label_of(encoder): estimate for encoder, estimate in found.items()}
        numbers = {
            name: value for label, estimate in labels.items() for name, value in interval_facts(label, estimate).items()
        }
        facts.append({**named, "metric": metric, "encoders": len(lines), **numbers})
    return (*fields, "encoders", "probe", *map(label_of, (TRAINED, RANDOM, RAW))), cells, facts


def values_of(group: Group, line: Line, fields: Sequence[str]) -> tuple[str, ...]:
    """Return the values of a line in some fields, its evaluator and its metric."""
    own = {"evaluator": line.evaluator, "seed": ",".join(str(record.cell.seed) for record in group)}
    values = [own.get(name) or short(FIELDS[name](group[0])[0]) for name in fields]
    return (*values, line.evaluator, line.metric)


def spread_over_encoders(lines: Sequence[Line], encoder: str) -> Estimate | None:
    """Return mean, lowest and highest of one number over encoders."""
    values = [line.estimates[encoder].value for line in lines if line.estimates and encoder in line.estimates]
    return Estimate(math.fsum(values) / len(values), min(values), max(values), len(values)) if values else None


def format_range(estimate: Estimate | None, metric: Metric) -> str:
    """Return a mean with the lowest and the highest.

    >>> format_range(Estimate(0.5, 0.4, 0.6, 2), Metric("fraction"))
    '50.0 % (40.0 to 60.0)'
    """
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    if estimate.count < 2:
        return format_number(estimate.value, metric)
    low, high = (f"{100 * end:.1f}" if metric.is_fraction else f"{end:.4g}" for end in (estimate.low, estimate.high))
    return f"{format_number(estimate.value, metric)} ({low} to {high})"


def format_table(form: str, table: Table) -> str:
    """Return a table as plain columns, Markdown, CSV or JSON."""
    columns, cells, facts = table
    if form == "table":
        return align_columns(columns, [tuple(map(escape_invisible, row)) for row in cells])
    if form == "json":
        return json.dumps(facts, indent=1, ensure_ascii=False)
    return markdown(columns, cells) if form == "md" else csv_text(facts)


def align_columns(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return plain columns, for tables so long that drawing them would take longer than reading the records."""
    rows = [columns, *cells]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def markdown(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return a table in which nothing that a stranger wrote is markup."""
    rows = [[plain_text(" ".join(cell.split())) for cell in row] for row in cells]
    return "\n".join(map(row_text, (columns, ["---"] * len(columns), *rows)))


def csv_text(facts: Sequence[Mapping[str, Any]]) -> str:
    """Return plain numbers and texts; a text that a spreadsheet would compute gets an apostrophe before it."""
    file = io.StringIO()
    writer = csv.DictWriter(file, [*facts[0]] if facts else [], lineterminator="\n")
    writer.writeheader()
    for row in facts:
        writer.writerow({name: escape_formula(value) for name, value in row.items()})
    return file.getvalue().rstrip("\n")


def escape_formula(value: Any) -> Any:
    """Return a value that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
