"""Promises of the evaluator interpolation, on a decoder that writes the numbers that its code holds."""

from functools import cache
from typing import Any

import pytest
import torch
from pretask import (
    Budget,
    Categories,
    Features,
    FeatureSpec,
    Figure,
    Inputs,
    Observed,
    PretaskError,
    Recipe,
    Samples,
    Task,
    Values,
    Vocabulary,
)
from pretask_plugins.evaluators.density.interpolation import Interpolation
from pretask_plugins.objectives.vae.elbo import Elbo
from pretask_plugins.splits.whole import Whole
from torch import nn

LENGTH, SIZE, END = 4, 12, 3
VOCABULARY = Vocabulary(SIZE, (("pad", 0), ("end", END)))
OBSERVED = Observed("text", (LENGTH,), "int64", 4, VOCABULARY)
ROWS = torch.tensor([[4, 4, 4, END], [10, 10, 10, END], [5, 5, 5, END], [7, 7, END, 0]])


class Counting:
    """Data whose sentences are grammatical where all their words are even."""

    def __call__(self, part: str, /) -> Samples:
        return Samples(OBSERVED, ROWS, present=ROWS > 0)

    def is_grammatical(self, ids: list[int], /) -> bool:
        return ids[-1] == END and all(token % 2 == 0 for token in ids[:-1])


class FirstWord(nn.Module):
    """An encoder whose posterior mean is the first word, with hardly any variance."""

    def forward(self, inputs: Inputs, layers: bool = False) -> Features:
        vector = torch.stack([inputs.data[:, :, 0].float(), torch.full_like(inputs.data[:, :, 0].float(), -20)], 2)
        return Features({"all": vector[:, :, None]}, {"all": vector})


class Writer(nn.Module):
    """A decoder that writes the rounded code three times, and the end."""

    def forward(self, code: torch.Tensor) -> torch.Tensor:
        word = code[:, 0].round().long().clamp(4, SIZE - 1)
        rows = torch.stack([word, word, word, torch.full_like(word, END)], 1)
        return 50 * nn.functional.one_hot(rows, SIZE).float()


@cache
def planted() -> Task:
    split = Whole(vocabulary=VOCABULARY)
    words = Categories(SIZE, grid=(LENGTH,), hidden=False)
    objective = Elbo(FeatureSpec(2), {"tokens": words}, latent_dim=1, hidden=())
    with torch.no_grad():
        objective.to_code.weight.copy_(torch.eye(2))
        objective.to_code.bias.zero_()
    objective.decoders.head_tokens = Writer()
    return Task("planted", split, FirstWord(), objective, Recipe(), OBSERVED, torch.device("cpu"))


def found(**options: Any) -> dict[str, Any]:
    return dict(Interpolation(**options)(planted(), Counting(), Budget()))


def test_distances_and_fractions_are_those_of_the_sentences_on_the_lines() -> None:
    numbers = found(num_points=4, num_samples=50)
    # from 4 to 10: 4 6 8 10, all even; from 5 to 7: 5, 6 (5.67), 6 (6.33), 7
    assert numbers["path.neighbor_distance"] == pytest.approx((3 + 3 + 3 + 3 + 0 + 3) / 6)
    assert numbers["path.end_distance"] == 3
    assert numbers["path.distinct"] == pytest.approx((1 + 3 / 4) / 2)
    assert numbers["path.grammatical"] == pytest.approx((4 + 2) / 8)


def test_similarity_compares_test_sentences_with_what_their_codes_are_decoded_to() -> None:
    # three come back whole; of the shorter one a word is too many: one edit of four
    assert found(num_samples=2)["similarity"] == pytest.approx((1 + 1 + 1 + 3 / 4) / 4)


def test_sentences_of_the_prior_are_drawn_and_judged() -> None:
    numbers = found(num_samples=50)  # codes of the prior are below 4, which is written as 4
    assert numbers["prior.grammatical"] == numbers["prior_mode.grammatical"] == 1
    assert numbers["prior.distinct"] == 1 / 50


def test_both_are_shown_as_texts() -> None:
    shown = {name: value for name, value in found(num_samples=3).items() if isinstance(value, Figure)}
    assert set(shown) == {"paths", "prior samples"}


def test_a_target_without_words_is_refused() -> None:
    objective = Elbo(FeatureSpec(2), {"y": Values(1)}, latent_dim=1, hidden=())
    task = planted()
    other = Task("other", task.split, task.model, objective, Recipe(), OBSERVED, torch.device("cpu"))
    with pytest.raises(PretaskError, match="a row of tokens; got 'y'"):
        dict(Interpolation()(other, Counting(), Budget()))
