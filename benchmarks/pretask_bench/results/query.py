"""Query: select records, group them into the rows of a table, sort it, and format it."""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple

from pretask import Metric, Unknown
from pretask_registry.names import hint

from pretask_bench.cli.terminal import escape_invisible
from pretask_bench.records.encoders import RANDOM, RAW, TRAINED, column_label
from pretask_bench.records.ids import matches_name, short_name
from pretask_bench.records.record import Record
from pretask_bench.results.groups import (
    COLUMNS,
    Group,
    SummaryLine,
    group_by_key,
    interval_fields,
    summarize_group,
)
from pretask_bench.results.latex import latex
from pretask_bench.results.markdown import plain_text, row_text
from pretask_bench.results.report import format_number
from pretask_bench.results.statistics import Estimate

AVERAGED = (TRAINED, RANDOM, RAW)  # encoders that a table of averages shows
FORMATS = ("table", "md", "tex", "csv", "json")
NONE = "none"  # what a record without a task has as its task
FIELDS: Mapping[str, Callable[[Record], Sequence[str]]] = {
    "task": lambda record: [record.cell.task or NONE],
    "split": lambda record: [record.cell.split.id],
    "objective": lambda record: [record.cell.objective.id],
    "model": lambda record: [record.cell.model.id],
    "data": lambda record: [record.cell.data.id],
    "on": lambda record: [(record.cell.evaluated_on or record.cell.data).id],
    "hold_out": lambda record: [NONE if record.cell.hold_out is None else f"{record.cell.hold_out:g}"],
    "evaluator": lambda record: [*record.cell.evaluators],
    "seed": lambda record: [str(record.cell.seed)],
    "modality": lambda record: [record.cell.modality or NONE],
    "status": lambda record: [record.status],
}
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # with which a spreadsheet's formula begins

Conditions = Mapping[str, Sequence[str]]  # by field the values of which a record must have one
KeyedRecord = tuple[str, Record]  # a record after the key of its cell without the seed


class Table(NamedTuple):
    """A table for people, with the same rows as plain numbers for programs.

    Args:
        columns: Headings of the columns.
        cells: Texts, row by row.
        fields: Of each row its plain texts and numbers by name.
    """

    columns: Sequence[str]
    cells: Sequence[Sequence[str]]
    fields: Sequence[dict[str, Any]]


class LazyRows(Sequence[Any]):
    """Rows that are made when the first of them is looked at: no format shows both texts and numbers.

    Args:
        lines: What rows are made of.
        make_row: Makes one.
    """

    def __init__(self, lines: Sequence[Any], make_row: Callable[[Any], Any]) -> None:
        self.lines, self.make_row = lines, make_row

    @cached_property
    def rows(self) -> list[Any]:
        """All rows."""
        return [*map(self.make_row, self.lines)]

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, place: Any) -> Any:
        return self.rows[place]


def parse_conditions(texts: Sequence[str]) -> Conditions:
    """Parse conditions such as ["task=causal-lm,masked-lm", "seed=0"]: any value of a field, and all fields.

    Raises:
        Unknown: There is no such field, or no value.
    """
    conditions: dict[str, list[str]] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        if not equals or not values:
            raise Unknown(f"--where needs FIELD=VALUE, such as task=causal-lm; got '{text}'.")
        check_field("--where", name)
        conditions.setdefault(name, []).extend(value.strip() for value in values.split(","))
    return conditions


def check_field(option: str, name: str) -> None:
    """Raise Unknown where there is no such field."""
    if name not in FIELDS:
        raise Unknown(f"{option} knows no field '{name}'. {hint(name, FIELDS, '')} Fields: {', '.join(FIELDS)}.")


def select(records: Sequence[KeyedRecord], conditions: Conditions) -> list[KeyedRecord]:
    """Return the records that meet all conditions, complete ones by default; with the evaluators of the condition."""
    conditions = {"status": ["complete"], **conditions}
    selected = [
        (key, record)
        for key, record in records
        if all(has_value(record, field, values) for field, values in conditions.items())
    ]
    if "evaluator" not in conditions:
        return selected
    return [(key, keep_evaluators(record, conditions["evaluator"])) for key, record in selected]


def has_value(record: Record, field: str, wanted: Sequence[str]) -> bool:
    """Return whether a record has one of the wanted values: a full id, an id without its version, or a bare name."""
    return any(matches_name(value, choice) for value in FIELDS[field](record) for choice in wanted)


def keep_evaluators(record: Record, evaluators: Sequence[str]) -> Record:
    """Return the record with the rows of these evaluators."""
    results = tuple(
        result for result in record.results if any(matches_name(result.evaluator, name) for name in evaluators)
    )
    return record.model_copy(update={"results": results})


def build_table(records: Sequence[KeyedRecord], group_fields: Sequence[str], sort: str | None) -> Table:
    """Return the table of some records.

    Args:
        records: Records with the key of what their seeds have in common.
        group_fields: Records that have these fields and an evaluator in common become one row; none for one row for
            each encoder and evaluator.
        sort: A column, with a minus before it for the highest first.
    """
    groups = group_by_key(records)
    if group_fields:
        return sort_rows(average_over_encoders(groups, group_fields), sort)
    lines = [line for group in groups for line in summarize_group(group)]
    cells, numbers = LazyRows(lines, attrgetter("cells")), LazyRows(lines, attrgetter("fields"))
    return sort_rows(Table(COLUMNS, cells, numbers), sort)


def sort_rows(table: Table, sort: str | None) -> Table:
    """Return a table in the order of a column; as it is where none is named."""
    if sort is None:
        return table
    order = sorted(range(len(table.cells)), key=sort_key(sort, table))
    return Table(table.columns, [table.cells[row] for row in order], [table.fields[row] for row in order])


def sort_key(sort: str, table: Table) -> Callable[[int], tuple[bool, Any]]:
    """Return the sort key of a row by its number: rows without a value come last in either direction.

    Columns of numbers are sorted by number, others by text.

    Raises:
        Unknown: There is no such column.
    """
    name = sort.removeprefix("-")
    if name not in table.columns:
        known = ", ".join(table.columns)
        raise Unknown(f"--sort knows no column '{name}'. {hint(name, table.columns, '')} Columns: {known}.")
    sign = -1 if sort.startswith("-") else 1
    numbers = [fields.get(name) for fields in table.fields]
    if any(isinstance(number, int | float) for number in numbers):
        return lambda row: (numbers[row] is None, sign * (numbers[row] or 0))
    column = list(table.columns).index(name)
    texts = [cells[column] for cells in table.cells]
    ranks = {text: rank for rank, text in enumerate(sorted(set(texts)))}
    return lambda row: (texts[row] == "", sign * ranks[texts[row]])


def average_over_encoders(groups: Sequence[Group], fields: Sequence[str]) -> Table:
    """Return one row for all records that share some fields, an evaluator and its metric: the mean over encoders.

    Each encoder counts once, with its own mean over seeds. From lowest to highest is no interval: these are different
    encoders, and not draws of one.
    """
    for name in fields:
        check_field("--group", name)
    lines = [
        (shared_values(group, line, fields), line)
        for group in groups
        for line in summarize_group(group)
        if line.estimates
    ]
    lines.sort(key=lambda keyed: keyed[0])
    grouped = groupby(lines, key=lambda keyed: keyed[0])
    rows = [average_row(fields, values, [line for _, line in members]) for values, members in grouped]
    return Table(
        (*fields, "encoders", "probe", *map(column_label, AVERAGED)),
        [cells for cells, _ in rows],
        [numbers for _, numbers in rows],
    )


def average_row(
    fields: Sequence[str], values: Sequence[str], lines: Sequence[SummaryLine]
) -> tuple[Sequence[str], dict[str, Any]]:
    """Return texts and numbers of lines that have these values in common: of the fields, then evaluator and metric."""
    *shared, evaluator, metric_name = values
    averages = {encoder: average_estimates(lines, encoder) for encoder in AVERAGED}
    ranges = [format_range(average, lines[0].metric) for average in averages.values()]
    cells = (*shared, str(len(lines)), f"{short_name(evaluator)} {metric_name}", *ranges)
    numbers = [interval_fields(column_label(encoder), average) for encoder, average in averages.items()]
    return cells, {
        **dict(zip(fields, shared, strict=True)),
        "evaluator": evaluator,
        "metric": metric_name,
        "encoders": len(lines),
        **{name: value for of_encoder in numbers for name, value in of_encoder.items()},
    }


def shared_values(group: Group, line: SummaryLine, fields: Sequence[str]) -> tuple[str, ...]:
    """Return the values of a line in some fields, its evaluator and its metric."""
    from_line = {"evaluator": line.evaluator, "seed": ",".join(str(record.cell.seed) for record in group)}
    values = [from_line.get(name) or short_name(FIELDS[name](group[0])[0]) for name in fields]
    return (*values, line.evaluator, line.metric_name)


def average_estimates(lines: Sequence[SummaryLine], encoder: str) -> Estimate | None:
    """Return mean, lowest and highest of one number over lines; None where no line has it."""
    values = [line.estimates[encoder].value for line in lines if encoder in line.estimates]
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
    """Return a table as plain columns, Markdown, LaTeX, CSV or JSON."""
    if form == "table":
        return align_columns(table.columns, [tuple(map(escape_invisible, row)) for row in table.cells])
    if form == "json":
        return json.dumps([*table.fields], indent=1, ensure_ascii=False)
    if form == "tex":
        return latex(table.columns, table.cells)
    return markdown(table.columns, table.cells) if form == "md" else csv_text(table.fields)


def align_columns(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return plain columns, for tables so long that drawing them would take longer than reading the records."""
    rows = [columns, *cells]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def markdown(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """Return a table in which nothing that a stranger wrote is markup."""
    rows = [[plain_text(" ".join(cell.split())) for cell in row] for row in cells]
    return "\n".join(map(row_text, (columns, ["---"] * len(columns), *rows)))


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return plain numbers and texts; a text that a spreadsheet would compute gets an apostrophe before it."""
    file = io.StringIO()
    writer = csv.DictWriter(file, [*rows[0]] if rows else [], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: escape_formula(value) for name, value in row.items()})
    return file.getvalue().rstrip("\n")


def escape_formula(value: Any) -> Any:
    """Return a value that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
