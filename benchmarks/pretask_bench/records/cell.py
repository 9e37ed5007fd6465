"""Cell: what determines the numbers of a run, and its names."""

from collections.abc import Collection, Mapping
from hashlib import sha256
from typing import Annotated, Any, ClassVar

from pydantic import (
    Field,
)

from pretask_bench.records.canonical import json_text, object_of_texts
from pretask_bench.records.field_types import Count, ExtendedModel, Hash, Id, Name, Options, StrictModel

MEASURING = frozenset({"evaluators", "evaluated_on"})  # fields of a cell that say by what and on what it is measured


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
        hold_out: Share of the training part that was measured on in the place of the test part, where it was.
    """

    later: ClassVar[frozenset[str]] = frozenset({"fitted_with", "begun_with", "hold_out"})

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
    hold_out: Annotated[float, Field(gt=0, lt=1)] | None = None


def describe_held_out(cell: Cell) -> str:
    """Return what to add to the name of data of which some of the training part was measured on; else nothing."""
    return f", {cell.hold_out:g} of its training part" if cell.hold_out is not None else ""


def cell_key(cell: Cell, without: Collection[str] = ()) -> str:
    """Return the name of what determines the numbers.

    Args:
        cell: Fields that are None do not count, so that a field added later leaves old keys as they are.
        without: Fields to leave out: {"seed", "artifact"} name what is averaged over seeds, {"evaluators"} an encoder.
    """
    return key_of_fields(cell.model_dump(mode="json", exclude=set(without)))


def key_of_fields(fields: Mapping[str, Any]) -> str:
    """Return the key of a cell by its fields as JSON holds them."""
    return key_of_texts({name: json_text(fact) for name, fact in fields.items() if fact is not None})


def key_of_texts(texts: Mapping[str, str]) -> str:
    """Return the same by the canonical JSON of each field that is not None, which thousands of cells may share."""
    return sha256(object_of_texts(texts).encode()).hexdigest()


def training_cell_key(cell: Cell) -> str:
    """Return the name of what determines the trained weights, whatever they are measured by."""
    return cell_key(cell, without=MEASURING)
