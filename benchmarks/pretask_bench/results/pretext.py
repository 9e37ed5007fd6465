"""Pretext: how well a pretext task was solved on held-out samples, with its confidence interval and its references.

Predictions for one sample are not independent, whatever their number; samples are. So intervals are made of the sums
over blocks of samples (`pretask.pretext_score`): the mean is a ratio of sums, its variance that of the blocks about it,
with as many degrees of freedom as blocks less one. Shares have Wilson's interval, with the effective sample size: the
number of independent predictions that would have had that variance; where all blocks agree, as at 0 and 1, that number
is the number of samples.

Source: Cochran 1977, sections 2.11 and 9A (ratio of sums over clusters); Korn and Graubard 1998 (fractions of
clustered predictions, by their effective sample size). Differs: Wilson's interval in the place of Clopper and
Pearson's.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pretask import Metric
from pretask.scores import HeldOutScore, MetricScore, ReferenceScores

from pretask_bench.records.measured import Pretext, separate_missing
from pretask_bench.records.metrics import DeclaredMetrics, objective_metrics
from pretask_bench.records.record import Record
from pretask_bench.results.references import References, TrivialPredictor, loses_to_trivial, pretext_references
from pretask_bench.results.statistics import CONFIDENCE, Estimate, mean_over_seeds, t_quantile

MIN_PREDICTIONS = 100  # below it no pretext number is shown: a fraction of 99 predictions is uncertain by 10 points
Interval = tuple[float, float]


def pretext_fields(
    score: HeldOutScore,
    references: ReferenceScores,
    seen: int,
    declared: DeclaredMetrics,
) -> dict[str, Any]:
    """Return the fields of a record's Pretext, but for shortcuts.

    Args:
        score: Held-out score of the trained task.
        references: Held-out scores of the split's trivial predictors, and chance.
        seen: Training samples that the task and the predictors were shown.
        declared: Units and directions that the objective declares.
    """
    scores = dict(score.metrics)
    for predictor, predictor_score in references.trivial.items():
        scores |= {f"{predictor}: {name}": found for name, found in predictor_score.metrics.items()}
    intervals = {
        name: interval_over_samples(found, declared.pretext_metric(name), score.samples)
        for name, found in scores.items()
    }
    return {
        **separate_missing({name: found.value for name, found in scores.items()}),
        "chance": {name: value for name, value in references.chance.items() if name in score.metrics},
        "trained": next(iter(score.metrics), None),
        "count": {name: found.count for name, found in scores.items()},
        "interval": {name: list(interval) for name, interval in intervals.items() if interval is not None},
        "draws": score.draws,
        "samples": score.samples,
        "seen": seen if references.trivial else None,
    }


def interval_over_samples(
    score: MetricScore, metric: Metric, samples: int, confidence: float = CONFIDENCE
) -> Interval | None:
    """Return the confidence interval of a metric; None for a single block, or where something is not finite.

    Args:
        score: The metric's value, with its sums by block of samples.
        metric: Its unit and direction.
        samples: How many independent samples there are.
        confidence: Confidence level of the interval.
    """
    variance = ratio_variance(score.blocks)
    if variance is None:
        return None
    quantile = t_quantile((1 + confidence) / 2, len(score.blocks) - 1)
    if metric.is_fraction and 0 <= score.value <= 1:
        return wilson_interval(score.value, effective_sample_size(score, variance, samples), quantile)
    half_width = quantile * math.sqrt(variance)
    return score.value - half_width, score.value + half_width


def effective_sample_size(score: MetricScore, variance: float, samples: int) -> float:
    """Return how many independent predictions a fraction of that variance would rest on."""
    binomial_variance = score.value * (1 - score.value)  # of one prediction
    if variance > 0 and binomial_variance > 0:
        return min(binomial_variance / variance, score.count)
    return min(samples, score.count)


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


def wilson_interval(fraction: float, count: float, quantile: float) -> Interval:
    """Return Wilson's interval of a fraction of `count` predictions, `quantile` standard errors wide on either side.

    >>> [round(end, 4) for end in wilson_interval(1.0, 20, 1.96)]
    [0.8389, 1.0]
    """
    shrinkage = 1 + quantile**2 / count
    center = (fraction + quantile**2 / (2 * count)) / shrinkage
    variance = fraction * (1 - fraction) / count + quantile**2 / (4 * count**2)
    half_width = quantile / shrinkage * math.sqrt(variance)
    return max(0.0, center - half_width), min(1.0, center + half_width)


def trained_metric(pretext: Pretext, declared: DeclaredMetrics) -> str | None:
    """Return the metric that was minimized: as the record says, else the first of which lower is better."""
    own = own_metrics(pretext)
    if pretext.trained in own:
        return pretext.trained
    return next((name for name in own if declared.pretext_metric(name).lower_is_better), None)


def fraction_metric(pretext: Pretext, declared: DeclaredMetrics) -> str | None:
    """Return a metric in per cent, such as an accuracy, rather of the target that was trained; None for none."""
    trained = trained_metric(pretext, declared)
    fractions = [name for name in own_metrics(pretext) if name != trained and is_judged_fraction(name, declared)]
    of_trained_target = [name for name in fractions if name.split(".")[0] == trained]
    return next(iter([*of_trained_target, *fractions]), None)


def is_judged_fraction(name: str, declared: DeclaredMetrics) -> bool:
    """Return whether a metric is a fraction of which it is declared whether higher or lower is better."""
    metric = declared.pretext_metric(name)
    return metric.is_fraction and metric.higher_is_better is not None


def headline_metrics(record: Record) -> list[str]:
    """Return the metrics that tables show of a pretext task: what was trained, and a fraction where there is one."""
    pretext, declared = record.pretext, objective_metrics(record)
    found = [trained_metric(pretext, declared), fraction_metric(pretext, declared)] if pretext is not None else []
    return [name for name in found if name is not None]


def own_metrics(pretext: Pretext) -> list[str]:
    """Return the metrics of the trained task itself, not of a trivial predictor, that have a number."""
    return [name for name, value in pretext.metrics.items() if ": " not in name and value is not None]


def explain_too_few_predictions(pretext: Pretext, name: str) -> str:
    """Return why a metric is not shown; empty where it is, and for older records, which did not count."""
    count = pretext.count.get(name)
    return f"{count} predictions: too few" if count is not None and count < MIN_PREDICTIONS else ""


@dataclass(frozen=True)
class PretextMetric:
    """A metric of the pretext task on held-out samples, beside its references.

    Args:
        name: Name of the metric.
        metric: Its unit and direction.
        estimate: Over seeds and samples; None where it rests on too few predictions.
        hidden_reason: Why there is no estimate.
        references: Chance and, where there is an estimate, the trivial predictors.
    """

    name: str
    metric: Metric
    estimate: Estimate | None
    hidden_reason: str
    references: References

    @property
    def best_trivial(self) -> TrivialPredictor | None:
        """The best trivial predictor."""
        return self.references.best_trivial(self.metric)

    @property
    def loses(self) -> bool:
        """Whether the best trivial predictor is at least as good."""
        return self.estimate is not None and loses_to_trivial(self.estimate.value, self.references, self.metric)


def pretext_metrics(records: Sequence[Record]) -> list[PretextMetric]:
    """Return the headline metrics of the pretext task of one encoder: what was trained first, then a fraction."""
    return [pretext_metric(records, name) for name in headline_metrics(records[0])]


def pretext_metric(records: Sequence[Record], name: str) -> PretextMetric:
    """Return one metric over seeds, with trivial predictors and chance of the first record."""
    pretext, references = records[0].pretext, pretext_references(records[0], name)
    metric = objective_metrics(records[0]).pretext_metric(name)
    if pretext is not None and (reason := explain_too_few_predictions(pretext, name)):
        return PretextMetric(name, metric, None, reason, References(references.chance))
    return PretextMetric(name, metric, estimate_pretext_metric(records, name), "", references)


def estimate_pretext_metric(records: Sequence[Record], name: str) -> Estimate | None:
    """Return a metric over seeds, with an interval over seeds and samples; None where no record has it.

    Seeds are scored on the same held-out samples, so these are as uncertain as in one record: half widths of the
    interval over seeds and of the mean interval over samples are added as squares.
    """
    pretexts = [record.pretext for record in records if record.pretext is not None]
    scores = [score for score in pretexts if score.metrics.get(name) is not None]
    values = [value for score in scores if (value := score.metrics[name]) is not None]
    if not values:
        return None
    over_seeds = mean_over_seeds(values)
    intervals = [score.interval[name] for score in scores if name in score.interval]
    if len(intervals) < len(scores):
        return over_seeds
    samples_below, samples_above = mean_distances(values, intervals)
    mean = over_seeds.value
    seeds_below, seeds_above = (0.0 if end is None else abs(end - mean) for end in (over_seeds.low, over_seeds.high))
    return Estimate(
        value=mean,
        low=mean - math.hypot(samples_below, seeds_below),
        high=mean + math.hypot(samples_above, seeds_above),
        count=sum(score.count.get(name, 0) for score in scores),
    )


def mean_distances(values: Sequence[float], intervals: Sequence[Interval]) -> tuple[float, float]:
    """Return the mean distances of values from the low and the high ends of their intervals."""
    below = math.fsum(value - low for value, (low, _) in zip(values, intervals, strict=True)) / len(values)
    above = math.fsum(high - value for value, (_, high) in zip(values, intervals, strict=True)) / len(values)
    return below, above
