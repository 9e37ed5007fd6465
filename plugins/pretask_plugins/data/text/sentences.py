"""Sentences: documents cut into sentences, tokenized, and kept in files that are read where they are wanted.

Ends of sentences are found by punctuation, or are the ends of lines. A document is read piece by piece, and its ids
are written as they come, so that neither a corpus nor a document need fit into memory; what is kept of every sentence
is where it begins.

Source: Devlin et al., NAACL 2019, the released create_pretraining_data.py (a sentence in every line, an empty line
between documents).
Axes: T tokens of all sentences, B sentences and one, E documents and one.
"""

import re
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from pretask_plugins.data.text.rows import Piece, batch_pieces, choose_dtype
from pretask_plugins.data.text.tokenization import Tokenization

Ending = Literal["punctuation", "line"]

MAX_SENTENCE = 1 << 14  # characters after which a sentence without an end is cut

# After a mark of the end that follows no title and no initial, with whatever closes quotations and brackets, before a
# space and the beginning of another sentence: a capital letter, a digit, or what opens a quotation.
END_OF_SENTENCE = re.compile(
    r"(?<=[.!?])(?<!\bMr\.)(?<!\bMrs\.)(?<!\bDr\.)(?<!\bSt\.)(?<!\b[A-Z]\.)[\"'”’)\]]*(?=\s+[\"'“‘(\[]*[^\W_a-z])"
)


@dataclass(frozen=True)
class Sentences:
    """Tokenized sentences of documents.

    Args:
        ids: Of all sentences, one after the other; mapped.
        begins: Of every sentence in `ids`, and where the last one ends.
        documents: Number of the first sentence of every document, and how many sentences there are.
    """

    ids: Int[np.ndarray, " T"]
    begins: Int[np.ndarray, " B"]
    documents: Int[np.ndarray, " E"]

    def __len__(self) -> int:
        return len(self.documents) - 1

    def limits(self, document: int) -> tuple[int, int]:
        """Return the first sentence of a document, and the first one after it."""
        return int(self.documents[document]), int(self.documents[document + 1])

    def size(self, sentence: int) -> int:
        """Return how many tokens a sentence has."""
        return int(self.begins[sentence + 1] - self.begins[sentence])

    def read(self, first: int, after: int) -> list[int]:
        """Return the ids of sentences `first` to `after - 1` of one document."""
        ids: list[int] = self.ids[self.begins[first] : self.begins[after]].tolist()
        return ids


class Sentence(NamedTuple):
    """A sentence, after a space unless it is the first one of its document, and whether it is the last one."""

    text: str
    closes: bool


def write_sentences(path: Path, tokenization: Tokenization, pieces: Iterable[Piece], ending: Ending) -> Sentences:
    """Write the ids of all sentences to a file, and return them mapped; of sentences without a token nothing stays."""
    dtype = choose_dtype(tokenization.vocabulary.size)
    begins, documents = array("q", [0]), array("q", [0])
    with path.open("wb") as file:
        for some in batch_pieces(Piece(text, "end" if closes else "") for text, closes in split(pieces, ending)):
            for sentence, ids in zip(some, tokenization.encode([piece.text for piece in some]), strict=True):
                if ids:
                    file.write(np.array(ids, dtype).data)
                    begins.append(begins[-1] + len(ids))
                if sentence.then and documents[-1] < len(begins) - 1:
                    documents.append(len(begins) - 1)
    mapped: np.ndarray = np.memmap(path, dtype, "r") if begins[-1] else np.empty(0, dtype)
    return Sentences(mapped, np.frombuffer(begins, np.int64), np.frombuffer(documents, np.int64))


def split(pieces: Iterable[Piece], ending: Ending) -> Iterator[Sentence]:
    """Yield the sentences of documents; one that goes on in the next piece is not cut where the piece ends.

    >>> pieces = [Piece("It rains. Mr", ""), Piece(" Bean ran.", "end"), Piece("No!", "end")]
    >>> [(text, closes) for text, closes in split(pieces, "punctuation")]
    [('It rains.', False), (' Mr Bean ran.', True), ('No!', True)]
    """
    rest, space = "", ""
    for piece in pieces:
        *whole, rest = find_sentences(rest + piece.text, ending)
        for text in whole:
            yield Sentence(space + text, False)
            space = " "
        if len(rest) > MAX_SENTENCE:
            yield Sentence(space + rest.rstrip(), False)
            rest, space = "", " "
        if piece.then:
            yield Sentence(space + rest.strip(), True)
            rest = space = ""
    if rest.strip():
        yield Sentence(space + rest.strip(), True)


def find_sentences(text: str, ending: Ending) -> list[str]:
    r"""Return the sentences of a text; the last one is what is left, and may be empty.

    >>> find_sentences('He said "No." Then\nit rained. 3 men, e.g. he, ran', "punctuation")
    ['He said "No."', 'Then it rained.', '3 men, e.g. he, ran']
    >>> find_sentences("one\n\ntwo", "line")
    ['one', 'two']
    """
    if ending == "line":
        return [line.strip() for line in text.split("\n") if line.strip()] or [""]
    places = [0, *(found.end() for found in END_OF_SENTENCE.finditer(text)), len(text)]
    found = [text[begin:end] for begin, end in pairwise(places)]
    return [" ".join(part.split()) for part in found[:-1]] + [join_lines(found[-1])]


def join_lines(text: str) -> str:
    """Return a text whose end may go on: with single spaces, also at its end."""
    return " ".join(text.split()) + (" " if text[-1:].isspace() else "")
