"""Store: a folder of record files, to which any number of writers may add at once, and from which nothing is taken.

A file appears whole, by one rename, under the hash of its bytes: merging two stores is copying, a record written twice
is one file, and a changed byte shows, because the name no longer fits. A killed writer may leave a file whose name
begins with a dot, which no reader looks at. Pictures lie beside the records under the hash of their own bytes.
"""

import os
import re
from collections.abc import Iterable
from hashlib import sha256
from itertools import chain
from pathlib import Path

from pretask.errors import PretaskError, Unknown
from pretask.files import advise, write_whole

from pretask_bench.cli.terminal import escape_invisible
from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.record import Record, parse_record, record_hash

MAX_FILE_BYTES = 1 << 26  # bytes of one file; a larger one is refused unread
RECORD = re.compile("[0-9a-f]{64}[.]json")
ENDING = ".json"
RUN_RECORD = "record.json"  # in the folder of a run, beside task.json: the same bytes under another name
OTHERS = "records"  # folder of a run's other records, of the same encoder on other data, by their hashes
PNG = b"\x89PNG\r\n\x1a\n"

Refused = tuple[Path, str]


def write(folder: Path | str, record: Record) -> Path:
    """Add a record to a store, or leave it as it is where it has that record; returns the record's file.

    Raises:
        PretaskError: The record is too large, the disk full, or the folder not writable.
    """
    return write_by_hash(Path(folder), canonical_bytes(record), ".json")


def write_picture(folder: Path | str, png: bytes) -> str:
    """Add the bytes of a PNG file to a store; returns their hash, which a record's Picture names."""
    if not png.startswith(PNG):
        raise PretaskError("a picture", "the bytes of a PNG file", f"{png[:8]!r}", "Save the figure as PNG.")
    return write_by_hash(Path(folder), png, ".png").stem


def write_by_hash(folder: Path, content: bytes, ending: str) -> Path:
    """Write the content whole or not at all under its hash; return the file."""
    if len(content) > MAX_FILE_BYTES:
        raise PretaskError(
            "the store", f"files of at most {MAX_FILE_BYTES} bytes", str(len(content)), "Keep fewer items."
        )
    path = folder / f"{sha256(content).hexdigest()}{ending}"
    try:
        if not path.is_file() or path.read_bytes() != content:
            write_whole(path, content)
    except OSError as error:
        raise PretaskError("the store", f"to write {path}", str(error), advise(error)) from error
    return path


def read_all(places: Iterable[Path | str]) -> tuple[list[Record], list[Refused]]:
    """Read all records of some stores and single files, each once, in the order of their hashes.

    Args:
        places: Folders, of which every `.json` file is read, folders of such folders, and files.

    Returns:
        The records, and for every file that is none its path and the reason.
    """
    found: dict[str, Record] = {}
    refused: list[Refused] = []
    for path in list_files(places):
        try:
            record = read(path)
            found[name_of(path, record)] = record
        except PretaskError as error:
            refused.append((path, str(error)))
    return [found[name] for name in sorted(found)], refused


def require_places(verb: str, places: Iterable[Path]) -> None:
    """Raise Unknown for a place that does not exist: a verb that shows nothing because of a typing error misleads."""
    for place in places:
        if not place.exists():
            shown = escape_invisible(str(place))
            raise Unknown(
                f"{verb} needs folders or files of records; got no '{shown}'. Name what a run wrote: --out/records."
            )


def list_files(places: Iterable[Path | str]) -> list[Path]:
    """Return the files to read, sorted; a place that does not exist stays among them, to be refused by name."""
    files: set[Path] = set()
    for place in chain.from_iterable(map(enter, places)):
        files |= {path for folder in find_stores(place) for path in store_files(folder)} if place.is_dir() else {place}
    return sorted(files)


def enter(place: Path | str) -> list[Path]:
    """Return a place, or of the folder of a run its records: those in the store beside it, where they are there."""
    return [find_stored(Path(place), record) for record in list_records(Path(place))] or [Path(place)]


def list_records(folder: Path) -> list[Path]:
    """Return the files of records in the folder of a run, the newest first; none in another folder."""
    record = folder / RUN_RECORD
    if not record.is_file():
        return []
    return [record, *sorted(path for path in (folder / OTHERS).glob("*.json") if RECORD.fullmatch(path.name))]


def find_stored(folder: Path, record: Path) -> Path:
    """Return the file in the store beside a run's folder of a record in that folder; itself where there is none."""
    stored = folder.absolute().parent / "records" / f"{sha256(record.read_bytes()).hexdigest()}.json"
    return stored if stored.is_file() else record


def name_of(path: Path, record: Record) -> str:
    """Return the name of a record: that of its file, but for one in the folder of a run."""
    return record_hash(record) if path.name == RUN_RECORD else path.stem


def find_stores(folder: Path) -> list[Path]:
    """Return the folder, if a record lies in it or nothing does; else the folders below it in which records lie."""
    if store_files(folder):
        return [folder]
    below = os.walk(folder)  # which passes over what disappears meanwhile, as rglob does not
    return sorted(Path(place) for place, _, names in below if any(map(RECORD.fullmatch, names))) or [folder]


def store_files(folder: Path) -> list[Path]:
    """Return the files of a store that should be records, in no order; raises PretaskError if it cannot be read."""
    return [folder / f"{name}{ENDING}" for name in store_names(folder)]


def store_names(folder: Path) -> list[str]:
    """Return the names of the same files, without their ending."""
    try:
        names = os.listdir(folder)
    except OSError as error:
        name = escape_invisible(folder.name)
        raise PretaskError(name, "a folder that can be read", str(error.strerror), "Name another.") from error
    return [name.removesuffix(ENDING) for name in names if name.endswith(ENDING) and name[0] != "."]


def read(path: Path | str, *, was_read: bool = False) -> Record:
    """Read one record, if its file is named by its bytes and holds nothing but what they must be.

    Args:
        path: Of the file.
        was_read: Whether bytes of this name were read before, so that their form need not be looked at again.

    Raises:
        PretaskError: The file cannot be read, was changed, is not canonical, or is no record of this version.
    """
    path = Path(path)
    content = read_named_by_hash(path)
    record = parse_record(content, was_read=was_read)
    if not was_read and canonical_bytes(record) != content:
        raise PretaskError(
            escape_invisible(path.name),
            "canonical JSON",
            "the same record in another form",
            "Write it with `store.write`.",
        )
    return record


def read_picture(folder: Path | str, png: str) -> bytes:
    """Read a picture that a record of this store names; raises PretaskError where its bytes do not fit the name."""
    return read_named_by_hash(Path(folder) / f"{png}.png")


def read_named_by_hash(path: Path) -> bytes:
    """Read a file whose name is the hash of its content."""
    again, name = "Copy it again from where it came.", escape_invisible(path.name)
    if not path.is_file():  # a pipe would block its reader
        raise PretaskError(name, "a file", "none at that place", again)
    try:
        if (size := path.stat().st_size) > MAX_FILE_BYTES:
            raise PretaskError(name, f"at most {MAX_FILE_BYTES} bytes", str(size), "Leave it out.")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)  # it may have grown
    except OSError as error:
        raise PretaskError(name, "a file that can be read", str(error.strerror), again) from error
    if (actual := sha256(content).hexdigest()) != path.stem and path.name != RUN_RECORD:
        raise PretaskError(name, "bytes whose SHA-256 is its name", f"bytes with {actual}", again)
    return content
