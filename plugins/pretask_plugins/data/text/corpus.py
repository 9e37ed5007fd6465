"""Corpus: documents in files, in parts, read piece by piece however large a file or a line is.

Axes: none.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

from pretask import PretaskError

from pretask_plugins.data.text.characters import cut_text, read_characters, split_lines
from pretask_plugins.data.text.headers import Header, find_header
from pretask_plugins.data.text.rows import Piece
from pretask_plugins.data.text.tagged import LABEL, Sentence, sentences, tag_names
from pretask_plugins.data.text.text_files import TextFile, list_texts, open_texts
from pretask_plugins.shared.listing import FileTree, printable_name
from pretask_plugins.shared.parts import TEST_PERIOD, hash_text, is_tenth

Unit = Literal["file", "paragraph", "line"]

SUFFIXES = (".txt", ".tsv", *LABEL)
DOCUMENTS = (".txt", ".txt.gz")
NO_LABEL = -1
MAX_PIECE_CHARACTERS = 1 << 16  # characters of a piece


class Source(NamedTuple):
    """A file, what of it belongs to a part (all of it, or some of a file that is divided), and its class, if any."""

    name: str
    divided: bool
    label: str = ""

    @property
    def path(self) -> PurePosixPath:
        """Where it is below the root."""
        return PurePosixPath(self.name)


@dataclass(frozen=True)
class Corpus:
    """Files of text.

    Args:
        root: A file, a folder, or tar files.
        unit: What a document is.
        encoding: Of the files.
    """

    root: Path
    unit: Unit = "file"
    encoding: str = "utf-8"

    def kind(self) -> str:
        """Return the ending of all files; raise PretaskError where there are several."""
        kinds = {find_suffix(text.name) for text in self.texts}
        if len(kinds) > 1:
            raise PretaskError(
                "text",
                f"files of one kind in {self.root}",
                " and ".join(sorted(kinds)),
                "Name one file, or a folder with files of one kind.",
            )
        return kinds.pop()

    def has_labels(self) -> bool:
        """Return whether the files are tables, label<TAB>text, or some have a sidecar that says their class."""
        return self.kind() == ".tsv" or any(text.label for text in self.texts)

    def has_tags(self) -> bool:
        """Return whether every word has a label."""
        return self.kind() in LABEL

    @cached_property
    def tree(self) -> FileTree:
        """The files below the root; raise PretaskError where there is no such thing."""
        tree = open_texts(self.root, is_text)
        if tree is None:
            raise self.no_texts()
        return tree

    @cached_property
    def texts(self) -> list[TextFile]:
        """Every file of text with its part, in natural order; raise PretaskError where there is none."""
        with self.tree:
            texts = list_texts(self.tree, is_text, DOCUMENTS)
        if not texts:
            raise self.no_texts()
        return texts

    def no_texts(self) -> PretaskError:
        """Make the error for a root without texts."""
        return PretaskError(
            "text",
            f"a file, folder or tar file of {' or '.join(SUFFIXES)} (also .gz)",
            printable_name(str(self.root)) + ("" if self.root.expanduser().exists() else ", which does not exist"),
            "Name one with --set data.root=…",
        )

    def sources(self, part: str) -> list[Source]:
        """Return the files of a part: those that are named for it, else a tenth of all for testing."""
        texts = self.texts
        if any(text.part for text in texts):
            return [Source(text.name, False, text.label) for text in texts if text.part == part]
        if len(texts) == 1 or self.kind() not in DOCUMENTS:
            return [Source(text.name, True, text.label) for text in texts]
        ranked = sorted(texts, key=lambda text: hash_number(text.name))
        held_out = {text.name for text in ranked[: -(-len(texts) // TEST_PERIOD)]}
        return [Source(text.name, False, text.label) for text in texts if (text.name in held_out) == (part == "test")]

    def facts(self, part: str) -> dict[str, Any]:
        """Return what determines the documents of a part."""
        sources = self.sources(part)
        digests = self.tree.digest_each([source.name for source in sources])
        files = [(*source, digest) for source, digest in zip(sources, digests, strict=True)]
        root = self.root.expanduser().resolve()
        return {"root": root, "files": files, "part": part, "unit": self.unit, "encoding": self.encoding}

    def pieces(self, part: str, names: tuple[str, ...] = ()) -> Iterator[Piece]:
        """Yield the documents of a part, piece by piece; labeled where names of classes are given.

        Raises:
            PretaskError: A file cannot be read as text, a line of a table has no label or an unknown one.
        """
        with self.tree:
            for source in self.sources(part):
                if find_suffix(source.name) == ".tsv":
                    for row in self.table(source, part):
                        yield from row_pieces(row, names)
                elif find_suffix(source.name) in LABEL:
                    for sentence in self.sentences(source, part):
                        yield from cut([sentence.text])
                else:
                    label = number_class(source.label, names, self.tree.locate(source.name))
                    for piece in split_documents(self.read_part(source, part), self.unit):
                        yield piece._replace(label=label)

    def label_names(self) -> tuple[str, ...]:
        """List the classes of the training part, in order."""
        sources = self.sources("train")
        if self.kind() != ".tsv":
            return tuple(sorted({source.label for source in sources} - {""}))
        with self.tree:
            return tuple(sorted({row.label for source in sources for row in self.table(source, "train")}))

    def tagged_sentences(self, part: str) -> Iterator[Sentence]:
        """Yield the sentences of a part."""
        with self.tree:
            for source in self.sources(part):
                yield from self.sentences(source, part)

    def tag_names(self) -> tuple[str, ...]:
        """List the labels of words in the training part, in order."""
        return tag_names(self.tagged_sentences("train"))

    def sentences(self, source: Source, part: str) -> Iterator[Sentence]:
        """Yield the sentences of a file that belong to a part: of a divided one, a tenth by hash is for testing."""
        place = self.tree.locate(source.name)
        for sentence in sentences(self.lines(source.name), find_suffix(source.name), place):
            if not source.divided or is_for_test(sentence.text) == (part == "test"):
                yield sentence

    def read_part(self, source: Source, part: str) -> Iterator[str]:
        """Yield what of a text belongs to a part: of one that is divided, the first nine tenths are for training."""
        if not source.divided:
            return self.characters(source.name)
        begin = sum(map(len, self.characters(source.name))) * (TEST_PERIOD - 1) // TEST_PERIOD
        limits = (0, begin) if part == "train" else (begin, None)
        return cut_text(self.characters(source.name), *limits)

    def table(self, source: Source, part: str) -> Iterator["TableRow"]:
        """Yield the rows of a table that belong to a part: of a divided one, a tenth by hash is for testing."""
        header, where = self.header(source.name), self.tree.locate(source.name)
        for number, line in enumerate(self.lines(source.name), start=1):
            if header is not None and number == header.line:
                continue
            if line.strip() and (not source.divided or is_for_test(line) == (part == "test")):
                place = f"line {number} of {where}"
                cells = line.split("\t")
                label = 0 if header is None else header.label
                if len(cells) < 2 or label >= len(cells):
                    raise PretaskError(
                        "text", "a label and a tab before each text", place, "Write label<TAB>text in that line."
                    )
                yield TableRow(cells[label].strip(), cells[:label] + cells[label + 1 :], place)

    def lines(self, name: str) -> Iterator[str]:
        """Yield the lines of a file."""
        return split_lines(self.characters(name))

    def characters(self, name: str) -> Iterator[str]:
        """Yield the text of a file in parts."""
        return read_characters(lambda: self.tree.open(name), self.tree.locate(name), self.encoding)

    def header(self, name: str) -> Header | None:
        """Return the line of a table that names its columns, where it has one."""
        if name not in self.headers:
            self.headers[name] = find_header(self.tree.locate(name), lambda: self.lines(name))
        return self.headers[name]

    @cached_property
    def headers(self) -> dict[str, Header | None]:
        """The headers of tables that were looked at."""
        return {}


class TableRow(NamedTuple):
    """A labeled text, or several that belong together."""

    label: str
    texts: list[str]
    place: str


def row_pieces(row: TableRow, names: tuple[str, ...]) -> Iterator[Piece]:
    """Yield the texts of a row, with a separator between them; without a label where there are no names of classes."""
    label = number_class(row.label, names, row.place)
    for text in row.texts[:-1]:
        yield from (piece._replace(label=label) for piece in cut([text], then="separator"))
    yield from (piece._replace(label=label) for piece in cut(row.texts[-1:], empty=True))


def number_class(label: str, names: tuple[str, ...], place: str) -> int:
    """Return the number of a class; -1 where there are no classes, or it is none; raise PretaskError for another."""
    if not names or not label:
        return NO_LABEL
    if label not in names:
        raise PretaskError(
            "text",
            f"labels that the training part has ({', '.join(names[:5])}{' …' if names[5:] else ''})",
            f"'{label}' in {place}",
            "Correct the label, or add such texts to train on.",
        )
    return names.index(label)


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


def is_text(name: str) -> bool:
    """Return whether a file of that name is read."""
    return bool(find_suffix(name))


def find_suffix(name: str) -> str:
    """Find one of SUFFIXES, compressed or not; empty for other files."""
    plain = name.lower().removesuffix(".gz")
    return next((ending for ending in SUFFIXES if plain.endswith(ending)), "")


def hash_number(text: str) -> int:
    """Return a number that looks random and is always the same."""
    return int.from_bytes(hash_text(text, 8))


def is_for_test(text: str) -> bool:
    """Return whether a line is for testing; equal ones go the same way."""
    return is_tenth(hash_text(text, 8))
