"""Results: many records at a glance, one line for every encoder that was trained and evaluator, seeds taken together.

A line says how well the pretext task was solved, in what was trained (nats, mostly) and as a share where there is one,
beside chance and the best trivial predictor of the same unit; and the number that stands for each evaluator beside that
of the same network at random initialisation and of raw input. Arrows say which way is better. It ranks nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pretask import Metric

from pretask_bench.records.encoders import ENCODERS, RANDOM, RAW, TRAINED, label_of
from pretask_bench.records.metrics import UNDECLARED, declared_by, direction
from pretask_bench.records.record import Record, cell_key
from pretask_bench.results.pretext import PretextPart, pretext_parts
from pretask_bench.results.references import References, references_of_probe, values_by_metric
from pretask_bench.results.report import collect_choices, format_estimate, format_number
from pretask_bench.results.statistics import Estimate, mean_over_seeds

Group = Sequence[Record]
SHOWN_REFERENCES = (RANDOM, RAW)
COLUMNS = (
    "what",
    "data",
    "seeds",
    "pretext",
    "chance",
    "best trivial",
    "probe",
    *map(label_of, (TRAINED, *SHOWN_REFERENCES)),
)


@dataclass(frozen=True)
class Line:
    """A line of the table: one metric of one evaluator and encoder, with its references.

    Args:
        what: The task, or the parts of a free combination.
        data: What it learned from, and was measured on.
        seeds: How many records.
        failed: The error of failed runs.
        pretext: The part that was trained, and a fraction where there is one.
        evaluator: Name without its namespace.
        metric: The evaluator's headline metric.
        declared: Unit and direction of that metric.
        trained: The metric of the trained encoder.
        references: Chance and reference encoders.
        chosen: What the evaluator chose for the trained encoder, such as layer and pooling.
    """

    what: str
    data: str
    seeds: int
    failed: str = ""
    pretext: Sequence[PretextPart] = ()
    evaluator: str = ""
    metric: str = ""
    declared: Metric = UNDECLARED
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
        named = f"{self.evaluator} {self.metric} {direction(self.declared)}".strip() if self.metric else self.evaluator
        probe = f"failed: {self.failed}" if self.failed else named
        probe += f" ({self.choice})" if self.choice else ""
        values = [
            format_estimate(estimates[encoder], self.declared) if encoder in estimates else ""
            for encoder in (TRAINED, *SHOWN_REFERENCES)
        ]
        return (self.what, self.data, str(self.seeds), *self.pretext_cells, probe, *values)

    @property
    def choice(self) -> str:
        """What was chosen, but for what was chosen within single layers."""
        return ", ".join("/".join(values) for name, values in self.chosen.items() if "." not in name)

    @property
    def pretext_cells(self) -> tuple[str, str, str]:
        """Each part of the pretext score, its chance level, and what the best trivial predictor reaches."""
        scores = [score_text(part) for part in self.pretext]
        chances = [format_number(part.references.chance, part.metric) for part in self.pretext]
        return (
            "; ".join(scores),
            "; ".join(filter(None, chances)),
            "; ".join(filter(None, map(trivial_text, self.pretext))),
        )

    @property
    def facts(self) -> dict[str, Any]:
        """The line as plain numbers, with the ends of 95 % intervals; for other programs."""
        facts: dict[str, Any] = {"what": self.what, "data": self.data, "seeds": self.seeds, "failed": self.failed}
        for label, place in (("pretext", 0), ("share", 1)):
            facts |= part_facts(label, self.pretext[place] if place < len(self.pretext) else None)
        facts |= {"evaluator": self.evaluator, "metric": self.metric, "lower is better": self.declared.lower_is_better}
        facts["chosen"] = {name: [*values] for name, values in self.chosen.items()}
        for encoder in ENCODERS:
            facts |= interval_facts(label_of(encoder), self.estimates.get(encoder))
        return facts


def score_text(part: PretextPart) -> str:
    """Return a part's score with the arrow of its direction, or why it is not shown."""
    number = format_estimate(part.estimate, part.metric) if part.estimate is not None else part.hidden
    return f"{part.name} {direction(part.metric)} {number}"


def trivial_text(part: PretextPart) -> str:
    """Return the best trivial predictor, whether it is ahead, and whether it may have seen more than the model."""
    if part.trivial is None:
        return ""
    notes = [*(["ahead"] if part.loses else []), *(["saw all training samples"] if part.trivial.seen is None else [])]
    return f"{part.trivial.name} {format_number(part.trivial.value, part.metric)}" + (
        f" ({', '.join(notes)})" if notes else ""
    )


def part_facts(label: str, part: PretextPart | None) -> dict[str, Any]:
    """Return one part of a pretext score as plain numbers."""
    trivial = part.trivial if part is not None else None
    return {
        f"{label} metric": part.name if part is not None else "",
        f"{label} lower is better": part.metric.lower_is_better if part is not None else None,
        **interval_facts(label, part.estimate if part is not None else None),
        f"{label} chance": part.references.chance if part is not None else None,
        f"{label} trivial predictor": trivial.name if trivial is not None else None,
        f"{label} best trivial": trivial.value if trivial is not None else None,
        f"{label} trivial saw": trivial.seen if trivial is not None else None,
    }


def interval_facts(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    """Return a number and the ends of its interval under their names."""
    values = (estimate.value, estimate.low, estimate.high) if estimate is not None else (None, None, None)
    return dict(zip((name, f"{name} low", f"{name} high"), values, strict=True))


def group_records(records: Sequence[Record]) -> list[Group]:
    """Group complete records by cell without the seed; of a cell that was run again, the newest; by name and data."""
    return group_by_key((seedless_key(record), record) for record in records if record.status == "complete")


def seedless_key(record: Record) -> str:
    """Return the key of a record's cell without its seed."""
    return cell_key(record.cell, without={"seed", "artifact"})


def group_by_key(keyed: Iterable[tuple[str, Record]]) -> list[Group]:
    """Return the records of every key in the order of their seeds; groups by name, data and key."""
    newest = {
        (key, record.cell.seed): record for key, record in sorted(keyed, key=lambda pair: pair[1].provenance.ended)
    }
    groups: dict[str, list[Record]] = {}
    for key, seed in sorted(newest):
        groups.setdefault(key, []).append(newest[key, seed])
    ordered = sorted(groups, key=lambda key: (title(groups[key][0]), groups[key][0].cell.data.id, key))
    return [groups[key] for key in ordered]


def title(record: Record) -> str:
    """Return the name of the task, or of the parts of a free combination."""
    cell = record.cell
    task = short(cell.task) if cell.task is not None else ""
    parts = " + ".join(short(part.id) for part in (cell.split, cell.objective, cell.model))
    return f"{task} ({short(cell.model.id)})" if task else parts


def short(full: str) -> str:
    """Return the name in an id.

    >>> short("pretask/relative-position@1")
    'relative-position'
    """
    return full.split("/", 1)[-1].rsplit("@", 1)[0]


def matches_name(full: str, wanted: str) -> bool:
    """Return whether `wanted` names an id: in full, without its version, or without its namespace.

    >>> [matches_name("pretask/vae@1", wanted) for wanted in ("vae", "pretask/vae", "va")]
    [True, True, False]
    """
    return wanted in (full, full.rsplit("@", 1)[0], short(full))


def summary_rows(groups: Sequence[Group]) -> list[tuple[str, ...]]:
    """Return the rows of the table that COLUMNS heads: one for every group and evaluator."""
    return [line.cells for line in summary_lines(groups)]


def summary_lines(groups: Sequence[Group]) -> list[Line]:
    """Return the lines of every group and evaluator."""
    return [line for group in groups for line in lines_of(group)]


def lines_of(group: Group) -> list[Line]:
    """Return the lines of one encoder; one without an evaluator where none measured it."""
    first = group[0]
    on = first.cell.evaluated_on
    data = short(first.cell.data.id) + (f" → {short(on.id)}" if on is not None else "")
    start: dict[str, Any] = {"what": title(first), "data": data, "seeds": len(group), "pretext": pretext_parts(group)}
    if first.status == "failed":
        return [Line(**start, failed=(first.error or "").strip().split("\n")[0])]
    evaluators = dict.fromkeys(row.evaluator for row in first.results)
    return [Line(**start, **probe_facts(group, evaluator)) for evaluator in evaluators] or [Line(**start)]


def probe_facts(group: Group, evaluator: str) -> dict[str, Any]:
    """Return the headline number of an evaluator, for the trained encoder and its references."""
    trained = values_by_metric(group, evaluator, TRAINED)
    if not trained:
        return {"evaluator": short(evaluator)}
    declared = declared_by(group[0], evaluator)
    name = declared.choose_headline(trained)
    if not name:
        return {"evaluator": short(evaluator)}
    return {
        "evaluator": short(evaluator),
        "metric": name,
        "declared": declared.metric(name),
        "trained": mean_over_seeds([*trained[name].values()]),
        "references": references_of_probe(group, evaluator, name),
        "chosen": collect_choices(group, evaluator, TRAINED),
    }
