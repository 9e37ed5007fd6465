"""Supervised: what the data sets of labeled texts share: their files, their tokenizer, and pieces that fit into a row.

A table is read as it stands: a quotation mark is a letter of the text, a mark of UTF-8 at the beginning is none, and
lines end in any of the three ways. A row is `first, separator, second, end`, or `first, end`. Where two pieces are too
long for a row, the longer one loses its end, token by token, until they fit; an empty piece stays empty.

Source: Devlin et al., NAACL 2019, the released run_classifier.py (which piece is cut).
Axes: N rows, L tokens.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pretask import Labels, Observed, PretaskError, Samples
from pretask.cache import cached, fingerprint
from pretask.options import Size

from pretask_plugins.data.text.characters import read_characters, split_lines
from pretask_plugins.data.text.corpus import MAX_PIECE_CHARACTERS, Corpus, Unit, cut
from pretask_plugins.data.text.rows import Extent, choose_dtype
from pretask_plugins.data.text.spoken import TextData
from pretask_plugins.data.text.tokenization import Kind, Tokenization, VocabularySize, learn, read_tokenizer
from pretask_plugins.shared.listing.digests import digest_files
from pretask_plugins.shared.listing.names import natural_key
from pretask_plugins.shared.parts import PART_FOLDERS, part_of_word

LABEL = "class"  # the name of the labels
NO_LABEL = -1
MIN_LENGTH = 4  # of a row: two pieces of one token, a separator and the end
AT_ONCE = 1024  # texts that are encoded at once


class Example(NamedTuple):
    """A text or two, and their label.

    Args:
        texts: One or two.
        label: The name of its class; empty where it has none.
        place: Where it stands, for errors.
    """

    texts: tuple[str, ...]
    label: str
    place: str


@dataclass(frozen=True, kw_only=True)
class SupervisedText(TextData):
    """Options that all data sets of labeled texts share.

    Args:
        root: A file, or a folder with files of the parts, such as train.tsv and dev.tsv.
        length: Tokens of a row.
        tokenizer: Byte pairs, bytes and characters read back exactly; word pieces and words know no spaces.
        vocab_size: Ids at most.
        learn_from: A corpus that the tokenizer shall be learned from, as the data `text` reads it, or a tokenizer's
            .json file: what a model that was trained on other text needs.
        document: What is a document in .txt files of learn_from.
        lowercase: Whether word pieces and words are in lower case and without accents.
        encoding: Of the files.
    """

    root: Path
    length: Size = 128
    tokenizer: Kind = "bpe"
    vocab_size: VocabularySize = 8192
    learn_from: Path | None = None
    document: Unit = "file"
    lowercase: bool = True
    encoding: str = "utf-8"

    def __call__(self, part: str, /) -> Samples:
        """Return one part.

        Raises:
            PretaskError: There is no file, it has another layout, or a label or an answer is none that can be.
        """
        return self.rows(part)[0]

    def extent(self, part: str) -> Extent:
        """Return tokens and bytes of a part."""
        return self.rows(part)[1]

    @abstractmethod
    def rows(self, part: str) -> tuple[Samples, Extent]:
        """Return the rows of a part, and how much text they came of."""

    @abstractmethod
    def texts(self) -> Iterable[str]:
        """Yield the texts of the training part, from which the tokenizer is learned."""

    @abstractmethod
    def facts(self, part: str) -> Mapping[str, Any]:
        """Return what determines the examples of a part."""

    @cached_property
    def tokenization(self) -> Tokenization:
        """The tokenizer, from the cache or learned."""
        home = self.learn_from
        if home is not None and home.suffix == ".json":
            return read_tokenizer(home)
        if home is None:
            return self.learn(dict(self.facts("train")), lambda: cut_long(self.texts()), self.root.name)
        corpus = Corpus(home, self.document, self.encoding)
        return self.learn(corpus.facts("train"), lambda: (piece.text for piece in corpus.pieces("train")), home.name)

    def learn(self, facts: Mapping[str, Any], texts: Callable[[], Iterable[str]], name: str) -> Tokenization:
        """Learn a tokenizer of texts."""
        return learn(self.tokenizer, self.vocab_size, self.lowercase, facts, texts, name)


def cut_long(texts: Iterable[str]) -> Iterator[str]:
    """Yield texts in pieces that are not too long for the library."""
    for text in texts:
        if len(text) <= MAX_PIECE_CHARACTERS:
            yield text
        else:
            yield from (piece.text for piece in cut([text]))


def find_files(
    who: str, root: Path, part: str, endings: Sequence[str], prefer: Sequence[str] = ()
) -> tuple[Path, bool]:
    """Find the file of a part, and whether it is divided: one file for both parts.

    Args:
        who: The data set, for errors.
        root: A file, or a folder.
        part: `train` or `test`.
        endings: Of the files.
        prefer: Words in names that are taken for the test part before others, such as `dev`, whose labels are known.

    Raises:
        PretaskError: There is no such file.
    """
    place = root.expanduser()
    if place.is_file():
        return place, True
    files = [path for path in place.glob("*") if path.name.lower().removesuffix(".gz").endswith(tuple(endings))]
    words = [word for word in [*prefer, *PART_FOLDERS[part]] if part_of_word(word) == part]
    for word in words:
        found = sorted(
            (path for path in files if word in split_name(path.name)), key=lambda path: natural_key(path.name)
        )
        if found:
            return found[0], False
    if len(files) == 1:
        return files[0], True
    raise PretaskError(
        who,
        f"a file for the part {part} in {root}, such as {words[0]}{endings[0]}",
        ", ".join(sorted(path.name for path in files)[:5]) or "no such file",
        "Name one so, or set data.root to one file, of which a tenth is for testing.",
    )


def split_name(name: str) -> list[str]:
    """Return the words of a file's name.

    >>> split_name("dev-v1.1.json")
    ['dev', 'v1', '1', 'json']
    """
    return "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()


def read_text(path: Path, encoding: str) -> Iterator[str]:
    """Yield the text of a file in parts."""
    return read_characters(lambda: path.open("rb"), str(path), encoding)


def read_table(path: Path, encoding: str) -> Iterator[tuple[list[str], str]]:
    """Yield the cells of every line that is not empty, with where it is."""
    for number, line in enumerate(split_lines(read_text(path, encoding)), start=1):
        if line.strip():
            yield [cell.strip() for cell in line.split("\t")], f"line {number} of {path}"


def find_columns(who: str, names: Sequence[str], wanted: Sequence[str], place: str) -> list[int]:
    """Return where columns are; raise PretaskError where one is missing."""
    missing = [name for name in wanted if name not in names]
    if missing:
        raise PretaskError(
            who,
            f"the column {' and '.join(missing)}",
            f"the columns {', '.join(names)} in {place}",
            "Name the columns in the first line of the file.",
        )
    return [[*names].index(name) for name in wanted]


def digest(path: Path) -> str:
    """Return the hash of a file's content."""
    return digest_files([path])[0]


def number_labels(who: str, examples: Iterable[Example], names: Sequence[str]) -> Iterator[int]:
    """Yield the number of every example's class; raise PretaskError for one that the training part has not."""
    numbers = {name: number for number, name in enumerate(names)} | {"": NO_LABEL}
    for example in examples:
        if example.label not in numbers:
            some = ", ".join([*names][:5]) + (" …" if len(names) > 5 else "")
            raise PretaskError(
                who,
                f"labels that the training part has ({some})",
                f"'{example.label}' in {example.place}",
                "Correct the label, or add such texts to train on.",
            )
        yield numbers[example.label]


def rewrite_score(who: str, example: Example) -> Example:
    """Return an example whose label is a number, in one form; raise PretaskError for another.

    >>> rewrite_score("it", Example(("so",), "3.50", "line 1")).label
    '3.5'
    """
    try:
        return example._replace(label=repr(float(example.label)) if example.label else "")
    except ValueError:
        needs, got = "labels that are numbers", f"'{example.label}' in {example.place}"
        raise PretaskError(who, needs, got, "Correct it, or use data of classes.") from None


def supervised_samples(
    who: str,
    facts: Mapping[str, Any],
    tokenization: Tokenization,
    length: int,
    examples: Callable[[], Sequence[Example]],
    names: Sequence[str],
) -> tuple[Samples, Extent]:
    """Return examples as rows with a class each; made where the cache has none.

    Raises:
        PretaskError: There is no example, or one has a label that is none of the names.
    """
    check_length(who, length)

    def make(folder: Path) -> Mapping[str, Any]:
        every = list(examples())
        if not every:
            raise PretaskError(who, "labeled texts", "none", "Use a file with some.")
        labels = np.array([*number_labels(who, every, names)], np.int64)
        rows, size = encode_examples(tokenization, every, length)
        np.save(folder / "rows.npy", rows.astype(choose_dtype(tokenization.vocabulary.size)))
        np.save(folder / "labels.npy", labels)
        known = fingerprint(rows, labels, names=names)
        return {"tokens": int((rows != pad_of(tokenization)).sum()), "bytes": size, "fingerprint": known}

    description = {"supervised": 1, "facts": dict(facts), "tokenizer": tokenization.content, "length": length}
    arrays, notes = cached("text", {**description, "names": list(names)}, make)
    rows, labels = torch.from_numpy(arrays["rows"]), torch.from_numpy(arrays["labels"])
    seen = Observed("text", (length,), "int64", len(rows), tokenization.vocabulary)
    present = rows.ne(pad_of(tokenization))
    known = {LABEL: Labels(labels, tuple(names))}
    return Samples(seen, rows, known, present, notes["fingerprint"]), Extent(notes["tokens"], notes["bytes"])


def check_length(who: str, length: int) -> None:
    """Raise PretaskError where a row has no room for two pieces."""
    if length < MIN_LENGTH:
        raise PretaskError(who, f"data.length of at least {MIN_LENGTH}", f"{length}", "Set a larger one.", exit_code=2)


def pad_of(tokenization: Tokenization) -> int:
    """Return the id of padding."""
    return tokenization.vocabulary.id("pad") or 0


def encode_examples(tokenization: Tokenization, examples: Sequence[Example], length: int) -> tuple[np.ndarray, int]:
    """Return the rows of examples, and how many bytes of text they came of."""
    rows = np.full((len(examples), length), pad_of(tokenization), np.int64)
    texts = [text for example in examples for text in example.texts]
    ids = [
        row for begin in range(0, len(texts), AT_ONCE) for row in tokenization.encode(texts[begin : begin + AT_ONCE])
    ]
    place = 0
    for row, example in zip(rows, examples, strict=True):
        pieces = ids[place : place + len(example.texts)]
        place += len(example.texts)
        joined = join_pieces(tokenization, pieces, length)
        row[: len(joined)] = joined
    return rows, sum(len(text.encode()) for text in texts)


def join_pieces(tokenization: Tokenization, pieces: Sequence[Sequence[int]], length: int) -> list[int]:
    """Return one or two pieces as a row without padding, the longer one cut where they are too long."""
    end, separator = (tokenization.vocabulary.id(role) for role in ("end", "separator"))
    if len(pieces) == 1:
        return [*pieces[0][: length - 1], *([end] if end is not None else [])]
    first, second = cut_pair(len(pieces[0]), len(pieces[1]), length - 2)
    inner = [separator] if separator is not None else []
    return [*pieces[0][:first], *inner, *pieces[1][:second], *([end] if end is not None else [])]


def cut_pair(first: int, second: int, room: int) -> tuple[int, int]:
    """Return how many tokens of two pieces are kept: the longer one is cut until both fit.

    >>> cut_pair(10, 3, 8), cut_pair(10, 9, 8), cut_pair(2, 3, 8)
    ((5, 3), (4, 4), (2, 3))
    """
    if first + second <= room:
        return first, second
    half = room // 2
    if min(first, second) <= half:
        return (first, room - first) if first <= second else (room - second, second)
    return room - half, half
