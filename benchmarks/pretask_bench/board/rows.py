"""Rows: what the page's tables show of entries, in words and numbers; the template escapes every text.

Cells are short, because there may be ten thousand rows: a cell is a number, its half interval, and a class.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup
from pretask import Metric

from pretask_bench.board.entries import Entry, Field, shorten
from pretask_bench.board.facts import (
    half_text,
    interval_over,
    not_above_text,
    pretext_facts,
    rank_text,
    unranked_entries,
)
from pretask_bench.board.pictures import cost_of, score_range, score_strip
from pretask_bench.board.standings import Standing, Table, estimate_of
from pretask_bench.records.encoders import ENCODERS, RANDOM, TRAINED
from pretask_bench.records.metrics import direction
from pretask_bench.results.groups import short_name
from pretask_bench.results.report import format_estimate, format_number
from pretask_bench.results.statistics import Estimate
from pretask_bench.runs.suites import Measure

MAX_STRIP_ROWS = 1000  # rows of a table with a strip
MAX_MISSING = 6
PARTS = ("split", "objective", "model")
OWN_NAMESPACE = "pretask"
TRAINING_COST = "seconds of training"


@dataclass
class Choices:
    """The ids that a reader may filter by, numbered."""

    numbers: dict[str, dict[str, int]] = field(default_factory=lambda: {part: {} for part in PARTS})

    def numbers_of(self, entry: Entry) -> str:
        """Return the numbers of an entry's parts, in the order of PARTS."""
        ids = ids_of(entry)
        return " ".join(str(self.numbers[part].setdefault(ids[part], len(self.numbers[part]))) for part in PARTS)

    def sorted_ids(self, part: str) -> list[tuple[int, str]]:
        """Return number and id of every choice, by id."""
        return [(number, name) for name, number in sorted(self.numbers[part].items())]


@dataclass(frozen=True)
class NumberCell:
    """A number of a measure.

    Args:
        text: The number without its unit.
        half: Half the width of its interval.
        worse: Whether it is of the trained encoder, and not above random initialisation.
    """

    text: str
    half: str
    worse: bool


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Args:
        entry: The entry of this line.
        standing: Where it stands; None where it is not ranked.
        numbers: Numbers of its parts in `Choices`, to filter by.
        cells: Number and half interval by measure and encoder.
        drawing: The score as a picture.
        anchor: Anchor of its details on the page; empty where there are none.
    """

    entry: Entry
    standing: Standing | None
    numbers: str
    cells: tuple[NumberCell, ...]
    drawing: Markup | str
    anchor: str

    @property
    def rank(self) -> str:
        """The rank as an interval."""
        return rank_text(self.standing.ranks) if self.standing is not None else ""

    @property
    def score(self) -> str:
        """The score with two digits; nothing where there is none."""
        score = self.standing.score if self.standing is not None else None
        return f"{score.value:.2f}".replace("-", "−") if score is not None else ""

    @property
    def interval(self) -> str:
        """The interval of the score."""
        score = self.standing.score if self.standing is not None else None
        return f"{score.low:.2f} to {score.high:.2f}".replace("-", "−") if score is not None else ""

    @property
    def not_above(self) -> str:
        """The references that it is not told to be above, for which it is ranked after the others."""
        return not_above_text(self.standing.not_above) if self.standing is not None else ""

    @property
    def parts(self) -> str:
        """Names of split, objective and model."""
        return " + ".join(short_name(name) for name in ids_of(self.entry).values())

    @property
    def plugins(self) -> list[str]:
        """Namespaces of its parts and task, other than ours."""
        names = [*ids_of(self.entry).values(), *([task] if (task := self.entry.first.cell.task) else [])]
        return sorted({name.split("/")[0] for name in names} - {OWN_NAMESPACE})

    @property
    def pretext(self) -> tuple[str, list[str]]:
        """The pretext score, and the lines that it is held against."""
        return pretext_texts(self.entry)

    @property
    def seconds(self) -> str:
        """Seconds of training, the mean over seeds."""
        cost = cost_of(self.entry, TRAINING_COST)
        return "" if cost is None else f"{cost:.0f}" if cost >= 10 else f"{cost:.1f}"

    @property
    def seeds(self) -> str:
        """How many seeds, with a mark where intervals are those of one seed."""
        return f"{len(self.entry.records)}" + ("†" if interval_over(self.entry) == "one seed" else "")

    @property
    def missing(self) -> str:
        """What the entry lacks to be ranked."""
        shown = "; ".join(self.entry.missing[:MAX_MISSING]) or "the division ranks nothing"
        more = len(self.entry.missing) - MAX_MISSING
        return shown + (f"; and {more} more" if more > 0 else "")


def ids_of(entry: Entry) -> Mapping[str, str]:
    """Return the full ids of an entry's split, objective and model."""
    cell = entry.first.cell
    return {"split": cell.split.id, "objective": cell.objective.id, "model": cell.model.id}


def pretext_texts(entry: Entry) -> tuple[str, list[str]]:
    """Return the score of the pretext task; then its chance level, best trivial predictor and shortcut probe."""
    lines = [line for facts in pretext_facts(entry) for line in part_lines(facts, len(entry.records))]
    return (lines[0], lines[1:]) if lines else ("", [])


def part_lines(facts: Mapping[str, Any], seeds: int) -> list[str]:
    """Return one part of a pretext score: first itself, then what it is held against."""
    name, trivial = facts["metric"], facts["trivial"]
    metric = Metric(facts["unit"], facts["higher_is_better"])
    arrow = direction(metric)
    if facts["hidden"]:
        return [f"{shorten(name, 24)} {arrow} {facts['hidden']}"]
    estimate = Estimate(facts["mean"], facts["low"], facts["high"], max(seeds, facts["count"]))
    beside = {
        "chance": facts["chance"],
        **({shorten(trivial["name"], 24): trivial["value"]} if trivial is not None else {}),
        "shortcut": facts["shortcut"],
    }
    return [
        f"{shorten(name, 24)} {arrow} {narrow_spaces(format_estimate(estimate, metric))}",
        *(
            f"{reference} {narrow_spaces(format_number(value, metric))}"
            for reference, value in beside.items()
            if value is not None
        ),
    ]


def narrow_spaces(text: str) -> str:
    """Return the text with a narrow, non-breaking space before its unit."""
    return text.replace(" %", "\u202f%").replace("± ", "±")


def cells_of(fields: Field, entry: Entry) -> tuple[NumberCell, ...]:
    """Return every number of every measure: trained, then the references."""
    return tuple(cell for measure in fields.division.measures for cell in measure_cells(fields, entry, measure))


def measure_cells(fields: Field, entry: Entry, measure: Measure) -> list[NumberCell]:
    """Return every number of one measure."""
    found = {encoder: estimate_of(fields, entry, measure, encoder) for encoder in ENCODERS}
    trained, random = found[TRAINED], found[RANDOM]
    metric = fields.metric(measure)
    gain = trained.value - random.value if trained is not None and random is not None else math.inf
    worse = metric.higher_is_better is not None and (-gain if metric.lower_is_better else gain) <= 0
    return [cell_of(estimate, metric, worse and encoder == TRAINED) for encoder, estimate in found.items()]


def cell_of(estimate: Estimate | None, metric: Metric, worse: bool) -> NumberCell:
    """Return the cell of one number."""
    if estimate is None:
        return NumberCell("", "", False)
    return NumberCell(format_number(estimate.value, metric).removesuffix(" %"), half_text(estimate, metric), worse)


def column_heads(table: Table) -> list[tuple[str, str]]:
    """Return for every measure its name with the unit, and what it is held against; the first one ranks."""
    ends = {scale.measure.title: (scale.chance, scale.reference) for scale in table.scales}
    found = []
    for measure in table.field.division.measures:
        metric = table.field.metric(measure)
        unit = ", %" if metric.is_fraction else f", {metric.unit}" if metric.unit else ""
        unit += f" {direction(metric)}" if metric.lower_is_better else ""
        scale = (
            ""
            if measure.title not in ends
            else "chance {}, reference {}".format(*(format_number(end, metric) for end in ends[measure.title]))
        )
        ranks = "ranks" if measure == table.field.division.headline else ""
        found.append((measure.title + unit, "; ".join(filter(None, (ranks, scale)))))
    return found


def ranked_rows(table: Table, choices: Choices, anchors: Mapping[str, str]) -> list[Row]:
    """Return the rows of ranked entries."""
    low, high = score_range(table.standings) if table.standings else (0.0, 1.0)
    drawn: Iterable[Markup | str] = (
        score_strip(standing.score, low, high) if standing.score is not None and number < MAX_STRIP_ROWS else ""
        for number, standing in enumerate(table.standings)
    )
    return [
        row_of(table, standing.entry, standing, drawing, choices, anchors)
        for standing, drawing in zip(table.standings, drawn, strict=True)
    ]


def unranked_rows(table: Table, choices: Choices, anchors: Mapping[str, str]) -> list[Row]:
    """Return the rows of entries without a rank, by name."""
    return [row_of(table, entry, None, "", choices, anchors) for entry in unranked_entries(table)]


def row_of(
    table: Table,
    entry: Entry,
    standing: Standing | None,
    drawing: Markup | str,
    choices: Choices,
    anchors: Mapping[str, str],
) -> Row:
    """Return the row of one entry."""
    cells = cells_of(table.field, entry)
    return Row(entry, standing, choices.numbers_of(entry), cells, drawing, anchors.get(anchor_key(table, entry), ""))


def anchor_key(table: Table, entry: Entry) -> str:
    """Return what distinguishes an entry of one table from the same entry of another."""
    return f"{table.field.division.name} {sorted(table.field.fingerprints.items())} {entry.key}"


def anchors_of(tables: Sequence[Table], most: int) -> dict[str, str]:
    """Return the anchors of entries with details: of the first of every table in turn, at most `most`."""
    queues = [[*(standing.entry for standing in table.standings), *unranked_entries(table)] for table in tables]
    turns = [
        anchor_key(table, queue[turn])
        for turn in range(max(map(len, queues), default=0))
        for table, queue in zip(tables, queues, strict=True)
        if turn < len(queue)
    ]
    return {key: f"e{number}" for number, key in enumerate(turns[:most])}
