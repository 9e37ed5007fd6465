"""Beam search: as many beams as rows find the best of all, one beam is greedy, and a memory changes nothing."""

from itertools import product
from typing import Any

import pytest
import torch
from pretask import Inputs, InputSpec, Observed, PretaskError, Task, Vocabulary
from pretask.composition import compose
from pretask.language.beams import search_beams
from pretask.language.continuation import generate
from pretask_plugins.methods.causal_lm.split import NextToken
from pretask_plugins.models.text.gpt2 import Gpt2
from pretask_plugins.models.text.lstm import Lstm
from pretask_plugins.models.text.transformer import Transformer
from pretask_plugins.objectives.cross_entropy import CrossEntropy

END, PAD = 1, 0
WORDS = Vocabulary(6, (("pad", PAD), ("end", END)))
TEXT = Observed("text", (7,), "int64", vocabulary=WORDS)
ORDINARY = (END, 2, 3, 4, 5)


def causal(*specs: InputSpec) -> Transformer:
    return Transformer(*specs, width=16, depth=2, heads=2, causal=True)


def gpt2(*specs: InputSpec) -> Gpt2:
    return Gpt2(*specs, width=16, depth=2, heads=2)


def lstm(*specs: InputSpec) -> Lstm:
    return Lstm(*specs, width=16, depth=2)


def task(model: Any = causal) -> Task:
    made = compose(TEXT, NextToken(WORDS), model, CrossEntropy, seed=2)
    with torch.no_grad():
        made.objective.heads["next"][-1].weight.mul_(8.0)  # far from uniform
    return made


def continue_in_all_ways(length: int) -> list[tuple[int, ...]]:
    """All rows of so many tokens, padded after the end."""
    rows = {
        row[: row.index(END) + 1] + (PAD,) * (length - row.index(END) - 1) if END in row else row
        for row in product(ORDINARY, repeat=length)
    }
    return sorted(rows)


def log_probability(made: Task, prompt: torch.Tensor, row: tuple[int, ...]) -> float:
    whole = torch.cat([prompt, torch.tensor(row), torch.zeros(4 - len(row), dtype=torch.int64)])
    made.model.eval()
    with torch.no_grad():
        scores = made.objective.predict(made.model(Inputs(whole[None, None])))
    said = row[: row.index(END) + 1] if END in row else row
    return sum(float(scores["next"][0, len(prompt) + place - 1, token]) for place, token in enumerate(said))


@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_as_many_beams_as_rows_find_the_best_of_all_rows(penalty: float) -> None:
    made, prompt = task(), torch.tensor([2, 3])
    rows = continue_in_all_ways(3)
    wanted = [
        log_probability(made, prompt, row) / ((5 + (row.index(END) + 1 if END in row else 3)) / 6) ** penalty
        for row in rows
    ]
    found = search_beams(made, prompt[None], beams=125, max_new_tokens=3, length_penalty=penalty)
    order = sorted(range(len(rows)), key=lambda number: -wanted[number])[:20]
    assert [tuple(row[2:]) for row in found.tokens[0, :20].tolist()] == [rows[number] for number in order]
    assert found.scores[0, :20].tolist() == pytest.approx([wanted[number] for number in order], abs=1e-4)


@pytest.mark.parametrize("model", [causal, gpt2, lstm])
def test_a_memory_that_is_taken_along_changes_nothing_and_one_beam_is_greedy(model: Any) -> None:
    made, prompts = task(model), torch.tensor([[2, 3], [4, 4], [5, 2]])
    one, other = (search_beams(made, prompts, beams=3, max_new_tokens=5, use_memory=use) for use in (True, False))
    assert torch.equal(one.tokens, other.tokens)
    assert torch.allclose(one.scores, other.scores, atol=1e-5)
    greedy = search_beams(made, prompts, beams=1, max_new_tokens=5).tokens[:, 0]
    assert torch.equal(greedy, generate(made, prompts, max_new_tokens=5))


@pytest.mark.parametrize("model", [causal, gpt2, lstm])
def test_a_step_leaves_the_memory_that_it_was_given_as_it_was(model: Any) -> None:
    network = task(model).model.eval()
    with torch.no_grad():
        _, memory = network.step(Inputs(torch.tensor([[[2, 3]]])), None)
        first, again = (network.step(Inputs(torch.tensor([[[4]]])), memory)[0].streams["past"] for _ in range(2))
    assert torch.equal(first, again)


def test_a_row_ends_after_a_token_that_stops() -> None:
    made, prompts = task(), torch.tensor([[2, 3], [4, 4]])
    free = generate(made, prompts, max_new_tokens=5)[0].tolist()
    stop = free[3]
    last = free.index(stop, 2)
    stopped = generate(made, prompts, max_new_tokens=5, stop=[stop])[0].tolist()
    assert stopped == [*free[: last + 1], *[PAD] * (6 - last)]
    assert int(search_beams(made, prompts, beams=1, max_new_tokens=5, stop=[stop]).tokens[0, 0, 4]) == PAD


def test_there_must_be_a_beam() -> None:
    with pytest.raises(PretaskError, match="at least 1 beam; got 0"):
        search_beams(task(), torch.tensor([[2]]), beams=0)
