"""Cells: whether the choices that a record declares are possible, and which choices are the same one.

A recipe is what `Recipe` has; the options of split, objective and model are what these parts have, where they are
installed here: nothing else is imported because a record names it. What is left out is the default, so that leaving an
option out, or adding one that nobody knows, makes no other entry of one result.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pretask.errors import PretaskError
from pretask.recipe import Recipe
from pretask_registry import Registered, Registry, fill_options, resolve_options

from pretask_bench.records.canonical import as_plain, canonical_bytes, json_text, object_of_texts
from pretask_bench.records.cell import Cell, Part
from pretask_bench.records.record import Record
from pretask_bench.runs.plan import OPTIONS_OF_RECIPE, RECIPE, path_options

CHOSEN = ("split", "objective", "model")  # parts that a suite leaves free
MAX_FAULT_CHARACTERS = 300


@dataclass(frozen=True)
class CheckedOptions:
    """Options after they were checked, with every default filled in.

    Args:
        options: As a record holds them.
        fault: Why they cannot be options of that part; empty where they can.
        unchecked: Why nobody could tell here; empty where it was checked.
    """

    options: Mapping[str, Any]
    fault: str = ""
    unchecked: str = ""

    @cached_property
    def text(self) -> str:
        """The options as canonical JSON."""
        return json_text(dict(self.options))


@dataclass(frozen=True)
class CheckedCell:
    """What is free in a suite, checked.

    Args:
        recipe: The recipe.
        parts: Split, objective and model, by kind.
    """

    recipe: CheckedOptions
    parts: Mapping[str, CheckedOptions]


class OptionChecker:
    """Checks the options of cells and fills in defaults, each set of options once: many records have the same.

    Args:
        registry: Where ids are looked up; without one only recipes are checked.
    """

    def __init__(self, registry: Registry | None = None) -> None:
        self.registry = registry
        self.cache: dict[tuple[str, str], CheckedOptions] = {}
        self.cells: dict[int, tuple[Cell, CheckedCell]] = {}  # with the cell, so that its id stays its own

    def recipe(self, cell: Cell) -> CheckedOptions:
        """Check the recipe of a cell."""
        key = (RECIPE, json.dumps(cell.recipe, sort_keys=True))
        if key not in self.cache:
            self.cache[key] = check_recipe(cell.recipe)
        return self.cache[key]

    def part(self, kind: str, part: Part) -> CheckedOptions:
        """Check the options of one part."""
        key = (f"{kind} {part.id}", json.dumps(part.options, sort_keys=True))
        if key not in self.cache:
            self.cache[key] = check_part(self.registry, kind, part)
        return self.cache[key]

    def cell(self, cell: Cell) -> "CheckedCell":
        """Check the recipe of a cell, and the options of its split, objective and model; once, however often asked."""
        known = self.cells.get(id(cell))
        if known is None:
            parts = {kind: self.part(kind, getattr(cell, kind)) for kind in CHOSEN}
            known = self.cells[id(cell)] = (cell, CheckedCell(self.recipe(cell), parts))
        return known[1]

    def faults(self, record: Record) -> Iterator[str | None]:
        """Yield the fault, or None, of the recipe and of every part that could be checked."""
        checked = self.cell(record.cell)
        filled = [checked.recipe, *checked.parts.values()]
        yield from (answer.fault or None for answer in filled if not answer.unchecked)

    def unchecked(self, record: Record) -> set[str]:
        """Return why parts could not be checked here."""
        return {filled.unchecked for filled in self.cell(record.cell).parts.values() if filled.unchecked}

    def choice(self, cell: Cell) -> bytes:
        """Return what determines the numbers and is free in a suite: parts, options and recipe, defaults filled in.

        A task is only a label of these, and so is no part of it; nor is the precision, which the recipe holds.
        """
        checked = self.cell(cell)
        texts = {kind: f"[{json_text(getattr(cell, kind).id)},{part.text}]" for kind, part in checked.parts.items()}
        return object_of_texts({**texts, RECIPE: checked.recipe.text}).encode()


def check_recipe(given: Mapping[str, Any]) -> CheckedOptions:
    """Check a recipe, which has the fields of `Recipe` and no others."""
    try:
        recipe = Recipe(**fill_options("the recipe", RECIPE, OPTIONS_OF_RECIPE, given))
    except PretaskError as error:
        return CheckedOptions(given, fault=shorten_error(error))
    filled = as_plain(recipe.as_fields())
    return CheckedOptions(filled, fault=describe_other_spelling(RECIPE, given, filled))


def check_part(registry: Registry | None, kind: str, part: Part) -> CheckedOptions:
    """Check the options of a part, where it is installed here."""
    try:
        if registry is None:
            return CheckedOptions(part.options, unchecked="the options of parts were not looked up")
        registered = registry.find(kind, part.id)
        places = path_options(registered)  # imports what is installed, and raises where that cannot be
    except PretaskError:
        return CheckedOptions(
            part.options, unchecked=f"{part.id} is not installed here, so its options were not checked"
        )
    return check_installed_part(registered, part, places)


def check_installed_part(registered: Registered, part: Part, places: list[str]) -> CheckedOptions:
    """Check the options of a part that is installed here; of a path a record holds only the last name."""
    try:
        filled = {**as_plain(resolve_options(registered, part.options)), **select_options(part.options, places)}
    except PretaskError as error:
        return CheckedOptions(part.options, fault=shorten_error(error))
    return CheckedOptions(filled, fault=describe_other_spelling(registered.id, part.options, filled))


def select_options(options: Mapping[str, Any], names: list[str]) -> dict[str, Any]:
    """Return the options of these names."""
    return {name: value for name, value in options.items() if name in names}


def describe_other_spelling(who: str, given: Mapping[str, Any], filled: Mapping[str, Any]) -> str:
    """Return which value is spelled otherwise than a run records it, such as "24" for 24; empty where none is."""
    for name, value in given.items():
        if canonical_bytes(value) != canonical_bytes(filled.get(name)):
            return f"{who} has {name} {str(value)[:60]!r}, which a run records as {str(filled.get(name))[:60]!r}"
    return ""


def shorten_error(error: PretaskError) -> str:
    """Return the beginning of an error, whose text may be a stranger's."""
    return str(error)[:MAX_FAULT_CHARACTERS]


def check_precision(record: Record) -> Iterator[str | None]:
    """Check whether the precision of a cell is that of its recipe."""
    recorded, expected = record.cell.precision, str(record.cell.recipe.get("precision", Recipe.precision))
    message = f"the precision is {recorded[:60]!r}, that of its recipe {expected[:60]!r}"
    yield None if recorded == expected else message
