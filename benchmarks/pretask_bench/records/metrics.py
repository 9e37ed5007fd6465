"""Metrics: unit and direction of the numbers in a record, as the evaluators and the objective declare them.

What is installed here decides, so that a record cannot turn a direction round; the record's own word is taken for
components that are not installed. A number of which nobody declared anything is shown plainly, and never judged.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from pretask import Metric
from pretask.metrics import find_loss_metric, find_metric
from pretask_registry import Registry

from pretask_bench.records.measured import Declaration, DeclaredMetric
from pretask_bench.records.record import Record

LOWER, HIGHER = "↓", "↑"  # which way a number is better
UNDECLARED = Metric()


@dataclass(frozen=True)
class DeclaredMetrics:
    """Units and directions of the metrics of one evaluator or objective.

    Args:
        metrics: See `pretask.metrics`.
        headline: The number that stands for an evaluator.
    """

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    headline: str = ""

    def metric(self, name: str) -> Metric:
        """Return what is known of a number of an evaluator."""
        return find_metric(self.metrics, name) or UNDECLARED

    def pretext_metric(self, name: str) -> Metric:
        """Return what is known of a pretext number: the task's own, or a trivial predictor's (`bigram: next`)."""
        return find_loss_metric(self.metrics, name.rsplit(": ", 1)[-1]) or UNDECLARED

    def choose_headline(self, found: Iterable[str]) -> str:
        """Return the headline if it was found, else the first number that is better one way; "" where none is."""
        names = list(found)
        if self.headline in names:
            return self.headline
        return next((name for name in names if self.metric(name).higher_is_better is not None), "")


def declared_metrics(record: Record, component: str) -> DeclaredMetrics:
    """Return the metrics that the evaluator or objective of this id declares."""
    return installed_metrics().get(component) or metrics_in_record(record, component)


def objective_metrics(record: Record) -> DeclaredMetrics:
    """Return the metrics that the objective of a record declares."""
    return declared_metrics(record, record.cell.objective.id)


def metrics_in_record(record: Record, component: str) -> DeclaredMetrics:
    """Return the metrics of a component as the record itself has them."""
    declaration = record.declared.get(component)
    if declaration is None:
        return DeclaredMetrics()
    metrics = {name: Metric(**dict(metric)) for name, metric in declaration.metrics.items()}
    return DeclaredMetrics(metrics, declaration.headline)


@cache
def installed_metrics() -> Mapping[str, DeclaredMetrics]:
    """Return the metrics that the installed evaluators and objectives declare, by their ids."""
    registry = Registry.load()
    every = [component for kind in ("evaluator", "objective") for component in registry.components(kind)]
    return {
        registered.id: metrics_in_traits(registered.component.traits)
        for registered in every
        if registered.component.traits["metrics"]
    }


def metrics_in_traits(traits: Mapping[str, Any]) -> DeclaredMetrics:
    """Return the metrics that a component's traits declare."""
    return DeclaredMetrics(traits["metrics"], traits.get("headline", ""))


def as_declaration(traits: Mapping[str, Any]) -> Declaration:
    """Return the metrics that a component's traits declare, as a record holds them."""
    metrics: Mapping[str, Metric] = traits["metrics"]
    declaration = {name: DeclaredMetric(**asdict(metric)) for name, metric in metrics.items()}
    return Declaration(headline=traits.get("headline", ""), metrics=declaration)


def direction(metric: Metric) -> str:
    """Return the arrow of the direction in which a number is better; nothing where neither way is.

    >>> direction(Metric("nats", higher_is_better=False)), direction(Metric())
    ('↓', '')
    """
    if metric.higher_is_better is None:
        return ""
    return HIGHER if metric.higher_is_better else LOWER
