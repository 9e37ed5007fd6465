"""Metrics: what evaluators and objectives declare of their numbers, so that whoever shows one knows how to judge it.

A number is called by its metric, with what it is measured on before a full stop or a colon: `layer2.accuracy`,
`next.accuracy`, `nucleus 0.9: repetition`. What was not declared is shown plainly: never judged, never a headline.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

FRACTION = "fraction"  # from 0 to 1
LOSS = "loss"  # what an objective declares of the metric that is named after its target alone


@dataclass(frozen=True)
class Metric:
    """What is known of a number.

    Args:
        unit: `fraction` for what lies from 0 to 1 and is shown in per cent; else the unit in a word, such as nats, or
            nothing for a plain number.
        higher_is_better: None where neither way is better: a count, a fraction that describes the data.
        trivial_for: The metric of the same evaluator that this number is to be held against, where it is what a trivial
            predictor reaches there.
        title: What to call that predictor: `most frequent class`.
    """

    unit: str = ""
    higher_is_better: bool | None = None
    trivial_for: str = ""
    title: str = ""

    @property
    def is_fraction(self) -> bool:
        """Whether it is shown in per cent."""
        return self.unit == FRACTION

    @property
    def lower_is_better(self) -> bool:
        """Whether less of it is better."""
        return self.higher_is_better is False


@lru_cache(maxsize=4096)
def metric_name(name: str) -> str:
    """Return the metric of a number: what stands after the last full stop or colon.

    >>> metric_name("layer2.accuracy"), metric_name("nucleus 0.9: repetition"), metric_name("J&F")
    ('accuracy', 'repetition', 'J&F')
    """
    return name if name.endswith(".") else name.rsplit(": ", 1)[-1].rsplit(".", 1)[-1]


def find_metric(declared: Mapping[str, Metric], name: str) -> Metric | None:
    """Return what is declared of a number: under its whole name, else under its metric; None where nothing is."""
    return declared.get(name, declared.get(metric_name(name)))


def find_loss_metric(declared: Mapping[str, Metric], name: str) -> Metric | None:
    """Return what an objective declares of one of `Loss.parts`: a declared name, TARGET (the loss) or TARGET.METRIC.

    >>> declared = {LOSS: Metric("nats", False), "kl": Metric("nats"), "accuracy": Metric(FRACTION, True)}
    >>> find_loss_metric(declared, "next") == declared[LOSS], find_loss_metric(declared, "kl") == declared["kl"]
    (True, True)
    """
    return declared.get(name, declared.get(metric_name(name) if "." in name else LOSS))
