"""Index: what tables show of every record of a store, kept in an SQLite file, so that no record is read twice.

A record's name is the hash of its bytes, so a known name needs no reading (that its file was damaged since is for
`pretask verify` to find). The file lies in the cache under the hash of the store's place; deleting it loses nothing,
one that is damaged or of another version is made anew, and where it cannot be used the records themselves are read.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any
from zlib import crc32

from pretask.cache import cache_folder
from pretask.errors import PretaskError
from pydantic import ValidationError

from pretask_bench.records.cell import Cell, DataPart, cell_key
from pretask_bench.records.code import code_key
from pretask_bench.records.encoders import TRAINED
from pretask_bench.records.measured import EvaluationResult, Pretext, WithMetrics
from pretask_bench.records.metrics import declared_metrics
from pretask_bench.records.record import Provenance, Record
from pretask_bench.records.store import Refused, enter, find_stores, list_files, name_of, read, store_names
from pretask_bench.results.groups import SEEDLESS, seedless_key
from pretask_bench.results.pretext import headline_metrics

FORMAT = 7  # of a summary row; another one is another file
LOCK_SECONDS = 10.0  # seconds for another writer
BATCH_RECORDS = 500  # records between two commits, so that a stopped reader has not read in vain
REBUILD = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT}
TABLE = (
    "CREATE TABLE IF NOT EXISTS summaries (name TEXT PRIMARY KEY, key TEXT, code TEXT, summary TEXT, checksum INTEGER)"
)
BY_KEY = "CREATE INDEX IF NOT EXISTS by_key ON summaries (key)"


@dataclass(frozen=True)
class SummaryRow:
    """What tables show of a record.

    Args:
        key: Key of its cell without the seed, made of options that `record` leaves out.
        record: With its headline numbers alone, and without items, options, code, pictures and most of its
            provenance.
        code: Key of its code.
    """

    key: str
    record: Record
    code: str = ""


class DamagedEntry(Exception):
    """An entry of an index differs from what was written."""


def read_summaries(places: Iterable[Path | str]) -> tuple[list[SummaryRow], list[Refused]]:
    """Read what tables show of all records of some stores and files, each once, in the order of their hashes.

    Args:
        places: Folders, of which every `.json` file counts, folders of such folders, and files.

    Returns:
        The summary rows, and for every file that is no record its path and the reason.
    """
    found: dict[str, SummaryRow] = {}
    refused: list[Refused] = []
    for place in chain.from_iterable(map(enter, places)):
        if place.is_dir():
            for folder in find_stores(place):
                found |= read_store(folder, refused)
        else:
            found |= dict(read_files([place], refused))
    return [found[name] for name in sorted(found)], refused


def read_store(folder: Path, refused: list[Refused]) -> dict[str, SummaryRow]:
    """Return the summary rows of one store by name: those that its index knows, and others that are read and added."""
    names = {*store_names(folder)}
    index = index_path(folder)
    known = load(index, names)
    new = read_files(sorted(folder / f"{name}.json" for name in names - known.keys()), refused)
    while some := dict(islice(new, BATCH_RECORDS)):
        known |= some
        save(index, some)
    return known


def read_whole(places: Iterable[Path | str]) -> tuple[dict[str, Record], list[Refused]]:
    """Read all records of some stores and files whole; that those of an index have the right form is known.

    Args:
        places: See `read_summaries`.

    Returns:
        The records by their hashes, and for every file that is no record its path and the reason.
    """
    found: dict[str, Record] = {}
    refused: list[Refused] = []
    for folder, paths in groupby(list_files(places), key=lambda path: path.parent):
        found |= read_folder(folder, paths, refused)
    return found, refused


def read_folder(folder: Path, paths: Iterable[Path], refused: list[Refused]) -> dict[str, Record]:
    """Return records of one folder by their hashes; its index is given those that it did not know."""
    index = index_path(folder)
    known, found, new = load_keys(index), dict[str, Record](), dict[str, SummaryRow]()
    for path in paths:
        try:
            record = read(path, was_read=path.stem in known)
        except PretaskError as error:
            refused.append((path, str(error)))
            continue
        name = name_of(path, record)
        found[name] = record
        if name == path.stem and name not in known:
            new[name] = summarize(record)
    if new:
        save(index, new)
    return found


def find_by_cell(folder: Path, cell: Cell) -> Iterator[tuple[Record, Path]]:
    """Yield the records of a store with this very cell, and their files; others are not read but for the index."""
    key, wanted = cell_key(cell, without=SEEDLESS), cell_key(cell)
    for name in find_names(folder, key):
        with suppress(PretaskError):  # damaged since, or taken away
            path = folder / f"{name}.json"
            record = read(path)
            if cell_key(record.cell) == wanted:
                yield record, path


def find_names(folder: Path, key: str) -> list[str]:
    """Return the names of a store's records with this seedless key, by the index, to which new ones are added.

    Of records that the index knows no more is read than the names of their files: a sweep asks once for each cell.
    """
    names, index = {*store_names(folder)}, index_path(folder)
    unknown = names.difference(name for (name,) in query(index, "SELECT name FROM summaries"))
    entries = query(index, "SELECT name, key, code, summary, checksum FROM summaries WHERE key = ?", key)
    found = {name for name, *entry, kept_sum in entries if checksum(*entry) == kept_sum}
    new = read_files(sorted(folder / f"{name}.json" for name in unknown), [])
    while some := dict(islice(new, BATCH_RECORDS)):
        found |= {name for name, summary in some.items() if summary.key == key}
        save(index, some)
    return sorted(found & names)


def load_keys(index: Path) -> dict[str, str]:
    """Return the keys of all records in an index by name; none where it cannot be used."""
    entries = query(index, "SELECT name, key, code, summary, checksum FROM summaries")
    return {name: entry[0] for name, *entry, kept_sum in entries if checksum(*entry) == kept_sum}


def query(index: Path, question: str, *values: str) -> list[Any]:
    """Return what an index answers; nothing where it cannot be used."""
    if not index.is_file():
        return []
    with suppress(sqlite3.Error), closing(sqlite3.connect(index, timeout=LOCK_SECONDS)) as file:
        return file.execute(question, values).fetchall()
    return []


def read_files(paths: Iterable[Path], refused: list[Refused]) -> Iterator[tuple[str, SummaryRow]]:
    """Yield names and summary rows of the files that are records; the others go to `refused`."""
    for path in paths:
        try:
            record = read(path)
            yield name_of(path, record), summarize(record)
        except PretaskError as error:
            refused.append((path, str(error)))


def index_path(folder: Path) -> Path:
    """Return the path of a store's index."""
    place = sha256(str(folder.resolve()).encode(errors="surrogateescape")).hexdigest()[:32]
    return cache_folder() / "records" / f"{place}-{FORMAT}.sqlite"


def load(index: Path, names: Collection[str]) -> dict[str, SummaryRow]:
    """Return the summary rows of these names in an index; none where it cannot be used, and remove a damaged one."""
    if not index.is_file():
        return {}
    try:
        with closing(sqlite3.connect(index, timeout=LOCK_SECONDS)) as file:
            entries = file.execute("SELECT name, key, code, summary, checksum FROM summaries").fetchall()
        return {name: parse_entry(*entry) for name, *entry in entries if name in names}
    except (DamagedEntry, ValidationError):
        remove(index)
    except sqlite3.Error as error:
        if error_code(error) in REBUILD:
            remove(index)
    return {}


def parse_entry(key: str, code: str, summary: str, kept_sum: int) -> SummaryRow:
    """Return one entry; raises DamagedEntry where it is not what was written."""
    if checksum(key, code, summary) != kept_sum:
        raise DamagedEntry
    return SummaryRow(key, Record.model_validate_json(summary), code)


def checksum(key: str, code: str, summary: str) -> int:
    """Return the checksum of an entry: SQLite itself does not notice a flipped bit in a text."""
    return crc32(f"{key} {code} {summary}".encode())


def save(index: Path, new: Mapping[str, SummaryRow]) -> None:
    """Add to an index; where that cannot be done the next reader reads again."""
    entries = [  # defaults included: what is not there is copied by its model, which takes longer than to read it
        (name, summary.key, summary.code, summary.record.model_dump_json()) for name, summary in new.items()
    ]
    with suppress(sqlite3.Error, OSError):
        index.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(index, timeout=LOCK_SECONDS)) as file, file:
            file.execute(TABLE)
            file.execute(BY_KEY)
            file.executemany(
                "INSERT OR REPLACE INTO summaries VALUES (?, ?, ?, ?, ?)",
                [(name, *entry, checksum(*entry)) for name, *entry in entries],
            )


def remove(index: Path) -> None:
    """Delete a damaged index."""
    with suppress(OSError):
        index.unlink()


def error_code(error: sqlite3.Error) -> int:
    """Return the primary code of an error."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF


def summarize(record: Record) -> SummaryRow:
    """Return what tables show of a record."""
    error = record.error and (record.error.strip() or "no message")[:400]
    changes = {
        "cell": summarize_cell(record.cell),
        "results": tuple(summarize_result(result, record) for result in record.results),
        "pretext": summarize_pretext(record),
        "provenance": summarize_provenance(record.provenance),
        "error": error,
        "note": None,
        "code": {},
    }
    return SummaryRow(seedless_key(record), record.model_copy(update=changes), code_key(record.code))


def summarize_cell(cell: Cell) -> Cell:
    """Return a cell with names alone, without options."""
    evaluated_on = cell.evaluated_on
    parts: dict[str, Any] = {
        name: getattr(cell, name).model_copy(update={"options": {}}) for name in ("split", "objective", "model")
    }
    parts["data"] = without_options(cell.data)
    parts["evaluated_on"] = None if evaluated_on is None else without_options(evaluated_on)
    return cell.model_copy(update={**parts, "evaluators": {name: {} for name in cell.evaluators}, "recipe": {}})


def without_options(part: DataPart) -> DataPart:
    """Return a data set without its options and fingerprints."""
    return part.model_copy(update={"options": {}, "fingerprints": {}})


def summarize_provenance(provenance: Provenance) -> Provenance:
    """Return provenance with times, costs and the machine alone."""
    return provenance.model_copy(update={"versions": {}, "commit": None, "stages": {}, "command": ()})


def summarize_result(result: EvaluationResult, record: Record) -> EvaluationResult:
    """Return an evaluator's result with the one metric that is the headline of the trained encoder."""
    trained = record.find_result(result.evaluator, TRAINED) or result
    names = [name for name, value in trained.metrics.items() if value is not None]
    headline = declared_metrics(record, result.evaluator).choose_headline(names)
    changes = {"metrics": select_known(result, {headline}), "missing": {}, "items": {}, "pictures": (), "chance": {}}
    return result.model_copy(update=changes)


def summarize_pretext(record: Record) -> Pretext | None:
    """Return the headline metrics of a pretext score, with trivial predictors and chance levels."""
    headlines, pretext = headline_metrics(record), record.pretext
    if pretext is None or not headlines:
        return None
    names = [name for name in pretext.metrics if name.rsplit(": ", 1)[-1] in headlines]
    metrics = select_known(pretext, names)
    changes: dict[str, Any] = {"metrics": metrics, "missing": {}, "pictures": (), "shortcut": {}}
    for field in ("chance", "count", "interval"):
        changes[field] = {name: value for name, value in getattr(pretext, field).items() if name in metrics}
    return pretext.model_copy(update=changes)


def select_known(measured: WithMetrics, names: Collection[str]) -> dict[str, float | None]:
    """Return the metrics of these names that have a number, in their order."""
    return {name: value for name, value in measured.metrics.items() if name in names and value is not None}
