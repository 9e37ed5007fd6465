"""Question answering: the span of a text that answers a question, by fine-tuning. Version 1.

Two lines give every token of the text a score as the first and as the last of the answer. A span's score is their sum,
less that of no answer, which the first token of the question stands for; the best span of at most `max_answer` tokens
is the answer, as the characters of the text from its first token to its last. Of a text in several rows, the row whose
span is best counts. No answer is given only where some training question has none, and then where it scores better.
Rows to train on that do not hold the answer teach no answer.

Exact match and F1 are SQuAD's (squad.py). `overlap_f1` answers with the sentence that shares most words with the
question. Questions about one text are held out together.

Source: Devlin et al., NAACL 2019, sections 4.2 and 4.3; Rajpurkar et al., EMNLP 2016; see engine.py.
Differs: scores are of the text's tokens and of no answer, where theirs are of all; no answer is the first token of the
row, where theirs is the class token.
Axes: N rows, B batch, L positions, Q questions.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from pretask import Batch, Budget, Data, Draws, Features, Items, Labels, PretaskError, Samples, Task, source_of
from pretask.options import PositiveInt
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.evaluators.probes.fine_tuning import squad
from pretask_plugins.evaluators.probes.fine_tuning.engine import Trainer, Tuning
from pretask_plugins.evaluators.probes.fine_tuning.fine_tune import Yielded
from pretask_plugins.evaluators.probes.fine_tuning.forms import labels_of, read_positions
from pretask_plugins.evaluators.probes.fine_tuning.text_rows import TextRows, make_rows
from pretask_plugins.evaluators.probes.fine_tuning.token_classification import check_positions
from pretask_plugins.shared.questions import AsksQuestions, Questions

WHO = "question-answering"
ANSWER = "answer"  # the name of the labels
NEVER = -1e9  # a score that no span of the text has
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, kw_only=True)
class QuestionAnswering(Tuning):
    """A reader that answers with a span.

    Args:
        max_answer: Tokens of an answer, at most.
    """

    max_answer: PositiveInt = 30

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where the data asks no questions."""
        require_questions(data)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Yielded:
        """Yield `f1`, `exact_match`, `overlap_f1` and which questions were answered exactly.

        Raises:
            PretaskError: The data asks no questions, or the encoder does not keep positions.
        """
        source, train, test = require_questions(data), data("train"), data("test")
        questions, tested = (take_rows(source.questions(part), data(part)) for part in ("train", "test"))
        check_positions(WHO, task, train)
        rows = make_rows(WHO, task, train, in_pieces=True, keeps_positions=True)
        gives_none = any(not question.answers for question in questions.questions)
        form = SpanForm(find_spans(train.labels[ANSWER]), rows, questions, self.max_answer, gives_none)
        units = torch.arange(len(train))
        validation = hold_out_texts(questions, self.val_fraction, budget.seed)
        trainer = Trainer(WHO, task, form, train, self, budget.seed, budget.batch)
        fitted = trainer.fit_best(units, validation)
        found = trainer.predict(fitted.network, test, torch.arange(len(test)))
        yield from yield_answer_metrics(answer(found, torch.arange(len(test)), tested, gives_none), tested)
        yield "train_labels", float(len(torch.unique(questions.rows)))
        yield from fitted.choices()


def require_questions(data: Data) -> AsksQuestions:
    """Return what asks the questions; raise PretaskError where the data asks none."""
    source = source_of(data)
    if not isinstance(source, AsksQuestions) or ANSWER not in data("train").labels:
        raise PretaskError(
            WHO, "data of questions about texts", "other data", "Use the data questions, which reads SQuAD's JSON."
        )
    return source


@dataclass(frozen=True, eq=False)
class SpanForm:
    """First and last token of an answer.

    Args:
        spans: Of the training part; 0 and 0 for no answer.
        show: What the network is shown.
        questions: The questions of the training part.
        max_answer: Tokens of an answer, at most.
        gives_none: Whether there may be no answer.
    """

    spans: Int[Tensor, "N 2"]
    show: TextRows
    questions: Questions
    max_answer: int
    gives_none: bool
    rows_per_unit: int = 1
    outputs: int = 2

    def read(self, features: Features, batch: Batch, /) -> Float[Tensor, "B L D"]:
        """Return the vectors of positions."""
        return read_positions(features, batch)

    def find_text(self, batch: Batch, length: int) -> Bool[Tensor, "B L"]:
        """Return which of the first positions of rows are tokens of the text."""
        tokens = batch.data[:, :length]
        special = torch.tensor(self.show.ids("pad", "end", "separator"), device=tokens.device)
        return (self.show.number_pieces(tokens) == 1) & ~torch.isin(tokens, special)

    def scored(self, vectors: Float[Tensor, "B L D"], batch: Batch, /) -> Float[Tensor, "M D"]:
        """Return those of the text."""
        return vectors[self.find_text(batch, vectors.shape[1])]

    def mask(self, outputs: Float[Tensor, "B L 2"], batch: Batch) -> Float[Tensor, "B L 2"]:
        """Return scores, with the lowest one at positions that are neither of the text nor the one of no answer."""
        allowed = self.find_text(batch, outputs.shape[1])
        allowed[:, 0] = True
        return outputs.float().masked_fill(~allowed[..., None], NEVER)

    def loss(self, outputs: Float[Tensor, "B L 2"], batch: Batch, /) -> Float[Tensor, ""]:
        """Return the mean cross-entropy of first and last token, nats."""
        scores, spans = self.mask(outputs, batch), labels_of(self.spans, batch)
        return (F.cross_entropy(scores[..., 0], spans[:, 0]) + F.cross_entropy(scores[..., 1], spans[:, 1])) / 2

    def predict(self, outputs: Float[Tensor, "B L 2"], batch: Batch, /) -> Float[Tensor, "B 3"]:
        """Return first and last token of the best span, and its score over that of no answer."""
        scores = self.mask(outputs, batch)
        none = scores[:, 0].sum(1)
        scores[:, 0] = NEVER
        first, last, best = find_best_span(scores[..., 0], scores[..., 1], self.max_answer)
        return torch.stack([first.double(), last.double(), (best - none).double()], 1)

    def score(self, predictions: Float[Tensor, "U 3"], units: Int[Tensor, " U"], /) -> float:
        """Return the mean F1 of the questions that rows are about."""
        answers = answer(predictions, units, self.questions, self.gives_none)
        of = self.questions.questions
        return sum(squad.f1(text, of[number].answers) for number, text in answers.items()) / len(answers)


def find_best_span(
    begin: Float[Tensor, "B L"], end: Float[Tensor, "B L"], longest: int
) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"], Float[Tensor, " B"]]:
    """Return first and last token of the span of the highest sum of scores, and that sum.

    >>> begin, end = torch.tensor([[0.0, 5.0, 1.0]]), torch.tensor([[9.0, 0.0, 2.0]])
    >>> [part.item() for part in find_best_span(begin, end, 2)]
    [1, 2, 7.0]
    """
    length = begin.shape[1]
    best = torch.stack(
        [
            F.pad(begin[:, : length - size] + end[:, size:], (0, size), value=2 * NEVER)
            for size in range(min(longest, length))
        ],
        1,
    )  # (B, size, first)
    value, place = best.flatten(1).max(1)
    first, size = place % length, place // length
    return first, first + size, value


def find_spans(labels: Labels) -> Int[Tensor, "N 2"]:
    """Return first and last token of the first right answer of every row; 0 and 0 where the row does not hold it."""
    inside = labels.value[:, 0] == 1
    length = inside.shape[1]
    first = inside.int().argmax(1)
    last = length - 1 - inside.flip(1).int().argmax(1)
    return torch.stack([first, last], 1) * inside.any(1, keepdim=True)


def take_rows(questions: Questions, samples: Samples) -> Questions:
    """Return the questions of the first rows of a part, where not all are there."""
    count = len(samples)
    return Questions(questions.questions, questions.rows[:count], questions.offsets[:count])


def hold_out_texts(questions: Questions, val_fraction: float, seed: int) -> Bool[Tensor, " N"]:
    """Choose the rows that are held out: all of a fraction of the texts, at least one, never all."""
    groups = torch.tensor([question.group for question in questions.questions])[questions.rows]
    known = torch.unique(groups)
    order = Draws(known, seed).branch("held out").uniform("text").argsort()
    count = min(max(1, round(val_fraction * len(known))), max(len(known) - 1, 0))
    return torch.isin(groups, known[order[:count]])


def answer(
    found: Float[Tensor, "U 3"], rows: Int[Tensor, " U"], questions: Questions, gives_none: bool
) -> dict[int, str]:
    """Return the answer to every question that some rows are about, by its number.

    Args:
        found: First and last token, and score, of the best span of each row.
        rows: Their numbers.
        questions: The questions.
        gives_none: Whether there may be no answer.
    """
    best: dict[int, tuple[float, str]] = {}
    for row, (begin, end, score) in zip(rows.tolist(), found.tolist(), strict=True):
        number = int(questions.rows[row])
        if number not in best or score > best[number][0]:
            best[number] = (score, questions.text(row, int(begin), int(end)))
    return {number: "" if gives_none and score <= 0 else text for number, (score, text) in best.items()}


def yield_answer_metrics(answers: dict[int, str], questions: Questions) -> Yielded:
    """Yield how good answers are, and what the sentence that shares most words with the question would be."""
    of = [(questions.questions[number], text) for number, text in answers.items()]
    exact = torch.tensor([squad.exact_match(text, question.answers) for question, text in of])
    overlap = [squad.f1(find_sentence(question.text, question.context), question.answers) for question, _ in of]
    yield "f1", sum(squad.f1(text, question.answers) for question, text in of) / len(of)
    yield "exact_match", float(exact.double().mean())
    yield "overlap_f1", sum(overlap) / len(of)
    yield "exact_match", Items(exact > 0)


def find_sentence(question: str, context: str) -> str:
    """Return the sentence that shares most words with a question.

    >>> find_sentence("Who sat?", "A dog ran. A cat sat.")
    'A cat sat.'
    """
    words = {*squad.normalize(question).split()}
    sentences: Sequence[str] = SENTENCE_END.split(context)
    return max(sentences, key=lambda sentence: len(words & {*squad.normalize(sentence).split()}))
