"""Tables: a CSV, TSV or Parquet file of paths, with classes and parts where it has such columns.

Paths are relative to the folder of the table, or absolute. Of the parts val and test, val is trained on where there is
a test; rows without a part go by a hash of their path, a tenth for testing.
Axes: none.
"""

import csv
import io
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from pretask import PretaskError

from pretask_plugins.shared.listing.file_tree import FileTree, Source
from pretask_plugins.shared.listing.leftovers import Leftovers
from pretask_plugins.shared.listing.listing import Item, Listing, build_listing, list_files
from pretask_plugins.shared.listing.names import printable_name, unify_name
from pretask_plugins.shared.listing.walking import identify
from pretask_plugins.shared.parts import list_some, part_of_word

ENDINGS = (".csv", ".tsv", ".parquet")
# Names of columns, in any case; of several the first one that is there.
COLUMNS = {
    "file": ("file", "path", "file_name", "filename", "filepath", "image", "audio", "video"),
    "label": ("label", "class", "category", "target"),
    "split": ("split", "part", "subset"),
}
TWICE = "rows for a file of another row"


@dataclass(frozen=True)
class TableRow:
    """A line of a table: a path as it is written there, a class and the name of a part; empty where it says none."""

    file: str
    label: str
    split: str


def is_table(path: Path) -> bool:
    """Return whether a path is that of a table."""
    return path.suffix.lower() in ENDINGS and not path.expanduser().is_dir()


def read_rows(who: str, name: str, content: bytes) -> list[TableRow]:
    """Read the rows of a table.

    Args:
        who: The data set, for errors.
        name: Of the table; its ending says what it is.
        content: Its bytes.

    Raises:
        PretaskError: There is no column of files, or the table cannot be read.
    """
    rows = [*read_cells(who, name, content)]
    columns = find_columns(rows[0]) if rows else {}
    if "file" not in columns:
        raise PretaskError(
            who,
            "the columns file and label",
            f"{printable_name(name)} without them",
            "Begin it with the line file,label,split.",
        )
    return [TableRow(*(str(row.get(columns.get(key, ""), "") or "").strip() for key in COLUMNS)) for row in rows]


def read_cells(who: str, name: str, content: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the cells of every row by the names of the columns."""
    ending = PurePosixPath(name).suffix.lower()
    if ending == ".parquet":
        yield from read_parquet(who, name, content)
        return
    try:
        text = io.StringIO(content.decode("utf-8-sig"), newline="")
        for row in csv.DictReader(text, delimiter="\t" if ending == ".tsv" else find_delimiter(text)):
            yield {column: value for column, value in row.items() if column is not None}
    except (UnicodeDecodeError, csv.Error) as error:
        raise PretaskError(
            who, "a table in UTF-8", f"{printable_name(name)} ({error})", "Save it as CSV in UTF-8."
        ) from error


def find_delimiter(text: io.StringIO) -> str:
    """Return what stands between the columns of a CSV file: a comma, or a semicolon as some spreadsheets write it."""
    header = text.readline()
    text.seek(0)
    return ";" if header.count(";") > header.count(",") else ","


def read_parquet(who: str, name: str, content: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a Parquet file; None becomes nothing, 0 stays 0."""
    try:
        from pyarrow import ArrowException, BufferReader
        from pyarrow.parquet import read_table
    except ImportError as error:
        raise PretaskError(
            who, f"pyarrow for {printable_name(name)}", "no such package", "pip install 'pretask[datasets]'."
        ) from error
    try:
        table = read_table(BufferReader(content))
    except (ArrowException, OSError) as error:
        raise PretaskError(
            who, "a whole Parquet file", f"{printable_name(name)} ({error})", "Write it anew."
        ) from error
    for row in table.to_pylist():
        yield {column: "" if value is None else str(value) for column, value in row.items()}


def find_columns(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns of files, classes and parts, as the table calls them.

    >>> find_columns({"Path": "a.png", "class": "x"})
    {'file': 'Path', 'label': 'class'}
    """
    own = {column.strip().lower(): column for column in row}
    found = {key: next((own[name] for name in names if name in own), None) for key, names in COLUMNS.items()}
    return {key: column for key, column in found.items() if column is not None}


def sort_rows(
    who: str,
    table: str,
    rows: Sequence[TableRow],
    find: Callable[[str], str | None],
    is_for_test: Callable[[str], bool],
) -> list[Item]:
    """Give every row of a table its file, class and part.

    Args:
        who: The data set, for errors.
        table: Its name, for errors.
        rows: As they were read.
        find: Returns the name of a file that a row names; None where it is not there.
        is_for_test: Says of a name whether it is for testing, where a row says no part.

    Raises:
        PretaskError: Files are not there, or a row names a part that is none.
    """
    names = [find(row.file) for row in rows]
    lacking = [f"no such file as {printable_name(row.file)}" for row, name in zip(rows, names, strict=True) if not name]
    lacking += [f"the split '{row.split}'" for row in rows if row.split and part_of_word(row.split) is None]
    if lacking:
        raise PretaskError(
            who,
            f"files and splits (train, val, test) that exist in {printable_name(table)}",
            list_some([*dict.fromkeys(lacking)]) + (f" ({len(lacking)} rows)" if len(lacking) > 1 else ""),
            "Correct that row, or put the file there.",
        )
    found = [name for name in names if name is not None]
    splits = [
        row.split.lower() or ("test" if is_for_test(name) else "train") for row, name in zip(rows, found, strict=True)
    ]
    has_test = bool({"test", "testing"} & {*splits})
    return [
        Item(name, printable_name(row.label), choose_part(split, has_test))
        for name, row, split in zip(found, rows, splits, strict=True)
    ]


def choose_part(split: str, has_test: bool) -> str:
    """Return the part of a row: what is neither for training nor for testing is trained on where there is a test."""
    part = part_of_word(split) or "train"
    return "train" if has_test and split not in ("test", "testing") else part


@dataclass(frozen=True)
class TableTree(FileTree):
    """The files that a table names; its root is the table, and nothing else is looked at."""

    @cached_property
    def rows(self) -> list[TableRow]:
        """The rows of the table whose files are there once; further rows for a file are leftovers."""
        every = read_rows(self.who, self.place.name, self.place.read_bytes())
        seen = set()
        kept = []
        for row in every:
            path = self.find_path(row.file)
            key = identify(str(path), path.stat()) if path is not None else row.file
            if key in seen:
                self.leftovers.add(TWICE, row.file)
            else:
                seen.add(key)
                kept.append(row)
        return kept

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Where the file of every row is, in the order of the rows."""
        paths = {row.file: self.find_path(row.file) for row in self.rows}
        return {name: str(path) for name, path in paths.items() if path is not None}

    @cached_property
    def tars(self) -> dict[str, Any]:
        """None: a table names files."""
        return {}

    def find_path(self, name: str) -> Path | None:
        """Return where a file is that the table names, in whichever Unicode form; None where it is not there."""
        beside = self.place.parent
        forms = (name, unify_name(name), unicodedata.normalize("NFD", name))
        return next((beside / form for form in forms if (beside / form).is_file()), None)


def list_table(tree: TableTree, is_for_test: Callable[[str], bool]) -> Listing:
    """List the files that a table names, with parts and classes; raise PretaskError where some are not there."""
    found = sort_rows(
        tree.who, tree.place.name, tree.rows, lambda name: name if name in tree.sources else None, is_for_test
    )
    tree.tell_leftovers(Leftovers())
    return build_listing(found)


def open_tree(who: str, root: Path, files: str = "files") -> FileTree:
    """Open a folder, a tar file, or a table of paths."""
    return (TableTree if is_table(root) else FileTree)(who, root, files)


def list_any(
    tree: FileTree, endings: Sequence[str], is_for_test: Callable[[str], bool], explicit: bool = False
) -> Listing:
    """List the files of a tree that `open_tree` gave; see `list_files`."""
    return (
        list_table(tree, is_for_test)
        if isinstance(tree, TableTree)
        else list_files(tree, endings, is_for_test, explicit)
    )
