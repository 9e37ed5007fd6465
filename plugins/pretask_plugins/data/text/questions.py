"""Questions: questions about texts, answered by spans of them, from JSON in the layout of SQuAD 1.1 and 2.0.

A row is `question, separator, text, end`. A question keeps its first `max_question` tokens. A text that is too long for
the rest of the row is shown in several rows, of which each begins `stride` tokens after the one before. The labels
`answer` say of every right answer which tokens of the text belong to it. Without files for both parts, the questions
about a tenth of the texts, by their hash, are for testing.

Source: Rajpurkar et al., EMNLP 2016; Rajpurkar, Jia and Liang, ACL 2018; Devlin et al., NAACL 2019, the released
run_squad.py (rows of long texts).
Axes: N rows, L tokens, A answers.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from pretask import Labels, Observed, PretaskError, Samples
from pretask.cache import cached, fingerprint
from pretask.options import PositiveInt

from pretask_plugins.data.text.rows import Extent, choose_dtype
from pretask_plugins.data.text.supervised import (
    AT_ONCE,
    SupervisedText,
    check_length,
    digest,
    find_files,
    pad_of,
    read_text,
)
from pretask_plugins.data.text.tokenization import Tokenization
from pretask_plugins.shared.parts import check_part, hash_text, is_tenth
from pretask_plugins.shared.questions import Question, Questions

WHO = "questions"
ANSWER, NAMES = "answer", ("outside", "inside")
NOWHERE = -1
PREFER = ("dev", "val", "valid", "validation")  # whose answers are known


class Located(NamedTuple):
    """A question, and where each of its answers begins."""

    question: Question
    begins: tuple[int, ...]


class Row(NamedTuple):
    """A question with a part of its text: ids, the characters that each stands for, and the number of the question."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    question: int


@dataclass(frozen=True, kw_only=True)
class QuestionsAboutTexts(SupervisedText):
    """Rows (L,) of a question and a text, with the labels `answer` (N, A, L).

    Args:
        max_question: Tokens of a question that are kept.
        stride: Tokens of a long text after which its next row begins.
    """

    max_question: PositiveInt = 64
    stride: PositiveInt = 128

    def questions(self, part: str, /) -> Questions:
        """Return the questions of a part, with what of their texts every row shows."""
        arrays, _ = self.arrays(part)
        questions = tuple(located.question for located in self.located(part))
        return Questions(questions, torch.from_numpy(arrays["questions"]), torch.from_numpy(arrays["offsets"]))

    @staticmethod
    def write_example(folder: Path, /) -> Mapping[str, Any]:
        """Write a file of questions for each part."""
        colors = ("red", "blue", "green", "black")
        for part, years in (("train", range(1900, 1916)), ("dev", range(2000, 2008))):
            articles = []
            for place, thing in enumerate(f"door of {year}" for year in years):
                color = colors[place % len(colors)]
                text = f"The {thing} is {color}. A man saw it."
                answers = [{"text": color, "answer_start": text.index(color)}]
                questions = [{"id": f"{part}{place}", "question": f"What color is the {thing}?", "answers": answers}]
                articles.append({"title": thing, "paragraphs": [{"context": text, "qas": questions}]})
            content = json.dumps({"version": "1.1", "data": articles})
            (folder / f"{part}.json").write_text(content, encoding="utf-8")
        return {"root": folder, "length": 48, "vocab_size": 300}

    def rows(self, part: str) -> tuple[Samples, Extent]:
        """Return the rows of a part, and how much text they came of."""
        arrays, notes = self.arrays(part)
        rows, labels = torch.from_numpy(arrays["rows"]), torch.from_numpy(arrays["labels"])
        seen = Observed("text", (self.length,), "int64", len(rows), self.tokenization.vocabulary)
        present = rows.ne(pad_of(self.tokenization))
        found = Samples(seen, rows, {ANSWER: Labels(labels, NAMES)}, present, notes["fingerprint"])
        return found, Extent(notes["tokens"], notes["bytes"])

    def arrays(self, part: str) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
        """Return rows, labels, offsets and numbers of questions, mapped once."""
        check_part(WHO, part)
        if part not in self.mapped:
            self.mapped[part] = self.map(part)
        return self.mapped[part]

    @cached_property
    def mapped(self) -> dict[str, tuple[Mapping[str, np.ndarray], Mapping[str, Any]]]:
        """The arrays of parts that were mapped."""
        return {}

    def map(self, part: str) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
        """Map the arrays of a part, which are made where the cache has none."""
        check_length(WHO, self.length)
        sizes = {"length": self.length, "max_question": self.max_question, "stride": self.stride}
        description = {"questions": 1, "facts": self.facts(part), "tokenizer": self.tokenization.content, **sizes}
        return cached("text", description, lambda folder: self.write(folder, self.located(part)))

    def write(self, folder: Path, located: Sequence[Located]) -> Mapping[str, Any]:
        """Write the arrays, and return the notes of the entry."""
        if not located:
            raise PretaskError(WHO, "questions about texts", "none", "Use a file with some.")
        made = list(make_rows(self.tokenization, located, self.length, self.max_question, self.stride))
        shape = (len(made), self.length)
        rows = np.full(shape, pad_of(self.tokenization), np.int64)
        offsets = np.full((*shape, 2), NOWHERE, np.int32)
        labels = np.full((len(made), max(1, *(len(entry.begins) for entry in located)), self.length), NOWHERE, np.int8)
        for number, row in enumerate(made):
            rows[number, : len(row.ids)] = row.ids
            offsets[number, : len(row.offsets)] = row.offsets
            mark_answers(labels[number], offsets[number], located[row.question])
        about = np.array([row.question for row in made], np.int64)
        small = rows.astype(choose_dtype(self.tokenization.vocabulary.size))
        for name, array in (("rows", small), ("labels", labels), ("offsets", offsets), ("questions", about)):
            np.save(folder / f"{name}.npy", array)
        known = fingerprint(rows, labels.astype(np.int64), names=NAMES)
        size = sum(len(entry.question.text.encode()) + len(entry.question.context.encode()) for entry in located)
        return {"tokens": int((rows != pad_of(self.tokenization)).sum()), "bytes": size, "fingerprint": known}

    def facts(self, part: str) -> dict[str, Any]:
        """Return what determines the questions of a part."""
        path, divided = find_files(WHO, self.root, part, (".json",), PREFER)
        return {"file": digest(path), "encoding": self.encoding, "part": part, "divided": divided}

    def located(self, part: str) -> tuple[Located, ...]:
        """Return the questions of a part, read once."""
        if part not in self.known:
            path, divided = find_files(WHO, self.root, part, (".json",), PREFER)
            self.known[part] = tuple(read_questions(path, self.encoding, part if divided else ""))
        return self.known[part]

    @cached_property
    def known(self) -> dict[str, tuple[Located, ...]]:
        """The questions of parts that were read."""
        return {}

    def texts(self) -> Iterator[str]:
        """Yield the questions, and every text once."""
        seen = set()
        for located in self.located("train"):
            yield located.question.text
            if located.question.group not in seen:
                seen.add(located.question.group)
                yield located.question.context


def read_questions(path: Path, encoding: str, part: str) -> Iterator[Located]:
    """Yield the questions of a file; those about texts of one part, where it is named.

    Raises:
        PretaskError: The file has another layout, or an answer is not where it says.
    """
    try:
        articles = json.loads("".join(read_text(path, encoding)))["data"]
        paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
        for group, paragraph in enumerate(paragraphs):
            context = paragraph["context"]
            if part and is_tenth(hash_text(context, 8)) != (part == "test"):
                continue
            for entry in paragraph["qas"]:
                answers = [] if entry.get("is_impossible") else entry["answers"]
                yield locate(entry["question"], context, answers, group, f"question {entry.get('id', '')} of {path}")
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, KeyError):
            error = KeyError(f"no field {error}")
        raise PretaskError(
            WHO,
            "JSON in the layout of SQuAD: data, paragraphs, context, qas, question, answers, text, answer_start",
            f"{type(error).__name__} in {path}: {error}",
            "Correct the file.",
        ) from error


def locate(text: str, context: str, answers: Sequence[Mapping[str, Any]], group: int, place: str) -> Located:
    """Return a question with its answers; raise PretaskError where one is not in the text where it says."""
    for answer in answers:
        begin, words = answer["answer_start"], answer["text"]
        if not words or begin < 0 or context[begin : begin + len(words)] != words:
            found = context[max(begin, 0) : max(begin, 0) + len(words)]
            raise PretaskError(
                WHO,
                f"an answer that stands in its text at answer_start, '{words[:40]}' at {begin}",
                f"'{found[:40]}' there, in {place}",
                "Correct answer_start, or leave the question out.",
            )
    texts = tuple(answer["text"] for answer in answers)
    return Located(Question(text, context, texts, group), tuple(answer["answer_start"] for answer in answers))


def make_rows(
    tokenization: Tokenization, located: Sequence[Located], length: int, max_question: int, stride: int
) -> Iterator[Row]:
    """Yield the rows of questions, in their order."""
    separator, end = (tokenization.vocabulary.id(role) or 0 for role in ("separator", "end"))
    for begin in range(0, len(located), AT_ONCE):
        some = located[begin : begin + AT_ONCE]
        heads = tokenization.encode([entry.question.text for entry in some])
        texts = tokenization.encode_with_offsets([entry.question.context for entry in some])
        for number, (question, (ids, spans)) in enumerate(zip(heads, texts, strict=True), start=begin):
            head = [*question[: min(max_question, length - 3)], separator]
            room = length - len(head) - 1
            for start in window_starts(len(ids), room, stride):
                shown = slice(start, start + room)
                offsets = [(NOWHERE, NOWHERE)] * len(head) + [*spans[shown], (NOWHERE, NOWHERE)]
                yield Row([*head, *ids[shown], end], offsets, number)


def window_starts(count: int, room: int, stride: int) -> list[int]:
    """Return where the rows of a text begin, so that every token is in one.

    >>> window_starts(10, 6, 4), window_starts(5, 6, 4), window_starts(20, 6, 9)
    ([0, 4], [0], [0, 6, 12, 18])
    """
    step = min(stride, room)
    return [0, *range(step, count - room + step, step)] if count > room else [0]


def mark_answers(labels: np.ndarray, offsets: np.ndarray, located: Located) -> None:
    """Write into labels (A, L) which tokens of the text belong to every answer; one that is not all there has none.

    Args:
        labels: Of one row, NOWHERE everywhere.
        offsets: (L, 2) characters of its tokens.
        located: Its question.
    """
    is_text = offsets[:, 0] != NOWHERE
    shown = offsets[is_text]
    for label, begin, text in zip(labels, located.begins, located.question.answers, strict=False):
        end = begin + len(text)
        label[is_text] = 0
        if len(shown) and shown[0, 0] <= begin and end <= shown[-1, 1]:
            label[is_text & (offsets[:, 0] < end) & (offsets[:, 1] > begin)] = 1
    if not located.begins:
        labels[0, is_text] = 0
