"""Records: what one run found, as one immutable JSON file that anybody can check.

A record is named by the SHA-256 of its canonical bytes, and these are the file: `sha256sum FILE` is its name. `cell` is
what determines the numbers, `provenance` is how they came about. Records come from strangers, so every field is typed,
every text and list bounded, every number finite; nothing in a record is ever imported or unpickled.

`python -m pretask_bench.records.record` writes record.schema.json anew.
"""

import json
import math
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pretask.errors import PretaskError
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    model_serializer,
    model_validator,
)

from pretask_bench.records.bounds import require_bounds
from pretask_bench.records.canonical import MAX_SAFE_INTEGER, as_plain, canonical_bytes
from pretask_bench.records.encoders import GIVEN, INITIAL, Encoder, Given, name_given
from pretask_bench.records.provenance import MAX_ERROR_CHARACTERS, UNSEEN, error_text

VERSION = 1
MAX_ITEMS = 2**24
MAX_DEPTH, MAX_VALUES, MAX_OPTION_CHARACTERS = 8, 4000, 4000  # of the options of one part
SCHEMA = Path(__file__).with_name("record.schema.json")

Name = Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=f"^[^\\t\\n\\r{UNSEEN}]*$")]
Line = Annotated[str, StringConstraints(max_length=400, pattern=f"^[^\\t\\n\\r{UNSEEN}]*$")]
Text = Annotated[str, StringConstraints(max_length=MAX_ERROR_CHARACTERS, pattern=f"^[^{UNSEEN}]*$")]
Id = Annotated[
    str,
    StringConstraints(max_length=120, pattern="^[a-z0-9]+(-[a-z0-9]+)*/[a-z0-9]+(-[a-z0-9]+)*@[1-9][0-9]{0,4}$"),
]
Hash = Annotated[str, StringConstraints(pattern="^[0-9a-f]{16,128}$")]
Count = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
Amount = Annotated[float, Field(ge=0)]


def check_time(text: str) -> str:
    """Return the text, if it is a moment that exists."""
    datetime.fromisoformat(text)
    return text


def check_bounds(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options, if they are neither too deep nor too many nor too long."""
    if count_values(options, MAX_DEPTH) > MAX_VALUES:
        raise ValueError(f"more than {MAX_VALUES} values")
    return options


def count_values(value: Any, depth: int) -> int:
    """Return how many values lie in a JSON value, itself included; raises ValueError where one is out of bounds."""
    if depth < 0:
        raise ValueError(f"nested deeper than {MAX_DEPTH}")
    if isinstance(value, str) and (len(value) > MAX_OPTION_CHARACTERS or re.search(f"[{UNSEEN}]", value)):
        raise ValueError(f"a text longer than {MAX_OPTION_CHARACTERS}, or one with control characters")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number that is not finite")
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        inner = [*value, *value.values()]
    elif isinstance(value, list):
        inner = value
    return 1 + sum(count_values(part, depth - 1) for part in inner)


Time = Annotated[
    str,
    StringConstraints(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"),
    AfterValidator(check_time),
]
Options = Annotated[dict[str, JsonValue], Field(max_length=MAX_VALUES), AfterValidator(check_bounds)]
Metrics = Annotated[dict[Name, float | None], Field(max_length=4000)]
Reasons = Annotated[dict[Name, Line], Field(max_length=4000)]
Numbers = Annotated[dict[Name, float], Field(max_length=4000)]
Ends = tuple[float, float]  # low, high


class StrictModel(BaseModel):
    """What all parts of a record have in common: nothing is converted, added or changed, and all is finite."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class ExtendedModel(StrictModel):
    """A part with fields that older records lack: where they say nothing they are left out, and old bytes stay."""

    later: ClassVar[frozenset[str]]

    @model_serializer(mode="wrap")
    def _without_silent_fields(self, write: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        fields: dict[str, Any] = write(self)
        silent = {name for name in self.later if getattr(self, name) == type(self).model_fields[name].get_default()}
        return {name: value for name, value in fields.items() if name not in silent}


class Part(StrictModel):
    """A component and all of its options.

    Args:
        id: Full id, NAMESPACE/NAME@VERSION.
        options: By name, defaults included.
    """

    id: Id
    options: Options = {}


class DataPart(Part):
    """A data set.

    Args:
        fingerprints: Content hashes of its parts, such as {"train": …, "test": …}.
    """

    fingerprints: Annotated[dict[Name, Hash], Field(max_length=16)]


class Cell(ExtendedModel):
    """What determines the numbers.

    Args:
        task: The task whose parts and recipe were the starting point; None for a free combination.
        split: What was hidden, and what was to be predicted.
        objective: What scored the prediction.
        model: What encoded.
        data: What was learned from.
        evaluated_on: What the evaluators used, where that is other data.
        evaluators: Options by id.
        recipe: Optimizer, schedule, batch, budget.
        artifact: Hash of what a split was fitted to, where it was.
        seed: Of weights, order and draws.
        precision: Of the arithmetic.
        fitted_with: Hash of the trained weights of the run with whose encoder it was, as that run's record has it.
        begun_with: Hash of the weights that the model began with: of a run as its record has it, else of themselves.
        modality: Of the data, so that records can be sorted without their plugins.
    """

    later: ClassVar[frozenset[str]] = frozenset({"fitted_with", "begun_with"})

    task: Id | None = None
    split: Part
    objective: Part
    model: Part
    data: DataPart
    evaluated_on: DataPart | None = None
    evaluators: Annotated[dict[Id, Options], Field(max_length=32)] = {}
    recipe: Options = {}
    artifact: Hash | None = None
    seed: Count
    precision: Name
    modality: Name | None = None
    fitted_with: Hash | None = None
    begun_with: Hash | None = None


class Items(StrictModel):
    """For every test item whether it was answered rightly, so that two records can be compared pairwise for ever.

    Args:
        count: How many items.
        bits: Eight to a byte, first item in the highest bit, the last byte filled with zeros; base64.
        test: Fingerprint of the test data, whose order is that of the bits.
    """

    count: Annotated[int, Field(ge=1, le=MAX_ITEMS)]
    bits: Annotated[str, StringConstraints(max_length=4 * (MAX_ITEMS // 24 + 1))]
    test: Hash

    @model_validator(mode="after")
    def _count_fits_bits(self) -> "Items":
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

    @property
    def share(self) -> float:
        """The share of items answered correctly; bits are counted without an array, since boards read many."""
        return int.from_bytes(b64decode(self.bits)).bit_count() / self.count


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


class Hardware(StrictModel):
    """What it ran on.

    Args:
        device: Name of the processor or accelerator.
        devices: How many of it took part.
        cores: That the process could use.
        platform: Operating system and architecture.
    """

    device: Line
    devices: Count
    cores: Count
    platform: Line


class Provenance(StrictModel):
    """How it came about, without saying where or by whom.

    Args:
        versions: Of Python and of the distributions that compute, by name.
        commit: Of the checkout that pretask was run from, where it was one.
        modified: Whether that checkout differed from the commit.
        hardware: What it ran on.
        threads: That torch computed with.
        started: When it began, UTC.
        ended: When it ended, UTC.
        seconds: That all of it took.
        stages: Seconds by stage.
        samples: Seen in training.
        parameters: Trained ones of the model.
        flops: Floating point operations of the training, where they could be counted.
        peak_memory: Bytes at most at once, on the GPU or else of the process.
        command: As it was typed; of a path only its last component.
    """

    versions: Annotated[dict[Name, Name], Field(max_length=200)]
    commit: Annotated[str, StringConstraints(pattern="^[0-9a-f]{40}([0-9a-f]{24})?$")] | None = None
    modified: bool | None = None
    hardware: Hardware
    threads: Count
    started: Time
    ended: Time
    seconds: Amount
    stages: Annotated[dict[Name, Amount], Field(max_length=200)] = {}
    samples: Count
    parameters: Count
    flops: Amount | None = None
    peak_memory: Count | None = None
    command: Annotated[tuple[Text, ...], Field(max_length=400)] = ()


class DeclaredMetric(StrictModel):
    """What a component declares of one of its numbers.

    Args:
        unit: Such as fraction, nats or bits per byte; "" where it has none.
        higher_is_better: None where neither way is better.
    """

    unit: Annotated[str, StringConstraints(max_length=40)] = ""
    higher_is_better: bool | None = None


class Declaration(StrictModel):
    """What a component declares of its numbers, so that a record can be read without its plugins.

    Args:
        headline: The number that stands for all of an evaluator.
        metrics: What is declared of each, by name or by the end of a name.
    """

    headline: Annotated[str, StringConstraints(max_length=200)] = ""
    metrics: Annotated[dict[Name, DeclaredMetric], Field(max_length=400)] = {}


class DuplicateCount(StrictModel):
    """Samples to test on that are among those to train on, of one data set.

    Args:
        test: Samples to test on.
        exact: Of these, those that are equal to one to train on.
        near: Of the others, those that nearly look like one; None for what cannot be looked at.
    """

    test: Count
    exact: Count
    near: Count | None = None


class GivenEncoder(StrictModel):
    """An encoder of elsewhere that the trained one is held against.

    Args:
        weights: Hash of its weights: of a run as its record has it, else of themselves.
        name: Where it is from, for people.
    """

    weights: Hash
    name: Name


class ProbedStep(StrictModel):
    """What the encoder was worth while it was trained.

    Args:
        step: Steps of training until then.
        metrics: Numbers by EVALUATOR.METRIC, of the output layer.
    """

    step: Annotated[int, Field(ge=1, le=MAX_SAFE_INTEGER)]
    metrics: Annotated[dict[Name, float], Field(max_length=64)]


class Record(ExtendedModel):
    """One result.

    Args:
        record: Version of this format.
        status: A failed run is a record too, and never on a board.
        error: What went wrong; only where it failed.
        cell: What determines the numbers.
        results: A row for every evaluator and encoder.
        pretext: How well the pretext task was solved.
        weights: Hash of the trained weights, which tells whether a rerun was exact.
        code: Hash of the syntax of every module that the parts use, by name; see code.py. It is beside the cell, since
            it says how the numbers came about and not what they are of.
        declared: What the objective and the evaluators declare of their numbers, by id.
        provenance: How the record came about.
        licence: Under which the record may be used.
        author: Who the record is by, as they say.
        note: What else there is to say.
        reruns: Name of the record whose cell was carried out again, where that is why this one was made.
        duplicates: How much of the test parts is in the parts to train on, by the cell's `data` and `evaluated_on`.
        probed: What the encoder was worth while it was trained, in the order of steps.
        given: Encoders of elsewhere that it is held against, by their names in the rows.
    """

    later: ClassVar[frozenset[str]] = frozenset({"code", "declared", "reruns", "duplicates", "probed", "given"})

    record: Literal[1]
    status: Literal["complete", "failed"]
    error: Text | None = None
    cell: Cell
    results: Annotated[tuple[EvaluationResult, ...], Field(max_length=256)] = ()
    pretext: Pretext | None = None
    weights: Hash | None = None
    code: Annotated[dict[Name, Hash], Field(max_length=4000)] = {}
    declared: Annotated[dict[Id, Declaration], Field(max_length=64)] = {}
    provenance: Provenance
    licence: Line | None = None
    author: Line | None = None
    note: Text | None = None
    reruns: Hash | None = None
    duplicates: Annotated[dict[Name, DuplicateCount], Field(max_length=2)] = {}
    probed: Annotated[tuple[ProbedStep, ...], Field(max_length=512)] = ()
    given: Annotated[dict[Given, GivenEncoder], Field(max_length=32)] = {}

    def find_result(self, evaluator: str, encoder: str) -> EvaluationResult | None:
        """Return what an evaluator says of an encoder; None where it did not measure it."""
        return next((row for row in self.results if (row.evaluator, row.encoder) == (evaluator, encoder)), None)

    @model_validator(mode="after")
    def _parts_agree(self) -> "Record":
        if (self.status == "failed") != bool(self.error):
            raise ValueError("a failed record has an error, and a complete one has none")
        if strangers := {row.evaluator for row in self.results} - set(self.cell.evaluators):
            raise ValueError(f"results of evaluators that the cell does not name: {sorted(strangers)}")
        if len({(row.encoder, row.evaluator) for row in self.results}) < len(self.results):
            raise ValueError("two rows of one encoder and one evaluator")
        encoders = {row.encoder for row in self.results}
        if strangers := {name for name in encoders if name.startswith(GIVEN)} - set(self.given):
            raise ValueError(f"rows of encoders that `given` does not describe: {sorted(strangers)[:3]}")
        if any(name != name_given(one.weights) for name, one in self.given.items()):
            raise ValueError("an encoder in `given` whose name is not that of its weights")
        if INITIAL in encoders and self.cell.begun_with is None:
            raise ValueError("a row of initial weights, of a cell that began with none")
        return self


def build_record(fields: Mapping[str, Any]) -> Record:
    """Return a record of this process's own run, checked as a stranger's would be.

    Args:
        fields: The fields of Record; the cell may hold what `as_plain` understands, the error be an exception.

    Raises:
        PretaskError: A field is missing, unknown or out of bounds.
    """
    fields = {"record": VERSION, **fields, "cell": as_plain(fields.get("cell"))}
    if fields.get("error") is not None:
        fields["error"] = error_text(fields["error"])
    return parse_record(canonical_bytes(fields))


def build_cell(fields: Mapping[str, Any]) -> Cell:
    """Return the cell that a record of these facts will have, so that its key is known before anything runs."""
    try:
        return Cell.model_validate_json(canonical_bytes(as_plain(fields)))
    except ValidationError as error:
        raise record_error(error) from error


def parse_record(data: bytes) -> Record:
    """Return a record from its bytes; raises PretaskError where they are not one."""
    require_bounds(data)
    try:
        return Record.model_validate_json(data)
    except ValidationError as error:
        raise record_error(error) from error


def record_error(error: ValidationError) -> PretaskError:
    """Return the error with a record's first three faults; a stranger's field names are escaped and shortened."""
    faults = error.errors(include_url=False, include_input=False)
    shown = [describe_fault(fault["loc"], fault["msg"], fault.get("ctx", {})) for fault in faults[:3]]
    more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
    return PretaskError("a record", f"the fields of version {VERSION}", "; ".join(shown) + more, f"See {SCHEMA.name}.")


def describe_fault(place: Sequence[str | int], message: str, context: Mapping[str, Any]) -> str:
    """Return a fault of at most 130 characters: where in the record, and what is wrong there.

    >>> describe_fault(["cell", "author"], "String should match pattern '^[^...]*$'", {"pattern": f"^[^{UNSEEN}]*$"})
    'cell.author: String should have no control or invisible characters'
    """
    where = ".".join(ascii(part)[:60].strip("'") for part in place)
    if UNSEEN in str(context.get("pattern")):
        message = "String should have no control or invisible characters"
    return f"{shorten(where, 55)}: {shorten(message, 70)}"


def shorten(text: str, most: int) -> str:
    """Return the text, its middle left out where it has more characters than `most`.

    >>> shorten("abcdefghij", 7)
    'abc…hij'
    """
    half = (most - 1) // 2
    return text if len(text) <= most else f"{text[:half]}…{text[-half:]}"


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


def record_hash(record: Record) -> str:
    """Return the name of a record: SHA-256 of its canonical bytes."""
    return sha256(canonical_bytes(record)).hexdigest()


def cell_key(cell: Cell, without: Collection[str] = ()) -> str:
    """Return the name of what determines the numbers.

    Args:
        cell: Fields that are None do not count, so that a field added later leaves old keys as they are.
        without: Fields to leave out: {"seed", "artifact"} name what is averaged over seeds, {"evaluators"} an encoder.
    """
    fields = cell.model_dump(mode="json", exclude=set(without))
    return sha256(canonical_bytes({name: fact for name, fact in fields.items() if fact is not None})).hexdigest()


def training_cell_key(cell: Cell) -> str:
    """Return the name of what determines the trained weights, whatever they are measured by."""
    return cell_key(cell, without={"evaluators", "evaluated_on"})


def schema_text() -> str:
    """Return the JSON schema of a record, as record.schema.json holds it."""
    return json.dumps(Record.model_json_schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text())
