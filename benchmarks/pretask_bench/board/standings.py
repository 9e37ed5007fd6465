"""Standings: the entries of one field with their ranks, and how far training brought each of them.

The headline measure of the division ranks. An entry that is not above the same network at random initialization and
above the raw input, by the test that tells entries apart (ranking.py), gained nothing by its training that one would
keep: it is ranked after those that are, whatever its number.

The score says which part of the way an entry came on that measure: 0 is the better of chance and the same network at
random initialization, 1 the same network trained on the labels. It decides no rank. Where these labels bring no network
above 0, by the same test, nothing was there to be learned under this budget, and nothing is ranked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from pretask import Metric

from pretask_bench.board.entries import Entry, Field, measure_values
from pretask_bench.board.evidence import Evidence, constant_evidence, gather_evidence
from pretask_bench.board.gaps import reported_interval
from pretask_bench.board.ranking import is_above, rank_intervals
from pretask_bench.records.encoders import ENCODERS, RANDOM, RAW, SUPERVISED, TRAINED, column_label
from pretask_bench.records.record import Items
from pretask_bench.results.report import format_number
from pretask_bench.results.statistics import Estimate, mean_over_seeds, normalize_score
from pretask_bench.runs.suites import Measure

MUST_BEAT = (RANDOM, RAW)  # where the suite asks for them
CHANCE = "chance"


@dataclass(frozen=True)
class Scale:
    """What the numbers of a measure are held against, of all entries of a field together.

    Args:
        measure: A measure of the division.
        metric: What its evaluator declares of the number.
        chance: The median over entries.
        reference: Where it is supervised, the mean over entries.
    """

    measure: Measure
    metric: Metric
    chance: float
    reference: float


@dataclass(frozen=True)
class Score:
    """How far training brought an entry on the headline measure, as a part of the way from 0 to 1.

    Args:
        value: Of the trained encoder.
        low: Low end of the 95 % interval; with `high` the whole way where nothing tells of one.
        high: High end of the 95 % interval.
        zero: The number that is 0: the better of chance and random initialization.
        zero_of: Which of the two it is.
        reference: The number that is 1.
        references: The scores of the encoders beside it.
    """

    value: float
    low: float
    high: float
    zero: float
    zero_of: str
    reference: float
    references: Mapping[str, float]


@dataclass(frozen=True)
class Standing:
    """An entry and where it stands.

    Args:
        entry: A complete entry.
        ranks: The lowest and the highest rank.
        not_above: The reference encoders that it is not told to be better than; it comes after entries without any.
        score: How far it came; None where its supervised reference is not above the score's zero.
    """

    entry: Entry
    ranks: tuple[int, int]
    not_above: tuple[str, ...]
    score: Score | None


@dataclass(frozen=True)
class Table:
    """A field with its ranking.

    Args:
        field: The entries and their data.
        scales: One for each measure.
        standings: By rank; none where nothing can be ranked.
        fault: Why the division ranks nothing, although entries are complete; empty where it ranks.
    """

    field: Field
    scales: tuple[Scale, ...]
    standings: tuple[Standing, ...]
    fault: str = ""


@dataclass(frozen=True)
class Contender:
    """A complete entry with what its records say of the headline measure.

    Args:
        entry: A complete entry.
        evidence: By encoder, larger where better: the trained one and the baselines of the suite.
        zero: The better of chance and random initialization.
        zero_of: Which of the two it is.
        reference: What the score calls 1.
        goal: What must be above zero: the supervised encoder where there is one, else the reference.
    """

    entry: Entry
    evidence: Mapping[str, Evidence]
    zero: Evidence
    zero_of: str
    reference: float
    goal: Evidence

    @property
    def trained(self) -> Evidence:
        """What ranks."""
        return self.evidence[TRAINED]


def rank_field(field: Field) -> Table:
    """Rank the complete entries of a field; where no supervised reference is above zero, there is no ranking."""
    if not field.complete:
        return Table(field, (), ())
    scales = tuple(scale_of(field, measure) for measure in field.division.measures)
    contenders = [make_contender(field, scales[0], entry) for entry in field.complete]
    learnable = find_learnable(contenders)
    if not any(learnable):
        return Table(field, scales, (), explain_fault(scales[0], contenders))
    unbeaten = find_unbeaten(contenders)
    ranks = rank_intervals([contender.trained for contender in contenders], [bool(names) for names in unbeaten])
    standings = [
        Standing(
            contender.entry, (int(first), int(last)), names, score_of(scales[0].metric, contender) if way else None
        )
        for contender, (first, last), names, way in zip(contenders, ranks, unbeaten, learnable, strict=True)
    ]
    numbers = {contender.entry.key: contender.trained.mean for contender in contenders}

    def place(standing: Standing) -> tuple[bool, float, str, str]:
        entry = standing.entry
        return bool(standing.not_above), -numbers[entry.key], entry.title, entry.key

    return Table(field, scales, tuple(sorted(standings, key=place)))


def scale_of(field: Field, measure: Measure) -> Scale:
    """Return what the numbers of a measure are held against, from the complete entries of a field."""
    if isinstance(measure.chance, str):
        evaluator = field.evaluators[measure.evaluator]
        text = [value for entry in field.complete for value in entry.values(evaluator, measure.chance)]
        chance = float(median(text))
    else:
        chance = measure.chance
    if measure.reference != SUPERVISED:
        return Scale(measure, field.metric(measure), chance, float(measure.reference))
    found = [mean_over_seeds(measure_values(field, entry, measure, SUPERVISED)).value for entry in field.complete]
    return Scale(measure, field.metric(measure), chance, mean_over_seeds(sorted(found)).value)


def make_contender(field: Field, scale: Scale, entry: Entry) -> Contender:
    """Return what an entry's records say of the headline measure."""
    evidence = {
        encoder: encoder_evidence(field, scale, entry, encoder)
        for encoder in ENCODERS
        if encoder == TRAINED or encoder in field.baselines
    }
    seeds, sign = evidence[TRAINED].seeds, sign_of(scale.metric)
    zero, zero_of = constant_evidence(seeds, sign * scale.chance), CHANCE
    if RANDOM in evidence and evidence[RANDOM].mean > zero.mean:
        zero, zero_of = evidence[RANDOM], RANDOM
    own = scale.measure.reference == SUPERVISED
    reference = sign * evidence[SUPERVISED].mean if own else scale.reference
    goal = evidence.get(SUPERVISED) or constant_evidence(seeds, sign * reference)
    return Contender(entry, evidence, zero, zero_of, reference, goal)


def sign_of(metric: Metric) -> float:
    """Return what makes a number larger where it is better."""
    return -1.0 if metric.lower_is_better else 1.0


def encoder_evidence(field: Field, scale: Scale, entry: Entry, encoder: str) -> Evidence:
    """Return what the records of an entry say of a measure of one encoder, larger where better."""
    metric, rows = scale.measure.metric, entry.rows(field.evaluators[scale.measure.evaluator], encoder)
    values = [sign_of(scale.metric) * value for value in measure_values(field, entry, scale.measure, encoder)]
    own = reported_interval(rows[0], metric)
    # where lower is better, a number is no fraction of correct answers
    items = () if scale.metric.lower_is_better else same_items([row.items.get(metric) for row in rows])
    half = max(abs(end - float(rows[0].metrics[metric] or 0.0)) for end in own) if own is not None else 0.0
    return gather_evidence([record.cell.seed for record in entry.records], values, items, half)  # an end may be cut off


def same_items(found: Sequence[Items | None]) -> tuple[Items, ...]:
    """Return the items of all seeds if all have them on one test set, else none."""
    known = tuple(items for items in found if items is not None)
    tests = {(items.test, items.count) for items in known}
    return known if len(known) == len(found) and len(tests) == 1 else ()


def find_learnable(contenders: Sequence[Contender]) -> list[bool]:
    """Return of every entry whether its supervised reference, or the number in its place, is above zero."""
    tested = is_above([contender.goal for contender in contenders], [contender.zero for contender in contenders])
    known = [SUPERVISED not in contender.evidence and contender.zero_of == CHANCE for contender in contenders]
    return [
        contender.goal.mean > contender.zero.mean if plain else bool(above)  # two numbers without an error
        for contender, plain, above in zip(contenders, known, tested, strict=True)
    ]


def find_unbeaten(contenders: Sequence[Contender]) -> list[tuple[str, ...]]:
    """Return of every entry the reference encoders that it is not told to be better than."""
    found: list[list[str]] = [[] for _ in contenders]
    for encoder in MUST_BEAT:
        if not all(encoder in contender.evidence for contender in contenders):
            continue  # the suite does not ask for it
        above = is_above(
            [contender.trained for contender in contenders], [contender.evidence[encoder] for contender in contenders]
        )
        for names, better in zip(found, above, strict=True):
            if not better:
                names.append(encoder)
    return [tuple(names) for names in found]


def score_of(metric: Metric, contender: Contender) -> Score | None:
    """Return how far an entry came; None where a reference that is a number is not better than zero."""
    sign, reference, found = sign_of(metric), contender.reference, contender.trained.estimate()
    zero = sign * contender.zero.mean
    if sign * reference <= sign * zero:
        return None

    def place(value: float) -> float:
        return normalize_score(sign * value, zero, reference)

    value = place(found.value)
    return Score(
        value=value,
        low=min(0.0, value) if found.low is None else place(found.low),
        high=max(1.0, value) if found.high is None else place(found.high),
        zero=zero,
        zero_of=contender.zero_of,
        reference=reference,
        references={
            encoder: place(evidence.mean) for encoder, evidence in contender.evidence.items() if encoder != TRAINED
        },
    )


def explain_fault(scale: Scale, contenders: Sequence[Contender]) -> str:
    """Return why a division ranks nothing: its references, and the zero that none of them is above."""
    sign = sign_of(scale.metric)
    goal, zero = (
        sign * mean_over_seeds(sorted(values)).value
        for values in ([found.goal.mean for found in contenders], [found.zero.mean for found in contenders])
    )
    names = sorted({CHANCE if found.zero_of == CHANCE else column_label(RANDOM) for found in contenders})
    numbers = f"{format_number(goal, scale.metric)} against {format_number(zero, scale.metric)} of {' or '.join(names)}"
    text = f"{scale.measure.title}: the supervised reference is not told to be above the score's zero ({numbers})"
    return text.replace(" %", "\u202f%")


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
    own = reported_interval(rows[0], measure.metric)
    items = same_items([row.items.get(measure.metric) for row in rows])
    if len(values) == 1 and own is not None and not items:
        return Estimate(values[0], *own, 1)
    return gather_evidence(range(len(values)), values, items).estimate()
