"""Standings: the entries of one competition with their ranks and scores.

The headline measure of the division ranks. An entry that is not significantly above the same network at random
initialization and above the raw input (the test is that of ranking.py) gained nothing by its training that one would
keep: it is ranked after those that are, whatever its number.

The score is the headline measure on a linear scale: 0 is the better of chance and the same network at random
initialization, 1 the same network trained on the labels. It decides no rank. Where training on the labels brings no
network above 0, by the same test, nothing was there to be learned under this budget, and nothing is ranked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from pretask import Metric

from pretask_bench.board.entries import Competition, Entry, measure_values
from pretask_bench.board.evidence import Evidence, constant_evidence, gather_evidence
from pretask_bench.board.gaps import reported_interval
from pretask_bench.board.ranking import is_above, rank_intervals
from pretask_bench.records.encoders import ENCODERS, RANDOM, RAW, SUPERVISED, TRAINED, column_label
from pretask_bench.records.measured import Items
from pretask_bench.results.report import format_number
from pretask_bench.results.statistics import Estimate, mean_over_seeds, normalize_score
from pretask_bench.runs.suites import Measure

MUST_BEAT = (RANDOM, RAW)  # where the suite asks for them
CHANCE = "chance"


@dataclass(frozen=True)
class Scale:
    """What the numbers of a measure are compared with, for all entries of a competition together.

    Args:
        measure: A measure of the division.
        metric: Its unit and direction.
        chance: The median over entries.
        reference: Where it is supervised, the mean over entries.
    """

    measure: Measure
    metric: Metric
    chance: float
    reference: float


@dataclass(frozen=True)
class Score:
    """The headline measure of an entry on the scale from 0 (`zero`) to 1 (`reference`).

    Args:
        value: Of the trained encoder.
        low: Low end of the 95 % interval; with `high` the whole scale where the interval is not known.
        high: High end of the 95 % interval.
        zero: The number that is 0: the better of chance and random initialization.
        zero_of: Which of the two it is.
        reference: The number that is 1.
        references: The scores of the reference encoders.
    """

    value: float
    low: float
    high: float
    zero: float
    zero_of: str
    reference: float
    references: Mapping[str, float]


@dataclass(frozen=True)
class RankedEntry:
    """An entry with its rank and score.

    Args:
        entry: A complete entry.
        ranks: The lowest and the highest rank.
        not_above: The reference encoders that it is not significantly better than; it comes after entries without any.
        score: None where its supervised reference is not above the score's zero.
    """

    entry: Entry
    ranks: tuple[int, int]
    not_above: tuple[str, ...]
    score: Score | None


@dataclass(frozen=True)
class Ranking:
    """A competition with its ranked entries.

    Args:
        competition: The entries and their data.
        scales: One for each measure.
        ranked_entries: By rank; none where nothing can be ranked.
        unranked_reason: Why the division ranks nothing, although entries are complete; empty where it ranks.
    """

    competition: Competition
    scales: tuple[Scale, ...]
    ranked_entries: tuple[RankedEntry, ...]
    unranked_reason: str = ""


@dataclass(frozen=True)
class Contender:
    """A complete entry with the evidence of its records on the headline measure.

    Args:
        entry: A complete entry.
        evidence: By encoder, larger where better: the trained one and the baselines of the suite.
        zero_evidence: That of the better of chance and random initialization.
        zero_of: Which of the two it is.
        reference: The number that the score calls 1.
        reference_evidence: That of the supervised encoder where there is one, else of the reference; to be above zero.
    """

    entry: Entry
    evidence: Mapping[str, Evidence]
    zero_evidence: Evidence
    zero_of: str
    reference: float
    reference_evidence: Evidence

    @property
    def trained(self) -> Evidence:
        """The evidence of the trained encoder, which ranks."""
        return self.evidence[TRAINED]

    @property
    def has_given_reference(self) -> bool:
        """Whether 1 is a number that the suite names, such as every item right, which nobody has to show."""
        return SUPERVISED not in self.evidence


def rank_competition(competition: Competition) -> Ranking:
    """Rank the complete entries of a competition; where no supervised reference is above zero, there is no ranking."""
    if not competition.complete:
        return Ranking(competition, (), ())
    scales = tuple(make_scale(competition, measure) for measure in competition.division.measures)
    headline = scales[0]
    contenders = [make_contender(competition, headline, entry) for entry in competition.complete]
    learnable = find_learnable(contenders)
    if not any(learnable):
        return Ranking(competition, scales, (), explain_unranked(headline, contenders))
    unbeaten = find_unbeaten_references(contenders)
    ranks = rank_intervals([contender.trained for contender in contenders], [bool(names) for names in unbeaten])
    ranked_entries = [
        RankedEntry(
            entry=contender.entry,
            ranks=(int(first), int(last)),
            not_above=names,
            score=score_entry(headline.metric, contender) if is_learnable else None,
        )
        for contender, (first, last), names, is_learnable in zip(contenders, ranks, unbeaten, learnable, strict=True)
    ]
    means = {contender.entry.key: contender.trained.mean for contender in contenders}

    def order(ranked: RankedEntry) -> tuple[bool, float, str, str]:
        entry = ranked.entry
        return bool(ranked.not_above), -means[entry.key], entry.title, entry.key

    return Ranking(competition, scales, tuple(sorted(ranked_entries, key=order)))


def make_scale(competition: Competition, measure: Measure) -> Scale:
    """Return chance and reference of a measure, from the complete entries of a competition."""
    metric, chance = competition.metric(measure), median_chance(competition, measure)
    if measure.reference != SUPERVISED:
        return Scale(measure, metric, chance, float(measure.reference))
    means = [
        mean_over_seeds(measure_values(competition, entry, measure, SUPERVISED)).value for entry in competition.complete
    ]
    return Scale(measure, metric, chance, mean_over_seeds(sorted(means)).value)


def median_chance(competition: Competition, measure: Measure) -> float:
    """Return the chance level of a measure: a number of the suite, else the median of what entries measured."""
    if not isinstance(measure.chance, str):
        return measure.chance
    evaluator = competition.evaluators[measure.evaluator]
    values = [value for entry in competition.complete for value in entry.values(evaluator, measure.chance)]
    return float(median(values))


def make_contender(competition: Competition, scale: Scale, entry: Entry) -> Contender:
    """Return an entry with the evidence of its records on the headline measure."""
    evidence = {
        encoder: encoder_evidence(competition, scale, entry, encoder)
        for encoder in ENCODERS
        if encoder == TRAINED or encoder in competition.baselines
    }
    seeds, sign = evidence[TRAINED].seeds, sign_of(scale.metric)
    zero_evidence, zero_of = constant_evidence(seeds, sign * scale.chance), CHANCE
    if RANDOM in evidence and evidence[RANDOM].mean > zero_evidence.mean:
        zero_evidence, zero_of = evidence[RANDOM], RANDOM
    is_supervised = scale.measure.reference == SUPERVISED
    reference = sign * evidence[SUPERVISED].mean if is_supervised else scale.reference
    reference_evidence = evidence.get(SUPERVISED) or constant_evidence(seeds, sign * reference)
    return Contender(entry, evidence, zero_evidence, zero_of, reference, reference_evidence)


def sign_of(metric: Metric) -> float:
    """Return the sign that makes numbers larger where they are better."""
    return -1.0 if metric.lower_is_better else 1.0


def encoder_evidence(competition: Competition, scale: Scale, entry: Entry, encoder: str) -> Evidence:
    """Return the evidence of an entry's records on a measure of one encoder, larger where better."""
    measure, name = scale.measure, scale.measure.metric
    results = entry.results(competition.evaluators[measure.evaluator], encoder)
    values = [sign_of(scale.metric) * value for value in measure_values(competition, entry, measure, encoder)]
    # where lower is better, a number is no fraction of correct answers
    items = () if scale.metric.lower_is_better else same_items([result.items.get(name) for result in results])
    interval = reported_interval(results[0], name)
    half_width = 0.0
    if interval is not None:
        half_width = max(abs(end - float(results[0].metrics[name] or 0.0)) for end in interval)  # an end may be cut off
    return gather_evidence([record.cell.seed for record in entry.records], values, items, half_width)


def same_items(items_by_seed: Sequence[Items | None]) -> tuple[Items, ...]:
    """Return the items of all seeds if all have them on one test set, else none."""
    known = tuple(items for items in items_by_seed if items is not None)
    test_sets = {(items.test, items.count) for items in known}
    return known if len(known) == len(items_by_seed) and len(test_sets) == 1 else ()


def find_learnable(contenders: Sequence[Contender]) -> list[bool]:
    """Return of every entry whether its supervised reference, or the number in its place, is above zero."""
    significant = is_above(
        [contender.reference_evidence for contender in contenders],
        [contender.zero_evidence for contender in contenders],
    )
    return [
        contender.reference_evidence.mean > contender.zero_evidence.mean
        if contender.has_given_reference
        else bool(above)
        for contender, above in zip(contenders, significant, strict=True)
    ]


def find_unbeaten_references(contenders: Sequence[Contender]) -> list[tuple[str, ...]]:
    """Return of every entry the reference encoders that it is not significantly better than."""
    unbeaten: list[list[str]] = [[] for _ in contenders]
    for encoder in MUST_BEAT:
        if not all(encoder in contender.evidence for contender in contenders):
            continue  # the suite does not ask for it
        above = is_above(
            [contender.trained for contender in contenders], [contender.evidence[encoder] for contender in contenders]
        )
        for names, better in zip(unbeaten, above, strict=True):
            if not better:
                names.append(encoder)
    return [tuple(names) for names in unbeaten]


def score_entry(metric: Metric, contender: Contender) -> Score | None:
    """Return the score of an entry; None where a reference that is a number is not better than zero."""
    sign, reference, estimate = sign_of(metric), contender.reference, contender.trained.estimate()
    zero = sign * contender.zero_evidence.mean
    if sign * reference <= sign * zero:
        return None

    def normalize(value: float) -> float:
        return normalize_score(sign * value, zero, reference)

    value = normalize(estimate.value)
    others = {encoder: evidence for encoder, evidence in contender.evidence.items() if encoder != TRAINED}
    return Score(
        value=value,
        low=min(0.0, value) if estimate.low is None else normalize(estimate.low),
        high=max(1.0, value) if estimate.high is None else normalize(estimate.high),
        zero=zero,
        zero_of=contender.zero_of,
        reference=reference,
        references={encoder: normalize(evidence.mean) for encoder, evidence in others.items()},
    )


def explain_unranked(scale: Scale, contenders: Sequence[Contender]) -> str:
    """Return why a division ranks nothing: its references, and the zero that none of them is above."""
    sign = sign_of(scale.metric)
    reference, zero = (
        sign * mean_over_seeds(sorted(means)).value
        for means in (
            [contender.reference_evidence.mean for contender in contenders],
            [contender.zero_evidence.mean for contender in contenders],
        )
    )
    reference_text, zero_text = (format_number(number, scale.metric) for number in (reference, zero))
    names = sorted({CHANCE if contender.zero_of == CHANCE else column_label(RANDOM) for contender in contenders})
    what = "reference is not"
    if scale.measure.reference == SUPERVISED:
        what = "supervised reference is not significantly"
    text = (
        f"{scale.measure.title}: the {what} above the score's zero "
        f"({reference_text} against {zero_text} of {' or '.join(names)})"
    )
    return text.replace(" %", "\u202f%")


def estimate_measure(competition: Competition, entry: Entry, measure: Measure, encoder: str) -> Estimate | None:
    """Return the mean over seeds with its interval over seeds and test items, or the evaluator's own, or without."""
    key = (competition.evaluators[measure.evaluator], measure.metric, encoder)
    if key not in entry.estimates:
        entry.estimates[key] = estimate_metric(entry, *key)
    return entry.estimates[key]


def estimate_metric(entry: Entry, evaluator: str, metric: str, encoder: str) -> Estimate | None:
    """Return the estimate of one metric of an evaluator on an encoder; see `estimate_measure`."""
    results = [result for result in entry.results(evaluator, encoder) if result.metrics.get(metric) is not None]
    if not results:
        return None
    values = tuple(float(result.metrics[metric] or 0.0) for result in results)
    interval = reported_interval(results[0], metric)
    items = same_items([result.items.get(metric) for result in results])
    if len(values) == 1 and interval is not None and not items:
        return Estimate(values[0], *interval, 1)
    return gather_evidence(range(len(values)), values, items).estimate()
