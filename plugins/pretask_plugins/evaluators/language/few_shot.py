"""Few-shot: classes of texts by what a language model would write after a few examples; nothing is learned.

A prompt is k examples, each `text, between, answer, after`, then the test text and `between`; the answer is the name of
the class after which the answer has the highest probability, as a sum over its tokens or as their mean. Examples are
drawn from the training part for every test text anew, and cut so that all of them and the answer have room in a row as
long as those that were trained on; as many shots as have no room are left out.

Source: Brown et al., NeurIPS 2020, sections 2.1 and 2.4 (k examples at random, answers by likelihood, per token too).
Axes: B prompts with one answer each, T tokens of the longest, C size of the vocabulary, A tokens of the answers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from pretask import Budget, Data, Draws, Encodes, Inputs, Items, PretaskError, Samples, Task, source_of
from pretask.language.next_token import log_probabilities, next_target
from pretask.options import NonNegativeInt, Size
from pretask.pretext_score import evaluation_mode
from torch import Tensor

WHO = "few-shot"
MIN_TEXT_TOKENS = 2  # of an example, below which it is none


@dataclass(frozen=True)
class FewShot:
    """Classes by the likelihood of their names.

    Args:
        shots: Examples in a prompt, k.
        answers: Text of every class, in the order of the labels' names; these names when empty.
        between: Text between a text and its answer.
        after: Text after the answer of an example.
        label: Name of the labels; the first ones when empty.
        num_texts: Test texts, drawn at random where there are more.
    """

    shots: tuple[NonNegativeInt, ...] = (0, 1, 4, 16)
    answers: tuple[str, ...] = ()
    between: str = " : "
    after: str = "\n"
    label: str = ""
    num_texts: Size = 256

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where the task does not ask for the next token, or not in the data's vocabulary."""
        next_target(WHO, task, data("test"))

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items]]:
        """Yield by k `accuracy`, `normalized_accuracy` (by the mean over tokens), and `majority`; fractions.

        Raises:
            PretaskError: The task does not ask for the next token, the data takes no texts or has no labels of rows, an
                answer is empty, or not even a prompt without examples has room.
        """
        train, test = data("train"), data("test")
        target = next_target(WHO, task, test)
        prompter = self.make_prompter(task, data, train)
        name = self.label or next(iter(train.labels), "")
        chosen = choose_texts(test, name, self.num_texts, budget.seed)
        fitting = [count for count in self.shots if prompter.room(count) >= MIN_TEXT_TOKENS]
        if not fitting:
            needs = f"room for {MIN_TEXT_TOKENS} tokens of a text, what stands between, and the longest answer"
            raise PretaskError(WHO, needs, f"rows of {prompter.length} tokens", "Train on longer rows (data.length).")
        truth = test.labels[name].value[chosen]
        for count in fitting:
            sums, means = score_answers(task, target, prompter, test, chosen, count, budget)
            for measure, scores in (("accuracy", sums), ("normalized_accuracy", means)):
                correct = scores.argmax(1) == truth
                yield f"{count}.{measure}", float(correct.double().mean())
                yield f"{count}.{measure}", Items(correct)
        yield "majority", float((truth == truth.mode().values).double().mean())

    def make_prompter(self, task: Task, data: Data, train: Samples) -> "Prompter":
        """Return what makes prompts of the data's texts."""
        source = source_of(data)
        if not isinstance(source, Encodes):
            raise PretaskError(WHO, "data that takes a text of your own (encode)", "none", "Choose the data labeled.")
        name = self.label or next(iter(train.labels), "")
        labels = train.labels.get(name)
        if labels is None or labels.value.ndim != 1:
            raise PretaskError(WHO, "labels of rows", name or "none", "Set few-shot.label, or use other data.")
        texts = self.answers or labels.names
        if len(texts) != len(labels.names):
            needs = f"an answer for each of {len(labels.names)} classes"
            raise PretaskError(WHO, needs, f"{len(texts)}", "Set few-shot.answers.", exit_code=2)
        answers = tuple(tuple(source.encode(text)) for text in texts)
        if not all(answers):
            raise PretaskError(WHO, "answers of at least one token", f"{texts}", "Set few-shot.answers.", exit_code=2)
        length = task.split.spec(train.observed)[0].shape[0] + 1  # the last token is never read, only asked for
        vocabulary = train.observed.vocabulary
        special = frozenset(number for _, number in vocabulary.special) if vocabulary is not None else frozenset()
        between, after = tuple(source.encode(self.between)), tuple(source.encode(self.after))
        return Prompter(train, labels.value, answers, between, after, length, special)


@dataclass(frozen=True)
class Prompter:
    """Makes prompts.

    Args:
        train: Where examples come from.
        classes: Of them; -1 where there is none.
        answers: Tokens by class.
        between: Tokens between a text and its answer.
        after: Tokens after the answer of an example.
        length: Tokens of a row at most, the answer included.
        special: Tokens that are no text.
    """

    train: Samples
    classes: Int[Tensor, " N"]
    answers: tuple[tuple[int, ...], ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    length: int
    special: frozenset[int]

    def room(self, count: int) -> int:
        """Return how many tokens each of `count` examples and the text of the query may have."""
        longest = max(map(len, self.answers))
        fixed = (count + 1) * (len(self.between) + longest) + count * len(self.after)
        return (self.length - fixed) // (count + 1)

    def __call__(self, query: Sequence[int], examples: Sequence[int]) -> list[int]:
        """Return the tokens of a prompt.

        Args:
            query: The row of the text that is asked for.
            examples: Numbers of training samples.
        """
        room, prompt = self.room(len(examples)), list[int]()
        for number in examples:
            prompt += self.text_of(self.train.data[number].tolist())[:room]
            prompt += [*self.between, *self.answers[int(self.classes[number])], *self.after]
        return [*prompt, *self.text_of(query)[:room], *self.between]

    def text_of(self, row: Sequence[int]) -> list[int]:
        """Return a row without special tokens."""
        return [token for token in row if token not in self.special]

    def draw_examples(self, number: int, count: int, seed: int) -> list[int]:
        """Draw training samples that have a class, at random for every test sample."""
        labeled = (self.classes >= 0).nonzero()[:, 0]
        order = Draws(labeled, seed, number).branch("examples").uniform("order").argsort()
        found: list[int] = labeled[order[:count]].tolist()
        return found


def choose_texts(test: Samples, name: str, count: int, seed: int) -> Int[Tensor, " n"]:
    """Draw the test samples that are queries, of those that have a class."""
    labels = test.labels.get(name)
    labeled = (labels.value >= 0).nonzero()[:, 0] if labels is not None else torch.empty(0, dtype=torch.int64)
    if not len(labeled):
        raise PretaskError(WHO, f"test rows with a label '{name}'", "none", "Set few-shot.label, or use other data.")
    order = Draws(labeled, seed).branch("asked").uniform("order").argsort()
    return labeled[order[:count]].sort().values


def score_answers(
    task: Task, target: str, prompter: Prompter, test: Samples, chosen: Int[Tensor, " n"], count: int, budget: Budget
) -> tuple[Float[Tensor, "n classes"], Float[Tensor, "n classes"]]:
    """Return the log-probability of every answer after every prompt, nats: its sum over tokens, and their mean."""
    prompts = [
        prompter(test.data[number].tolist(), prompter.draw_examples(number, count, budget.seed))
        for number in chosen.tolist()
    ]
    pairs = [(prompt, answer) for prompt in prompts for answer in prompter.answers]
    with evaluation_mode(task), torch.no_grad():
        sums = [
            sum_log_probabilities(task, target, pairs[begin : begin + budget.batch], prompter.length)
            for begin in range(0, len(pairs), budget.batch)
        ]
    total = torch.cat(sums).view(len(prompts), -1)
    return total, total / torch.tensor([len(answer) for answer in prompter.answers])


def sum_log_probabilities(
    task: Task, target: str, pairs: Sequence[tuple[list[int], tuple[int, ...]]], length: int
) -> Float[Tensor, " B"]:
    """Return the log-probability of every answer after its prompt, nats.

    What stands after an answer is zeros, which nothing before it sees.
    """
    rows = torch.zeros(len(pairs), length, dtype=torch.int64)
    is_answer = torch.zeros_like(rows, dtype=torch.bool)
    for row, of_answer, (prompt, answer) in zip(rows, is_answer, pairs, strict=True):
        end = len(prompt) + len(answer)
        row[:end] = torch.tensor([*prompt, *answer])
        of_answer[len(prompt) : end] = True
    rows, is_answer = rows.to(task.device), is_answer.to(task.device)
    log_probability = log_probabilities(task, Inputs(rows[:, None, :-1]), target)
    of_tokens = log_probability.gather(2, rows[:, 1:, None])[..., 0]
    return (of_tokens * is_answer[:, 1:]).double().sum(1).cpu().float()
