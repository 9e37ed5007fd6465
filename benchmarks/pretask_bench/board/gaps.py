"""Gaps: what a record lacks to be ranked in a division of a suite (docs/architecture.md explains these words)."""

from collections.abc import Mapping

from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.measured import EvaluationResult
from pretask_bench.records.metrics import declared_metrics
from pretask_bench.records.record import Record
from pretask_bench.runs.suites import Division, Measure, Suite


def find_gaps(suite: Suite, division: Division, evaluators: Mapping[str, str], record: Record) -> list[str]:
    """Return the numbers that a record lacks to be ranked."""
    gaps = []
    for measure in division.measures:
        evaluator = evaluators[measure.evaluator]
        for encoder in (TRAINED, *suite.baselines_of(division)):
            gaps += find_fault(record, record.find_result(evaluator, encoder), measure, measure.metric, encoder)
        if isinstance(measure.chance, str):
            gaps += find_fault(record, record.find_result(evaluator, TRAINED), measure, measure.chance, TRAINED)
    return gaps


def find_fault(
    record: Record, result: EvaluationResult | None, measure: Measure, metric: str, encoder: str
) -> list[str]:
    """Return why a number cannot rank: it is missing, is a fraction outside 0 to 1, or contradicts its items."""
    value = result.metrics.get(metric) if result is not None else None
    name = f"{measure.evaluator} {metric} of {encoder}"
    if result is None or value is None:
        return [name]
    declaration = declared_metrics(record, result.evaluator).metric(metric)
    if declaration.is_fraction and not 0 <= value <= 1:
        return [f"{name} as a {declaration.unit} (it is {value:.3g})"]
    items = result.items.get(metric)
    if items is not None and abs(items.share - value) > 1e-4:
        return [f"{name} as its bits have it ({items.share:.4f}, not {value:.4f})"]
    return []


def find_missing_intervals(division: Division, evaluators: Mapping[str, str], record: Record) -> list[str]:
    """Return what a single seed lacks: measures that have neither the correctness of items nor a reported interval."""
    results = [(measure, record.find_result(evaluators[measure.evaluator], TRAINED)) for measure in division.measures]
    without_interval = [
        measure
        for measure, result in results
        if result and measure.metric not in result.items and reported_interval(result, measure.metric) is None
    ]
    return [f"a second seed, or items of {measure.title}" for measure in without_interval]


def reported_interval(result: EvaluationResult, metric: str) -> tuple[float, float] | None:
    """Return the confidence interval that an evaluator reports itself: `5.low` and `5.high` with `5.accuracy`."""
    prefix, dot, _ = metric.rpartition(".")
    low, value, high = (result.metrics.get(name) for name in (f"{prefix}.low", metric, f"{prefix}.high"))
    if not dot or low is None or value is None or high is None or not low <= value <= high:
        return None
    return low, high
