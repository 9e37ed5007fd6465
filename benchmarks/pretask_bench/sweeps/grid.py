"""Grid: a TOML file of choices, and the combinations that it asks for.

`fixed` holds what all cells have, `axes` lists of which every member is combined with every other, `zip` lists that
move together, `drop` combinations that are left out, each with its reason. A choice is a part (`split`, `objective`,
`model`, `data`, `on`), `task`, `preset`, `evaluate`, `fit_with`, `init`, `hold_out`, or an option such as
`split.patch`. Names of components may be patterns over ids, such as `pretask/*`. A file of several `[[grid]]` is the
union of them; what stands above them is part of each.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product
from math import prod
from pathlib import Path
from typing import Annotated, Any

from pretask import PretaskError, Unknown
from pretask_registry import Registry
from pretask_registry.names import hint
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pretask_bench.records.encoders import RANDOM, RAW, ReferenceEncoder
from pretask_bench.runs.plan import EVALUATION_DATA, KINDS, split_names

MAX_FILE_BYTES = 1 << 18
MAX_COMBINATIONS = 1_000_000  # of one file: more is a mistyped list
MAX_SEED = (1 << 53) - 1  # what a record holds exactly
TASK, PRESET, EVALUATE, SEED = "task", "preset", "evaluate", "seed"
PLACES = ("fit_with", "init")  # choices that name other runs
HOLD_OUT = "hold_out"  # how much of the training part takes the place of the test part
KIND_OF_CHOICE = {**KINDS, TASK: "task", EVALUATE: "evaluator"}
KNOWN_CHOICES = (TASK, PRESET, *KINDS, EVALUATE, *PLACES, HOLD_OUT)
PATTERN_CHARACTERS = frozenset("*?[")

Values = Annotated[tuple[Any, ...], Field(min_length=1)]
Choices = Mapping[str, Any]


class GridModel(BaseModel):
    """A model that refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Drop(GridModel):
    """Combinations that are left out.

    Args:
        reason: Why.
        when: For some choices a value, a pattern of names, or a list of these; all must apply.
    """

    reason: Annotated[str, Field(min_length=1)]
    when: Annotated[Mapping[str, Any], Field(min_length=1)]

    def applies(self, choices: Choices) -> bool:
        """Return whether a combination is meant."""
        return all(name in choices and is_meant(choices[name], wanted) for name, wanted in self.when.items())


class Grid(GridModel):
    """A product of lists.

    Args:
        fixed: One value for each of some choices.
        axes: Several values for each of some choices; every one is combined with all others.
        zip: Tables of lists of one length, which move together.
        drop: Combinations that are left out.
    """

    fixed: Mapping[str, Any] = {}
    axes: Mapping[str, Values] = {}
    zip: tuple[Annotated[Mapping[str, Values], Field(min_length=1)], ...] = ()
    drop: tuple[Drop, ...] = ()

    @model_validator(mode="after")
    def _choices_are_known_and_made_once(self) -> "Grid":
        tables = [self.fixed, self.axes, *self.zip]
        names = [name for table in tables for name in table]
        for name in [*names, *(name for drop in self.drop for name in drop.when if name != SEED)]:
            check_choice(name)
        for share in [self.fixed.get(HOLD_OUT, 0.0), *(one for table in tables[1:] for one in table.get(HOLD_OUT, ()))]:
            if isinstance(share, bool) or not isinstance(share, int | float):
                raise ValueError(f"hold_out is a share such as 0.1, or 0 for none; got {share!r:.60}")
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{sorted(twice)[0]} is chosen in two places")
        for table in self.zip:
            if len({len(values) for values in table.values()}) > 1:
                lengths = ", ".join(f"{name} {len(values)}" for name, values in table.items())
                raise ValueError(f"lists of a zip have one length; got {lengths}")
        return self

    def beside(self, other: "Grid") -> "Grid":
        """Return the product of two grids."""
        return Grid(
            fixed={**self.fixed, **other.fixed},
            axes={**self.axes, **other.axes},
            zip=(*self.zip, *other.zip),
            drop=(*self.drop, *other.drop),
        )


class GridFile(Grid):
    """The content of a file.

    Args:
        seeds: How many, from 0; or which.
        baselines: Reference encoders that are measured beside every trained one.
        grid: Grids whose cells the sweep has; none where the file itself is the grid.
    """

    seeds: Annotated[int, Field(ge=1)] | Annotated[tuple[int, ...], Field(min_length=1)] = 1
    baselines: tuple[ReferenceEncoder, ...] = (RANDOM, RAW)
    grid: tuple[Grid, ...] = ()

    @model_validator(mode="after")
    def _seeds_are_such_as_records_hold(self) -> "GridFile":
        if not all(0 <= seed <= MAX_SEED for seed in self.all_seeds) or len({*self.all_seeds}) < len(self.all_seeds):
            raise ValueError("seeds are different whole numbers from 0 on")
        return self

    @property
    def all_seeds(self) -> tuple[int, ...]:
        """The seeds."""
        return tuple(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds

    @property
    def grids(self) -> list[Grid]:
        """All grids, each whole."""
        shared = Grid(fixed=self.fixed, axes=self.axes, zip=self.zip, drop=self.drop)
        return [shared.beside(grid) for grid in self.grid] or [shared]


@dataclass(frozen=True)
class Combination:
    """A value for each choice.

    Args:
        choices: By name, the seed included.
        dropped: Why it is left out; "" where it is not.
    """

    choices: Choices
    dropped: str = ""


def check_choice(name: str) -> None:
    """Raise ValueError unless a name is that of a choice."""
    part, dot, option = name.partition(".")
    if name not in KNOWN_CHOICES and not (dot and part and option):
        raise ValueError(f"no choice '{name[:60]}'. {hint(name, KNOWN_CHOICES, '')} Options have a dot: split.patch")


def is_meant(value: Any, wanted: Any) -> bool:
    """Return whether a value is one of those wanted; names by a pattern, with or without namespace and version.

    >>> is_meant("pretask/whole@1", "whole"), is_meant(0.1, [0.1, 0.2]), is_meant([64, 64], [[64, 64]])
    (True, True, True)
    """
    if isinstance(wanted, list | tuple):
        return value in (wanted, tuple(wanted)) or any(is_meant(value, one) for one in wanted)
    if isinstance(wanted, str) and isinstance(value, list | tuple):  # evaluators
        return any(is_meant(one, wanted) for one in value)
    if isinstance(wanted, str) and isinstance(value, str):
        return any(fnmatchcase(spelling, wanted) for spelling in spellings(value))
    return bool(value == wanted)


def spellings(name: str) -> list[str]:
    """Return an id as it may be written.

    >>> spellings("pretask/whole@1")
    ['pretask/whole@1', 'pretask/whole', 'whole']
    """
    unversioned = name.rpartition("@")[0] or name
    return [name, unversioned, unversioned.rpartition("/")[2]]


def read_grid(path: Path) -> GridFile:
    """Read a file.

    Raises:
        PretaskError: It cannot be read, or is no grid.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"more than {MAX_FILE_BYTES} bytes")
        return GridFile.model_validate(tomllib.loads(content.decode()))
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))} {fault['msg']}".strip() for fault in error.errors()[:3]]
        raise refuse(path, "; ".join(faults)) from error
    except (OSError, ValueError, RecursionError) as error:
        raise refuse(path, str(error)) from error


def refuse(path: Path, got: str) -> PretaskError:
    """Return the error of a file that is no grid."""
    do = "See pretask sweep --help for an example."
    return PretaskError(path.name, "fixed, axes, zip, drop and seeds, as TOML", got[:400], do, exit_code=2)


def expand(registry: Registry, file: GridFile) -> Iterator[Combination]:
    """Yield every combination, with the seeds of one next to each other.

    Raises:
        Unknown: A name is that of nothing, a pattern that of none, or there are too many combinations.
    """
    grids = [expand_names(registry, grid) for grid in file.grids]
    count = sum(map(count_combinations, grids)) * len(file.all_seeds)
    if count > MAX_COMBINATIONS:
        raise Unknown(
            f"A sweep has at most {MAX_COMBINATIONS} cells; got {count}. Shorten the lists, or write two files."
        )
    for grid in grids:
        for choices in multiply(grid):
            for seed in file.all_seeds:
                combination = {**choices, SEED: seed}
                reason = next((drop.reason for drop in grid.drop if drop.applies(combination)), "")
                yield Combination(combination, reason)


def count_combinations(grid: Grid) -> int:
    """Return how many combinations a grid has, without seeds."""
    return prod([*map(len, grid.axes.values()), *(len(next(iter(table.values()))) for table in grid.zip)])


def multiply(grid: Grid) -> Iterator[dict[str, Any]]:
    """Yield the combinations of a grid whose patterns are written out."""
    rows = [[dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)] for table in grid.zip]
    axes = [[{name: value} for value in values] for name, values in grid.axes.items()]
    for choices in product(*rows, *axes):
        yield {name: value for part in (grid.fixed, *choices) for name, value in part.items()}


def expand_names(registry: Registry, grid: Grid) -> Grid:
    """Return a grid with full ids for all names of components; a pattern on an axis gives one value for each match."""
    axes = {name: tuple(expand_axis(registry, name, values)) for name, values in grid.axes.items()}
    fixed = {name: settle(registry, name, value) for name, value in grid.fixed.items()}
    tables = [
        {name: tuple(settle(registry, name, value) for value in values) for name, values in table.items()}
        for table in grid.zip
    ]
    return grid.model_copy(update={"axes": axes, "fixed": fixed, "zip": tuple(tables)})


def expand_axis(registry: Registry, name: str, values: Iterable[Any]) -> Iterator[Any]:
    """Yield the values of an axis, each once."""
    seen: set[Any] = set()
    for value in values:
        for one in match(registry, name, value) if is_pattern(name, value) else [value]:
            settled = settle(registry, name, one)
            if freeze(settled) not in seen:
                seen.add(freeze(settled))
                yield settled


def freeze(value: Any) -> Any:
    """Return a value of TOML as one with a hash; equal values give equal ones.

    >>> freeze([1, [2, 3]]), freeze({"a": [1]})
    ((1, (2, 3)), frozenset({('a', (1,))}))
    """
    if isinstance(value, list | tuple):
        return tuple(map(freeze, value))
    return frozenset((name, freeze(one)) for name, one in value.items()) if isinstance(value, dict) else value


def is_pattern(name: str, value: Any) -> bool:
    """Return whether a value stands for several components."""
    return name in KIND_OF_CHOICE and isinstance(value, str) and not PATTERN_CHARACTERS.isdisjoint(value)


def match(registry: Registry, name: str, pattern: str) -> list[str]:
    """Return the ids of the components that a pattern means: of each the highest version, in the order of ids."""
    kind = KIND_OF_CHOICE[name]
    found = [one.id for one in registry.current(kind) if is_meant(one.id, pattern)]
    if not found:
        raise Unknown(f"{name} = '{pattern}' means no {kind}. See pretask list {kind}.")
    return found


def settle(registry: Registry, name: str, value: Any) -> Any:
    """Return a value that stands for itself: of components the full id, of evaluators a list of ids."""
    if is_pattern(name, value):
        raise Unknown(f"{name} = '{value}' stands for several; got it where one value belongs. Move it to axes.")
    if name == EVALUATE:
        names: Sequence[str] = split_names(value) if isinstance(value, str) else value
        return tuple(registry.find("evaluator", str(one)).id for one in names)
    if name in KIND_OF_CHOICE and not (name == EVALUATION_DATA and value == ""):
        return registry.find(KIND_OF_CHOICE[name], str(value)).id
    return value
