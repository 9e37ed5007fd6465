"""Writing: what the language model of a run folder goes on with, as text.

Axes: B prompts, P tokens of a prompt, T tokens of prompt and continuation.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from pretask import Draws, PretaskError, Samples, Task
from pretask.language.beams import search_beams
from pretask.language.continuation import generate
from pretask.language.next_token import next_target
from pretask.language.sampling import GREEDY, Sampling
from pretask.preparation.sentences import load_tokenizer, prepare_sentences
from torch import Tensor

WHO = "pretask generate"
MAX_NEW_TOKENS = 64  # where none are named and there is room for more


@dataclass(frozen=True)
class Way:
    """How continuations are chosen.

    Args:
        sampling: How every token is, where there are no beams.
        beams: Of a search; 0 samples.
        length_penalty: Of the search; see `search_beams`.
        max_new_tokens: To add; None takes as many as there is room for, at most MAX_NEW_TOKENS.
        stop: Texts; a continuation ends before the first that comes.
        count: Continuations of every prompt.
        seed: Of the sampling.
    """

    sampling: Sampling = GREEDY
    beams: int = 0
    length_penalty: float = 0.0
    max_new_tokens: int | None = None
    stop: tuple[str, ...] = ()
    count: int = 1
    seed: int = 0


def write_texts(task: Task, tokenizer: str | None, prompts: Sequence[str], way: Way) -> list[list[str]]:
    """Return the continuations of every prompt; an empty one begins as a document does, after the end of another.

    Args:
        task: Loaded, with its objective.
        tokenizer: As its library writes it.
        prompts: Of any lengths; those that are equally long are read together.
        way: How it is written.

    Raises:
        PretaskError: The run is no language model of texts, or a prompt leaves no room.
    """
    if task.observed.vocabulary is None or tokenizer is None:
        raise PretaskError(WHO, "a run on text with a tokenizer", task.observed.modality, "Choose a run of causal-lm.")
    target = next_target(WHO, task, as_samples(task, tokenizer, prompts))
    library = load_tokenizer(tokenizer)
    end = task.observed.vocabulary.id("end")
    encoded = library.encode_batch_fast(list(prompts), add_special_tokens=False)
    rows = [encoding.ids or ([] if end is None else [end]) for encoding in encoded]
    special = {number for _, number in task.observed.vocabulary.special}

    def decode(ids: list[int]) -> str:
        text: str = library.decode([number for number in ids if number not in special], skip_special_tokens=False)
        return cut_before(text, way.stop)

    texts: list[list[str]] = [[] for _ in prompts]
    for numbers in group_by_length(rows):
        prompt = torch.tensor([rows[number] for number in numbers], device=task.device)
        for number, found in zip(numbers, go_on(task, prompt, target, way, numbers), strict=True):
            texts[number] = [decode(ids[prompt.shape[1] :]) for ids in found.tolist()]
    return texts


def as_samples(task: Task, tokenizer: str, prompts: Sequence[str]) -> Samples:
    """Return prompts as rows of what was trained on."""
    data, present = prepare_sentences(list(prompts), task.observed, tokenizer)
    return Samples(task.observed, data, present=present)


def group_by_length(rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the numbers of rows that are equally long.

    >>> list(group_by_length([[1], [2, 3], [4]]))
    [[0, 2], [1]]
    """
    for length in sorted({len(row) for row in rows}):
        yield [number for number, row in enumerate(rows) if len(row) == length]


def go_on(
    task: Task, prompt: Int[Tensor, "B P"], target: str, way: Way, numbers: Sequence[int]
) -> Int[Tensor, "B K T"]:
    """Return every prompt with its continuations.

    Draws follow the prompt's number and the continuation's, so that other prompts beside it change nothing.
    """
    room = task.split.whole_spec(task.observed).shape[0] - prompt.shape[1]
    tokens = way.max_new_tokens if way.max_new_tokens is not None else max(1, min(room, MAX_NEW_TOKENS))
    if way.beams:
        found = search_beams(
            task,
            prompt,
            beams=way.beams,
            max_new_tokens=tokens,
            length_penalty=way.length_penalty,
            target=target,
        )
        return found.tokens[:, : way.count]
    draws = Draws(torch.tensor(numbers, device=prompt.device), way.seed, -1)
    several = [
        generate(
            task,
            prompt,
            max_new_tokens=tokens,
            sampling=way.sampling,
            draws=draws.branch(f"continuation {number}"),
            target=target,
        )
        for number in range(way.count)
    ]
    return torch.stack(several, 1)


def cut_before(text: str, stop: Sequence[str]) -> str:
    """Return a text up to the first of these.

    >>> cut_before("a b. c", (".", " c"))
    'a b'
    """
    return text[: min((place for place in map(text.find, stop) if place >= 0), default=len(text))]
