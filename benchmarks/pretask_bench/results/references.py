"""References: what a number of an encoder, or of its pretext task, is compared with, read from records.

One object for all that show a number: tables, `pretask results`, the board, and what describes an encoder to others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pretask import Metric

from pretask_bench.records.encoders import ENCODERS, RANDOM, RAW, SUPERVISED, TRAINED, column_label
from pretask_bench.records.record import Record
from pretask_bench.results.statistics import Estimate, accuracy_estimate, mean_over_seeds


@dataclass(frozen=True)
class TrivialPredictor:
    """A trivial predictor, such as a bigram.

    Args:
        name: As its split calls it.
        value: What it reaches on held-out samples.
        seen: How many training samples it was fitted on, those that the model was shown; None where the record does not
            say, which means all of them.
    """

    name: str
    value: float
    seen: int | None = None


@dataclass(frozen=True)
class References:
    """What one number is compared with; what was not measured is left out.

    Args:
        chance: What the best constant prediction reaches, or any blind prediction.
        trivial: Trivial predictors of the pretext task.
        encoders: By name of a reference encoder, what it reaches under the same evaluator, over seeds.
    """

    chance: float | None = None
    trivial: tuple[TrivialPredictor, ...] = ()
    encoders: Mapping[str, Estimate] = field(default_factory=dict)

    @property
    def random_init(self) -> Estimate | None:
        """The same network with the weights that training began with."""
        return self.encoders.get(RANDOM)

    @property
    def raw_input(self) -> Estimate | None:
        """The input itself, without a network."""
        return self.encoders.get(RAW)

    @property
    def supervised(self) -> Estimate | None:
        """The same network, trained on labels."""
        return self.encoders.get(SUPERVISED)

    def best_trivial(self, metric: Metric) -> TrivialPredictor | None:
        """Return the trivial predictor that does best; None where there is none, or neither way is better."""
        if not self.trivial or metric.higher_is_better is None:
            return None
        best = max if metric.higher_is_better else min
        return best(self.trivial, key=lambda predictor: predictor.value)


def pretext_references(record: Record, metric: str) -> References:
    """Return what a metric of a record's pretext task is compared with."""
    pretext = record.pretext
    if pretext is None:
        return References()
    ending = f": {metric}"
    trivial = [
        TrivialPredictor(name.removesuffix(ending), value, pretext.seen)
        for name, value in pretext.metrics.items()
        if name.endswith(ending) and value is not None
    ]
    return References(pretext.chance.get(metric), tuple(trivial))


def probe_references(records: Sequence[Record], evaluator: str, metric: str) -> References:
    """Return what a metric of an evaluator is compared with, over the seeds of one cell."""
    encoders = list_encoders(records)[1:]
    values_of = {encoder: values_by_metric(records, evaluator, encoder).get(metric, {}) for encoder in encoders}
    means: dict[str, Estimate] = {
        encoder: mean_over_seeds([*values.values()]) for encoder, values in values_of.items() if values
    }
    results = [record.find_result(evaluator, TRAINED) for record in records]
    chance = next((result.chance[metric] for result in results if result and metric in result.chance), None)
    return References(chance, encoders=means)


def list_encoders(records: Sequence[Record]) -> list[str]:
    """Return the trained encoder and all of its references, whether measured or not, then encoders of elsewhere."""
    return [*dict.fromkeys([*ENCODERS, *(name for record in records for name in record.given)])]


def encoder_title(records: Sequence[Record], encoder: str) -> str:
    """Return the heading of an encoder's column; that of one of elsewhere is where it is from."""
    names = (record.given[encoder].name for record in records if encoder in record.given)
    return next(names, column_label(encoder))


def estimate_encoder(records: Sequence[Record], evaluator: str, encoder: str, metric: str) -> Estimate | None:
    """Estimate a number of an encoder over seeds, of one seed over the test items; None where nothing was measured."""
    results = [record.find_result(evaluator, encoder) for record in records]
    measured = [result for result in results if result is not None and result.metrics.get(metric) is not None]
    items = measured[0].items.get(metric) if len(measured) == 1 else None
    if items is not None:
        return accuracy_estimate(int(items.correct().sum()), items.count)
    return mean_over_seeds([float(result.metrics[metric] or 0.0) for result in measured]) if measured else None


def values_by_metric(records: Sequence[Record], evaluator: str, encoder: str) -> Mapping[str, dict[int, float]]:
    """Return the numbers of one evaluator and encoder: by metric, then seed."""
    by_metric: dict[str, dict[int, float]] = {}
    for record in records:
        result = record.find_result(evaluator, encoder)
        for name, value in result.metrics.items() if result is not None else ():
            if value is not None:
                by_metric.setdefault(name, {})[record.cell.seed] = value
    return by_metric


def loses_to_trivial(value: float, references: References, metric: Metric) -> bool:
    """Return whether the best trivial predictor is at least as good as a value of the pretext task.

    >>> bigram = References(trivial=(TrivialPredictor("bigram", 4.6),))
    >>> loses_to_trivial(4.7, bigram, Metric("nats", higher_is_better=False))
    True
    """
    best = references.best_trivial(metric)
    return best is not None and (best.value >= value if metric.higher_is_better else best.value <= value)
