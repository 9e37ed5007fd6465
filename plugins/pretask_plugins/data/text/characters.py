"""Characters: the text of a file, in parts of any size, however large the file or a line of it is.

Axes: none.
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pretask import PretaskError

CHUNK_BYTES = 1 << 16  # bytes that are read at once


def read_characters(open_file: Callable[[], io.BufferedIOBase], place: str, encoding: str) -> Iterator[str]:
    """Yield the text of a file, some thousands of characters at a time, every end of line as one.

    Args:
        open_file: Opens it; one whose place ends in .gz is unpacked.
        place: Where it is, for errors.
        encoding: Of the text.

    Raises:
        PretaskError: The file is no text in this encoding, or cannot be read to its end.
    """
    decoder = io.IncrementalNewlineDecoder(text_decoder(encoding), translate=True)
    offset = 0
    try:
        with open_file() as packed, unpack(packed, place) as file:
            while content := file.read(CHUNK_BYTES):
                text = decoder.decode(content)
                if "\0" in text:
                    raise no_text_error(place, f"a zero byte after byte {offset}")
                offset += len(content)
                yield text
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise no_text_error(place, f"{error.reason} near byte {offset + error.start}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise PretaskError("text", f"to read {place} to its end", str(error), "Copy it again.") from error


def unpack(file: io.BufferedIOBase, place: str) -> io.BufferedIOBase:
    """Return the file, or what it is the compressed form of."""
    return gzip.GzipFile(fileobj=file) if place.lower().endswith(".gz") else file


def text_decoder(encoding: str) -> Any:
    """Make a decoder that takes a mark at the beginning of UTF-8 for what it is; raise PretaskError for no encoding."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise PretaskError("text", "a known data.encoding", encoding, "Leave it at utf-8.", exit_code=2) from None
    return codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)("strict")


def no_text_error(place: str, found: str) -> PretaskError:
    """Make the error for a file that is no text."""
    return PretaskError("text", "text in data.encoding", f"{place} with {found}", "Convert or remove the file.")


def split_lines(text: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text that comes in parts.

    >>> list(split_lines(["a\\nb", "c", "d\\n"]))
    ['a', 'bcd']
    """
    begun: list[str] = []
    for part in text:
        *whole, last = part.split("\n")
        for line in whole:
            yield "".join([*begun, line])
            begun = []
        begun.append(last)
    if any(begun):
        yield "".join(begun)


def cut_text(text: Iterable[str], begin: int, end: int | None) -> Iterator[str]:
    """Yield the characters begin … end of a text that comes in parts.

    >>> "".join(cut_text(["abc", "def"], 2, 5))
    'cde'
    """
    place = 0
    for part in text:
        kept = part[max(begin - place, 0) : None if end is None else max(end - place, 0)]
        place += len(part)
        if kept:
            yield kept
