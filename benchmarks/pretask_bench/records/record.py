"""Records: what one run found, as one immutable JSON file that anybody can check.

A record is named by the SHA-256 of its canonical bytes, and these are the file: `sha256sum FILE` is its name. `cell` is
what determines the numbers, `provenance` is how they came about. Records come from strangers, so every field is typed,
every text and list bounded, every number finite; nothing in a record is ever imported or unpickled.

`python -m pretask_bench.records.record` writes record.schema.json anew.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from pretask_bench.records.bounds import require_bounds
from pretask_bench.records.canonical import as_plain, canonical_bytes
from pretask_bench.records.cell import Cell
from pretask_bench.records.encoders import GIVEN, INITIAL, Given, name_given
from pretask_bench.records.faults import SCHEMA, VERSION, record_error
from pretask_bench.records.field_types import (
    WAS_READ,
    Amount,
    Count,
    ExtendedModel,
    Hash,
    Id,
    Line,
    Name,
    StrictModel,
    Text,
    Time,
)
from pretask_bench.records.measured import Declaration, EvaluationResult, Pretext, ProbedStep
from pretask_bench.records.provenance import error_text


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
        for row in self.results:  # no generator: tables of thousands of records do little else
            if row.evaluator == evaluator and row.encoder == encoder:
                return row
        return None

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


def parse_record(data: bytes, *, was_read: bool = False) -> Record:
    """Return a record from its bytes; raises PretaskError where they are not one.

    Args:
        data: The bytes.
        was_read: Whether they were read before, and so are within bounds.
    """
    if not was_read:
        require_bounds(data)
    try:
        return Record.model_validate_json(data, context=WAS_READ if was_read else None)
    except ValidationError as error:
        raise record_error(error) from error


def record_hash(record: Record) -> str:
    """Return the name of a record: SHA-256 of its canonical bytes."""
    return sha256(canonical_bytes(record)).hexdigest()


def schema_text() -> str:
    """Return the JSON schema of a record, as record.schema.json holds it."""
    return json.dumps(Record.model_json_schema(), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text())
