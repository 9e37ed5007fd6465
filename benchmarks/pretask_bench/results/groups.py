"""Results: many records at a glance, one line for every encoder that was trained and evaluator, seeds taken together.

A line says how well the pretext task was solved, in what was trained (nats, mostly) and as a fraction where there is
one, beside chance and the best trivial predictor of the same unit; and the headline metric of each evaluator beside
that of the same network at random initialization and of raw input. Arrows say which way is better. It ranks nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pretask import Metric

from pretask_bench.records.cell import cell_key, describe_held_out
from pretask_bench.records.encoders import ENCODERS, RANDOM, RAW, TRAINED, column_label
from pretask_bench.records.ids import short_name
from pretask_bench.records.median import headlines, median_record
from pretask_bench.records.metrics import UNDECLARED, declared_metrics, direction
from pretask_bench.records.record import Record
from pretask_bench.results.pretext import PretextMetric, pretext_metrics
from pretask_bench.results.references import References, probe_references, values_by_metric
from pretask_bench.results.report import collect_choices, format_estimate, format_number
from pretask_bench.results.statistics import Estimate, mean_over_seeds

Group = Sequence[Record]  # of one cell, one for each seed
SHOWN_REFERENCES = (RANDOM, RAW)
COLUMNS = (
    "what",
    "data",
    "seeds",
    "pretext",
    "chance",
    "best trivial",
    "probe",
    *map(column_label, (TRAINED, *SHOWN_REFERENCES)),
)

SEEDLESS = frozenset({"seed", "artifact"})  # fields of a cell that differ between seeds


@dataclass(frozen=True)
class SummaryLine:
    """A line of the table: one metric of one evaluator, for a trained encoder and its references.

    Args:
        what: The task, or the parts of a free combination.
        data: What it learned from, and was measured on.
        seeds: How many records.
        failed: The error of failed runs.
        pretext: The metric that was trained, and a fraction where there is one.
        evaluator: Name without its namespace.
        metric_name: The evaluator's headline metric.
        metric: Unit and direction of that metric.
        trained: Its value for the trained encoder.
        references: Chance and reference encoders.
        chosen: What the evaluator chose for the trained encoder, such as layer and pooling.
    """

    what: str
    data: str
    seeds: int
    failed: str = ""
    pretext: Sequence[PretextMetric] = ()
    evaluator: str = ""
    metric_name: str = ""
    metric: Metric = UNDECLARED
    trained: Estimate | None = None
    references: References = field(default_factory=References)
    chosen: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def estimates(self) -> Mapping[str, Estimate]:
        """The headline metric, by encoder."""
        return ({TRAINED: self.trained} if self.trained is not None else {}) | {**self.references.encoders}

    @property
    def cells(self) -> tuple[str, ...]:
        """The texts under COLUMNS."""
        estimates = self.estimates
        numbers = [
            format_estimate(estimates[encoder], self.metric) if encoder in estimates else ""
            for encoder in (TRAINED, *SHOWN_REFERENCES)
        ]
        return (self.what, self.data, str(self.seeds), *self.pretext_cells, self.probe_cell, *numbers)

    @property
    def probe_cell(self) -> str:
        """The evaluator with its metric and what it chose; of failed runs the error."""
        if self.failed:
            return f"failed: {self.failed}"
        words = [self.evaluator, self.metric_name, direction(self.metric) if self.metric_name else ""]
        choice = f"({self.choice})" if self.choice else ""
        return " ".join(filter(None, (*words, choice)))

    @property
    def choice(self) -> str:
        """What was chosen, but for what was chosen within single layers."""
        return ", ".join("/".join(values) for name, values in self.chosen.items() if "." not in name)

    @property
    def pretext_cells(self) -> tuple[str, str, str]:
        """Each metric of the pretext task, its chance level, and what the best trivial predictor reaches."""
        scores = [score_text(metric) for metric in self.pretext]
        chances = [format_number(metric.references.chance, metric.metric) for metric in self.pretext]
        return (
            "; ".join(scores),
            "; ".join(filter(None, chances)),
            "; ".join(filter(None, map(trivial_text, self.pretext))),
        )

    @property
    def fields(self) -> dict[str, Any]:
        """The line as plain numbers, with the ends of 95 % intervals; for other programs."""
        trained_metric, fraction = (*self.pretext, None, None)[:2]
        encoders = [interval_fields(column_label(encoder), self.estimates.get(encoder)) for encoder in ENCODERS]
        return {
            **{"what": self.what, "data": self.data, "seeds": self.seeds, "failed": self.failed},
            **pretext_fields("pretext", trained_metric),
            **pretext_fields("share", fraction),
            **{"evaluator": self.evaluator, "metric": self.metric_name, "lower is better": self.metric.lower_is_better},
            "chosen": {name: [*values] for name, values in self.chosen.items()},
            **{name: value for encoder in encoders for name, value in encoder.items()},
        }


def score_text(pretext: PretextMetric) -> str:
    """Return the value of a pretext metric with the arrow of its direction, or why it is not shown."""
    number = pretext.hidden_reason
    if pretext.estimate is not None:
        number = format_estimate(pretext.estimate, pretext.metric)
    return f"{pretext.name} {direction(pretext.metric)} {number}"


def trivial_text(pretext: PretextMetric) -> str:
    """Return the best trivial predictor, whether it is ahead, and whether it may have seen more than the model."""
    trivial = pretext.best_trivial
    if trivial is None:
        return ""
    notes = [*(["ahead"] if pretext.loses else []), *(["saw all training samples"] if trivial.seen is None else [])]
    remark = f" ({', '.join(notes)})" if notes else ""
    return f"{trivial.name} {format_number(trivial.value, pretext.metric)}{remark}"


def pretext_fields(label: str, pretext: PretextMetric | None) -> dict[str, Any]:
    """Return a metric of the pretext task as plain numbers, under names that begin with a label."""
    trivial = pretext.best_trivial if pretext is not None else None
    return {
        f"{label} metric": pretext.name if pretext is not None else "",
        f"{label} lower is better": pretext.metric.lower_is_better if pretext is not None else None,
        **interval_fields(label, pretext.estimate if pretext is not None else None),
        f"{label} chance": pretext.references.chance if pretext is not None else None,
        f"{label} trivial predictor": trivial.name if trivial is not None else None,
        f"{label} best trivial": trivial.value if trivial is not None else None,
        f"{label} trivial saw": trivial.seen if trivial is not None else None,
    }


def interval_fields(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    """Return a number and the ends of its interval under their names."""
    values = (estimate.value, estimate.low, estimate.high) if estimate is not None else (None, None, None)
    return dict(zip((name, f"{name} low", f"{name} high"), values, strict=True))


def group_records(records: Sequence[Record]) -> list[Group]:
    """Group complete records by cell without the seed; of a cell that was run again, the median; by name and data."""
    return group_by_key((seedless_key(record), record) for record in records if record.status == "complete")


def seedless_key(record: Record) -> str:
    """Return the key of a record's cell without its seed."""
    return cell_key(record.cell, without=SEEDLESS)


def group_by_key(keyed: Iterable[tuple[str, Record]]) -> list[Group]:
    """Return the records of every key in the order of their seeds, of a cell one; groups by name, data and key."""
    cells: dict[tuple[str, int], dict[str, Record]] = {}
    for number, (key, record) in enumerate(keyed):
        cells.setdefault((key, record.cell.seed), {})[f"{number:09d}"] = record
    groups: dict[str, list[Record]] = {}
    for key, seed in sorted(cells):
        groups.setdefault(key, []).append(choose_record(cells[key, seed]))
    ordered = sorted(groups, key=lambda key: (run_title(groups[key][0]), groups[key][0].cell.data.id, key))
    return [groups[key] for key in ordered]


def choose_record(records: Mapping[str, Record]) -> Record:
    """Return which record of a cell counts, by the rule of boards: the median one."""
    if len(records) == 1:
        return next(iter(records.values()))
    names = sorted(records)
    return records[median_record(records, names, headlines(records[names[0]]))]


def run_title(record: Record) -> str:
    """Return the name of the task, or of the parts of a free combination."""
    cell = record.cell
    task = short_name(cell.task) if cell.task is not None else ""
    parts = " + ".join(short_name(part.id) for part in (cell.split, cell.objective, cell.model))
    return f"{task} ({short_name(cell.model.id)})" if task else parts


def summary_rows(groups: Sequence[Group]) -> list[tuple[str, ...]]:
    """Return the rows of the table that COLUMNS heads: one for every group and evaluator."""
    return [line.cells for line in summarize_groups(groups)]


def summarize_groups(groups: Sequence[Group]) -> list[SummaryLine]:
    """Return the lines of every group and evaluator."""
    return [line for group in groups for line in summarize_group(group)]


def summarize_group(group: Group) -> list[SummaryLine]:
    """Return the lines of one encoder, by evaluator; one without an evaluator where none measured it."""
    first = group[0]
    trained_on, evaluated_on = first.cell.data, first.cell.evaluated_on
    data = short_name(trained_on.id) + (f" → {short_name(evaluated_on.id)}" if evaluated_on is not None else "")
    data += describe_held_out(first.cell)
    line = SummaryLine(run_title(first), data, len(group), pretext=pretext_metrics(group))
    if first.status == "failed":
        return [replace(line, failed=(first.error or "").strip().split("\n")[0])]
    evaluators = dict.fromkeys(result.evaluator for result in first.results)
    return [add_headline(line, group, evaluator) for evaluator in evaluators] or [line]


def add_headline(line: SummaryLine, group: Group, evaluator: str) -> SummaryLine:
    """Return the line with the headline metric of an evaluator, for the trained encoder and its references."""
    line = replace(line, evaluator=short_name(evaluator))
    trained = values_by_metric(group, evaluator, TRAINED)
    declared = declared_metrics(group[0], evaluator)
    name = declared.choose_headline(trained) if trained else ""
    if not name:
        return line
    return replace(
        line,
        metric_name=name,
        metric=declared.metric(name),
        trained=mean_over_seeds([*trained[name].values()]),
        references=probe_references(group, evaluator, name),
        chosen=collect_choices(group, evaluator, TRAINED),
    )
