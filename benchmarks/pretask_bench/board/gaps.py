"""Gaps: what a record lacks to be ranked in a division of a suite."""

from collections.abc import Mapping

from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.metrics import declared_by
from pretask_bench.records.record import Record, Row
from pretask_bench.runs.suites import Division, Measure, Suite


def find_gaps(suite: Suite, division: Division, evaluators: Mapping[str, str], record: Record) -> list[str]:
    """Return the numbers that a record lacks to be ranked."""
    gaps = []
    for measure in division.measures:
        evaluator = evaluators[measure.evaluator]
        for encoder in (TRAINED, *suite.file.baselines):
            gaps += find_fault(record, find_row(record, evaluator, encoder), measure, measure.metric, encoder)
        if isinstance(measure.chance, str):
            gaps += find_fault(record, find_row(record, evaluator, TRAINED), measure, measure.chance, TRAINED)
    return gaps


def find_fault(record: Record, row: Row | None, measure: Measure, metric: str, encoder: str) -> list[str]:
    """Return why a number cannot rank: it is missing, is a fraction outside 0 to 1, or contradicts its items."""
    value = row.metrics.get(metric) if row is not None else None
    name = f"{measure.evaluator} {metric} of {encoder}"
    if row is None or value is None:
        return [name]
    declared = declared_by(record, row.evaluator).metric(metric)
    if declared.is_fraction and not 0 <= value <= 1:
        return [f"{name} as a {declared.unit} (it is {value:.3g})"]
    items = row.items.get(metric)
    if items is not None and abs(items.share - value) > 1e-4:
        return [f"{name} as its bits have it ({items.share:.4f}, not {value:.4f})"]
    return []


def find_missing_intervals(division: Division, evaluators: Mapping[str, str], record: Record) -> list[str]:
    """Return what a single seed lacks: measures without per-item bits and without an interval of their own."""
    rows = [(measure, find_row(record, evaluators[measure.evaluator], TRAINED)) for measure in division.measures]
    bare = [
        measure
        for measure, row in rows
        if row and measure.metric not in row.items and own_interval(row, measure.metric) is None
    ]
    return [f"a second seed, or items of {measure.title}" for measure in bare]


def own_interval(row: Row, metric: str) -> tuple[float, float] | None:
    """Return the interval that an evaluator gives with a number: `5.low` and `5.high` with `5.accuracy`."""
    size, point, _ = metric.rpartition(".")
    low, value, high = (row.metrics.get(name) for name in (f"{size}.low", metric, f"{size}.high"))
    if not point or low is None or value is None or high is None or not low <= value <= high:
        return None
    return low, high


def find_row(record: Record, evaluator: str, encoder: str) -> Row | None:
    """Return the row of an evaluator and an encoder, if there is one."""
    return next((row for row in record.results if (row.evaluator, row.encoder) == (evaluator, encoder)), None)
