"""Entries: which records compete in which division of a suite, which lack something, and which do not belong.

An entry is what a suite leaves free: parts, their options, recipe and precision. Its records differ by seed. Entries
compete where they learned from the very same data, which the data's fingerprint tells. No record is dropped silently.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import pairwise

from pretask_bench.encoders import TRAINED
from pretask_bench.metrics import is_share
from pretask_bench.records import Record, Row
from pretask_bench.results import title
from pretask_bench.suites import Division, Measure, Suite

Named = Mapping[str, Record]  # records by their hash
LONGEST, MOST_DIFFERENCES = 160, 3
LARGEST = 1e100


@dataclass(frozen=True)
class Entry:
    """One competitor.

    Args:
        key: Hash of all that it chose.
        title: The task, or the parts of a free combination.
        records: Those that count, by seed.
        hashes: Their names.
        missing: What it lacks to be ranked; nothing if it is complete.
        distinction: What tells it from entries of the same title.
    """

    key: str
    title: str
    records: tuple[Record, ...]
    hashes: tuple[str, ...]
    missing: tuple[str, ...] = ()
    distinction: str = ""

    @property
    def first(self) -> Record:
        """Where all records say the same."""
        return self.records[0]

    @cached_property
    def found(self) -> Mapping[tuple[str, str], list[Row]]:
        """Rows by evaluator and encoder, in the order of seeds."""
        found: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for record in self.records:
            for row in record.results:
                found[row.evaluator, row.encoder].append(row)
        return dict(found)

    def rows(self, evaluator: str, encoder: str) -> list[Row]:
        """What an evaluator says of an encoder, by seed."""
        return self.found.get((evaluator, encoder), [])

    def values(self, evaluator: str, metric: str, encoder: str = TRAINED) -> list[float]:
        """One number by seed."""
        found = (row.metrics.get(metric) for row in self.rows(evaluator, encoder))
        return [value for value in found if value is not None]


@dataclass(frozen=True)
class Field:
    """The entries of one division on one data set.

    Args:
        division: Of the suite.
        evaluators: Full id by the name that a measure uses.
        fingerprints: Of the data.
        complete: Those that are ranked.
        incomplete: Those that lack something.
    """

    division: Division
    evaluators: Mapping[str, str]
    fingerprints: Mapping[str, str]
    complete: tuple[Entry, ...]
    incomplete: tuple[Entry, ...]

    @property
    def first(self) -> Record:
        """Where all records say the same."""
        return (*self.complete, *self.incomplete)[0].first


@dataclass(frozen=True)
class Sorted:
    """All records, each in its place.

    Args:
        fields: By division, then by how many are complete.
        outside: How many records enter no division, by the reason.
        failed: How many records are of failed runs.
        superseded: How many gave way to a newer record of the same seed.
        records: How many there are.
    """

    fields: tuple[Field, ...]
    outside: Mapping[str, int]
    failed: int
    superseded: int
    records: int


def sort_records(suite: Suite, records: Named) -> Sorted:
    """Put every record in its place, whatever the order in which they come."""
    complete = {name: record for name, record in sorted(records.items()) if record.status == "complete"}
    outside: Counter[str] = Counter()
    places: dict[str, dict[str, list[str]]] = {each.name: defaultdict(list) for each in suite.file.division}
    for name, record in complete.items():
        if beyond(record):
            outside[f"a number beyond {LARGEST:.0e}"] += 1
            continue
        misfits = [(division, suite.enters(division, record)) for division in suite.file.division]
        for division in (division for division, misfit in misfits if misfit is None):
            places[division.name][fingerprint_of(record)].append(name)
        if all(misfit is not None for _, misfit in misfits):
            outside[reason(suite, record, misfits)] += 1
    fields = [
        field_of(suite, division, {name: records[name] for name in names})
        for division in suite.file.division
        for names in places[division.name].values()
    ]
    order = {division.name: number for number, division in enumerate(suite.file.division)}
    fields.sort(key=lambda each: (order[each.division.name], -len(each.complete), sorted(each.fingerprints.items())))
    counted = sum(len(each.records) for field in fields for each in (*field.complete, *field.incomplete))
    entered = sum(len(names) for place in places.values() for names in place.values())
    by_reason = dict(sorted(outside.items(), key=lambda each: (-each[1], each[0])))
    return Sorted(tuple(fields), by_reason, len(records) - len(complete), entered - counted, len(records))


def beyond(record: Record) -> bool:
    """Whether a record holds numbers so large that sums and squares of them are none."""
    parts = [*record.results, *([record.pretext] if record.pretext is not None else [])]
    numbers = [
        value for part in parts for value in (*part.metrics.values(), *part.chance.values()) if value is not None
    ]
    numbers += record.pretext.shortcut.values() if record.pretext is not None else ()
    origin = record.provenance
    numbers += [origin.seconds, origin.flops or 0.0, *origin.stages.values()]
    return any(abs(value) > LARGEST for value in numbers)


def reason(suite: Suite, record: Record, misfits: Sequence[tuple[Division, str | None]]) -> str:
    """Why a record enters no division: as the division that has its data says it."""
    for division, misfit in misfits:
        if suite.fixed[division.name].data[0] == record.cell.data.id:
            return shortened(str(misfit))
    return f"no division learns from {record.cell.data.id}"


def shortened(text: str, most: int = LONGEST) -> str:
    """The text, or its beginning.

    >>> shortened("abcdef", 4)
    'abc…'
    """
    return text if len(text) <= most else text[: most - 1] + "…"


def fingerprint_of(record: Record) -> str:
    """What the data held, as one text."""
    return json.dumps(record.cell.data.fingerprints, sort_keys=True)


def field_of(suite: Suite, division: Division, records: Named) -> Field:
    """The entries of records that compete with each other."""
    evaluators = dict(zip(division.evaluators, suite.fixed[division.name].evaluators, strict=True))
    by_entry: dict[str, dict[str, Record]] = defaultdict(dict)
    for name, record in records.items():
        by_entry[entry_key(record)][name] = record
    entries = [entry_of(suite, division, evaluators, key, named) for key, named in sorted(by_entry.items())]
    ordered = sorted(distinguished(entries), key=lambda each: (each.title, each.distinction, each.key))
    complete = tuple(each for each in ordered if not each.missing)
    incomplete = tuple(each for each in ordered if each.missing)
    first = next(iter(records.values()))
    return Field(division, evaluators, first.cell.data.fingerprints, complete, incomplete)


def entry_key(record: Record) -> str:
    """The hash of what a suite leaves free."""
    free = {"task", "split", "objective", "model", "recipe", "precision"}
    return sha256(json.dumps(record.cell.model_dump(mode="json", include=free), sort_keys=True).encode()).hexdigest()


def entry_of(suite: Suite, division: Division, evaluators: Mapping[str, str], key: str, records: Named) -> Entry:
    """The entry of some records: one for each seed, the newest that lacks nothing, else the newest."""
    gaps = {name: lacks(suite, division, evaluators, record) for name, record in records.items()}
    best = sorted(records, key=lambda name: (not gaps[name], records[name].provenance.ended, name))
    by_seed = {records[name].cell.seed: name for name in best}
    names = [by_seed[seed] for seed in sorted(by_seed)]
    whole = [name for name in names if not gaps[name]]
    missing = [gap for name in names for gap in gaps[name]]
    if not missing and len(whole) < suite.file.seeds:
        missing.append(f"{len(whole)} of {suite.file.seeds} seeds")
    enough = len(whole) >= suite.file.seeds
    chosen = whole if enough else names
    if enough:
        missing = [] if len(whole) > 1 else without_items(division, evaluators, records[whole[0]])
    first = records[chosen[0]]
    found = tuple(records[name] for name in chosen)
    return Entry(key, title(first), found, tuple(chosen), tuple(dict.fromkeys(missing)))


def lacks(suite: Suite, division: Division, evaluators: Mapping[str, str], record: Record) -> list[str]:
    """The numbers that a record lacks to be ranked."""
    gaps = []
    for measure in division.measures:
        evaluator = evaluators[measure.evaluator]
        for encoder in (TRAINED, *suite.file.baselines):
            gaps += fault_of(row_of(record, evaluator, encoder), measure, measure.metric, encoder)
        if isinstance(measure.chance, str):
            gaps += fault_of(row_of(record, evaluator, TRAINED), measure, measure.chance, TRAINED)
    return gaps


def fault_of(row: Row | None, measure: Measure, metric: str, encoder: str) -> list[str]:
    """What is wrong with a number: it is not there, is no share though it should be, or its bits say otherwise."""
    value = row.metrics.get(metric) if row is not None else None
    name = f"{measure.evaluator} {metric} of {encoder}"
    if row is None or value is None:
        return [name]
    if is_share(metric) and not 0 <= value <= 1:
        return [f"{name} as a share (it is {value:.3g})"]
    items = row.items.get(metric)
    if items is not None and abs(items.correct().mean() - value) > 1e-4:
        return [f"{name} as its bits have it ({items.correct().mean():.4f}, not {value:.4f})"]
    return []


def without_items(division: Division, evaluators: Mapping[str, str], record: Record) -> list[str]:
    """Measures that have no interval where there is one seed: no per-item bits, and none of their own."""
    rows = [(each, row_of(record, evaluators[each.evaluator], TRAINED)) for each in division.measures]
    bare = [
        each for each, row in rows if row and each.metric not in row.items and own_interval(row, each.metric) is None
    ]
    return [f"a second seed, or items of {each.title}" for each in bare]


def own_interval(row: Row, metric: str) -> tuple[float, float] | None:
    """The interval that an evaluator gives beside a number: `5.low` and `5.high` beside `5.accuracy`."""
    size, point, _ = metric.rpartition(".")
    low, value, high = (row.metrics.get(each) for each in (f"{size}.low", metric, f"{size}.high"))
    if not point or low is None or value is None or high is None or not low <= value <= high:
        return None
    return low, high


def row_of(record: Record, evaluator: str, encoder: str) -> Row | None:
    """What an evaluator says of an encoder."""
    return next((row for row in record.results if (row.evaluator, row.encoder) == (evaluator, encoder)), None)


def distinguished(entries: Iterable[Entry]) -> list[Entry]:
    """The entries, those of the same title told apart by the options in which they differ."""
    by_title: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_title[entry.title].append(entry)
    return [each for alike in by_title.values() for each in told_apart(alike)]


def told_apart(alike: Sequence[Entry]) -> list[Entry]:
    """Entries of one title, each with the options that not all of them have."""
    if len(alike) == 1:
        return [*alike]
    choices = [choices_of(each.first) for each in alike]
    names = sorted({name for each in choices for name in each})
    differing = [name for name in names if any(one.get(name) != other.get(name) for one, other in pairwise(choices))]
    return [
        replace(
            entry, distinction=", ".join(f"{name}={each.get(name)}" for name in differing[:MOST_DIFFERENCES])[:LONGEST]
        )
        for entry, each in zip(alike, choices, strict=True)
    ]


def choices_of(record: Record) -> dict[str, str]:
    """All options by name, as JSON."""
    cell = record.cell
    parts = {"split": cell.split, "objective": cell.objective, "model": cell.model}
    flat = {f"{part}.{name}": value for part, of in parts.items() for name, value in of.options.items()}
    flat |= {part: of.id for part, of in parts.items()}
    flat |= {f"recipe.{name}": value for name, value in cell.recipe.items()}
    return {name: json.dumps(value, sort_keys=True) for name, value in {**flat, "precision": cell.precision}.items()}


def measure_values(field: Field, entry: Entry, measure: Measure, encoder: str) -> list[float]:
    """The numbers by seed that a measure gives for an encoder of an entry."""
    return entry.values(field.evaluators[measure.evaluator], measure.metric, encoder)
