"""Corpus: documents in files, in parts, read piece by piece however large a file or a line is.

Axes: none.
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pretask import PretaskError

from pretask_plugins.data.text.headers import Header, find_header
from pretask_plugins.data.text.rows import Piece
from pretask_plugins.data.text.tagged import LABEL, Sentence, sentences, tag_names
from pretask_plugins.data.text.text_files import TextFile, list_texts
from pretask_plugins.shared.listing import printable_name
from pretask_plugins.shared.listing.digests import digest_files
from pretask_plugins.shared.parts import TEST_PERIOD, hash_text, is_tenth

Unit = Literal["file", "paragraph", "line"]

SUFFIXES = (".txt", ".tsv", *LABEL)
CHUNK_BYTES = 1 << 16  # bytes that are read at once
MAX_PIECE_CHARACTERS = 1 << 16  # characters of a piece


class Source(NamedTuple):
    """A file, and what of it belongs to a part: all of it, or some of a file that is divided."""

    path: Path
    divided: bool


@dataclass(frozen=True)
class Corpus:
    """Files of text.

    Args:
        root: A file or a folder.
        unit: What a document is.
        encoding: Of the files.
    """

    root: Path
    unit: Unit = "file"
    encoding: str = "utf-8"

    def kind(self) -> str:
        """Return the ending of all files; raise PretaskError where there are several."""
        kinds = {find_suffix(path) for path in self.files()}
        if len(kinds) > 1:
            raise PretaskError(
                "text",
                f"files of one kind in {self.root}",
                " and ".join(sorted(kinds)),
                "Name one file, or a folder with files of one kind.",
            )
        return kinds.pop()

    def has_labels(self) -> bool:
        """Return whether the files are tables, label<TAB>text."""
        return self.kind() == ".tsv"

    def has_tags(self) -> bool:
        """Return whether every word has a label."""
        return self.kind() in LABEL

    def files(self) -> list[Path]:
        """List every file of text, in natural order; raise PretaskError where there is none."""
        return [text.path for text in self.texts]

    @cached_property
    def texts(self) -> list[TextFile]:
        """Every file of text with its part, in natural order; raise PretaskError where there is none."""
        texts = list_texts(self.root.expanduser(), lambda name: bool(find_suffix(Path(name))))
        if not texts:
            raise PretaskError(
                "text",
                f"a file or folder of {' or '.join(SUFFIXES)} (also .gz)",
                printable_name(str(self.root)) + ("" if self.root.expanduser().exists() else ", which does not exist"),
                "Name one with --set data.root=…",
            )
        return texts

    def sources(self, part: str) -> list[Source]:
        """Return the files of a part: those that are named for it, else a tenth of all for testing."""
        texts = self.texts
        if any(text.part for text in texts):
            return [Source(text.path, False) for text in texts if text.part == part]
        if len(texts) == 1 or self.has_labels() or self.has_tags():
            return [Source(text.path, True) for text in texts]
        ranked = sorted(texts, key=lambda text: hash_number(text.name))
        held_out = {text.path for text in ranked[: -(-len(texts) // TEST_PERIOD)]}
        return [Source(text.path, False) for text in texts if (text.path in held_out) == (part == "test")]

    def facts(self, part: str) -> dict[str, Any]:
        """Return what determines the documents of a part."""
        names = {text.path: text.name for text in self.texts}
        sources = self.sources(part)
        digests = digest_files([path for path, _ in sources])
        files = [(names[path], divided, digest) for (path, divided), digest in zip(sources, digests, strict=True)]
        root = self.root.expanduser().resolve()
        return {"root": root, "files": files, "part": part, "unit": self.unit, "encoding": self.encoding}

    def pieces(self, part: str, names: tuple[str, ...] = ()) -> Iterator[Piece]:
        """Yield the documents of a part, piece by piece; labeled where names of classes are given.

        Raises:
            PretaskError: A file cannot be read as text, a line of a table has no label or an unknown one.
        """
        for source in self.sources(part):
            if find_suffix(source.path) == ".tsv":
                for row in self.table(source, part):
                    yield from row_pieces(row, names)
            elif find_suffix(source.path) in LABEL:
                for sentence in self.sentences(source, part):
                    yield from cut([sentence.text])
            else:
                yield from split_documents(self.read_part(source, part), self.unit)

    def label_names(self) -> tuple[str, ...]:
        """List the classes of the training part, in order."""
        return tuple(sorted({row.label for source in self.sources("train") for row in self.table(source, "train")}))

    def tagged_sentences(self, part: str) -> Iterator[Sentence]:
        """Yield the sentences of a part."""
        for source in self.sources(part):
            yield from self.sentences(source, part)

    def tag_names(self) -> tuple[str, ...]:
        """List the labels of words in the training part, in order."""
        return tag_names(self.tagged_sentences("train"))

    def sentences(self, source: Source, part: str) -> Iterator[Sentence]:
        """Yield the sentences of a file that belong to a part: of a divided one, a tenth by hash is for testing."""
        for sentence in sentences(self.lines(source.path), find_suffix(source.path), source.path):
            if not source.divided or is_for_test(sentence.text) == (part == "test"):
                yield sentence

    def read_part(self, source: Source, part: str) -> Iterator[str]:
        """Yield what of a text belongs to a part: of one that is divided, the first nine tenths are for training."""
        if not source.divided:
            return read_characters(source.path, self.encoding)
        begin = sum(map(len, read_characters(source.path, self.encoding))) * (TEST_PERIOD - 1) // TEST_PERIOD
        limits = (0, begin) if part == "train" else (begin, None)
        return cut_text(read_characters(source.path, self.encoding), *limits)

    def table(self, source: Source, part: str) -> Iterator["TableRow"]:
        """Yield the rows of a table that belong to a part: of a divided one, a tenth by hash is for testing."""
        header = self.header(source.path)
        for number, line in enumerate(self.lines(source.path), start=1):
            if header is not None and number == header.line:
                continue
            if line.strip() and (not source.divided or is_for_test(line) == (part == "test")):
                place = f"line {number} of {printable_name(str(source.path))}"
                cells = line.split("\t")
                label = 0 if header is None else header.label
                if len(cells) < 2 or label >= len(cells):
                    raise PretaskError(
                        "text", "a label and a tab before each text", place, "Write label<TAB>text in that line."
                    )
                yield TableRow(cells[label].strip(), cells[:label] + cells[label + 1 :], place)

    def lines(self, path: Path) -> Iterator[str]:
        """Yield the lines of a file."""
        return split_lines(read_characters(path, self.encoding))

    def header(self, path: Path) -> Header | None:
        """Return the line of a table that names its columns, where it has one."""
        if path not in self.headers:
            self.headers[path] = find_header(path, lambda: self.lines(path))
        return self.headers[path]

    @cached_property
    def headers(self) -> dict[Path, Header | None]:
        """The headers of tables that were looked at."""
        return {}


class TableRow(NamedTuple):
    """A labeled text, or several that belong together."""

    label: str
    texts: list[str]
    place: str


def row_pieces(row: TableRow, names: tuple[str, ...]) -> Iterator[Piece]:
    """Yield the texts of a row, with a separator between them; without a label where there are no names of classes."""
    if names and row.label not in names:
        raise PretaskError(
            "text",
            f"labels that the training part has ({', '.join(names[:5])}{' …' if names[5:] else ''})",
            f"'{row.label}' in {row.place}",
            "Correct the label, or add such texts to train on.",
        )
    label = names.index(row.label) if names else -1
    for text in row.texts[:-1]:
        yield from (piece._replace(label=label) for piece in cut([text], then="separator"))
    yield from (piece._replace(label=label) for piece in cut(row.texts[-1:], empty=True))


def split_documents(text: Iterable[str], unit: Unit) -> Iterator[Piece]:
    """Yield the documents of a text; one without a letter is none."""
    if unit == "file":
        yield from cut(text)
    elif unit == "line":
        for line in split_lines(text):
            yield from cut([line])
    else:
        for paragraph in join_paragraphs(split_lines(text)):
            yield from cut([paragraph])


def join_paragraphs(of_lines: Iterable[str]) -> Iterator[str]:
    """Join lines that no empty line parts.

    >>> list(join_paragraphs(["one", "two", "", "", "three"]))
    ['one\\ntwo', 'three']
    """
    some: list[str] = []
    for line in chain(of_lines, [""]):
        if line.strip():
            some.append(line)
        elif some:
            yield "\n".join(some)
            some = []


def cut(text: Iterable[str], then: str = "end", empty: bool = False) -> Iterator[Piece]:
    """Cut one document into pieces, before a space where there is one.

    Args:
        text: In parts of any size.
        then: What follows the last piece.
        empty: Whether a document without a letter counts as one.
    """
    rest, seen = "", empty
    for part in slice_text(text):
        rest += part
        seen = seen or not part.isspace()
        while len(rest) > MAX_PIECE_CHARACTERS:
            space = max(rest.rfind(" ", 1, MAX_PIECE_CHARACTERS), rest.rfind("\n", 1, MAX_PIECE_CHARACTERS))
            at = space if space > 0 else MAX_PIECE_CHARACTERS
            yield Piece(rest[:at], "")
            rest = rest[at:]
    if seen:
        yield Piece(rest, then)


def slice_text(text: Iterable[str]) -> Iterator[str]:
    """Cut a text into parts that are not long, none of them empty."""
    for part in text:
        yield from (part[begin : begin + MAX_PIECE_CHARACTERS] for begin in range(0, len(part), MAX_PIECE_CHARACTERS))


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


def read_characters(path: Path, encoding: str) -> Iterator[str]:
    """Yield the text of a file, some thousands of characters at a time, every end of line as one.

    Raises:
        PretaskError: The file is no text in this encoding, or cannot be read to its end.
    """
    decoder = io.IncrementalNewlineDecoder(text_decoder(encoding), translate=True)
    offset = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            while content := file.read(CHUNK_BYTES):
                text = decoder.decode(content)
                if "\0" in text:
                    raise no_text_error(path, f"a zero byte after byte {offset}")
                offset += len(content)
                yield text
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise no_text_error(path, f"{error.reason} near byte {offset + error.start}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise PretaskError(
            "text", f"to read {printable_name(str(path))} to its end", str(error), "Copy it again."
        ) from error


def text_decoder(encoding: str) -> Any:
    """Make a decoder that takes a mark at the beginning of UTF-8 for what it is; raise PretaskError for no encoding."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError:
        raise PretaskError("text", "a known data.encoding", encoding, "Leave it at utf-8.", exit_code=2) from None
    return codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)("strict")


def no_text_error(path: Path, found: str) -> PretaskError:
    """Make the error for a file that is no text."""
    return PretaskError(
        "text", "text in data.encoding", f"{printable_name(str(path))} with {found}", "Convert or remove the file."
    )


def find_suffix(path: Path) -> str:
    """Find one of SUFFIXES, compressed or not; empty for other files."""
    name = path.name.lower().removesuffix(".gz")
    return next((ending for ending in SUFFIXES if name.endswith(ending)), "")


def hash_number(text: str) -> int:
    """Return a number that looks random and is always the same."""
    return int.from_bytes(hash_text(text, 8))


def is_for_test(text: str) -> bool:
    """Return whether a line is for testing; equal ones go the same way."""
    return is_tenth(hash_text(text, 8))
