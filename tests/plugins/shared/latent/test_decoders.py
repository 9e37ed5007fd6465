"""Promises of the decoders: one distribution over rows, a history that is never the answer, and maps of any size."""

from itertools import product
from typing import Any

import pytest
import torch
from pretask import Categories, Draws, FeatureSpec, Incompatible, Target, Values
from pretask.language.sampling import Sampling
from pretask_plugins.objectives.vae.elbo import Elbo
from pretask_plugins.shared.latent.autoregressive import AutoregressiveDecoder
from pretask_plugins.shared.latent.decoders import ResidualDecoder
from scipy import stats

CLASSES, LENGTH, LATENT = 3, 4, 2
ROWS = torch.tensor(list(product(range(CLASSES), repeat=LENGTH)))  # every row there is
CODE = torch.tensor([[0.7, -1.2]])
BODIES = ("gru", "transformer")


def decoder(body: Any, word_dropout: float = 0.0) -> AutoregressiveDecoder:
    """One whose weights are large, so that it matters what it is shown."""
    torch.manual_seed(0)
    made = AutoregressiveDecoder("a test", LATENT, Categories(CLASSES, grid=(LENGTH,)), body, (8, 8), word_dropout)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return made


def log_probabilities(made: AutoregressiveDecoder, code: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    logits = made(code.expand(len(rows), -1), made.history(Target(rows), None)).detach()
    return logits.log_softmax(-1).gather(-1, rows[..., None])[..., 0].sum(1)


@pytest.mark.parametrize("body", BODIES)
def test_all_rows_together_have_a_probability_of_one_and_are_drawn_by_it(body: str) -> None:
    made = decoder(body)
    probability = log_probabilities(made, CODE, ROWS).exp()
    assert float(probability.sum()) == pytest.approx(1, abs=1e-5)
    count = 4000
    with torch.no_grad():
        drawn, _ = made.generate(CODE.expand(count, -1), Sampling(), Draws(torch.arange(count)))
    number = (drawn * CLASSES ** torch.arange(LENGTH - 1, -1, -1)).sum(1)
    found = torch.bincount(number, minlength=len(ROWS)).double()
    likely = probability * count >= 5  # the others in one cell
    expected = torch.cat([probability[likely], probability[~likely].sum()[None]]).double() * count
    counts = torch.cat([found[likely], found[~likely].sum()[None]])
    assert stats.chisquare(counts.numpy(), (expected * count / expected.sum()).numpy()).pvalue > 1e-3


@pytest.mark.parametrize("body", BODIES)
def test_a_position_is_read_from_those_before_it_and_from_the_code(body: str) -> None:
    made, row = decoder(body), torch.tensor([[0, 1, 2, 0]])
    ours = made(CODE, made.history(Target(row), None))
    for position in range(LENGTH):
        other = row.clone()
        other[0, position] = (other[0, position] + 1) % CLASSES
        changed = (made(CODE, made.history(Target(other), None)) - ours).abs().amax(-1)[0] > 1e-6
        assert changed.tolist() == [place > position for place in range(LENGTH)]
    assert bool(((made(-CODE, made.history(Target(row), None)) - ours).abs().amax(-1) > 1e-6).all())


@pytest.mark.parametrize("body", BODIES)
def test_step_by_step_it_has_the_logits_of_the_row_that_it_chose(body: str) -> None:
    made, codes = decoder(body), Draws(torch.arange(20)).normal("code", LATENT)
    rows, logits = made.generate(codes)
    assert torch.allclose(made(codes, made.history(Target(rows), None)), logits, atol=1e-5)
    assert torch.equal(logits.argmax(-1), rows)


def test_words_are_hidden_at_the_rate_in_training_alone_and_neither_the_start_nor_the_answer() -> None:
    made, rows = decoder("gru", 0.4), ROWS.repeat(60, 1)
    target = Target(rows.clone())
    shown = made.history(target, Draws(torch.arange(len(rows))))
    assert bool((shown[:, 0] == made.start).all())
    hidden = (shown[:, 1:] == made.hidden_class).double()
    assert float(hidden.mean()) == pytest.approx(0.4, abs=4 * (0.24 / hidden.numel()) ** 0.5)  # 4 standard errors
    assert bool(((shown[:, 1:] == rows[:, :-1]) | (hidden > 0)).all())
    assert torch.equal(target.value, rows)
    made.eval()
    assert torch.equal(made.history(target, Draws(torch.arange(len(rows))))[:, 1:], rows[:, :-1])


def test_without_any_history_positions_depend_on_the_code_alone_in_evaluation_too() -> None:
    made = decoder("gru", 1.0).eval()
    logits = made(CODE.expand(len(ROWS), -1), made.history(Target(ROWS), None))
    assert torch.allclose(logits, logits[:1].expand_as(logits), atol=1e-6)
    assert torch.allclose(made.generate(CODE)[1], logits[:1], atol=1e-5)


def test_what_weighs_nothing_is_not_shown() -> None:
    made, weight = decoder("gru"), torch.tensor([[1.0, 0, 1, 1]])
    rows = torch.tensor([[2, 0, 1, 1], [2, 1, 1, 1]])
    one, two = made.history(Target(rows, weight.expand(2, -1)), None)
    assert torch.equal(one, two)


@pytest.mark.parametrize("kind", ["gru", "transformer"])
def test_the_bound_of_an_autoregressive_decoder_is_that_of_its_own_probabilities(kind: Any) -> None:
    torch.manual_seed(0)
    features = FeatureSpec(5)
    model = Elbo(
        features, {"words": Categories(CLASSES, grid=(LENGTH,), hidden=False)}, latent_dim=2, hidden=(8,), decoder=kind
    )
    codes = Draws(torch.arange(len(ROWS))).normal("code", 3, 2)
    found = model.log_likelihoods(model.decode_targets(codes, {"words": Target(ROWS)}), {"words": Target(ROWS)})
    for number in range(3):
        one_by_one = [
            log_probabilities(model.decoders["words"], codes[row : row + 1, number], ROWS[row : row + 1])
            for row in range(0, len(ROWS), 20)
        ]
        assert torch.allclose(found["words"][::20, number], torch.cat(one_by_one), atol=1e-5)


@pytest.mark.parametrize(("grid", "views"), [((28, 20), None), ((33,), None), ((5, 9), 2), ((1, 1), None)])
def test_residual_maps_reach_any_size_and_every_place_sees_the_code(grid: tuple[int, ...], views: int | None) -> None:
    torch.manual_seed(0)
    made = ResidualDecoder("a test", LATENT, Values(2, grid=grid, views=views), 3, 32)
    code = CODE.clone().requires_grad_()
    output = made(code)
    assert output.shape == (1, *(() if views is None else (views,)), *grid, 3)
    assert bool((made(-CODE) != output).all())


def test_rows_of_classes_are_wanted_and_one_width() -> None:
    features, words = FeatureSpec(4), Categories(5, grid=(6,), hidden=False)
    with pytest.raises(Incompatible, match="classes in a row"):
        Elbo(features, {"pixels": Values(1, grid=(4, 4))}, decoder="gru", hidden=(8,))
    with pytest.raises(Incompatible, match="one width for all layers"):
        Elbo(features, {"words": words}, decoder="transformer", hidden=(8, 16))
    with pytest.raises(Incompatible, match="on a line or in a plane"):
        Elbo(features, {"kind": Categories(5)}, decoder="residual")
    with pytest.raises(Incompatible, match="below its mean"):
        Elbo(features, {"words": words}, free_bits=0.5, bound="sampled")
