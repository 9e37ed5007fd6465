"""Beam search: the likeliest continuations of a prompt that a few rows at a time can find.

Source: Graves 2012 (beam search over sequences); Wu et al. 2016, section 7 (length normalization).
Differs: a row that has ended stays among the beams as long as its probability keeps it there, and lengths are
normalized in the end only.
Axes: B prompts, P tokens of a prompt, K beams, T tokens of prompt and continuation, C size of the vocabulary.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from pretask.composition import Task
from pretask.errors import PretaskError
from pretask.language.continuation import (
    Reader,
    Remembers,
    check_context_length,
    find_special_id,
    last_tokens,
    special_tokens,
)
from pretask.pretext_score import evaluation_mode


class Beams(NamedTuple):
    """What was found, best first.

    Args:
        tokens: Prompts with their continuations; padding after the end.
        scores: Their log-probability, nats, divided by ((5 + tokens) / 6) ** length_penalty.
    """

    tokens: Int[Tensor, "B K T"]
    scores: Float[Tensor, "B K"]


def search_beams(
    task: Task,
    prompt: Int[Tensor, "B P"],
    *,
    beams: int = 4,
    max_new_tokens: int = 32,
    length_penalty: float = 0.0,
    target: str = "next",
    stop: Sequence[int] = (),
    use_memory: bool = True,
) -> Beams:
    """Return the likeliest continuations that a search with so many beams finds.

    Args:
        task: A language model; see `next_token.next_target`.
        prompt: Without padding, at least one token.
        beams: Rows that are kept of every prompt; with 1 the search is greedy.
        max_new_tokens: To add.
        length_penalty: 0 ranks by probability, which prefers short rows; 0.6 to 0.7 in Wu et al.
        target: Which of the task's targets asks for the next token.
        stop: Tokens after which a row ends, beside the end token.
        use_memory: Whether a model that remembers may do so.

    Raises:
        PretaskError: There is no beam, a prompt is empty, or the context has no room.
    """
    if beams < 1:
        raise PretaskError("beam search", "at least 1 beam", f"{beams}", "Set beams=4, or 1 for greedy.", exit_code=2)
    check_context_length(task, prompt.shape[1], max_new_tokens)
    reader = Reader(task, target, use_memory and isinstance(task.model, Remembers))
    pad = find_special_id(task, "pad") or 0
    last, forbidden = last_tokens(task, stop, prompt), special_tokens(task, prompt)
    found = begin_rows(prompt, beams)
    with evaluation_mode(task), torch.no_grad():
        for _ in range(max_new_tokens):
            following = reader(found.tokens.flatten(0, 1)).index_fill(1, forbidden, -torch.inf)
            found, parents = extend(found, hold_finished(following, found.is_finished.flatten(), pad), last)
            reader.take_rows(parents)
            if len(last) and bool(found.is_finished.all()):
                break
    return rank(found, length_penalty, prompt.shape[1] + max_new_tokens, pad)


class Rows(NamedTuple):
    """The rows of a search so far.

    Args:
        tokens: Prompts and what was written.
        scores: Log-probability of what was written, nats.
        lengths: Tokens that were written, the end included.
        is_finished: Whether it has ended.
    """

    tokens: Int[Tensor, "B K T"]
    scores: Float[Tensor, "B K"]
    lengths: Int[Tensor, "B K"]
    is_finished: Bool[Tensor, "B K"]


def begin_rows(prompt: Int[Tensor, "B P"], beams: int) -> Rows:
    """Return as many equal rows of every prompt, of which the first alone is possible."""
    tokens = prompt[:, None].expand(-1, beams, -1)
    lengths = torch.zeros_like(tokens[:, :, 0])
    scores = torch.full((beams,), -torch.inf, device=prompt.device)
    scores[0] = 0.0
    return Rows(tokens, scores.expand(len(prompt), -1), lengths, lengths.bool())


def extend(rows: Rows, following: Float[Tensor, "R C"], last: Int[Tensor, " n"]) -> tuple[Rows, Int[Tensor, " R"]]:
    """Return the likeliest rows that are longer by a token, and of which of all rows they are."""
    count, beams, _ = rows.tokens.shape
    scores, place = (rows.scores[:, :, None] + following.view(count, beams, -1)).flatten(1).topk(beams)
    parent, token = place // following.shape[1], place % following.shape[1]
    was_finished = rows.is_finished.gather(1, parent)
    longer = Rows(
        torch.cat([rows.tokens.take_along_dim(parent[:, :, None], 1), token[:, :, None]], 2),
        scores,
        rows.lengths.gather(1, parent) + ~was_finished,
        was_finished | torch.isin(token, last),
    )
    return longer, (parent + beams * torch.arange(count, device=parent.device)[:, None]).flatten()


def rank(rows: Rows, length_penalty: float, length: int, pad: int) -> Beams:
    """Return rows by normalized score, padded to a length."""
    scores = rows.scores / ((5 + rows.lengths) / 6) ** length_penalty
    scores, order = scores.sort(dim=1, descending=True)
    tokens = rows.tokens.take_along_dim(order[:, :, None], 1)
    return Beams(F.pad(tokens, (0, length - tokens.shape[2]), value=pad), scores)


def hold_finished(following: Float[Tensor, "R C"], is_finished: Bool[Tensor, " R"], pad: int) -> Float[Tensor, "R C"]:
    """Let a row that has ended go on with padding alone, which costs nothing."""
    held = torch.full_like(following, -torch.inf)
    held[:, pad] = 0.0
    return held.where(is_finished[:, None], following)
