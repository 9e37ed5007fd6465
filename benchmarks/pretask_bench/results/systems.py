"""Systems: the table of papers on language: a row for every system, a column for every data set it was measured on.

A system is what was trained, with its encoder fine-tuned or frozen, or what it is held against: the same network from
scratch, or the input without one. A column has the headline metric of its evaluator, or what a suite's division ranks
by, and how many labels there are to learn from. Numbers are means over seeds with their intervals; of one seed, over
test items. The last rows are what needs no features at all, where evaluators say it: the most frequent class, and the
words that two texts share. The last column is the mean over all columns, of systems that have all of them, by the
weights of the suite.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pretask_bench.records.cell import Cell, DataPart, describe_held_out
from pretask_bench.records.encoders import RANDOM, RAW, SUPERVISED, TRAINED
from pretask_bench.records.ids import short_name
from pretask_bench.records.metrics import declared_metrics
from pretask_bench.records.record import Record
from pretask_bench.results.groups import Group, group_records, interval_fields, run_title
from pretask_bench.results.query import Table
from pretask_bench.results.references import encoder_title, estimate_encoder, list_encoders
from pretask_bench.results.report import format_estimate
from pretask_bench.results.statistics import Estimate

if TYPE_CHECKING:
    from pretask_bench.runs.suites import Suite

LABELS = "train_labels"  # the metric of evaluators that train the network: how many labels they learn from
PLACES = ("task", "root", "name")  # options that tell data sets of one id apart
TITLES = {TRAINED: "{}", RANDOM: "{}, from scratch", RAW: "no network", SUPERVISED: "{}, supervised"}
FROZEN_TITLES = {
    TRAINED: "{}, frozen",
    SUPERVISED: "{}, supervised, frozen",
    RANDOM: "{}, random init, frozen",
    RAW: "no network, linear probe",
}
MEAN = "mean"


@dataclass(frozen=True)
class Column:
    """What systems are compared on.

    Args:
        title: Of the data, and of the metric where two columns have the same data.
        evaluator: Full id; the same data and metric are one column, whoever measured.
        metric: Name of the number.
        weight: In the mean over columns.
    """

    title: str
    evaluator: str = field(compare=False)
    metric: str
    weight: float = 1.0


@dataclass(frozen=True)
class Measured:
    """A number of a system: by whom, and what it is.

    Args:
        system: Title of the row.
        column: Of the number.
        estimate: Over seeds or test items.
        text: The number for people.
        labels: How many labels were learned from; None where the evaluator does not say.
    """

    system: str
    column: Column
    estimate: Estimate
    text: str
    labels: int | None


def build_systems(records: Sequence[Record], suite: "Suite | None" = None) -> Table:
    """Return the table of some records; of those that a suite takes, with its divisions as columns.

    Args:
        records: With all of their numbers.
        suite: Whose divisions are the columns, in their order.
    """
    groups = order_groups(group_records(records))
    measured = [
        number for measure in (measure_group, measure_trivial) for group in groups for number in measure(group, suite)
    ]
    columns = [*dict.fromkeys(number.column for number in measured)]
    if suite is not None:
        names = [division.name for division in suite.file.division]
        columns.sort(key=lambda column: names.index(column.title))
    rows: dict[str, dict[Column, Measured]] = {}
    for number in measured:
        rows.setdefault(number.system, {}).setdefault(number.column, number)
    headings = [head_column(column, measured) for column in columns]
    cells, fields = list[Sequence[str]](), list[dict[str, Any]]()
    for system, row in rows.items():
        mean = mean_over_columns(row, columns)
        cells.append((system, *(row[column].text if column in row else "" for column in columns), mean_text(mean)))
        numbers = [interval_fields(name_column(column), estimate_of(row, column)) for column in columns]
        fields.append({"system": system, **{name: value for of in numbers for name, value in of.items()}, MEAN: mean})
    return Table(("system", *headings, MEAN), cells, fields)


def order_groups(groups: Sequence[Group]) -> list[Group]:
    """Return groups by system, then by data."""
    return sorted(groups, key=lambda group: (system_title(group[0]), place_of(group[0].cell)))


def measure_group(group: Group, suite: "Suite | None") -> list[Measured]:
    """Return every number of a group that has a column."""
    found = []
    for column in find_columns(group[0], suite):
        metric = declared_metrics(group[0], column.evaluator).metric(column.metric)
        for encoder in list_encoders(group):
            estimate = estimate_encoder(group, column.evaluator, encoder, column.metric)
            if estimate is not None:
                labels = count_labels(group[0], column.evaluator, encoder)
                is_frozen = labels is None or bool(group[0].cell.evaluators[column.evaluator].get("frozen"))
                title, text = title_system(group, encoder, is_frozen), format_estimate(estimate, metric)
                found.append(Measured(title, column, estimate, text, labels))
    return found


def measure_trivial(group: Group, suite: "Suite | None") -> list[Measured]:
    """Return what needs no features, for every column of a group, where its evaluator declares such a number."""
    found = []
    for column in find_columns(group[0], suite):
        declared = declared_metrics(group[0], column.evaluator)
        for name, trivial in declared.metrics.items():
            if trivial.trivial_for != column.metric:
                continue
            estimate = estimate_encoder(group, column.evaluator, TRAINED, name)
            if estimate is not None:
                text = format_estimate(estimate, declared.metric(column.metric))
                labels = count_labels(group[0], column.evaluator, TRAINED)
                found.append(Measured(trivial.title, column, estimate, text, labels))
    return found


def find_columns(record: Record, suite: "Suite | None") -> list[Column]:
    """Return the columns of a record: the headline of each evaluator, or the divisions of a suite that it enters."""
    if suite is not None:
        return [
            Column(division.name, evaluator, division.headline.metric, division.weight)
            for division in suite.file.division
            if suite.explain_exclusion(division, record) is None
            for evaluator in suite.fixed[division.name].evaluators
            if short_name(evaluator) == division.headline.evaluator
        ]
    found = []
    for evaluator in dict.fromkeys(result.evaluator for result in record.results):
        result = record.find_result(evaluator, TRAINED)
        name = declared_metrics(record, evaluator).choose_headline(result.metrics if result is not None else ())
        if name:
            found.append(Column(place_of(record.cell), evaluator, name))
    return found


def place_of(cell: Cell) -> str:
    """Return what to call the data that a cell was measured on: a task, a folder, else its id."""
    data: DataPart = cell.evaluated_on or cell.data
    named = (data.options.get(name) for name in PLACES)
    return next((str(name) for name in named if name), short_name(data.id)) + describe_held_out(cell)


def system_title(record: Record) -> str:
    """Return what to call what was trained: its task and model, and its split, which a preset may have changed."""
    title = run_title(record)
    return f"{title}, {short_name(record.cell.split.id)}" if record.cell.task is not None else title


def title_system(group: Group, encoder: str, is_frozen: bool) -> str:
    """Return the title of a row."""
    trained = system_title(group[0])
    titles = FROZEN_TITLES if is_frozen else TITLES
    if encoder in titles:
        return titles[encoder].format(trained)
    return f"{trained}, {encoder_title(group, encoder)}{', frozen' if is_frozen else ''}"


def count_labels(record: Record, evaluator: str, encoder: str) -> int | None:
    """Return how many labels an evaluator learned from; None where it does not say."""
    result = record.find_result(evaluator, encoder)
    labels = result.metrics.get(LABELS) if result is not None else None
    return int(labels) if labels is not None else None


def head_column(column: Column, measured: Sequence[Measured]) -> str:
    """Return the heading of a column: data, metric and labels to learn from."""
    of = [number for number in measured if number.column == column]
    labels = next((number.labels for number in of if number.labels), None)
    return f"{name_column(column)}{f' ({format_count(labels)})' if labels else ''}"


def name_column(column: Column) -> str:
    """Return data and metric of a column."""
    return f"{column.title} {column.metric}"


def format_count(count: int) -> str:
    """Return a count with at most three digits.

    >>> format_count(640), format_count(6920), format_count(392702)
    ('640', '6.9k', '393k')
    """
    if count < 1000:
        return str(count)
    return f"{count / 1000:.1f}k" if count < 100_000 else f"{count / 1000:.0f}k"


def mean_over_columns(row: Mapping[Column, Measured], columns: Sequence[Column]) -> float | None:
    """Return the weighted mean of a row; None where it lacks a column that counts."""
    counting = [column for column in columns if column.weight]
    if not counting or any(column not in row for column in counting):
        return None
    total = math.fsum(column.weight for column in counting)
    return math.fsum(column.weight * row[column].estimate.value for column in counting) / total


def mean_text(mean: float | None) -> str:
    """Return a mean times a hundred, as the tables of papers have it."""
    return "" if mean is None else f"{100 * mean:.1f}"


def estimate_of(row: Mapping[Column, Measured], column: Column) -> Estimate | None:
    """Return the estimate of a column of a row, where there is one."""
    return row[column].estimate if column in row else None
