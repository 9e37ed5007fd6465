"""What a pretext score is: numbers of held-out samples, and those that they are compared with. No torch here."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class MetricScore:
    """One metric of the pretext task on held-out samples.

    Args:
        value: The mean over all valid predictions; nan where there is none.
        count: Valid predictions: target positions of weight above 0, over all draws; of a metric that belongs to no
            target, samples times draws.
        blocks: Of each block of samples its sum of value times weight, and its weight.
    """

    value: float
    count: int
    blocks: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class HeldOutScore:
    """How well the pretext task is solved on held-out samples.

    Args:
        metrics: By the names that `Loss.parts` has.
        draws: How often each sample was split.
        samples: How many there are.
    """

    metrics: Mapping[str, MetricScore]
    draws: int
    samples: int

    @property
    def values(self) -> dict[str, float]:
        """The value of every metric, by name."""
        return {name: score.value for name, score in self.metrics.items()}


@dataclass(frozen=True)
class ReferenceScores:
    """What the pretext score is compared with.

    Args:
        trivial: Held-out scores of the split's trivial predictors, by name.
        chance: By metric: of a target of categories what the best constant prediction reaches, counted on the training
            samples (constant_prediction.py); of other targets what the objective says.
    """

    trivial: Mapping[str, HeldOutScore]
    chance: Mapping[str, float]
