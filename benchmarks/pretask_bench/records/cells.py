"""Cells: whether the choices that a record declares are possible, and which choices are the same one.

A recipe is what `Recipe` has; the options of split, objective and model are what these parts have, where they are
installed here: nothing else is imported because a record names it. What is left out is the default, so that leaving an
option out, or adding one that nobody knows, makes no other entry of one result.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pretask.errors import PretaskError
from pretask.recipe import Recipe
from pretask_registry import Registered, Registry, read_options, resolve_options, settle

from pretask_bench.records.canonical import canonical_bytes, plain
from pretask_bench.records.record import Cell, Part, Record
from pretask_bench.runs.plan import RECIPE, places_of

CHOSEN = ("split", "objective", "model")  # parts that a suite leaves free
MAX_FAULT_CHARACTERS = 300
OPTIONS_OF_RECIPE = read_options(Recipe, by_keyword=False)


@dataclass(frozen=True)
class SettledOptions:
    """Options with every default filled in.

    Args:
        options: As a record holds them.
        fault: Why they cannot be options of that part; empty where they can.
        unchecked: Why nobody could tell here; empty where it was checked.
    """

    options: Mapping[str, Any]
    fault: str = ""
    unchecked: str = ""


class Settler:
    """Settles the options of cells, each kind once, because ten thousand records name a few hundred.

    Args:
        registry: Where ids are looked up; without one only recipes are checked.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        self.registry = registry
        self.known: dict[tuple[str, str], SettledOptions] = {}

    def recipe(self, cell: Cell) -> SettledOptions:
        """Settle the recipe of a cell."""
        key = (RECIPE, json.dumps(cell.recipe, sort_keys=True))
        if key not in self.known:
            self.known[key] = settle_recipe(cell.recipe)
        return self.known[key]

    def part(self, kind: str, part: Part) -> SettledOptions:
        """Settle the options of one part."""
        key = (f"{kind} {part.id}", json.dumps(part.options, sort_keys=True))
        if key not in self.known:
            self.known[key] = settle_part(self.registry, kind, part)
        return self.known[key]

    def parts(self, cell: Cell) -> dict[str, SettledOptions]:
        """Settle all that a suite leaves free but the recipe, by kind."""
        return {kind: self.part(kind, getattr(cell, kind)) for kind in CHOSEN}

    def faults(self, record: Record) -> Iterator[str | None]:
        """Yield the fault, or None, of the recipe and of every part that could be checked."""
        settled = [self.recipe(record.cell), *self.parts(record.cell).values()]
        yield from (answer.fault or None for answer in settled if not answer.unchecked)

    def unchecked(self, record: Record) -> set[str]:
        """Return why parts could not be checked here."""
        return {settled.unchecked for settled in self.parts(record.cell).values() if settled.unchecked}

    def choice(self, cell: Cell) -> bytes:
        """Return what determines the numbers and is free in a suite: parts, options and recipe, defaults filled in.

        A task is only a label of these, and so is no part of it; nor is the precision, which the recipe holds.
        """
        parts = {kind: [getattr(cell, kind).id, part.options] for kind, part in self.parts(cell).items()}
        return canonical_bytes({**parts, RECIPE: self.recipe(cell).options})


def settle_recipe(given: Mapping[str, Any]) -> SettledOptions:
    """Settle a recipe, which has the fields of `Recipe` and no others."""
    try:
        recipe = Recipe(**settle("the recipe", RECIPE, OPTIONS_OF_RECIPE, given))
    except PretaskError as error:
        return SettledOptions(given, fault=shorten_error(error))
    settled = plain(asdict(recipe))
    return SettledOptions(settled, fault=describe_other_form(RECIPE, given, settled))


def settle_part(registry: Registry | None, kind: str, part: Part) -> SettledOptions:
    """Settle the options of a part, where it is installed here."""
    try:
        if registry is None:
            return SettledOptions(part.options, unchecked="the options of parts were not looked up")
        registered = registry.find(kind, part.id)
        places = places_of(registered)  # imports what is installed, and raises where that cannot be
    except PretaskError:
        return SettledOptions(
            part.options, unchecked=f"{part.id} is not installed here, so its options were not checked"
        )
    return settle_installed(registered, part, places)


def settle_installed(registered: Registered, part: Part, places: list[str]) -> SettledOptions:
    """Settle the options of a part that is installed here; of a place a record holds only the name."""
    try:
        settled = {**plain(resolve_options(registered, part.options)), **select_options(part.options, places)}
    except PretaskError as error:
        return SettledOptions(part.options, fault=shorten_error(error))
    return SettledOptions(settled, fault=describe_other_form(registered.id, part.options, settled))


def select_options(options: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """Return the options of these names."""
    return {name: value for name, value in options.items() if name in names}


def describe_other_form(who: str, given: Mapping[str, Any], settled: Mapping[str, Any]) -> str:
    """Return which value is written otherwise than by a run, such as "24" for 24; empty where none is."""
    for name, value in given.items():
        if canonical_bytes(value) != canonical_bytes(settled.get(name)):
            return f"{who} has {name} {str(value)[:60]!r}, which a run records as {str(settled.get(name))[:60]!r}"
    return ""


def shorten_error(error: PretaskError) -> str:
    """Return the beginning of an error, whose text may be a stranger's."""
    return str(error)[:MAX_FAULT_CHARACTERS]


def check_precision(record: Record) -> Iterator[str | None]:
    """Check whether the precision of a cell is that of its recipe."""
    recorded, due = record.cell.precision, record.cell.recipe.get("precision", Recipe.precision)
    yield None if recorded == due else f"the precision is {recorded[:60]!r}, that of its recipe {str(due)[:60]!r}"
