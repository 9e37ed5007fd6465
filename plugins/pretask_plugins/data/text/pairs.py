"""Pairs: your own pairs of texts with a class or a number, from tables.

A line is label<TAB>text<TAB>text. A first line that names its columns is no pair; where it has more columns than three,
`columns` says which are meant. Without files for both parts, a tenth of the lines, by their hash, is for testing.

Source: Bowman et al., EMNLP 2015 (pairs with a class); Cer et al., SemEval 2017 (with a number).
Axes: N rows, L tokens.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pretask import PretaskError, Samples

from pretask_plugins.data.text.characters import split_lines
from pretask_plugins.data.text.headers import find_header
from pretask_plugins.data.text.rows import Extent
from pretask_plugins.data.text.supervised import (
    Example,
    SupervisedText,
    digest,
    find_columns,
    find_files,
    read_table,
    read_text,
    rewrite_score,
    supervised_samples,
)
from pretask_plugins.shared.parts import check_part, hash_text, is_tenth

WHO = "pairs"
COLUMNS = 3


@dataclass(frozen=True, kw_only=True)
class Pairs(SupervisedText):
    """Rows (L,) of two texts with a separator between them, and the class of each pair.

    Args:
        columns: Names of the columns of label, first and second text, where the first line names more than these.
        numbers: Whether labels are numbers to be predicted, such as how similar two sentences are; the classes are
            then the numbers that occur in either part.
    """

    columns: tuple[str, ...] = ()
    numbers: bool = False

    def __post_init__(self) -> None:
        if self.columns and len(self.columns) != COLUMNS:
            needs, got = "three names in data.columns: label, first text, second text", ", ".join(self.columns)
            raise PretaskError(WHO, needs, got, "Name three, or none.", exit_code=2)

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write a table of pairs for each part."""
        texts = ("it rains", "the sun shines", "snow fell", "leaves turn")
        for part, whens in (("train", range(1900, 1912)), ("test", range(2000, 2006))):
            lines = [
                f"{number % 2}\t{text} in {when}\t{texts[(place + number % 2) % len(texts)]} in {when}"
                for number, when in enumerate(whens)
                for place, text in enumerate(texts)
            ]
            (folder / f"{part}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return {"root": folder, "length": 24, "vocab_size": 300}

    def rows(self, part: str) -> tuple[Samples, Extent]:
        """Return the rows of a part, and how much text they came of."""
        check_part(WHO, part)
        return supervised_samples(
            WHO, self.facts(part), self.tokenization, self.length, lambda: self.examples(part), self.names
        )

    def facts(self, part: str) -> dict[str, Any]:
        """Return what determines the pairs of a part."""
        path, divided = find_files(WHO, self.root, part, (".tsv",))
        about = {"columns": list(self.columns), "encoding": self.encoding, "part": part, "divided": divided}
        return {"file": digest(path), **about}

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The classes of the training part in order, or the numbers of both parts."""
        if not self.numbers:
            return tuple(sorted({example.label for example in self.examples("train")} - {""}))
        every = [example for part in ("train", "test") for example in self.examples(part)]
        return tuple(sorted({example.label for example in every} - {""}, key=float))

    def texts(self) -> Iterator[str]:
        """Yield the texts to learn from."""
        return (text for example in self.examples("train") for text in example.texts)

    def examples(self, part: str) -> list[Example]:
        """Return the pairs of a part."""
        path, divided = find_files(WHO, self.root, part, (".tsv",))
        return list(read_pairs(path, self.encoding, self.columns, self.numbers, part if divided else ""))


def read_pairs(path: Path, encoding: str, columns: tuple[str, ...], numbers: bool, part: str) -> Iterator[Example]:
    """Yield the pairs of a table.

    Args:
        path: The file.
        encoding: Of it.
        columns: Names of the three columns; none for the first three.
        numbers: Whether labels must be numbers.
        part: Of which lines are wanted; empty for all.
    """
    lines = read_table(path, encoding)
    header = None if columns else find_header(str(path), lambda: split_lines(read_text(path, encoding)))
    places = [0, 1, 2]
    for number, (cells, place) in enumerate(lines):
        if number == 0 and columns:
            places = find_columns(WHO, cells, columns, place)
            continue
        if number == 0 and header is not None:
            places = [header.label, *(column for column in range(len(cells)) if column != header.label)]
            check_width(cells, place)
            continue
        if not columns:
            check_width(cells, place)
        if len(cells) <= max(places):
            raise no_pair(cells, place)
        if part and is_tenth(hash_text("\t".join(cells), 8)) != (part == "test"):
            continue
        label, first, second = (cells[column] for column in places)
        example = Example((first, second), label, place)
        yield rewrite_score(WHO, example) if numbers else example


def check_width(cells: list[str], place: str) -> None:
    """Raise PretaskError unless a line has three cells."""
    if len(cells) != COLUMNS:
        raise no_pair(cells, place)


def no_pair(cells: list[str], place: str) -> PretaskError:
    """Make the error for a line that is no pair."""
    return PretaskError(
        WHO,
        "a label and two texts with tabs between them in every line",
        f"{len(cells)} columns in {place}",
        "Correct that line, or name the three columns with data.columns, as the first line of the file does.",
    )
