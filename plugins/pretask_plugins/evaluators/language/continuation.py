"""Continuation: a prompt, and what a language model goes on with, token by token.

A model may have `step(inputs, memory) -> (features, memory)`: features of the new positions only, given what it kept of
the earlier ones (keys and values, or the state of an LSTM; None at first). Any other model reads everything anew for
every token, which gives the same. An objective may have `predict_at(features, target, positions)`, so that it need not
predict what no one asks for.

Axes: B prompts, P tokens of a prompt, T tokens of prompt and continuation, C size of the vocabulary.
"""

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from pretask import Draws, Features, Inputs, PretaskError, Task
from pretask.pretext_score import evaluation_mode
from torch import Tensor

from pretask_plugins.evaluators.language.sampling import GREEDY, Sampling


@runtime_checkable
class Remembers(Protocol):
    """A model that can go on from what it has read."""

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
    use_memory: bool = True,
) -> Int[Tensor, "B T"]:
    """Return prompts with their continuations; after the end token, where there is one, all is padding.

    Special tokens other than the end are never written.

    Args:
        task: A language model; see `next_token.next_target`.
        prompt: Without padding, at least one token.
        max_new_tokens: To add.
        sampling: How each is chosen.
        draws: One per prompt; by their number where they are left out.
        target: Which of the task's targets asks for the next token.
        use_memory: Whether a model that remembers may do so.

    Raises:
        PretaskError: A prompt is empty, or the model's context has no room for prompt and continuation.
    """
    check_context_length(task, prompt.shape[1], max_new_tokens)
    if draws is None:
        draws = Draws(torch.arange(len(prompt), device=prompt.device), 0, -1)
    tokens, is_finished = prompt, torch.zeros_like(prompt[:, 0], dtype=torch.bool)
    reader = Reader(task, target, use_memory and isinstance(task.model, Remembers))
    end, pad = find_special_id(task, "end"), find_special_id(task, "pad")
    with evaluation_mode(task), torch.no_grad():
        for number in range(max_new_tokens):
            scores = reader(tokens).index_fill(1, special_tokens(task, prompt.device), -torch.inf)
            token = sampling(scores, draws.uniform(f"token {number}")).where(~is_finished, pad or 0)
            is_finished = is_finished if end is None else is_finished | (token == end)
            tokens = torch.cat([tokens, token[:, None]], 1)
    return tokens


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


def special_tokens(task: Task, device: torch.device) -> Int[Tensor, " n"]:
    """Return special tokens, but for the end."""
    special = task.observed.vocabulary.special if task.observed.vocabulary else ()
    return torch.tensor([number for role, number in special if role != "end"], dtype=torch.int64, device=device)


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
            "Set a smaller generation.max_new_tokens, or train on longer rows (data.length).",
        )
