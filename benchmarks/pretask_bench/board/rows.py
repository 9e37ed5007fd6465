"""Rows: what the page's tables show of entries, in words and numbers; the template escapes every text.

Cells are short, because there may be ten thousand rows: a cell is a number, its half interval, and a class.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from markupsafe import Markup
from pretask import Metric

from pretask_bench.board.board_json import (
    half_width_text,
    interval_over,
    not_above_text,
    rank_text,
    unranked_entries,
)
from pretask_bench.board.entries import Competition, Entry, shorten
from pretask_bench.board.pictures import cost_of, score_range, score_strip
from pretask_bench.board.standings import RankedEntry, Ranking, estimate_measure
from pretask_bench.records.encoders import RANDOM, TRAINED, shown_encoders
from pretask_bench.records.ids import short_name
from pretask_bench.records.metrics import direction
from pretask_bench.results.pretext import PretextMetric
from pretask_bench.results.report import format_estimate, format_number
from pretask_bench.results.statistics import Estimate
from pretask_bench.runs.suites import Measure

MAX_STRIP_ROWS = 1000  # rows of a table with a strip
MAX_MISSING = 6
MAX_METRIC_CHARACTERS = 24
PARTS = ("split", "objective", "model")
OWN_NAMESPACE = "pretask"
TRAINING_COST = "seconds of training"


@dataclass
class FilterChoices:
    """The ids that a reader may filter by, numbered."""

    numbers: dict[str, dict[str, int]] = field(default_factory=lambda: {part: {} for part in PARTS})

    def numbers_of_parts(self, entry: Entry) -> str:
        """Return the numbers of an entry's parts, in the order of PARTS."""
        ids = part_ids(entry)
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
        worse: Whether it is of the trained encoder, and not above random initialization.
    """

    text: str
    half: str
    worse: bool


@dataclass(frozen=True)
class EntryRow:
    """One line of a table.

    Args:
        entry: The entry of this line.
        ranked: The entry with its rank and score; None where it is not ranked.
        numbers: Numbers of its parts in `FilterChoices`, to filter by.
        cells: Number and half interval by measure and encoder.
        drawing: The score as a picture.
        anchor: Anchor of its details on the page; empty where there are none.
    """

    entry: Entry
    ranked: RankedEntry | None
    numbers: str
    cells: tuple[NumberCell, ...]
    drawing: Markup | str
    anchor: str

    @property
    def rank(self) -> str:
        """The rank as an interval."""
        return rank_text(self.ranked.ranks) if self.ranked is not None else ""

    @property
    def score(self) -> str:
        """The score with two digits; nothing where there is none."""
        score = self.ranked.score if self.ranked is not None else None
        return f"{score.value:.2f}".replace("-", "−") if score is not None else ""

    @property
    def interval(self) -> str:
        """The interval of the score."""
        score = self.ranked.score if self.ranked is not None else None
        return f"{score.low:.2f} to {score.high:.2f}".replace("-", "−") if score is not None else ""

    @property
    def not_above(self) -> str:
        """The references that it is not significantly above, for which it is ranked after the others."""
        return not_above_text(self.ranked.not_above) if self.ranked is not None else ""

    @property
    def parts(self) -> str:
        """Names of split, objective and model."""
        return " + ".join(short_name(name) for name in part_ids(self.entry).values())

    @property
    def plugins(self) -> list[str]:
        """Namespaces of its parts and task, other than ours."""
        names = [*part_ids(self.entry).values(), *([task] if (task := self.entry.first.cell.task) else [])]
        return sorted({name.split("/")[0] for name in names} - {OWN_NAMESPACE})

    @cached_property
    def pretext(self) -> tuple[str, list[str]]:
        """The score of the pretext task, and the lines of its references."""
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


def part_ids(entry: Entry) -> Mapping[str, str]:
    """Return the full ids of an entry's split, objective and model."""
    cell = entry.first.cell
    return {"split": cell.split.id, "objective": cell.objective.id, "model": cell.model.id}


def pretext_texts(entry: Entry) -> tuple[str, list[str]]:
    """Return the score of the pretext task; then its chance level, best trivial predictor and shortcut probe."""
    pretext = entry.first.pretext
    shortcuts = pretext.shortcut if pretext is not None else {}
    lines = [
        line
        for metric in entry.pretext_metrics
        for line in pretext_metric_lines(metric, shortcuts.get(metric.name), len(entry.records))
    ]
    return (lines[0], lines[1:]) if lines else ("", [])


def pretext_metric_lines(pretext: PretextMetric, shortcut_accuracy: float | None, num_seeds: int) -> list[str]:
    """Return a metric of the pretext task as lines of text: its value, then the values that it is compared with."""
    name = f"{shorten(pretext.name, MAX_METRIC_CHARACTERS)} {direction(pretext.metric)}"
    if pretext.estimate is None:
        return [f"{name} {pretext.hidden_reason}"]
    estimate = replace(pretext.estimate, count=max(num_seeds, pretext.estimate.count))
    references = {"chance": pretext.references.chance}
    if pretext.best_trivial is not None:
        references[shorten(pretext.best_trivial.name, MAX_METRIC_CHARACTERS)] = pretext.best_trivial.value
    references["shortcut"] = shortcut_accuracy
    return [
        f"{name} {narrow_spaces(format_estimate(estimate, pretext.metric))}",
        *(
            f"{reference} {narrow_spaces(format_number(value, pretext.metric))}"
            for reference, value in references.items()
            if value is not None
        ),
    ]


def narrow_spaces(text: str) -> str:
    """Return the text with a narrow, non-breaking space before its unit."""
    return text.replace(" %", "\u202f%").replace("± ", "±")


def entry_cells(competition: Competition, entry: Entry) -> tuple[NumberCell, ...]:
    """Return every number of every measure: trained, then the suite's references."""
    return tuple(
        cell for measure in competition.division.measures for cell in measure_cells(competition, entry, measure)
    )


def measure_cells(competition: Competition, entry: Entry, measure: Measure) -> list[NumberCell]:
    """Return every number of one measure, by encoder."""
    encoders = shown_encoders(competition.shown)
    estimates = {encoder: estimate_measure(competition, entry, measure, encoder) for encoder in encoders}
    metric = competition.metric(measure)
    worse = is_worse_than_random(estimates[TRAINED], estimates.get(RANDOM), metric)
    return [number_cell(estimate, metric, worse and encoder == TRAINED) for encoder, estimate in estimates.items()]


def is_worse_than_random(trained: Estimate | None, random: Estimate | None, metric: Metric) -> bool:
    """Return whether training gained nothing on a measure; False where that is not known."""
    if trained is None or random is None or metric.higher_is_better is None:
        return False
    gain = trained.value - random.value
    return (-gain if metric.lower_is_better else gain) <= 0


def number_cell(estimate: Estimate | None, metric: Metric, worse: bool) -> NumberCell:
    """Return the cell of one number."""
    if estimate is None:
        return NumberCell("", "", False)
    number = format_number(estimate.value, metric).removesuffix(" %")
    return NumberCell(number, half_width_text(estimate, metric), worse)


def column_heads(ranking: Ranking) -> list[tuple[str, str]]:
    """Return for every measure its name with the unit, and its chance and reference; the first one ranks."""
    scales = {scale.measure.title: scale for scale in ranking.scales}
    headline = ranking.competition.division.headline
    heads = []
    for measure in ranking.competition.division.measures:
        metric = ranking.competition.metric(measure)
        unit = ", %" if metric.is_fraction else f", {metric.unit}" if metric.unit else ""
        arrow = f" {direction(metric)}" if metric.lower_is_better else ""
        notes = ["ranks"] if measure == headline else []
        if (scale := scales.get(measure.title)) is not None:
            chance, reference = (format_number(value, metric) for value in (scale.chance, scale.reference))
            notes.append(f"chance {chance}, reference {reference}")
        heads.append((measure.title + unit + arrow, "; ".join(notes)))
    return heads


def ranked_rows(ranking: Ranking, choices: FilterChoices, anchors: Mapping[str, str]) -> list[EntryRow]:
    """Return the rows of ranked entries."""
    low, high = score_range(ranking.ranked_entries) if ranking.ranked_entries else (0.0, 1.0)
    strips: Iterable[Markup | str] = (
        score_strip(ranked.score, low, high) if ranked.score is not None and number < MAX_STRIP_ROWS else ""
        for number, ranked in enumerate(ranking.ranked_entries)
    )
    return [
        make_row(ranking, ranked.entry, ranked, drawing, choices, anchors)
        for ranked, drawing in zip(ranking.ranked_entries, strips, strict=True)
    ]


def unranked_rows(ranking: Ranking, choices: FilterChoices, anchors: Mapping[str, str]) -> list[EntryRow]:
    """Return the rows of entries without a rank, by name."""
    return [make_row(ranking, entry, None, "", choices, anchors) for entry in unranked_entries(ranking)]


def make_row(
    ranking: Ranking,
    entry: Entry,
    ranked: RankedEntry | None,
    drawing: Markup | str,
    choices: FilterChoices,
    anchors: Mapping[str, str],
) -> EntryRow:
    """Return the row of one entry."""
    cells = entry_cells(ranking.competition, entry)
    return EntryRow(
        entry, ranked, choices.numbers_of_parts(entry), cells, drawing, anchors.get(anchor_key(ranking, entry), "")
    )


def anchor_key(ranking: Ranking, entry: Entry) -> str:
    """Return what distinguishes an entry of one table from the same entry of another."""
    return f"{ranking.competition.division.name} {sorted(ranking.competition.fingerprints.items())} {entry.key}"


def assign_anchors(rankings: Sequence[Ranking], most: int) -> dict[str, str]:
    """Return the anchors of entries with details: of the first of every table in turn, at most `most`."""
    queues = [
        [*(ranked.entry for ranked in ranking.ranked_entries), *unranked_entries(ranking)] for ranking in rankings
    ]
    turns = [
        anchor_key(ranking, queue[turn])
        for turn in range(max(map(len, queues), default=0))
        for ranking, queue in zip(rankings, queues, strict=True)
        if turn < len(queue)
    ]
    return {key: f"e{number}" for number, key in enumerate(turns[:most])}
