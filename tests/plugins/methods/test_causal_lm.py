"""Promises of the causal language model; the checkable properties of methods.md section 3."""

import itertools
import math

import pytest
import torch
from pretask import Batch, Draws, Incompatible, Observed, Task, Vocabulary
from pretask.composition import compose
from pretask.pretext_score import held_out_loss, score_predictor
from pretask_plugins.methods.causal_lm.split import NextToken
from pretask_plugins.models.text.bert import Bert
from pretask_plugins.models.text.gpt2 import Gpt2
from pretask_plugins.objectives.cross_entropy import CrossEntropy
from pretask_registry.canned import make_canned_samples

WORDS = Vocabulary(3)
TEXT = Observed("text", (4,), "int64", 81, WORDS)


def task(text: Observed = TEXT, model: type = Gpt2) -> Task:
    made = compose(
        text, NextToken(text.vocabulary), lambda *specs: model(*specs, width=16, depth=2, heads=2), CrossEntropy
    )
    made.model.eval()
    return made


def every_row(symbols: int = 3, length: int = 4) -> torch.Tensor:
    return torch.tensor(list(itertools.product(range(symbols), repeat=length)))


def log_probabilities(of: Task, rows: torch.Tensor) -> torch.Tensor:
    return of.predict(Batch(rows), Draws(torch.arange(len(rows))))["next"]


def test_position_i_shows_token_i_and_is_labeled_with_token_i_plus_one() -> None:
    rows = torch.arange(20).view(2, 10)  # a token is its own number
    inputs, targets = NextToken()(Batch(rows), Draws(torch.arange(2)))
    assert torch.equal(targets["next"].value, inputs.data[:, 0] + 1)
    assert targets["next"].value.shape == (2, 9)


@pytest.mark.parametrize("changed", [1, 2])
def test_a_prediction_does_not_change_with_the_token_it_is_of_nor_with_later_ones(changed: int) -> None:
    made, rows = task(), torch.tensor([[0, 1, 2, 1]])
    other = rows.clone()
    other[0, changed] = 0
    one, two = log_probabilities(made, rows)[0], log_probabilities(made, other)[0]
    assert torch.equal(one[:changed], two[:changed])
    assert not torch.allclose(one[changed:], two[changed:])


def test_the_last_token_is_in_no_input() -> None:
    rows = every_row()
    inputs, _ = NextToken()(Batch(rows), Draws(torch.arange(81)))
    assert torch.equal(inputs.data[:, 0], rows[:, :-1])


def test_probabilities_of_all_rows_with_one_first_token_add_up_to_one() -> None:
    rows = every_row()
    steps = log_probabilities(task(), rows).gather(2, rows[:, 1:, None])[..., 0]
    total = steps.double().sum(1).exp().view(3, 27).sum(1)
    assert total.tolist() == pytest.approx([1.0] * 3, abs=1e-6)


def test_an_untrained_model_predicts_like_chance() -> None:
    samples = make_canned_samples("text", 64)
    made = task(samples.observed)
    loss = float(made.loss(samples.batch(torch.arange(64), torch.device("cpu")), Draws(torch.arange(64))).parts["next"])
    assert loss == pytest.approx(math.log(64), abs=0.2)  # heads and weights are small at first
    assert made.objective.chance["next"] == math.log(64)


def test_padding_is_neither_label_nor_position_of_one() -> None:
    rows = torch.tensor([[1, 2, 1, 0, 0], [2, 1, 2, 1, 2], [0, 0, 0, 0, 0]])
    present = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [0, 0, 0, 0, 0]]).bool()
    _, targets = NextToken()(Batch(rows, present=present), Draws(torch.arange(3)))
    assert targets["next"].weight.tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]  # type: ignore[union-attr]


def test_what_is_behind_the_padding_does_not_change_the_loss_and_rows_of_padding_give_none() -> None:
    rows = torch.tensor([[1, 2, 1, 0, 0], [2, 1, 2, 0, 1]])
    present = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    made = task(Observed("text", (5,), "int64", 2, WORDS))
    losses = [
        float(made.loss(Batch(tokens, present=mask), Draws(torch.arange(len(tokens)))).parts["next"])
        for tokens, mask in (
            (rows, present),
            (rows.where(present, 2), present),
            (rows, torch.zeros_like(present)),
        )
    ]
    assert losses[0] == losses[1]
    assert losses[2] == 0.0


def test_bigrams_find_the_entropy_of_a_chain_and_unigrams_that_of_its_words() -> None:
    moves = torch.tensor([[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.3, 0.4, 0.3]])
    draws = Draws(torch.arange(1500))
    rows = [draws.integers("first", 0, 3)]
    for step in range(29):
        rows.append((draws.uniform(f"{step}", 1) >= moves[rows[-1]].cumsum(1)).sum(1).clamp(max=2))
    tokens = torch.stack(rows, 1)
    made = task(Observed("text", (30,), "int64", 1500, WORDS))
    predictors = made.split.trivial_predictors([Batch(tokens[:1000])])  # type: ignore[attr-defined]
    held_out = Batch(tokens[1000:], torch.arange(1000, 1500))
    nats = {
        name: float(score_predictor(made, predictor)(held_out, Draws(held_out.index)).total)
        for name, predictor in predictors.items()
    }
    long_run = torch.linalg.matrix_power(moves, 100)[0]
    assert nats["unigram"] == pytest.approx(float(torch.special.entr(long_run).sum()), abs=0.02)
    assert nats["bigram"] == pytest.approx(float((long_run * torch.special.entr(moves).sum(1)).sum()), abs=0.02)


def test_the_mean_over_batches_does_not_depend_on_their_size() -> None:
    from dataclasses import replace

    samples = make_canned_samples("text", 50)
    made = task(samples.observed)
    means = []
    for size in (50, 7):
        sized = replace(made, recipe=replace(made.recipe, batch=size))
        means.append(held_out_loss(sized, samples)["next"])
    assert means[0] == pytest.approx(means[1], rel=1e-5)


def test_a_model_that_sees_the_future_is_refused() -> None:
    text = Observed("text", (4,), "int64", 81, Vocabulary(9, (("class", 0),)))
    with pytest.raises(Incompatible, match="'next'"):
        task(text, Bert)


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        (Observed("image", (3, 8, 8)), "rows of tokens"),
        (Observed("text", (8,), "int64"), "without a vocabulary"),
        (Observed("text", (1,), "int64", vocabulary=WORDS), "at least 2 tokens; got 1"),
        (Observed("text", (8,), "int64", vocabulary=Vocabulary(5)), "3 tokens that it was fitted to"),
    ],
)
def test_what_is_no_text_of_its_vocabulary_is_refused(text: Observed, needs: str) -> None:
    with pytest.raises(Incompatible, match=needs):
        NextToken(WORDS).spec(text)


def test_rows_longer_than_the_context_are_refused() -> None:
    with pytest.raises(Incompatible, match="at most 3 positions"):
        compose(TEXT, NextToken(), lambda *specs: Gpt2(*specs, width=16, depth=1, heads=2, context=3), CrossEntropy)
