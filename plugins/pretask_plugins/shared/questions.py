"""Questions: what data of extractive question answering offers beside its rows, so that answers are texts again.

A row is `question, separator, context, end`. Of a context that is longer than a row there are several rows.
Axes: N rows, L tokens, Q questions.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class Question:
    """A question about a text.

    Args:
        text: The question.
        context: The text.
        answers: All that are right, texts of the context; none where it has no answer.
        group: Number of the text, which several questions may be about.
    """

    text: str
    context: str
    answers: tuple[str, ...]
    group: int


@dataclass(frozen=True)
class Questions:
    """The questions of a part, and where its rows have them.

    Args:
        questions: In their order.
        rows: The number of the question that a row is about.
        offsets: First and last character (exclusive) of the context that a token stands for; -1 for others.
    """

    questions: tuple[Question, ...]
    rows: Int[Tensor, " N"]
    offsets: Int[Tensor, "N L 2"]

    def text(self, row: int, begin: int, end: int) -> str:
        """Return the characters of the context from one token of a row to another, which is included."""
        first, last = int(self.offsets[row, begin, 0]), int(self.offsets[row, end, 1])
        context = self.questions[int(self.rows[row])].context
        return context[first:last] if 0 <= first < last else ""


@runtime_checkable
class AsksQuestions(Protocol):
    """Data of text whose rows are questions about texts.

    Its labels `answer` are (N, A, L), for every right answer whether a token of the context belongs to it, -1
    elsewhere.
    """

    def questions(self, part: str, /) -> Questions:
        """Return the questions of a part."""
        ...


@runtime_checkable
class OffersChoices(Protocol):
    """Data of text whose rows are answers to choose from, those of a question one after the other."""

    @property
    def choices(self) -> int:
        """How many there are of every question."""
        ...
