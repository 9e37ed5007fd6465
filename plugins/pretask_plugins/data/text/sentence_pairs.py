"""Sentence pairs: two spans of sentences in a row, of which the second follows the first or is of another document.

    first, separator, second, end           the second span follows the first
    first, separator, second, separator     it is a span of another document

How a row ends is part of what is observed: the split mask-tokens-pair (`pieces=given`) hides it, and asks for it.

Rows are made as the released create_pretraining_data.py makes them: sentences of a document are taken until they fill a
row, and cut at a random one; the second span is random in half of all cases, and wherever there is one sentence only;
sentences that were not used then are put back. So more than half of the second spans are random, 56 to 60 % in
documents of 3 to 40 sentences. With `random_next=half` a single sentence takes the next one of its document along, and
one without a next is left out: half are random, as the paper says.

Source: Devlin et al., NAACL 2019, section 3.1 and appendix A.2; the released create_pretraining_data.py.
Differs: tokens are masked by the split, anew in every epoch. Documents are read once, theirs ten times for the sake of
other masks and pairs (`repeats`).
Axes: N rows, L tokens.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pretask import Labels, Observed, PretaskError, Samples
from pretask.cache import cached, fingerprint
from pretask.mapped import map_file
from pretask.options import Fraction, NonNegativeInt, PositiveInt

from pretask_plugins.data.text.corpus import DOCUMENTS, Corpus
from pretask_plugins.data.text.rows import (
    Block,
    Extent,
    Piece,
    Tally,
    choose_dtype,
    gather_rows,
    map_present,
    write_blocks,
)
from pretask_plugins.data.text.sentences import Ending, Sentences, write_sentences
from pretask_plugins.data.text.supervised import SupervisedText, check_length
from pretask_plugins.data.text.tokenization import Tokenization
from pretask_plugins.shared.parts import check_part

WHO = "sentence-pairs"
LABEL, NAMES = "is_next", ("random", "next")
TRIES = 10  # to find another document, as in the released code; no more are needed where there are several
MIN_SHORT = 2  # tokens of a shorter row, at least
BLOCK = 1024  # rows that are written at once

RandomNext = Literal["released", "half"]


@dataclass(frozen=True, kw_only=True)
class SentencePairs(SupervisedText):
    """Rows (L,) of two spans of sentences, with the label `is_next`.

    Args:
        document: What a document is; here also in the files of `root`.
        sentences: What ends a sentence: punctuation, or a line (BERT's own layout, with document=paragraph).
        random_next: How many second spans are random: as the released code has it, or half.
        short_prob: Probability that the rows of a document are shorter.
        repeats: How often every document is read.
        seed: Of the choices.
    """

    sentences: Ending = "punctuation"
    random_next: RandomNext = "released"
    short_prob: Fraction = 0.1
    repeats: PositiveInt = 1
    seed: NonNegativeInt = 0

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write several stories for each part."""
        for part, years in (("train", range(1900, 1912)), ("test", range(2000, 2006))):
            stories = [
                " ".join(f"In {year} {who} went {where}." for who in ("she", "he", "nobody") for where in ("up", "out"))
                for year in years
            ]
            (folder / f"{part}.txt").write_text("\n\n".join(stories) + "\n", encoding="utf-8")
        return {"root": folder, "length": 48, "vocab_size": 300, "document": "paragraph"}

    @property
    def corpus(self) -> Corpus:
        """The files of text below the root."""
        return Corpus(self.root, self.document, self.encoding)

    def texts(self) -> Iterator[str]:
        """Yield the texts to learn from."""
        return (piece.text for piece in self.pieces("train"))

    def pieces(self, part: str) -> Iterator[Piece]:
        """Yield the documents of a part, piece by piece; raise PretaskError where files are no plain text."""
        if self.corpus.kind() not in DOCUMENTS:
            raise PretaskError(
                WHO, "files of plain text, .txt", self.corpus.kind(), "Use the data text or pairs for tables."
            )
        return self.corpus.pieces(part)

    def facts(self, part: str) -> dict[str, Any]:
        """Return what determines the documents of a part."""
        return self.corpus.facts(part)

    def rows(self, part: str) -> tuple[Samples, Extent]:
        """Return the rows of a part, and how much text they came of."""
        check_part(WHO, part)
        check_length(WHO, self.length)
        chosen = {"random_next": self.random_next, "short_prob": self.short_prob, "repeats": self.repeats}
        arrays, notes = cached(
            "text",
            {
                "sentence pairs": 1,
                "corpus": self.facts(part),
                "tokenizer": self.tokenization.content,
                "length": self.length,
                "sentences": self.sentences,
                "seed": self.seed,
                **chosen,
            },
            lambda folder: self.write(folder, self.pieces(part)),
        )
        rows, labels = torch.from_numpy(arrays["rows"]), torch.from_numpy(arrays["labels"])
        seen = Observed("text", (self.length,), "int64", len(rows), self.tokenization.vocabulary)
        present = map_present(arrays, self.tokenization)
        found = Samples(seen, rows, {LABEL: Labels(labels, NAMES)}, present, notes["fingerprint"])
        return found, Extent(notes["tokens"], notes["bytes"])

    def write(self, folder: Path, pieces: Iterable[Piece]) -> Mapping[str, Any]:
        """Write rows and labels piece by piece, and return the notes of the entry."""
        tally = Tally()
        sentences = write_sentences(folder / "sentences", self.tokenization, tally.count_bytes(pieces), self.sentences)
        if len(sentences) < 2:
            raise PretaskError(
                WHO,
                "two documents or more, so that a second span can be of another one",
                f"{len(sentences)}",
                "Use more files, or set data.document=paragraph.",
            )
        dtype = choose_dtype(self.tokenization.vocabulary.size)
        made = (pair for repeat in range(self.repeats) for pair in self.draw_pairs(sentences, repeat))
        labels = write_blocks(folder / "spilled", lay_out(made, self.length, self.tokenization), dtype)
        if not len(labels):
            needs = "documents of two sentences or more"
            raise PretaskError(WHO, needs, "single sentences", "Set data.random_next=released, or a larger document.")
        gather_rows(folder, (len(labels), self.length), dtype, self.tokenization)
        (folder / "sentences").unlink()
        np.save(folder / "labels.npy", labels)
        known = fingerprint(map_file(folder / "rows.npy"), labels, names=NAMES, dtype="int64")
        return {"tokens": len(sentences.ids), "bytes": tally.bytes, "fingerprint": known}

    def draw_pairs(self, sentences: Sentences, repeat: int) -> Iterator["Pair"]:
        """Yield the pairs of all documents, read once."""
        chance = random.Random(f"{self.seed} {repeat}")
        room = self.length - 2  # the separator and what ends the row
        for document in range(len(sentences)):
            short = chance.random() < self.short_prob
            target = chance.randint(min(MIN_SHORT, room), room) if short else room
            yield from pair_document(sentences, document, target, room, chance, self.random_next)


class Pair(NamedTuple):
    """Ids of two spans, and whether the second follows the first."""

    first: list[int]
    second: list[int]
    is_next: bool


def pair_document(
    sentences: Sentences, document: int, target: int, room: int, chance: random.Random, random_next: RandomNext
) -> Iterator[Pair]:
    """Yield the pairs of a document, as `create_instances_from_document` of the released code does.

    Args:
        sentences: Of all documents.
        document: Whose sentences come first.
        target: Tokens that a pair is filled up to.
        room: Tokens of a pair, at most.
        chance: Makes the choices.
        random_next: What becomes of a single sentence.
    """
    begin, end = sentences.limits(document)
    at, size = begin, 0
    while at < end:
        size += sentences.size(at)
        at += 1
        if at < end and (size < target or (random_next == "half" and at - begin == 1)):
            continue
        count = at - begin
        if count == 1 and random_next == "half":  # the last sentence of the document
            return
        cut = begin + (chance.randint(1, count - 1) if count > 1 else 1)
        first = sentences.read(begin, cut)
        is_next = not (count == 1 or chance.random() < 0.5)
        if is_next:
            second = sentences.read(cut, at)
        else:
            second = draw_random_span(sentences, document, target - len(first), chance)
            at = cut  # what was not used is put back
        yield Pair(*truncate(first, second, room, chance), is_next)
        begin, size = at, 0


def draw_random_span(sentences: Sentences, document: int, target: int, chance: random.Random) -> list[int]:
    """Read sentences of another document from a random one on, until they have as many tokens as wanted."""
    other = document
    for _ in range(TRIES):
        other = chance.randint(0, len(sentences) - 1)
        if other != document:
            break
    else:
        other = (document + 1) % len(sentences)
    begin, end = sentences.limits(other)
    first = chance.randint(begin, end - 1)
    after = first + 1
    while after < end and sentences.begins[after] - sentences.begins[first] < target:
        after += 1
    return sentences.read(first, after)


def truncate(first: list[int], second: list[int], room: int, chance: random.Random) -> tuple[list[int], list[int]]:
    """Take tokens off the longer span, from its beginning or its end by chance, until both fit.

    >>> [len(span) for span in truncate([1] * 9, [2] * 4, 8, random.Random(0))]
    [4, 4]
    """
    limits = [[0, len(first)], [0, len(second)]]
    while sum(stop - start for start, stop in limits) > room:
        longer = limits[0] if limits[0][1] - limits[0][0] > limits[1][1] - limits[1][0] else limits[1]
        if chance.random() < 0.5:
            longer[0] += 1
        else:
            longer[1] -= 1
    (start, stop), (begin, end) = limits
    return first[start:stop], second[begin:end]


def lay_out(pairs: Iterable[Pair], length: int, tokenization: Tokenization) -> Iterator[Block]:
    """Yield rows of pairs with their labels, many at once."""
    pad, separator, end = (tokenization.vocabulary.id(role) or 0 for role in ("pad", "separator", "end"))
    rows: list[list[int]] = []
    labels: list[int] = []
    for first, second, is_next in pairs:
        row = [*first, separator, *second, end if is_next else separator]
        rows.append(row + [pad] * (length - len(row)))
        labels.append(int(is_next))
        if len(rows) == BLOCK:
            yield np.array(rows, np.int64), labels
            rows, labels = [], []
    if rows:
        yield np.array(rows, np.int64), labels
