"""Promises of likelihoods and decoders."""

import math

import pytest
import torch
from pretask import Categories, Draws, Incompatible, Target, Values
from pretask_plugins.shared.latent.decoders import ConvolutionalDecoder, PerceptronDecoder
from pretask_plugins.shared.latent.likelihoods import (
    Bernoulli,
    Categorical,
    Gaussian,
    Logistic,
    build_likelihood,
    log_likelihood,
    log_logistic_mass,
)
from torch import distributions

DRAWS = Draws(torch.arange(3))
OUTPUTS = DRAWS.normal("said", 2, 5, 4)  # B K N C


def test_bernoulli_gaussian_and_categorical_are_those_of_torch() -> None:
    bits, reals = DRAWS.bernoulli("bit", 0.5, 5, 4).float(), DRAWS.normal("real", 5, 4)
    classes = DRAWS.integers("class", 0, 4, 5)
    bernoulli = distributions.Bernoulli(logits=OUTPUTS).log_prob(bits[:, None].expand(OUTPUTS.shape)).sum((2, 3))
    assert torch.allclose(log_likelihood(Bernoulli(4), OUTPUTS, Target(bits)), bernoulli, atol=1e-5)
    gaussian = distributions.Normal(OUTPUTS, math.exp(-1)).log_prob(reals[:, None]).sum((2, 3))
    assert torch.allclose(log_likelihood(Gaussian(4), OUTPUTS, Target(reals)), gaussian, atol=1e-4)
    categorical = distributions.Categorical(logits=OUTPUTS).log_prob(classes[:, None].expand(3, 2, 5)).sum(2)
    assert torch.allclose(log_likelihood(Categorical(4), OUTPUTS, Target(classes)), categorical, atol=1e-5)


def test_the_256_levels_of_a_logistic_share_all_of_it_as_its_distribution_function_says() -> None:
    levels, mean, scale = torch.arange(256).double() / 255, torch.tensor(0.2).double(), torch.tensor(0.05).double()
    mass = log_logistic_mass(levels, mean, scale).exp()

    def below(x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid((x - mean) / scale)

    expected = below(levels + 0.5 / 255) - below(levels - 0.5 / 255)
    assert float(mass.sum()) == pytest.approx(1, abs=1e-9)
    assert torch.allclose(mass[1:-1], expected[1:-1], rtol=1e-9)
    assert float(mass[0]) == pytest.approx(float(below(levels[0] + 0.5 / 255)))


def test_a_logistic_far_off_is_improbable_but_never_impossible() -> None:
    far = log_logistic_mass(torch.tensor([0.5]), torch.tensor([90.0]).requires_grad_(), torch.tensor([0.01]))
    assert float(far.detach()) == pytest.approx(-8950, rel=0.01)
    far.sum().backward()


def test_distributions_over_candidates_are_scored_by_their_shares() -> None:
    value, share = torch.tensor([[1, 3]] * 3), torch.tensor([[0.25, 0.75]] * 3)
    outputs = OUTPUTS[:, :, 0]
    expected = (outputs.log_softmax(-1)[..., [1, 3]] * torch.tensor([0.25, 0.75])).sum(-1)
    assert torch.allclose(log_likelihood(Categorical(4), outputs, Target(value, probability=share)), expected)


def test_log_probability_is_a_sum_over_positions_of_which_some_weigh_nothing() -> None:
    value, weight = torch.zeros(3, 5, 4), torch.tensor([1.0, 0, 1, 0, 0]).expand(3, 5)
    at_half = log_likelihood(Bernoulli(4), torch.zeros(3, 2, 5, 4), Target(value, weight))
    assert torch.allclose(at_half, torch.full((3, 2), -2 * 4 * math.log(2)))
    changed = torch.where(weight[..., None] > 0, value, 1.0)
    same = log_likelihood(Bernoulli(4), OUTPUTS, Target(changed, weight))
    assert torch.equal(same, log_likelihood(Bernoulli(4), OUTPUTS, Target(value, weight)))


@pytest.mark.parametrize("likelihood", [Gaussian(4), Logistic(4)])
def test_no_other_deviation_makes_a_guess_likelier(likelihood: Gaussian) -> None:
    value = DRAWS.uniform("grey", 500, 4)
    outputs, target = torch.full((3, 500, 4), 0.5), Target(value)
    fitted = likelihood.with_best_std(outputs, target)
    best = float(log_likelihood(fitted, outputs[:, None], target).mean().detach())
    for factor in (0.5, 2.0):
        other = likelihood.with_best_std(outputs, target)
        other.log_std.data += math.log(factor)
        assert best > float(log_likelihood(other, outputs[:, None], target).mean().detach())


def test_what_is_said_of_a_guess_has_that_guess_as_its_mean() -> None:
    grey = DRAWS.uniform("grey", 4, low=0.01, high=0.99)
    assert torch.allclose(Bernoulli(4).mean(Bernoulli(4).inverse_link(grey)), grey, atol=1e-6)
    assert torch.equal(Gaussian(4).mean(Gaussian(4).inverse_link(grey)), grey)
    shares = OUTPUTS.log_softmax(-1)
    assert torch.allclose(Categorical(4).mean(Categorical(4).inverse_link(shares)), shares, atol=1e-6)


def test_a_likelihood_of_another_kind_of_target_is_refused() -> None:
    with pytest.raises(Incompatible, match="values for the likelihood bernoulli"):
        build_likelihood("elbo", "word", Categories(5), "bernoulli")
    with pytest.raises(Incompatible, match="categories for the likelihood categorical"):
        build_likelihood("elbo", "pixel", Values(3), "categorical")


GRIDS = [(), (5,), (16,), (28, 28), (7, 50), (3, 2)]


@pytest.mark.parametrize("views", [None, 3])
@pytest.mark.parametrize("grid", GRIDS)
def test_decoders_answer_at_every_position_of_every_view(grid: tuple[int, ...], views: int | None) -> None:
    target = Values(2, grid=grid, views=views)
    lead = (6, *(() if views is None else (views,)), *grid, 2)
    code = Draws(torch.arange(6)).normal("code", 4)
    assert PerceptronDecoder(4, target, 2, (8,))(code).shape == lead
    if grid:
        assert ConvolutionalDecoder("elbo", 4, target, 2, 32)(code).shape == lead


def test_views_of_a_convolutional_decoder_are_kept_apart_from_answers() -> None:
    decoder = ConvolutionalDecoder("elbo", 2, Values(3, grid=(4, 4), views=2), 3, 16)
    last = decoder.body[-1]
    assert last.bias is not None
    torch.nn.init.zeros_(last.weight)  # type: ignore[arg-type]
    last.bias.data = torch.arange(6.0)  # views first, then answers
    outputs = decoder(torch.zeros(1, 2))
    assert outputs[0, :, 0, 0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_a_large_vocabulary_is_told_from_one_vector_per_position() -> None:
    count = sum(
        parameter.numel() for parameter in PerceptronDecoder(4, Categories(5000, grid=(32,)), 5000, (8,)).parameters()
    )
    assert count < 400_000  # 5,000 classes at 32 positions from 8 units would be 1.4 million
    with pytest.raises(Incompatible, match="line or in a plane"):
        ConvolutionalDecoder("elbo", 4, Values(1, grid=(2, 2, 2)), 1, 8)
