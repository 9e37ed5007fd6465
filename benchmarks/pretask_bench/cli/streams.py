"""Streams: stdout and stderr that fail without ending what is being done, and hold any text.

A pipe that nobody reads, a full disk or a terminal that went away must not lose a run whose record is still to be
written: writes that fail are remembered, the later ones dropped, and the exit code tells in the end.
"""

import codecs
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from pretask.printable import escape_character

BROKEN_PIPE = 141  # what a shell says of a program that SIGPIPE ended
READABLE = "pretask.readable"
PLAIN = {"…": "...", "±": "+-", "−": "-", "–": "-", "→": "->", "↓": "v", "↑": "^", "×": "x", "·": ".", "²": "^2"}


class Unfailing(io.RawIOBase):
    """A file descriptor to write to; the first write that fails is remembered, and those after it are dropped."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.error: OSError | None = None

    def fileno(self) -> int:
        """Return the descriptor."""
        return self.descriptor

    def isatty(self) -> bool:
        """Return whether it is a terminal."""
        return os.isatty(self.descriptor)

    def writable(self) -> bool:
        """Say that it can be written."""
        return True

    def write(self, content: object, /) -> int:
        """Write all of it, or drop it; return its length."""
        rest = memoryview(content).cast("B")  # type: ignore[arg-type]
        size = len(rest)
        while rest and self.error is None:
            try:
                rest = rest[os.write(self.descriptor, rest) :]
            except OSError as error:
                self.error = error
        return size


def replace_readably(error: UnicodeError) -> tuple[str, int]:
    """Replace what an encoding lacks by a plain spelling where there is one, else by an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(PLAIN.get(character) or escape_character(character) for character in lacking), error.end


@contextmanager
def unfailing_streams() -> Iterator[Unfailing]:
    """Let sys.stdout and sys.stderr be such streams inside; give that of stdout."""
    codecs.register_error(READABLE, replace_readably)
    open_missing()
    before = sys.stdout, sys.stderr
    stdout, stderr = Unfailing(1), Unfailing(2)
    if sys.stdout is None or sys.stdout is sys.__stdout__:  # else whoever called took it for themselves
        sys.stdout = wrap(stdout, before[0])
    if sys.stderr is None or sys.stderr is sys.__stderr__:
        sys.stderr = wrap(stderr, before[1], line_buffering=True)
    try:
        yield stdout
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(ValueError):  # closed by a plugin
                stream.flush()
        sys.stdout, sys.stderr = before


def open_missing() -> None:
    """Open standard streams that are closed, so that no file takes their number; what is written there fails."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # takes the lowest number that is free


def wrap(raw: Unfailing, before: TextIO | None, *, line_buffering: bool = False) -> TextIO:
    """Return a stream of text over a descriptor, in the encoding of the one before."""
    for stream in [before] if before is not None else []:
        with suppress(OSError, ValueError):
            stream.flush()
    encoding = getattr(before, "encoding", None) or "utf-8"
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, READABLE, line_buffering=line_buffering or raw.isatty())


def code_after(code: int, stdout: Unfailing) -> int:
    """Return the exit code of a command that ended with this one, and say why stdout could not be written."""
    if stdout.error is None:
        return code
    if isinstance(stdout.error, BrokenPipeError):
        return code or BROKEN_PIPE
    print(f"pretask needs to write stdout; got {stdout.error.strerror}. Redirect it to another file.", file=sys.stderr)
    return code or 1
