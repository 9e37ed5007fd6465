"""Pretext: how well a pretext task was solved on held-out samples, how much that rests on, and what it is held against.

Answers to one sample are not independent, whatever their number; samples are. So intervals are made of the sums over
blocks of samples (`pretask.pretext_score`): the mean is a ratio of sums, its variance that of the blocks about it, with
as many degrees of freedom as blocks less one. Shares have Wilson's interval, with the number of independent answers
that would have had that variance; where all blocks agree, as at 0 and 1, that number is the number of samples.

Source: Cochran 1977, sections 2.11 and 9A (ratio of sums over clusters); Korn and Graubard 1998 (shares of clustered
answers by an effective number of them). Differs: Wilson's interval in the place of Clopper and Pearson's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pretask import Metric
from pretask.pretext_score import HeldOutScore, PartScore, ReferenceScores

from pretask_bench.records.metrics import ComponentMetrics, declared_by_objective
from pretask_bench.records.record import Pretext, Record, split_missing
from pretask_bench.results.references import References, Trivial, loses_to_trivial, references_of_pretext
from pretask_bench.results.statistics import CONFIDENCE, Estimate, mean_over_seeds, student_quantile

MIN_ANSWERS = 100  # below it no pretext number is shown: a share of 99 answers is uncertain by 10 points
Interval = tuple[float, float]


def pretext_fields(
    score: HeldOutScore,
    references: ReferenceScores,
    seen: int,
    declared: ComponentMetrics,
) -> dict[str, Any]:
    """Return the fields of a record's Pretext, but for shortcuts.

    Args:
        score: Held-out score of the trained task.
        references: Held-out scores of the split's trivial predictors, and chance.
        seen: Training samples that the task and the predictors were shown.
        declared: What the objective declares of the parts.
    """
    parts = dict(score.parts)
    parts |= {
        f"{name}: {part}": found for name, score in references.trivial.items() for part, found in score.parts.items()
    }
    intervals = {name: interval_of(part, declared.part(name), score.samples) for name, part in parts.items()}
    return {
        **split_missing({name: part.value for name, part in parts.items()}),
        "chance": {name: value for name, value in references.chance.items() if name in score.parts},
        "trained": next(iter(score.parts), None),
        "count": {name: part.count for name, part in parts.items()},
        "interval": {name: list(ends) for name, ends in intervals.items() if ends is not None},
        "draws": score.draws,
        "samples": score.samples,
        "seen": seen if references.trivial else None,
    }


def interval_of(part: PartScore, metric: Metric, samples: int, confidence: float = CONFIDENCE) -> Interval | None:
    """Return the interval of a part's mean; None for a single block, or where something is not finite.

    Args:
        part: With its sums by block.
        metric: What is declared of the part.
        samples: How many independent samples there are.
        confidence: Confidence level of the interval.
    """
    variance = ratio_variance(part.blocks)
    if variance is None:
        return None
    reach = student_quantile((1 + confidence) / 2, len(part.blocks) - 1)
    if metric.is_fraction and 0 <= part.value <= 1:
        spread = part.value * (1 - part.value)
        effective = min(spread / variance, part.count) if variance > 0 and spread > 0 else min(samples, part.count)
        return wilson_interval(part.value, effective, reach)
    half = reach * math.sqrt(variance)
    return part.value - half, part.value + half


def ratio_variance(blocks: Sequence[tuple[float, float]]) -> float | None:
    """Return the variance of sum of totals over sum of weights, from (total, weight) of independent blocks.

    >>> ratio_variance([(1.0, 1.0), (0.0, 1.0), (1.0, 1.0), (0.0, 1.0)])  # p (1 - p) / (n - 1)
    0.08333333333333333
    """
    totals, weights = (math.fsum(column) for column in zip(*blocks, strict=True))
    if len(blocks) < 2 or not weights or not math.isfinite(totals):
        return None
    ratio = totals / weights
    squared = math.fsum((total - ratio * weight) ** 2 for total, weight in blocks)
    return len(blocks) / (len(blocks) - 1) * squared / weights**2


def wilson_interval(value: float, count: float, reach: float) -> Interval:
    """Return Wilson's interval of a share of so many answers, `reach` standard errors wide on either side.

    >>> [round(end, 4) for end in wilson_interval(1.0, 20, 1.96)]
    [0.8389, 1.0]
    """
    shrink = 1 + reach**2 / count
    centre = (value + reach**2 / (2 * count)) / shrink
    half = reach / shrink * math.sqrt(value * (1 - value) / count + reach**2 / (4 * count**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def trained_part(pretext: Pretext, declared: ComponentMetrics) -> str | None:
    """Return the part of the loss that was lowered: as the record says, else the first that is better when lower."""
    own = own_parts(pretext)
    if pretext.trained in own:
        return pretext.trained
    return next((name for name in own if declared.part(name).lower_is_better), None)


def fraction_part(pretext: Pretext, declared: ComponentMetrics) -> str | None:
    """Return the fraction that is easiest to read of what was trained; None where there is none."""
    own, trained = own_parts(pretext), trained_part(pretext, declared)
    judged = [name for name in own if name != trained and declared.part(name).higher_is_better is not None]
    fractions = [name for name in judged if declared.part(name).is_fraction]
    same = [name for name in fractions if name.split(".")[0] == trained]
    return next(iter([*same, *fractions]), None)


def headline_parts(record: Record) -> list[str]:
    """Return the parts by which a pretext task is read: what was trained, and a fraction where there is one."""
    pretext, declared = record.pretext, declared_by_objective(record)
    found = [trained_part(pretext, declared), fraction_part(pretext, declared)] if pretext is not None else []
    return [name for name in found if name is not None]


def own_parts(pretext: Pretext) -> list[str]:
    """Return the parts of the trained task's own loss that have a number."""
    return [name for name, value in pretext.metrics.items() if ": " not in name and value is not None]


def explain_too_few(pretext: Pretext, name: str) -> str:
    """Return why a part is not shown; empty where it is, and for older records, which did not count."""
    count = pretext.count.get(name)
    return f"{count} answers: too few" if count is not None and count < MIN_ANSWERS else ""


@dataclass(frozen=True)
class PretextPart:
    """One part of a pretext score beside what it is held against.

    Args:
        name: Name of the part.
        metric: What is declared of it.
        estimate: Over seeds and samples; None where it rests on too few answers.
        hidden: Why there is no estimate.
        references: Chance and, where there is an estimate, the trivial predictors.
    """

    name: str
    metric: Metric
    estimate: Estimate | None
    hidden: str
    references: References

    @property
    def trivial(self) -> Trivial | None:
        """The best trivial predictor."""
        return self.references.best_trivial(self.metric)

    @property
    def loses(self) -> bool:
        """Whether the best trivial predictor is at least as good."""
        return self.estimate is not None and loses_to_trivial(self.estimate.value, self.references, self.metric)


def pretext_parts(records: Sequence[Record]) -> list[PretextPart]:
    """Return the headline parts of the pretext score of one encoder: what was trained first, then a fraction."""
    return [pretext_part(records, name) for name in headline_parts(records[0])]


def pretext_part(records: Sequence[Record], name: str) -> PretextPart:
    """Return one part, with predictors and chance of the first record."""
    first, references = records[0].pretext, references_of_pretext(records[0], name)
    metric = declared_by_objective(records[0]).part(name)
    if first is not None and (hidden := explain_too_few(first, name)):
        return PretextPart(name, metric, None, hidden, References(references.chance))
    return PretextPart(name, metric, estimate_part(records, name), "", references)


def estimate_part(records: Sequence[Record], name: str) -> Estimate | None:
    """Return a part over seeds, with an interval over seeds and samples; None where no record has it.

    Seeds are scored on the same held-out samples, so these are as uncertain as in one record: the distances to the ends
    of the seeds' interval and of the mean sample interval are added as the sides of a right angle.
    """
    found = [
        record.pretext
        for record in records
        if record.pretext is not None and record.pretext.metrics.get(name) is not None
    ]
    values = [value for score in found if (value := score.metrics[name]) is not None]
    if not values:
        return None
    seeds = mean_over_seeds(values)
    intervals = [score.interval[name] for score in found if name in score.interval]
    if len(intervals) < len(found):
        return seeds
    below = math.fsum(value - low for value, (low, _) in zip(values, intervals, strict=True)) / len(values)
    above = math.fsum(high - value for value, (_, high) in zip(values, intervals, strict=True)) / len(values)
    low, high = (seeds.value if end is None else end for end in (seeds.low, seeds.high))
    answers = sum(score.count.get(name, 0) for score in found)
    return Estimate(
        seeds.value,
        seeds.value - math.hypot(below, seeds.value - low),
        seeds.value + math.hypot(above, high - seeds.value),
        answers,
    )
