"""Standings: the entries of one field with their normalised scores, intervals and ranks.

On the normalised scale chance is 0 and the reference 1, both the same for all entries of a field: what one of them says
of its own chance level does not move it alone.

Axes: M measures, S seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from jaxtyping import Float
from pretask.errors import PretaskError

from pretask_bench.board.entries import Entry, Field, measure_values
from pretask_bench.board.gaps import own_interval
from pretask_bench.board.ranking import (
    Answered,
    Spread,
    interquartile_mean,
    interval,
    over_items,
    over_seeds,
    rank_intervals,
)
from pretask_bench.encoders import ENCODERS, SUPERVISED, TRAINED
from pretask_bench.report import written
from pretask_bench.statistics import Estimate, mean_over_seeds, share
from pretask_bench.suites import Measure


@dataclass(frozen=True)
class Scale:
    """The two ends of a measure's scale.

    Args:
        measure: Of the division.
        chance: What is 0; the median over entries.
        reference: What is 1; where it is supervised, the mean over entries.
        items: Fewest test items of an entry, where their bits are known.
    """

    measure: Measure
    chance: float
    reference: float
    items: int | None = None

    @property
    def least(self) -> float:
        """What the reference must exceed: chance, or the upper end of Wilson's interval of chance on so many items."""
        if self.items is None or not 0 <= self.chance <= 1:
            return self.chance
        high = share(round(self.chance * self.items), self.items).high
        return self.chance if high is None else max(self.chance, high)

    @property
    def fault(self) -> str:
        """Why nothing can be normalised by it; empty if it can."""
        if self.reference > self.least:
            return ""
        numbers = f"{written(self.reference, self.measure.metric)} against {written(self.chance, self.measure.metric)}"
        on = f" on {self.items} test items" if self.items is not None else ""
        told = f"{self.measure.title}: the reference cannot be told from chance ({numbers}{on})"
        return told.replace(" %", "\u202f%")


@dataclass(frozen=True)
class Standing:
    """An entry and where it stands.

    Args:
        entry: A complete one.
        score: Interquartile mean of the normalised numbers.
        low: Of the 95 % interval.
        high: Of the 95 % interval.
        ranks: The lowest and the highest.
        baselines: The scores of the encoders beside it, on the same scale.
    """

    entry: Entry
    score: float
    low: float
    high: float
    ranks: tuple[int, int]
    baselines: Mapping[str, float]


@dataclass(frozen=True)
class Table:
    """A field with its ranking.

    Args:
        field: Its entries.
        scales: One for each measure.
        standings: By score; none where nothing can be ranked.
    """

    field: Field
    scales: tuple[Scale, ...]
    standings: tuple[Standing, ...]

    @property
    def faults(self) -> tuple[str, ...]:
        """Measures that do not count, and why."""
        return tuple(each.fault for each in self.scales if each.fault)


def table_of(field: Field) -> Table:
    """Rank the complete entries of a field; where no measure has a scale, there is no ranking."""
    if not field.complete:
        return Table(field, (), ())
    scales = tuple(scale_of(field, measure) for measure in field.division.measures)
    usable = [each for each in scales if not each.fault]
    if not usable:
        return Table(field, scales, ())
    scored = [resampled(field, usable, entry) for entry in field.complete]
    ranks = rank_intervals(np.stack(scored))
    standings = [
        standing(field, usable, entry, draws, (int(first), int(last)))
        for entry, draws, (first, last) in zip(field.complete, scored, ranks, strict=True)
    ]
    ordered = sorted(standings, key=lambda each: (-each.score, each.entry.title, each.entry.key))
    return Table(field, scales, tuple(ordered))


def scale_of(field: Field, measure: Measure) -> Scale:
    """The ends of a measure's scale, by the complete entries of a field."""
    if isinstance(measure.chance, str):
        evaluator = field.evaluators[measure.evaluator]
        told = [value for each in field.complete for value in each.values(evaluator, measure.chance)]
        chance = float(median(told))
    else:
        chance = measure.chance
    counts = [count for each in field.complete if (count := count_of(field, each, measure)) is not None]
    items = min(counts, default=None)
    if measure.reference != SUPERVISED:
        return Scale(measure, chance, float(measure.reference), items)
    found = [mean_over_seeds(measure_values(field, each, measure, SUPERVISED)).value for each in field.complete]
    return Scale(measure, chance, mean_over_seeds(sorted(found)).value, items)


def count_of(field: Field, entry: Entry, measure: Measure) -> int | None:
    """How many test items a measure has, where their bits are known."""
    items = entry.rows(field.evaluators[measure.evaluator], TRAINED)[0].items.get(measure.metric)
    return items.count if items is not None else None


def normalised_values(field: Field, scales: Sequence[Scale], entry: Entry, encoder: str) -> Float[np.ndarray, "M S"]:
    """The numbers of an encoder, chance 0 and reference 1."""
    raw = np.array([measure_values(field, entry, each.measure, encoder) for each in scales])
    chance, reference = ends(scales)
    scaled: np.ndarray = (raw - chance[:, None]) / (reference - chance)[:, None]
    return scaled


def ends(scales: Sequence[Scale]) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, " M"]]:
    """Chance and reference of all measures."""
    return np.array([each.chance for each in scales]), np.array([each.reference for each in scales])


def resampled(field: Field, scales: Sequence[Scale], entry: Entry) -> Float[np.ndarray, " R"]:
    """The score of an entry in each resample: of its seeds; of one seed, what its measures allow."""
    if len(entry.records) > 1:
        return over_seeds(normalised_values(field, scales, entry, TRAINED), entry.key)
    return over_items([spread_of(field, each.measure, entry) for each in scales], *ends(scales), entry.key)


def spread_of(field: Field, measure: Measure, entry: Entry) -> Answered | Spread:
    """What the only seed says of a measure: test items, or a number with its evaluator's own interval."""
    row = entry.rows(field.evaluators[measure.evaluator], TRAINED)[0]
    items, own = row.items.get(measure.metric), own_interval(row, measure.metric)
    if items is not None:
        return Answered(float(items.correct().mean()), items.count)
    if own is None:
        raise PretaskError(entry.title, f"an interval of {measure.title}", "none", "Run a second seed.")
    return Spread(measure_values(field, entry, measure, TRAINED)[0], (own[1] - own[0]) / 2)


def standing(
    field: Field, scales: Sequence[Scale], entry: Entry, draws: Float[np.ndarray, " R"], ranks: tuple[int, int]
) -> Standing:
    """Where an entry stands."""
    scores = {each: score_of(field, scales, entry, each) for each in ENCODERS if has(field, scales, entry, each)}
    low, high = interval(draws)
    score = scores.pop(TRAINED)
    return Standing(entry, score, min(low, score), max(high, score), ranks, scores)


def score_of(field: Field, scales: Sequence[Scale], entry: Entry, encoder: str) -> float:
    """The interquartile mean over measures and seeds."""
    return float(interquartile_mean(normalised_values(field, scales, entry, encoder).reshape(-1)))


def has(field: Field, scales: Sequence[Scale], entry: Entry, encoder: str) -> bool:
    """Whether an entry has every number of an encoder."""
    counts = [len(measure_values(field, entry, each.measure, encoder)) for each in scales]
    return all(count == len(entry.records) for count in counts)


def estimate_of(field: Field, entry: Entry, measure: Measure, encoder: str) -> Estimate | None:
    """The mean over seeds with its interval; with one seed that of test items, or the evaluator's own, or none."""
    values = measure_values(field, entry, measure, encoder)
    if len(values) != 1:
        return mean_over_seeds(values) if values else None
    row = next(
        each for each in entry.rows(field.evaluators[measure.evaluator], encoder) if measure.metric in each.metrics
    )
    items, own = row.items.get(measure.metric), own_interval(row, measure.metric)
    if items is not None:
        return share(int(items.correct().sum()), items.count)
    return Estimate(values[0], *own, 1) if own is not None else mean_over_seeds(values)
