"""Continuation: a prompt, and what a language model goes on with, token by token.

A model may have `step(inputs, memory) -> (features, memory)`: features of the new positions only, given what it kept of
the earlier ones (keys and values, or the state of an LSTM; None at first). A step leaves the memory that it was given
as it was, and every tensor in it has a row of every prompt first, so that a search can go back and choose. Any other
model reads everything anew for every token, which gives the same. An objective may have `predict_at(features, target,
positions)`, so that it need not predict what no one asks for.

Axes: B prompts, P tokens of a prompt, T tokens of prompt and continuation, C size of the vocabulary.
"""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from pretask.composition import Task
from pretask.draws import Draws
from pretask.errors import PretaskError
from pretask.language.sampling import GREEDY, Sampling
from pretask.pretext_score import evaluation_mode
from pretask.values import Features, Inputs


@runtime_checkable
class Remembers(Protocol):
    """A model that can go on from what it has read, any number of times from the same memory."""

    def step(self, inputs: Inputs, memory: Any, /) -> tuple[Features, Any]:
        """Return the features of the new positions, and the memory to keep, which is None where nothing was read."""
        ...


@runtime_checkable
class PredictsPositions(Protocol):
    """An objective that predicts a target at some positions only, such as the last."""

    def predict_at(self, features: Features, name: str, at: Int[Tensor, "B K"], /) -> Float[Tensor, "B K C"]:
        """Return what `predict` has of the target `name`, at K positions of every row."""
        ...


def generate(
    task: Task,
    prompt: Int[Tensor, "B P"],
    *,
    max_new_tokens: int = 32,
    sampling: Sampling = GREEDY,
    draws: Draws | None = None,
    target: str = "next",
    stop: Sequence[int] = (),
    use_memory: bool = True,
) -> Int[Tensor, "B T"]:
    """Return prompts with their continuations; after the end token, or another that stops, all is padding.

    Special tokens other than the end are never written.

    Args:
        task: A language model; see `next_token.next_target`.
        prompt: Without padding, at least one token.
        max_new_tokens: To add.
        sampling: How each is chosen.
        draws: One per prompt; by their number where they are left out.
        target: Which of the task's targets asks for the next token.
        stop: Tokens after which a row ends, beside the end token.
        use_memory: Whether a model that remembers may do so.

    Raises:
        PretaskError: A prompt is empty, or the model's context has no room for prompt and continuation.
    """
    check_context_length(task, prompt.shape[1], max_new_tokens)
    if draws is None:
        draws = Draws(torch.arange(len(prompt), device=prompt.device), 0, -1)
    tokens, is_finished = prompt, torch.zeros_like(prompt[:, 0], dtype=torch.bool)
    reader = Reader(task, target, use_memory and isinstance(task.model, Remembers))
    pad = find_special_id(task, "pad") or 0
    last, forbidden = last_tokens(task, stop, prompt), special_tokens(task, prompt)
    with evaluation_mode(task), torch.no_grad():
        for number in range(max_new_tokens):
            scores = reader(tokens).index_fill(1, forbidden, -torch.inf)
            token = sampling(scores, draws.uniform(f"token {number}")).where(~is_finished, pad)
            tokens = torch.cat([tokens, token[:, None]], 1)
            is_finished = is_finished | torch.isin(token, last)
            if len(last) and bool(is_finished.all()):
                break
    return F.pad(tokens, (0, prompt.shape[1] + max_new_tokens - tokens.shape[1]), value=pad)


class Reader:
    """Reads rows that grow, and says what may come next; anew every time, or only what is new.

    Args:
        task: A language model.
        target: Which of its targets asks for the next token.
        remembers: Whether the model's memory is used.
    """

    def __init__(self, task: Task, target: str, remembers: bool) -> None:
        self.task, self.target, self.remembers = task, target, remembers
        self.memory: Any = None
        self.read = 0

    def __call__(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B C"]:
        """Return the log-probabilities of the token after the last."""
        if self.remembers:
            features, self.memory = self.task.model.step(Inputs(tokens[:, None, self.read :]), self.memory)
            self.read = tokens.shape[1]
            return self.predict_next(features)
        return self.predict_next(self.task.model(Inputs(tokens[:, None])))

    def take_rows(self, rows: Int[Tensor, " n"]) -> None:
        """Go on from these rows of what was read."""
        self.memory = take_rows(self.memory, rows)

    def predict_next(self, features: Features) -> Float[Tensor, "B C"]:
        """Return log-probabilities at the last position.

        Its vector is repeated for an objective that predicts no single position: it wants as many as it was made for.
        """
        objective = self.task.objective
        if isinstance(objective, PredictsPositions):
            vectors = next(iter(features.streams.values()))
            at = torch.full((len(vectors), 1), vectors.shape[2] - 1, device=vectors.device)
            return objective.predict_at(features, self.target, at)[:, 0]
        grid = self.task.split.spec(self.task.observed)[0].shape
        last = {sight: vectors[:, :, -1:].expand(-1, -1, *grid, -1) for sight, vectors in features.streams.items()}
        log_probability: Tensor = objective.predict(Features(last, features.pooled, grid))[self.target]
        return log_probability[:, 0]


def take_rows(memory: Any, rows: Int[Tensor, " n"]) -> Any:
    """Return these rows of all tensors in a memory, however lists, tuples and dictionaries hold them.

    >>> take_rows([(torch.tensor([[1], [2]]), None)], torch.tensor([1, 1]))
    [(tensor([[2],
            [2]]), None)]
    """
    if isinstance(memory, Tensor):
        return memory.index_select(0, rows)
    if isinstance(memory, dict):
        return {name: take_rows(part, rows) for name, part in memory.items()}
    if isinstance(memory, list | tuple):
        parts = [take_rows(part, rows) for part in memory]
        return parts if isinstance(memory, list) else tuple(parts)
    return memory


def special_tokens(task: Task, prompt: Int[Tensor, "B P"]) -> Int[Tensor, " n"]:
    """Return special tokens, but for the end."""
    special = task.observed.vocabulary.special if task.observed.vocabulary else ()
    return prompt.new_tensor([number for role, number in special if role != "end"])


def last_tokens(task: Task, stop: Sequence[int], prompt: Int[Tensor, "B P"]) -> Int[Tensor, " n"]:
    """Return the tokens after which nothing is written: the end, where there is one, and those that stop."""
    end = find_special_id(task, "end")
    return prompt.new_tensor([*stop, *(() if end is None else (end,))])


def find_special_id(task: Task, role: str) -> int | None:
    """Return the id of a special token, or None."""
    return task.observed.vocabulary.id(role) if task.observed.vocabulary else None


def check_context_length(task: Task, prompt: int, tokens: int) -> None:
    """Raise PretaskError where a prompt is empty, or a row would be longer than the model's positions."""
    most = task.split.whole_spec(task.observed).shape[0]
    if prompt < 1 or prompt + tokens > most:
        raise PretaskError(
            "generation",
            f"a prompt of at least 1 token, and at most {most} with its continuation, as in the rows trained on",
            f"a prompt of {prompt} and {tokens} to add",
            "Give a shorter prompt or fewer new tokens, or train on longer rows (data.length).",
        )
