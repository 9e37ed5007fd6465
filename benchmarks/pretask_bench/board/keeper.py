"""Keeper: what whoever keeps a board decides, in two text files that anybody can read.

`withdrawn.txt` in a folder of records names those that do not count any more: on each line a hash and the reason, which
the page shows. A file of authors, one on a line, names who may raise a dispute. Blank lines and those that begin with
`#` say nothing. An author is what a record declares: the keeper makes sure of it before the record comes into the
folder.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pretask.errors import PretaskError

from pretask_bench.cli.terminal import escape_invisible
from pretask_bench.records.record import Record
from pretask_bench.records.store import find_stores

WITHDRAWN = "withdrawn.txt"
HASH = re.compile("[0-9a-f]{64}")
MAX_FILE_BYTES = 1 << 22
MAX_REASON_CHARACTERS = 400


@dataclass(frozen=True)
class Keeper:
    """The decisions of a board's keeper.

    Args:
        withdrawn: Reason by the hash of a record that does not count.
        authors: Who may raise a dispute; None: everybody.
    """

    withdrawn: Mapping[str, str] = field(default_factory=dict)
    authors: frozenset[str] | None = None

    def trusts(self, record: Record) -> bool:
        """Return whether a record may raise a dispute."""
        return self.authors is None or record.author in self.authors


def read_withdrawn(places: Iterable[Path]) -> dict[str, str]:
    """Read the withdrawn records of some folders, or of the folders in which files lie.

    Raises:
        PretaskError: A file cannot be read, or a line of it is no hash and reason, or names a hash again.
    """
    folders = {folder for place in places for folder in folders_of(place)}
    found: dict[str, str] = {}
    for path in sorted(folder / WITHDRAWN for folder in folders):
        if path.is_file():
            found |= {name: reason for name, reason in read_decisions(path) if name not in found}
    return found


def folders_of(place: Path) -> list[Path]:
    """Return the folders in which the withdrawn.txt of a place may lie: its own, and those of the stores in it."""
    return [place, *find_stores(place)] if place.is_dir() else [place.parent]


def read_decisions(path: Path) -> Iterator[tuple[str, str]]:
    """Read the hashes and reasons of one file."""
    lines: dict[str, int] = {}
    for number, line in read_lines(path):
        name, _, reason = line.partition(" ")
        reason = escape_invisible(" ".join(reason.split()))
        if not HASH.fullmatch(name) or not reason:
            raise line_error(path, number, "a hash of 64 hexadecimal digits, a space and the reason", line)
        if name in lines:
            raise line_error(path, number, f"every hash once (this one is in line {lines[name]})", line)
        if len(reason) > MAX_REASON_CHARACTERS:
            raise line_error(path, number, f"a reason of at most {MAX_REASON_CHARACTERS} characters", f"{len(reason)}")
        lines[name] = number
        yield name, reason


def read_authors(path: Path) -> frozenset[str]:
    """Read who may raise a dispute; raises PretaskError where the file cannot be read or names nobody."""
    authors = frozenset(line for _, line in read_lines(path))
    if not authors:
        raise PretaskError(
            escape_invisible(str(path)),
            "one author a line, at least one",
            "none",
            "Name one, or leave --strict-authors out.",
        )
    return authors


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Return the lines that say something, by their number."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PretaskError(escape_invisible(str(path)), f"at most {MAX_FILE_BYTES} bytes", "more", "Shorten it.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise PretaskError(
            escape_invisible(str(path)), "a file of UTF-8 text", str(error), "Name another, or fix it."
        ) from error
    for number, line in enumerate(text.splitlines(), 1):
        if (text := line.strip()) and not text.startswith("#"):
            yield number, text


def line_error(path: Path, number: int, needs: str, found: str) -> PretaskError:
    """Return the error for a line that cannot be read."""
    return PretaskError(
        f"{escape_invisible(str(path))}, line {number}",
        needs,
        f"{escape_invisible(found)[:80]!r}",
        "Correct that line.",
    )
