"""Decoding: many files decoded by several threads, with a word about progress and one error for all broken files."""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from pretask import PretaskError

from pretask_plugins.shared.parts import list_some

REPORT_SECONDS = 5.0  # between lines about a decoding that takes long
MAX_REASON_CHARACTERS = 160

Decoded = TypeVar("Decoded")


@dataclass(frozen=True)
class Broken:
    """A file that cannot be read, and why."""

    reason: str


@dataclass(frozen=True)
class Work:
    """The way in which files are decoded.

    Args:
        who: The data set, for messages.
        files: What they are, for messages: images or videos.
        count: How many there are.
        threads: That decode at once.
        batch: Files that are decoded before they are handed on.
    """

    who: str
    files: str
    count: int
    threads: int
    batch: int


def decode_batches(work: Work, decode: Callable[[int], Decoded], name: Callable[[int], str]) -> Iterator[list[Decoded]]:
    """Yield files 0 to count - 1, decoded, in lists; say on stderr how far it is where that takes long.

    Args:
        work: How many files there are, and how to decode them.
        decode: Gives one file, or raises whatever it likes.
        name: What to call one that cannot be read.

    Raises:
        PretaskError: Files cannot be read; all are tried before, so that it can say how many.
    """

    def attempt(number: int) -> Decoded | Broken:
        try:
            return decode(number)
        except Exception as error:  # decoders raise nearly everything
            return Broken(f"{name(number)} ({first_line(error)})")

    broken: list[str] = []
    reported = time.monotonic()
    with ThreadPoolExecutor(work.threads) as pool:
        for start in range(0, work.count, work.batch):
            found = list(pool.map(attempt, range(start, min(start + work.batch, work.count))))
            whole = [file for file in found if not isinstance(file, Broken)]
            broken += [file.reason for file in found if isinstance(file, Broken)]
            if not broken:
                yield whole
            if time.monotonic() - reported > REPORT_SECONDS:
                print(f"{work.who}: {start + len(found)} of {work.count} {work.files} decoded", file=sys.stderr)
                reported = time.monotonic()
    if broken:
        raise PretaskError(
            work.who,
            f"{work.files} that can be decoded",
            f"{len(broken)} of {work.count} that cannot: {list_some(broken)}",
            "Replace or delete them.",
        )


def first_line(error: Exception) -> str:
    """Return what an error says, shortened, or what it is called."""
    if type(error).__name__ == "UnidentifiedImageError":  # Pillow's; it says where in memory the bytes are
        return "no image"
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:MAX_REASON_CHARACTERS]


def is_importable(module: str) -> bool:
    """Return whether a module can be imported here."""
    try:
        __import__(module)
    except (ImportError, OSError):  # a wheel of another platform fails to load its libraries
        return False
    return True
