"""Measured: the numbers of a record, the items behind them, and what components declare of them."""

import math
from base64 import b64decode, b64encode
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from pretask.errors import PretaskError
from pydantic import (
    Field,
    StringConstraints,
    model_validator,
)

from pretask_bench.records.canonical import MAX_SAFE_INTEGER
from pretask_bench.records.encoders import Encoder
from pretask_bench.records.field_types import (
    Count,
    Ends,
    ExtendedModel,
    Hash,
    Id,
    Line,
    Metrics,
    Name,
    Numbers,
    Reasons,
    StrictModel,
    was_read,
)

MAX_ITEMS = 2**24


class Items(StrictModel):
    """For every test item whether it was answered correctly, so that two records can be compared pairwise for ever.

    Args:
        count: How many items.
        bits: Eight to a byte, first item in the highest bit, the last byte filled with zeros; base64.
        test: Fingerprint of the test data, whose order is that of the bits.
    """

    count: Annotated[int, Field(ge=1, le=MAX_ITEMS)]
    bits: Annotated[str, StringConstraints(max_length=4 * (MAX_ITEMS // 24 + 1))]
    test: Hash

    @model_validator(mode="after")
    def _count_fits_bits(self, info: Any) -> "Items":
        if was_read(info):
            return self
        packed = b64decode(self.bits, validate=True)
        if b64encode(packed).decode() != self.bits:
            raise ValueError("bits are not canonical base64")
        if len(packed) != -(-self.count // 8):
            raise ValueError(f"{len(packed)} bytes cannot be the bits of {self.count} items")
        if packed[-1] & ((1 << (-self.count % 8)) - 1):
            raise ValueError("bits are set after the last item")
        return self

    def correct(self) -> np.ndarray:
        """(count,) bool."""
        return np.unpackbits(np.frombuffer(b64decode(self.bits), np.uint8), count=self.count).astype(bool)

    @cached_property
    def answers(self) -> int:
        """The bits as one integer, whose bits are counted and compared without an array: boards read many."""
        return int.from_bytes(b64decode(self.bits))

    @property
    def share(self) -> float:
        """The share of items answered correctly."""
        return self.answers.bit_count() / self.count


class Picture(StrictModel):
    """A PNG file that lies beside the record.

    Args:
        name: What it is, in a word or two.
        caption: What can be seen on it.
        png: Hash of its bytes, and the name of the file without `.png`.
    """

    name: Name
    caption: Line
    png: Hash


Pictures = Annotated[tuple[Picture, ...], Field(max_length=32)]


class WithMetrics(StrictModel):
    """Numbers by name, and the reason of each that could not be given.

    Args:
        metrics: Numbers; None where one was not finite.
        missing: The reason for each None.
        chance: What the best constant prediction reaches, or any blind one, by the name of the metric.
        pictures: For those who would rather look than read.
    """

    metrics: Metrics = {}
    missing: Reasons = {}
    chance: Numbers = {}
    pictures: Pictures = ()

    @model_validator(mode="after")
    def _every_gap_has_a_reason(self) -> "WithMetrics":
        gaps = {name for name, value in self.metrics.items() if value is None}
        if gaps != set(self.missing):
            raise ValueError("`missing` must name exactly the metrics that are null")
        return self


class EvaluationResult(WithMetrics, ExtendedModel):
    """What one evaluator says of one encoder.

    Args:
        encoder: The trained one, or one of the references beside it.
        evaluator: One of the cell's.
        items: By name; where a metric has the same name, it is the share of correct items.
        chosen: What the evaluator chose by itself on held-out data: `layer3` under `layer`, `mean` under `pooling`.
    """

    later: ClassVar[frozenset[str]] = frozenset({"chosen"})

    encoder: Encoder
    evaluator: Id
    items: Annotated[dict[Name, Items], Field(max_length=32)] = {}
    chosen: Annotated[dict[Name, Name], Field(max_length=4000)] = {}


class Pretext(WithMetrics, ExtendedModel):
    """How well the pretext task was solved on held-out data, by the task itself and by "PREDICTOR: " trivial ones.

    Args:
        shortcut: How well low-level statistics solve it.
        trained: The part of the loss that was lowered; None in records that did not say.
        count: Valid answers behind each number, over all draws; draws of one sample are not independent answers.
        interval: Of each number its 95 % interval over samples; left out where one block of samples gives none.
        draws: How often each sample was split.
        samples: How many held-out samples there are.
        seen: How many training samples the trivial predictors were fitted on, those that the task was shown; None where
            there are no such predictors, and in records that fitted them on all.
    """

    later: ClassVar[frozenset[str]] = frozenset({"trained", "count", "interval", "draws", "samples", "seen"})

    shortcut: Numbers = {}
    trained: Name | None = None
    count: Annotated[dict[Name, Count], Field(max_length=4000)] = {}
    interval: Annotated[dict[Name, Ends], Field(max_length=4000)] = {}
    draws: Count | None = None
    samples: Count | None = None
    seen: Count | None = None

    @model_validator(mode="after")
    def _counts_and_intervals_have_a_number(self) -> "Pretext":
        if strangers := (self.count.keys() | self.interval.keys()) - self.metrics.keys():
            raise ValueError(f"counts or intervals of numbers that are not there: {sorted(strangers)[:3]}")
        if reversed_ := [name for name, (low, high) in self.interval.items() if low > high]:
            raise ValueError(f"intervals whose low end is above the high one: {reversed_[:3]}")
        return self


class DeclaredMetric(ExtendedModel):
    """What a component declares of one of its numbers.

    Args:
        unit: Such as fraction, nats or bits per byte; "" where it has none.
        higher_is_better: None where neither way is better.
        trivial_for: The metric that this number, of a trivial predictor, is to be held against.
        title: Of that predictor.
    """

    later: ClassVar[frozenset[str]] = frozenset({"trivial_for", "title"})

    unit: Annotated[str, StringConstraints(max_length=40)] = ""
    higher_is_better: bool | None = None
    trivial_for: Annotated[str, StringConstraints(max_length=200)] = ""
    title: Annotated[str, StringConstraints(max_length=200)] = ""


class Declaration(StrictModel):
    """What a component declares of its numbers, so that a record can be read without its plugins.

    Args:
        headline: The number that stands for all of an evaluator.
        metrics: What is declared of each, by name or by the end of a name.
    """

    headline: Annotated[str, StringConstraints(max_length=200)] = ""
    metrics: Annotated[dict[Name, DeclaredMetric], Field(max_length=400)] = {}


class ProbedStep(StrictModel):
    """What the encoder was worth while it was trained.

    Args:
        step: Steps of training until then.
        metrics: Numbers by EVALUATOR.METRIC, of the output layer.
    """

    step: Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER)]
    metrics: Annotated[dict[Name, float], Field(max_length=64)]


def separate_missing(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields `metrics` and `missing` of numbers of which some may not be finite.

    >>> separate_missing({"accuracy": 0.5, "loss": float("nan")})
    {'metrics': {'accuracy': 0.5, 'loss': None}, 'missing': {'loss': 'nan'}}
    """
    numbers = {name: float(value) for name, value in values.items()}
    return {
        "metrics": {name: number if math.isfinite(number) else None for name, number in numbers.items()},
        "missing": {name: str(number) for name, number in numbers.items() if not math.isfinite(number)},
    }


def pack_items(correct: Any, test: str) -> Items:
    """Return the items of bools (a sequence, array or tensor), in the order of the test data of that fingerprint."""
    flags = np.asarray(correct.tolist() if hasattr(correct, "tolist") else list(correct))
    if flags.ndim != 1 or flags.dtype != bool:
        raise PretaskError(
            "a record", "one bool per test item", f"{flags.dtype} of shape {flags.shape}", "Compare before you pack."
        )
    return Items(count=len(flags), bits=b64encode(np.packbits(flags).tobytes()).decode(), test=test)
