"""Standings: the entries of one field with their normalized scores, intervals and ranks.

On the normalised scale chance is 0 and the reference 1, both the same for all entries of a field: what one of them says
of its own chance level does not move it alone.

Axes: M measures, S seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from jaxtyping import Float
from pretask import Metric

from pretask_bench.board.entries import Entry, Field, measure_values
from pretask_bench.board.evidence import Evidence, MeasureEvidence, gather_evidence, weigh_quartiles
from pretask_bench.board.gaps import own_interval
from pretask_bench.board.ranking import rank_intervals
from pretask_bench.records.encoders import ENCODERS, SUPERVISED, TRAINED
from pretask_bench.records.record import Items
from pretask_bench.results.report import format_number
from pretask_bench.results.statistics import Estimate, mean_over_seeds, share_estimate
from pretask_bench.runs.suites import Measure


@dataclass(frozen=True)
class Scale:
    """The two ends of a measure's scale.

    Args:
        measure: A measure of the division.
        metric: What its evaluator declares of the number.
        chance: The value that maps to 0; the median over entries.
        reference: The value that maps to 1; where it is supervised, the mean over entries.
        items: Fewest test items of an entry, where their bits are known.
    """

    measure: Measure
    metric: Metric
    chance: float
    reference: float
    items: int | None = None

    @property
    def min_reference(self) -> float:
        """The value that the reference must beat: chance, or the upper end of Wilson's interval of it on the items."""
        if self.items is None or not 0 <= self.chance <= 1 or self.metric.lower_is_better:
            return self.chance
        high = share_estimate(round(self.chance * self.items), self.items).high
        return self.chance if high is None else max(self.chance, high)

    @property
    def fault(self) -> str:
        """Why nothing can be normalized by this scale; empty if it can."""
        if (
            (self.reference < self.min_reference)
            if self.metric.lower_is_better
            else (self.reference > self.min_reference)
        ):
            return ""
        numbers = f"{format_number(self.reference, self.metric)} against {format_number(self.chance, self.metric)}"
        on = f" on {self.items} test items" if self.items is not None else ""
        text = f"{self.measure.title}: the reference cannot be told from chance ({numbers}{on})"
        return text.replace(" %", "\u202f%")


@dataclass(frozen=True)
class Standing:
    """An entry and where it stands.

    Args:
        entry: A complete entry.
        score: Interquartile mean of the normalised numbers of a seed, mean over seeds.
        low: Low end of the 95 % interval; the whole scale where seeds do not vary and there are no items.
        high: High end of the 95 % interval.
        ranks: The lowest and the highest rank.
        references: The scores of the encoders beside it, on the same scale.
    """

    entry: Entry
    score: float
    low: float
    high: float
    ranks: tuple[int, int]
    references: Mapping[str, float]


@dataclass(frozen=True)
class Table:
    """A field with its ranking.

    Args:
        field: The entries and their data.
        scales: One for each measure.
        standings: By score; none where nothing can be ranked.
    """

    field: Field
    scales: tuple[Scale, ...]
    standings: tuple[Standing, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Measures that do not count, and why."""
        return tuple(scale.fault for scale in self.scales if scale.fault)


def rank_field(field: Field) -> Table:
    """Rank the complete entries of a field; where no measure has a scale, there is no ranking."""
    if not field.complete:
        return Table(field, (), ())
    scales = tuple(scale_of(field, measure) for measure in field.division.measures)
    usable = [scale for scale in scales if not scale.fault]
    if not usable:
        return Table(field, scales, ())
    found = [evidence_of(field, usable, entry) for entry in field.complete]
    standings = [
        build_standing(field, usable, entry, evidence, (int(first), int(last)))
        for entry, evidence, (first, last) in zip(field.complete, found, rank_intervals(found), strict=True)
    ]
    ordered = sorted(standings, key=lambda standing: (-standing.score, standing.entry.title, standing.entry.key))
    return Table(field, scales, tuple(ordered))


def scale_of(field: Field, measure: Measure) -> Scale:
    """Return the ends of a measure's scale, from the complete entries of a field."""
    if isinstance(measure.chance, str):
        evaluator = field.evaluators[measure.evaluator]
        text = [value for entry in field.complete for value in entry.values(evaluator, measure.chance)]
        chance = float(median(text))
    else:
        chance = measure.chance
    counts = [count for entry in field.complete if (count := count_of(field, entry, measure)) is not None]
    items = min(counts, default=None)
    if measure.reference != SUPERVISED:
        return Scale(measure, field.metric(measure), chance, float(measure.reference), items)
    found = [mean_over_seeds(measure_values(field, entry, measure, SUPERVISED)).value for entry in field.complete]
    return Scale(measure, field.metric(measure), chance, mean_over_seeds(sorted(found)).value, items)


def count_of(field: Field, entry: Entry, measure: Measure) -> int | None:
    """Return how many test items a measure has, where their bits are known."""
    items = entry.rows(field.evaluators[measure.evaluator], TRAINED)[0].items.get(measure.metric)
    return items.count if items is not None else None


def normalized_values(field: Field, scales: Sequence[Scale], entry: Entry, encoder: str) -> Float[np.ndarray, "M S"]:
    """Return the numbers of an encoder, on the scale where chance is 0 and the reference 1."""
    raw = np.array([measure_values(field, entry, scale.measure, encoder) for scale in scales])
    chance, reference = scale_ends(scales)
    scaled: np.ndarray = (raw - chance[:, None]) / (reference - chance)[:, None]
    return scaled


def scale_ends(scales: Sequence[Scale]) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, " M"]]:
    """Return chance and reference of all measures."""
    return np.array([scale.chance for scale in scales]), np.array([scale.reference for scale in scales])


def evidence_of(field: Field, scales: Sequence[Scale], entry: Entry) -> Evidence:
    """Return what the records of an entry say of its score."""
    values = normalized_values(field, scales, entry, TRAINED)
    measures = [measure_evidence(field, scale, entry, row) for scale, row in zip(scales, values, strict=True)]
    return gather_evidence([record.cell.seed for record in entry.records], measures)


def measure_evidence(field: Field, scale: Scale, entry: Entry, values: Float[np.ndarray, " S"]) -> MeasureEvidence:
    """Return what the records of an entry say of one measure, on its scale."""
    metric, width = scale.measure.metric, scale.reference - scale.chance
    rows = entry.rows(field.evaluators[scale.measure.evaluator], TRAINED)
    own, raw = own_interval(rows[0], metric), float(rows[0].metrics[metric] or 0.0)
    # where lower is better, a number is no fraction of correct answers
    items = () if scale.metric.lower_is_better else same_items([row.items.get(metric) for row in rows])
    return MeasureEvidence(
        values=tuple(map(float, values)),
        items=items,
        worst=-scale.chance / width,
        best=(1 - scale.chance) / width,
        own=max(raw - own[0], own[1] - raw) / abs(width) if own is not None else 0.0,  # an end may be cut off at 0 or 1
    )


def same_items(found: Sequence[Items | None]) -> tuple[Items, ...]:
    """Return the items of all seeds if all have them on one test set, else none."""
    known = tuple(items for items in found if items is not None)
    tests = {(items.test, items.count) for items in known}
    return known if len(known) == len(found) and len(tests) == 1 else ()


def build_standing(
    field: Field, scales: Sequence[Scale], entry: Entry, evidence: Evidence, ranks: tuple[int, int]
) -> Standing:
    """Return where an entry stands."""
    beside = [encoder for encoder in ENCODERS if encoder != TRAINED and has_all_numbers(field, scales, entry, encoder)]
    scores = {encoder: score_of(field, scales, entry, encoder) for encoder in beside}
    found = evidence.estimate()
    low = min(0.0, found.value) if found.low is None else found.low
    high = max(1.0, found.value) if found.high is None else found.high
    return Standing(entry, found.value, low, high, ranks, scores)


def score_of(field: Field, scales: Sequence[Scale], entry: Entry, encoder: str) -> float:
    """Return the interquartile mean over measures, mean over seeds."""
    values = normalized_values(field, scales, entry, encoder)
    return float((weigh_quartiles(values) * values).sum(0).mean())


def has_all_numbers(field: Field, scales: Sequence[Scale], entry: Entry, encoder: str) -> bool:
    """Return whether an entry has every number of an encoder."""
    counts = [len(measure_values(field, entry, scale.measure, encoder)) for scale in scales]
    return all(count == len(entry.records) for count in counts)


def estimate_of(field: Field, entry: Entry, measure: Measure, encoder: str) -> Estimate | None:
    """Return the mean over seeds with its interval over seeds and test items, or the evaluator's own, or without."""
    rows = [
        row
        for row in entry.rows(field.evaluators[measure.evaluator], encoder)
        if row.metrics.get(measure.metric) is not None
    ]
    if not rows:
        return None
    values = tuple(float(row.metrics[measure.metric] or 0.0) for row in rows)
    own = own_interval(rows[0], measure.metric)
    items = same_items([row.items.get(measure.metric) for row in rows])
    if len(values) == 1 and own is not None and not items:
        return Estimate(values[0], *own, 1)
    return gather_evidence(range(len(values)), [MeasureEvidence(values, items)]).estimate()
