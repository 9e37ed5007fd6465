"""Past: what the records of a store say of cells to come: how long they take, and in what they differ from others.

Summary rows name parts alone; options and times stand in the records, of which a few of every combination of parts are
read. An estimate of a training is seconds per sample seen; of an evaluation its seconds on the same model and data.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from pretask import PretaskError

from pretask_bench.records.cell import Cell
from pretask_bench.records.record import Record
from pretask_bench.records.store import read
from pretask_bench.results.index import SummaryRow, read_store
from pretask_bench.sweeps.keys import DescribedCell

MAX_READ_OF_GROUP, MAX_READ = 3, 300  # records of one combination of parts, and of all
MAX_SHOWN = 3  # options in which a cell differs
PRETRAIN = "pretrain"  # stage of a record
NAMED = ("split", "objective", "model", "data")
Names = tuple[str, ...]


class Recorded(NamedTuple):
    """A record of the store.

    Args:
        name: Of its file.
        row: Its summary row.
    """

    name: str
    row: SummaryRow

    @property
    def code(self) -> str:
        """The key of its code."""
        return self.row.code

    @property
    def is_complete(self) -> bool:
        """Whether the run did not fail."""
        return self.row.record.status == "complete"

    @property
    def encoders(self) -> set[str]:
        """The encoders that were measured."""
        return {result.encoder for result in self.row.record.results}


def find_recorded(store: Path) -> dict[tuple[str, int], list[Recorded]]:
    """Return the records of a store by the key of their cells without seed, and the seed."""
    found: dict[tuple[str, int], list[Recorded]] = {}
    rows = read_store(store, []) if store.is_dir() else {}
    for name in sorted(rows):
        key = (rows[name].key, rows[name].record.cell.seed)
        found.setdefault(key, []).append(Recorded(name, rows[name]))
    return found


class Estimate(NamedTuple):
    """What a cell will probably take; None where nothing says so.

    Args:
        pretrain: Seconds of its training.
        measure: Seconds of all else.
        memory: Bytes at most at once.
    """

    pretrain: float | None = None
    measure: float | None = None
    memory: int | None = None


@dataclass
class PastRecords:
    """The records of a store, read as far as somebody asks.

    Args:
        store: The folder.
        recorded: What is in it.
    """

    store: Path
    recorded: Sequence[Recorded]
    records: dict[Names, list[Record]] = field(default_factory=dict)
    read: int = 0

    def __post_init__(self) -> None:
        self.groups: dict[Names, list[str]] = {}
        for recorded in self.recorded:
            if recorded.is_complete:
                for names in list_names(cell_names(recorded.row.record.cell)):
                    self.groups.setdefault(names, []).append(recorded.name)

    def find(self, names: Names) -> list[Record]:
        """Return a few records of the same parts."""
        if names not in self.records:
            self.records[names] = [*self.read_some(self.groups.get(names, [])[:MAX_READ_OF_GROUP])]
        return self.records[names]

    def read_some(self, files: Iterable[str]) -> Iterator[Record]:
        """Yield the records of some files, until too many were read."""
        for name in files:
            if self.read < MAX_READ:
                self.read += 1
                with suppress(PretaskError):  # damaged since, or taken away
                    yield read(self.store / f"{name}.json", was_read=True)

    def explain_difference(self, described: DescribedCell | None) -> str:
        """Return in what a cell differs from one that is recorded with the same parts; "" where there is none."""
        if described is None:
            return ""
        records = self.find(names_of(described.fields))
        now = flatten(described.fields) if records else {}
        found = [list_differences(flatten(as_fields(record)), now) for record in records]
        nearest = min((differences for differences in found if differences), key=len, default=[])
        more = f" and {len(nearest) - MAX_SHOWN} more" if len(nearest) > MAX_SHOWN else ""
        return f"not recorded; others have {', '.join(nearest[:MAX_SHOWN])}{more}" if nearest else ""

    def estimate(self, described: DescribedCell | None) -> Estimate:
        """Return what a cell will probably take, by records of the same parts."""
        if described is None:
            return Estimate()
        *_, trained, whole = list_names(names_of(described.fields))
        rates = [rate for record in self.find(trained) if (rate := training_rate(record)) is not None]
        same = self.find(whole)
        samples = described.fields["recipe"]["samples"]
        peaks = [record.provenance.peak_memory for record in same if record.provenance.peak_memory]
        return Estimate(
            median(rates) * samples if rates else None,
            median(map(measuring_seconds, same)) if same else None,
            max(peaks, default=None),
        )


def as_fields(record: Record) -> dict[str, Any]:
    """Return the fields of a record's cell."""
    return record.cell.model_dump(mode="json")


def training_rate(record: Record) -> float | None:
    """Return the seconds of training for every sample seen; None where nothing was trained."""
    seconds, samples = record.provenance.stages.get(PRETRAIN), record.provenance.samples
    return seconds / samples if seconds and samples else None


def measuring_seconds(record: Record) -> float:
    """Return the seconds of all stages but training."""
    return sum(seconds for stage, seconds in record.provenance.stages.items() if stage != PRETRAIN)


def cell_names(cell: Cell) -> Names:
    """Return the ids of a cell's parts, then those of what it is measured on and by."""
    on = (cell.evaluated_on or cell.data).id
    return (*(getattr(cell, part).id for part in NAMED), on, *sorted(cell.evaluators))


def names_of(fields: Mapping[str, Any]) -> Names:
    """Return the same of the fields of a cell."""
    on = (fields["evaluated_on"] or fields["data"])["id"]
    return (*(fields[part]["id"] for part in NAMED), on, *sorted(fields["evaluators"]))


def list_names(names: Names) -> tuple[Names, Names]:
    """Return the names that records of one training have in common, and all."""
    return names[: len(NAMED)], names


def flatten(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a cell's fields by names such as split.patch; without seed and what was fitted.

    >>> flatten({"seed": 1, "split": {"id": "a/b@1", "options": {"patch": 8}}, "recipe": {"lr": 0.1}})
    {'split.patch': 8, 'recipe.lr': 0.1}
    """
    flat: dict[str, Any] = {}
    for name, fact in fields.items():
        if name == "evaluators":
            for evaluator, options in fact.items():
                flat |= {f"{evaluator}.{option}": value for option, value in options.items()}
        elif isinstance(fact, Mapping):
            options = fact.get("options", fact)
            flat |= {f"{name}.{option}": value for option, value in options.items()}
            flat |= {f"{name} {part}": value for part, value in fact.get("fingerprints", {}).items()}
    return flat


def list_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in what options differ from earlier ones.

    >>> list_differences({"split.patch": 8}, {"split.patch": 9})
    ['split.patch 8 instead of 9']
    """
    names = [name for name in {**now, **before} if before.get(name) != now.get(name)]
    return [f"{name} {before.get(name)} instead of {now.get(name)}" for name in names]
