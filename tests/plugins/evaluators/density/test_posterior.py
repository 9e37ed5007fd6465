"""Promises of the evaluator posterior, on codes whose information is known in closed form or by integration."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from pretask import Budget, Draws, Features, FeatureSpec, Inputs, Observed, PretaskError, Recipe, Samples, Task, Values
from pretask_plugins.evaluators.density.posterior import PosteriorEvaluator, measure_information
from pretask_plugins.objectives.vae.elbo import Elbo
from pretask_plugins.shared.latent.gaussian import Posterior
from pretask_plugins.splits.whole import Whole
from torch import nn

COUNT = 50
OBSERVED = Observed("image", (1, 1, 2), "float32", COUNT)


class Pixels(nn.Module):
    """An encoder whose features are the two pixels and a log-variance."""

    def __init__(self, log_variance: float) -> None:
        super().__init__()
        self.log_variance = log_variance

    def forward(self, inputs: Inputs, layers: bool = False) -> Features:
        mean = inputs.data.flatten(2)
        vector = torch.cat([mean, torch.full_like(mean, self.log_variance)], 2)
        return Features({"all": vector[:, :, None]}, {"all": vector})


def planted(log_variance: float) -> Task:
    """A model whose posterior means are the pixels, and whose decoder copies the code at a std of 1."""
    objective = Elbo(FeatureSpec(4), {"pixels": Values(1, grid=(1, 2), hidden=False)}, latent_dim=2, hidden=())
    with torch.no_grad():
        objective.to_code.weight.copy_(torch.eye(4))
        objective.to_code.bias.zero_()
        objective.decoders["pixels"].body[0].weight.copy_(torch.eye(2))
        objective.decoders["pixels"].body[0].bias.zero_()
        objective.likelihoods["pixels"].log_std.zero_()
    return Task("planted", Whole(), Pixels(log_variance), objective, Recipe(), OBSERVED, torch.device("cpu"))


def found(pixels: torch.Tensor, log_variance: float, **options: Any) -> dict[str, float]:
    data = pixels.view(-1, 1, 1, 2)
    return dict(PosteriorEvaluator(**options)(planted(log_variance), lambda part: Samples(OBSERVED, data), Budget()))


def test_posteriors_that_are_the_prior_tell_nothing() -> None:
    numbers = found(torch.zeros(COUNT, 2), 0.0)
    for name in ("mutual_information", "kl", "aggregate_kl", "active_units", "permutation_cost"):
        assert numbers[name] == pytest.approx(0, abs=0.01)


def test_posteriors_far_apart_tell_which_sample_it_is() -> None:
    numbers = found(20.0 * torch.arange(COUNT)[:, None].expand(-1, 2), -2.0)
    assert numbers["mutual_information"] == pytest.approx(math.log(COUNT), abs=1e-3)
    assert numbers["log_size"] == pytest.approx(math.log(COUNT))
    assert numbers["active_units"] == 2


def test_the_divergence_is_information_and_distance_of_the_aggregate_from_the_prior() -> None:
    pixels = Draws(torch.arange(COUNT)).normal("pixels", 2)
    numbers = found(pixels, -1.0, num_latents=200)
    assert numbers["kl"] == pytest.approx(numbers["mutual_information"] + numbers["aggregate_kl"], abs=0.05)


def test_the_aggregate_is_the_mixture_as_integration_has_it() -> None:
    mean = torch.tensor([[-1.0], [0.5], [2.0]])
    posterior = Posterior(mean, torch.full_like(mean, -1.0))
    code = posterior.draw(Draws(torch.arange(3)).normal("code", 20_000, 1))
    own, aggregate, prior = measure_information(posterior, code)
    grid = np.linspace(-8, 9, 20_001)
    std = math.exp(-0.5)
    parts = [np.exp(-0.5 * ((grid - m) / std) ** 2) / (std * math.sqrt(2 * math.pi)) for m in mean[:, 0].tolist()]
    mixture, step = np.mean(parts, 0), grid[1] - grid[0]
    entropy = -np.sum(mixture * np.log(mixture + 1e-300)) * step
    cross = np.sum(mixture * (0.5 * grid**2 + 0.5 * math.log(2 * math.pi))) * step
    assert aggregate == pytest.approx(-entropy, abs=0.01)  # 4 standard errors of 60,000 codes
    assert prior == pytest.approx(-cross, abs=0.02)
    assert own == pytest.approx(-0.5 * math.log(2 * math.pi * math.e) + 0.5, abs=0.01)


def test_a_code_of_another_sample_costs_what_the_decoder_says() -> None:
    """With a decoder that copies codes, the squared distance of two samples counts twice half."""
    pixels = torch.tensor([[0.0, 0.0], [3.0, 0.0]]).repeat(COUNT // 2, 1)
    assert found(pixels, -8.0)["permutation_cost"] == pytest.approx(0.5 * 9, abs=0.05)


def test_an_objective_without_a_code_is_refused() -> None:
    plain = Task("plain", Whole(), Pixels(0.0), nn.Identity(), Recipe(), OBSERVED, torch.device("cpu"))  # type: ignore[arg-type]
    with pytest.raises(PretaskError, match="posterior needs an objective with latent variables"):
        dict(PosteriorEvaluator()(plain, lambda part: Samples(OBSERVED, torch.zeros(4, 1, 1, 2)), Budget()))
