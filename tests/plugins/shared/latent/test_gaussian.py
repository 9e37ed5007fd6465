"""Promises of the equations of latent variables; closed forms and torch.distributions, methods.md section 1."""

import math

import pytest
import torch
from pretask import Draws
from pretask_plugins.shared.latent.gaussian import (
    Posterior,
    anneal,
    kl_to_standard_normal,
    log_mean_exp,
    log_normal,
    log_prior,
    score_gradient,
    surrogate,
)
from torch.distributions import Normal, kl_divergence


def doubles(name: str, *shape: int) -> torch.Tensor:
    return Draws(torch.arange(shape[0])).normal(name, *shape[1:]).double()


def test_the_divergence_is_that_of_torch() -> None:
    mean, log_variance = doubles("mean", 50, 7), doubles("variance", 50, 7)
    standard = Normal(torch.zeros_like(mean), torch.ones_like(mean))
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), standard)
    assert float((kl_to_standard_normal(mean, log_variance) - expected).abs().max()) < 1e-10
    assert float(kl_to_standard_normal(torch.zeros(3), torch.zeros(3)).abs().max()) == 0


def test_log_densities_are_those_of_torch() -> None:
    value, mean, log_variance = (doubles(name, 20, 3) for name in ("value", "mean", "variance"))
    assert torch.allclose(log_normal(value, mean, log_variance), Normal(mean, (log_variance / 2).exp()).log_prob(value))
    codes = doubles("code", 4, 5, 3)
    assert torch.allclose(log_prior(codes), Normal(0.0, 1.0).log_prob(codes))


def test_codes_have_the_mean_and_the_deviation_of_their_posterior() -> None:
    posterior = Posterior(torch.tensor([[2.0, -1.0]]), torch.tensor([[0.0, 2 * math.log(3)]]))
    codes = posterior.draw(Draws(torch.arange(1)).normal("noise", 100_000, 2))[0]
    assert torch.allclose(codes.mean(0), torch.tensor([2.0, -1.0]), atol=0.04)  # 4 standard errors of deviation 3
    assert torch.allclose(codes.std(0), torch.tensor([1.0, 3.0]), rtol=0.01)


def test_the_divergence_is_the_mean_of_what_sampling_gives() -> None:
    posterior = Posterior(torch.tensor([[1.0, -0.5]]), torch.tensor([[-1.0, 0.7]]))
    codes = posterior.draw(Draws(torch.arange(1)).normal("noise", 100_000, 2))
    sampled = (posterior.log_density(codes) - log_prior(codes)).sum(-1)[0]
    error = float(sampled.std()) / 100_000**0.5
    assert float(sampled.mean()) == pytest.approx(float(posterior.divergences().sum()), abs=4 * error)


def test_a_mean_of_exponentials_is_one_also_far_from_zero() -> None:
    value = doubles("value", 5, 8)
    assert torch.allclose(log_mean_exp(value - 5000), value.exp().mean(1).log() - 5000)


@pytest.fixture(scope="module")
def square() -> tuple[torch.Tensor, torch.Tensor]:
    """Codes of N(1.5, 1), 32 for every sample, and their noise; the signal is z squared."""
    noise = Draws(torch.arange(20_000)).normal("noise", 32, 1)
    return (1.5 + noise) ** 2, noise


def test_the_score_function_has_the_mean_and_variance_of_the_closed_form(
    square: tuple[torch.Tensor, torch.Tensor],
) -> None:
    signal, noise = (codes.reshape(-1, 1, 1) for codes in square)
    gradient = score_gradient(signal, noise, control=False)[:, 0]
    variance = 1.5**4 + 14 * 1.5**2 + 15
    assert float(gradient.mean()) == pytest.approx(2 * 1.5, abs=4 * (variance / len(gradient)) ** 0.5)
    assert float(gradient.var()) == pytest.approx(variance, rel=0.03)


def test_the_control_variate_keeps_the_mean_and_lowers_the_variance(square: tuple[torch.Tensor, torch.Tensor]) -> None:
    signal, noise = square
    plain = score_gradient(signal, noise, control=False)[:, 0]
    controlled = score_gradient(signal, noise, control=True)[:, 0]
    assert float(controlled.mean()) == pytest.approx(3.0, abs=4 * float(controlled.std()) / 20_000**0.5)
    best = 1.5**4 + 18 * 1.5**2 + 15 - (1.5**2 + 3) ** 2 - 4 * 1.5**2  # 24, with the factor E[f h^2] = 5.25
    assert 0.95 * best < 32 * float(controlled.var()) < 1.4 * best  # the factor is estimated on 31 samples
    assert 32 * float(plain.var()) > 2 * best


def test_reparameterisation_has_variance_four_there() -> None:
    posterior = Posterior(torch.full((100_000, 1), 1.5).requires_grad_(), torch.zeros(100_000, 1))
    posterior.draw(Draws(torch.arange(100_000)).normal("noise", 1, 1)).square().sum().backward()
    gradient = posterior.mean.grad
    assert gradient is not None
    assert float(gradient.mean()) == pytest.approx(3.0, abs=4 * 2 / 100_000**0.5)
    assert float(gradient.var()) == pytest.approx(4.0, rel=0.03)


def test_the_surrogate_is_zero_and_has_the_gradient_of_both_parameters(
    square: tuple[torch.Tensor, torch.Tensor],
) -> None:
    std = 0.5
    noise = square[1]
    mean = torch.full((20_000, 1), 1.5).requires_grad_()
    log_variance = torch.full((20_000, 1), 2 * math.log(std)).requires_grad_()
    signal = (1.5 + std * noise) ** 2  # its mean is mean^2 + variance
    term = surrogate(Posterior(mean, log_variance), noise, signal, control=True)
    term.sum().backward()
    assert float(term.detach().abs().max()) == 0
    assert mean.grad is not None
    assert log_variance.grad is not None
    assert float(mean.grad.mean()) == pytest.approx(3.0, abs=0.04)
    assert float(log_variance.grad.mean()) == pytest.approx(std**2, abs=0.02)


def test_annealing_rises_from_nothing_to_all() -> None:
    begin, half, end = torch.tensor(0.0), torch.tensor(0.25), torch.tensor(1.0)
    assert float(anneal(begin, "none", 0.5)) == 1
    assert [float(anneal(progress, "linear", 0.5)) for progress in (begin, half, end)] == [0, 0.5, 1]
    assert float(anneal(begin, "sigmoid", 0.5)) < 0.01
    assert float(anneal(half, "sigmoid", 0.5)) == 0.5
    assert float(anneal(end, "sigmoid", 0.5)) > 0.99
