"""Tagged: sentences whose words have a label each, as rows of ids with a label where a word begins.

Files are CoNLL-U (ten columns, `upos` is the label) or a word and its tag in every line; an empty line ends a sentence.
The words of a sentence are joined by spaces, whatever stood between them, so that no token lies in two words that stand
apart. A word's label sits at its first token; a word that is cut off, or of which nothing is left, has none.

Source: Nivre et al., LREC 2016 (CoNLL-U); Tjong Kim Sang and De Meulder, CoNLL 2003 (a tag per line); Devlin et al.,
NAACL 2019, section 5.3 (first tokens).
Differs: spaces, see above.
Axes: N sentences, L tokens.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pretask import Labels, Observed, PretaskError, Samples
from pretask.cache import cached, fingerprint

from pretask_plugins.data.text.rows import Encoded, Extent, choose_dtype, separate_rows
from pretask_plugins.data.text.tokenization import Tokenization

LABEL = {".conllu": "upos", ".conll": "tag"}  # the name of the labels by the ending of the files
NO_TAG = -1
BATCH_SENTENCES = 1024  # sentences that are encoded at once


class Word(NamedTuple):
    """A word and its label; empty where it has none."""

    text: str
    label: str


class Sentence(NamedTuple):
    """Words, and where they stand."""

    words: tuple[Word, ...]
    place: str

    @property
    def text(self) -> str:
        """The words with a space between them."""
        return " ".join(word.text for word in self.words)


def sentences(lines: Iterable[str], ending: str, place: str) -> Iterator[Sentence]:
    """Read the sentences of a file.

    Args:
        lines: Of the file.
        ending: `.conllu` or `.conll`.
        place: Where the file is, for errors.

    Raises:
        PretaskError: A line has too few columns.
    """
    words: list[Word] = []
    begin = 1
    for number, line in enumerate(lines, start=1):
        if line.strip():
            words += read_word(line, ending, f"line {number} of {place}")
        else:
            if words:
                yield Sentence(tuple(words), f"the sentence of line {begin} of {place}")
            words, begin = [], number + 1
    if words:
        yield Sentence(tuple(words), f"the sentence of line {begin} of {place}")


def read_word(line: str, ending: str, place: str) -> list[Word]:
    """Read the word of a line; none where it is a comment, several words in one form, or a word that is not written."""
    columns = line.split("\t")
    if ending == ".conll":
        if len(columns) < 2:
            raise bad_line("a word, a tab and its tag", place)
        return [Word(columns[0].strip(), columns[-1].strip())]
    if line.startswith("#"):
        return []
    if len(columns) < 4:
        raise bad_line("the columns of CoNLL-U with tabs between them", place)
    if not columns[0].isdecimal():  # 3-4 or 8.1
        return []
    return [Word(columns[1].strip(), "" if columns[3] == "_" else columns[3])]


def bad_line(needs: str, place: str) -> PretaskError:
    """Make the error for a line that cannot be read."""
    return PretaskError("text", f"{needs} in every line", place, "Put tabs between the columns of that line.")


def tag_names(of: Iterable[Sentence]) -> tuple[str, ...]:
    """List the labels that occur, in order."""
    return tuple(sorted({word.label for sentence in of for word in sentence.words} - {""}))


def tagged_samples(
    facts: Mapping[str, Any],
    tokenization: Tokenization,
    length: int,
    label: str,
    names: Sequence[str],
    of: Callable[[], Iterable[Sentence]],
) -> tuple[Samples, Extent]:
    """Return the sentences of a part as rows, one each, labeled position by position; made where the cache has none.

    Args:
        facts: What determines the sentences.
        tokenization: Encodes them.
        length: Tokens of a row.
        label: Name of the labels.
        names: Of the classes.
        of: The sentences; called only where rows must be made.

    Raises:
        PretaskError: There is no sentence, or a label that is none of the classes.
    """
    wanted = {"tagged": 1, "corpus": dict(facts), "tokenizer": tokenization.content, "length": length}
    arrays, notes = cached(
        "text", {**wanted, "names": list(names)}, lambda folder: write(folder, tokenization, length, names, of())
    )
    rows, labels = torch.from_numpy(arrays["rows"]), torch.from_numpy(arrays["labels"])
    seen = Observed("text", (length,), "int64", len(rows), tokenization.vocabulary)
    present = rows.ne(tokenization.vocabulary.id("pad") or 0)
    found = Samples(seen, rows, {label: Labels(labels, tuple(names))}, present, notes["fingerprint"])
    return found, Extent(notes["tokens"], notes["bytes"])


def write(
    folder: Path, tokenization: Tokenization, length: int, names: Sequence[str], of: Iterable[Sentence]
) -> Mapping[str, Any]:
    """Write rows and labels, and return the notes of the entry."""
    every = list(of)
    if length < 2 or not every:
        raise PretaskError(
            "text",
            "data.length of at least 2 and one sentence",
            f"{length} and {len(every)} sentences",
            "Set a larger length, or use more text.",
        )
    ids, tags = encode_sentences(tokenization, every, {name: number for number, name in enumerate(names)})
    end = tokenization.vocabulary.id("end")
    stream = [Encoded([*row, end] if end is not None else row, True, NO_TAG) for row in ids]
    rows = np.concatenate([block for block, _ in separate_rows(stream, length, tokenization)])
    labels = np.full_like(rows, NO_TAG)
    for row, row_tags in zip(labels, tags, strict=True):
        kept = row_tags[: length - 1]  # the end token follows
        row[: len(kept)] = kept
    np.save(folder / "rows.npy", rows.astype(choose_dtype(tokenization.vocabulary.size)))
    np.save(folder / "labels.npy", labels)
    size = sum(len(sentence.text.encode()) for sentence in every)
    tokens = sum(len(row.ids) for row in stream)
    return {"tokens": tokens, "bytes": size, "fingerprint": fingerprint(rows, labels, names=names)}


def encode_sentences(
    tokenization: Tokenization, of: Sequence[Sentence], numbers: Mapping[str, int]
) -> tuple[list[list[int]], list[list[int]]]:
    """Encode every sentence as ids, and a class number for each of them, NO_TAG where no word begins."""
    ids: list[list[int]] = []
    tags: list[list[int]] = []
    for begin in range(0, len(of), BATCH_SENTENCES):
        some = of[begin : begin + BATCH_SENTENCES]
        encoded = tokenization.encode_with_offsets([sentence.text for sentence in some])
        for sentence, (tokens, token_spans) in zip(some, encoded, strict=True):
            ids.append(tokens)
            tags.append(tag_tokens(sentence, token_spans, numbers))
    return ids, tags


def tag_tokens(sentence: Sentence, token_spans: Sequence[tuple[int, int]], numbers: Mapping[str, int]) -> list[int]:
    """Return the class at the first token of every word, NO_TAG elsewhere.

    Args:
        sentence: Of which the tokens are.
        token_spans: First and last character (exclusive) of every token.
        numbers: Of the classes.
    """
    tags = [NO_TAG] * len(token_spans)
    token = begin = 0
    for word in sentence.words:
        end = begin + len(word.text)
        while token < len(token_spans) and token_spans[token][1] <= begin:
            token += 1
        if token < len(token_spans) and token_spans[token][0] < end and word.label:
            tags[token] = class_number(word, numbers, sentence.place)
        begin = end + 1
    return tags


def class_number(word: Word, numbers: Mapping[str, int], place: str) -> int:
    """Return the class number of a word; raise PretaskError where the training part has no such label."""
    if word.label not in numbers:
        some = ", ".join([*numbers][:5])
        raise PretaskError(
            "text",
            f"labels that the training part has ({some}{' …' if len(numbers) > 5 else ''})",
            f"'{word.label}' in {place}",
            "Correct the label, or add such sentences to train on.",
        )
    return numbers[word.label]
