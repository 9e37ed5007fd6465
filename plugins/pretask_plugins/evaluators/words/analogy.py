"""Analogy: a is to b as c is to which word? That whose vector is most similar to b - a + c, the three left out.

    d = argmax over words other than a, b, c of cos(d, b - a + c)      (3CosAdd, of vectors of length 1)

With the three among the candidates, c itself or b would often win, and with few candidates the question is easy: so the
three are left out, and the candidates are the most frequent words of the training part and all words of the file.
Questions with a word that is out of vocabulary are not answered: `accuracy` is of the others, `accuracy_all` counts
them as wrong, and `coverage` says how many are answered.

Source: Mikolov, Yih and Zweig, NAACL 2013; the file as in the released word2vec; the name by Levy and Goldberg 2014.
Axes: Q questions, N candidates, D width.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from pretask import Budget, Data, Items, PretaskError, Task
from pretask.options import NonNegativeInt, PositiveInt, Size
from torch import Tensor

from pretask_plugins.evaluators.words.examples import QUESTIONS
from pretask_plugins.evaluators.words.similarity import read_lines
from pretask_plugins.evaluators.words.vectors import Context, WordReader

WHO = "analogy"
SYNTACTIC = "gram"  # how sections of grammar are called in the released file
QUESTIONS_AT_ONCE = 256


class Question(NamedTuple):
    """Four words, the last of which is the answer, and the section of the file."""

    section: str
    words: tuple[str, str, str, str]


@dataclass(frozen=True)
class Analogy:
    """Accuracy of 3CosAdd.

    Args:
        questions: A file as questions-words.txt: ": SECTION", then four words in every line. An example of words of
            toy-grammar where it is left out.
        max_words: Candidates at most, the most frequent words; those of the file are added.
        context: What stands around a word: nothing (alone), or what does in the training part (average).
        layer: Whose vectors are compared, from 1; 0 for the output.
        min_count: Occurrences of every token of a word in the training part, below which it is out of vocabulary.
        max_occurrences: Of a word, over which an average is taken.
    """

    questions: Path | None = None
    max_words: Size = 30_000
    context: Context = "alone"
    layer: NonNegativeInt = 0
    min_count: PositiveInt = 1
    max_occurrences: PositiveInt = 20

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items]]:
        """Yield `accuracy`, `accuracy_all`, `coverage`, `questions`, `oov_questions`, `candidates`, and items.

        Of a file with several sections, `SECTION.accuracy` of each, and of one with sections that begin with "gram",
        `syntactic.accuracy` and `semantic.accuracy`.

        Raises:
            PretaskError: The file cannot be read, or all of its questions have a word that is out of vocabulary.
        """
        questions = read_questions(self.questions)
        reader = WordReader(WHO, task, data, budget, self.context, self.layer, self.min_count, self.max_occurrences)
        encoded = [tuple(reader.encode(word) for word in question.words) for question in questions]
        candidates = {*reader.list_words(self.max_words).values(), *(word for words in encoded for word in words)}
        rows, vectors = reader.read(candidates)
        numbers = [[rows.get(word, -1) for word in words] for words in encoded]
        known = [min(words) >= 0 for words in numbers]
        if not any(known):
            raise PretaskError(
                WHO,
                "a question whose four words the training part has",
                f"none of {len(questions)}",
                f"Name a file of questions for such text: --set {WHO}.questions=FILE.",
            )
        answered = torch.tensor([words for words, is_known in zip(numbers, known, strict=True) if is_known])
        correct = answer(vectors, answered[:, :3]) == answered[:, 3]
        yield "accuracy", float(correct.double().mean())
        yield "accuracy", Items(correct)
        yield "accuracy_all", float(correct.sum()) / len(questions)
        yield "coverage", len(correct) / len(questions)
        yield "questions", float(len(questions))
        yield "oov_questions", float(len(questions) - len(correct))
        yield "candidates", float(len(rows))
        sections = [question.section for question, is_known in zip(questions, known, strict=True) if is_known]
        yield from score_sections(sections, correct.tolist())


def answer(vectors: Float[Tensor, "N D"], questions: Int[Tensor, "Q 3"]) -> Int[Tensor, " Q"]:
    """Return the word most similar to b - a + c, other than these.

    >>> vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.5], [0.0, 1.0], [0.1, 1.5]]))
    >>> answer(vectors, torch.tensor([[0, 1, 2]])).tolist()
    [3]
    """
    answers = []
    for begin in range(0, len(questions), QUESTIONS_AT_ONCE):
        some = questions[begin : begin + QUESTIONS_AT_ONCE]
        first, second, third = vectors[some].unbind(1)
        cosines = (second - first + third) @ vectors.T
        answers.append(cosines.scatter_(1, some, -torch.inf).argmax(1))
    return torch.cat(answers)


def score_sections(sections: list[str], correct: list[bool]) -> Iterator[tuple[str, float]]:
    """Yield the accuracy of every section where there are several, and of grammar and meaning where both are there."""
    groups: dict[str, list[bool]] = defaultdict(list)
    for section, is_correct in zip(sections, correct, strict=True):
        groups[section].append(is_correct)
        groups["syntactic" if section.startswith(SYNTACTIC) else "semantic"].append(is_correct)
    if "syntactic" not in groups:
        del groups["semantic"]
    if len(groups) > 1:
        for name, some in groups.items():
            yield f"{name}.accuracy", sum(some) / len(some)


def read_questions(path: Path | None) -> list[Question]:
    """Read questions, those of the example where there is no file.

    Raises:
        PretaskError: A line has other than four words, or the file cannot be read.
    """
    questions: list[Question] = []
    section = "questions"
    lines = QUESTIONS.splitlines() if path is None else read_lines(path, f"{WHO}.questions")
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if line.startswith(":"):
            section = line[1:].strip().replace(" ", "-") or section
        elif words and not line.startswith("#"):
            if len(words) != 4:
                raise PretaskError(
                    WHO, "four words in every line", f"line {number} of {path}", "Correct that line.", exit_code=2
                )
            questions.append(Question(section, (words[0], words[1], words[2], words[3])))
    return questions
