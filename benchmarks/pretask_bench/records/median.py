"""Median: which of several records of one cell counts, on boards and in tables alike.

It is no matter of their names, which anybody can grind, nor of what they say of time: it is the median one by its
numbers, the lower of two, so that filing a cell again cannot raise it, and a minority cannot move it at all.
"""

from collections.abc import Mapping, Sequence

from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.metrics import declared_metrics
from pretask_bench.records.record import Record

RankingMetrics = Sequence[tuple[str, str]]  # evaluator and metric of every number that ranks


def median_record(records: Mapping[str, Record], names: Sequence[str], ranking_metrics: RankingMetrics) -> str:
    """Return the median record by the mean of what ranks, the lower of two; of equal ones the first name."""
    ordered = sorted(names, key=lambda name: (mean_metric(records[name], ranking_metrics), name))
    return ordered[(len(ordered) - 1) // 2]


def mean_metric(record: Record, ranking_metrics: RankingMetrics) -> float:
    """Return the mean of the numbers of the trained encoder that rank."""
    values = (metric_value(record, evaluator, metric) for evaluator, metric in ranking_metrics)
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else 0.0


def metric_value(record: Record, evaluator: str, metric: str) -> float | None:
    """Return one number of the trained encoder."""
    result = record.find_result(evaluator, TRAINED)
    return result.metrics.get(metric) if result is not None else None


def headlines(record: Record) -> RankingMetrics:
    """Return the headline metric of every evaluator, for tables of records that belong to no suite."""
    chosen = (
        (result.evaluator, declared_metrics(record, result.evaluator).choose_headline(result.metrics))
        for result in record.results
        if result.encoder == TRAINED and result.metrics
    )
    return [(evaluator, metric) for evaluator, metric in chosen if metric]
