"""Promises of black-box and per-sample: known posteriors are found, and gradients are right with less noise."""

from typing import Any

import pytest
import torch
from latent_joints import CENTERS, PRIOR, STD, WIDE_STD
from pretask import (
    Draws,
    Features,
    FeatureSpec,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Recipe,
    Samples,
    Task,
    Values,
)
from pretask.composition import compose
from pretask.training import train
from pretask.values import Target
from pretask_plugins.models.per_sample import PerSample
from pretask_plugins.objectives.vae.black_box import BlackBox
from pretask_plugins.shared.latent.families import CategoricalFamily, GaussianFamily
from pretask_plugins.splits.whole import Whole
from torch.distributions import Categorical, Normal, kl_divergence

COUNT = 12
OBSERVED = Observed("image", (1, 1, 2), "float32", COUNT)
Y = 1.5 * Draws(torch.arange(COUNT)).normal("y", 2)
TARGETS = {"pixels": Values(1, grid=(1, 2), hidden=False)}


def fitted(width: int, steps: int, lr: float, **options: Any) -> Task:
    """Every sample's own q, found by its own vector."""
    task = compose(
        OBSERVED,
        Whole(),
        lambda *specs: PerSample(*specs, width=width),
        lambda *specs: BlackBox(*specs, latent_dim=2, **options),
        Recipe(optimizer="adam", lr=lr, batch=COUNT, samples=COUNT * steps, weight_decay=0.0, schedule="linear"),
    )
    train(task, Samples(OBSERVED, Y.view(COUNT, 1, 1, 2)))
    return task


def posterior(task: Task) -> Any:
    with torch.no_grad():
        inputs = Inputs(Y.view(COUNT, 1, 1, 1, 2), index=torch.arange(COUNT))
        return task.objective.posterior(task.model(inputs))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"gradient": "reparameterized"}, marks=pytest.mark.exhaustive),
        {"gradient": "score", "log_joint": "latent_joints:normal_by_dimension"},
    ],
)
def test_the_posterior_of_a_normal_mean_is_found(options: dict[str, Any]) -> None:
    task = fitted(4, 250, 0.05, num_latents=16, **{"log_joint": "latent_joints:normal", **options})
    found: GaussianFamily = posterior(task)
    precision = 1 + 1 / STD**2
    exact = Normal(Y / STD**2 / precision, precision**-0.5)
    q = Normal(found.posterior.mean, (0.5 * found.posterior.log_variance).exp())
    assert float(kl_divergence(q, exact).max()) < 0.02


@pytest.mark.slow
@pytest.mark.parametrize("control", ["leave_one_out", pytest.param("baseline", marks=pytest.mark.exhaustive)])
def test_the_posterior_of_a_class_is_found(control: Any) -> None:
    joint = {"log_joint": "latent_joints:mixture", "family": "categorical", "classes": 3}
    task = fitted(6, 300, 0.02, num_latents=32, control=control, **joint)
    found: CategoricalFamily = posterior(task)
    exact = Categorical(logits=PRIOR.log() + Normal(CENTERS, WIDE_STD).log_prob(Y[..., None]))
    assert float((found.logits.softmax(-1) - exact.probs).abs().max()) < 0.08
    assert float(kl_divergence(Categorical(logits=found.logits), exact).mean()) < 0.01


def gradients(count: int, **options: Any) -> torch.Tensor:
    """The gradient of each of many copies of one sample's loss by the parameters of its q."""
    model = BlackBox(FeatureSpec(4 if options.get("family") != "categorical" else 6), TARGETS, latent_dim=2, **options)
    width = model.to_parameters.in_features
    with torch.no_grad():
        model.to_parameters.weight.copy_(torch.eye(width))
        model.to_parameters.bias.zero_()
    start = torch.linspace(-0.5, 0.7, width).expand(count, 1, width).clone().requires_grad_()
    targets = {"pixels": Target(Y[:1].view(1, 1, 2, 1).expand(count, -1, -1, -1))}
    loss = model(Features({"all": start[:, :, None]}, {"all": start}), targets, Draws(torch.arange(count)))
    (gradient,) = torch.autograd.grad(loss.total, start)
    return gradient[:, 0] * count


def compare(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference of two means, in standard errors."""
    error = ((found.var(0) + expected.var(0)) / len(found)).sqrt()
    return float(((found.mean(0) - expected.mean(0)) / error).abs().max())


def test_the_score_gradient_is_that_of_reparameterization_with_every_control_and_smaller_by_dimension() -> None:
    expected = gradients(20_000, log_joint="latent_joints:normal", gradient="reparameterized", num_latents=4)
    whole = gradients(20_000, log_joint="latent_joints:normal", num_latents=4, control="none")
    parts = gradients(20_000, log_joint="latent_joints:normal_by_dimension", num_latents=4, control="none")
    controlled = gradients(20_000, log_joint="latent_joints:normal_by_dimension", num_latents=4)
    assert max(compare(found, expected) for found in (whole, parts, controlled)) < 4
    assert bool((parts.var(0) < whole.var(0)).all())
    assert bool((controlled.var(0) < parts.var(0)).all())


@pytest.mark.parametrize("control", ["leave_one_out", "none"])
def test_the_score_gradient_of_classes_is_that_of_the_sum_over_all_of_them(control: Any) -> None:
    joint = {"log_joint": "latent_joints:mixture", "family": "categorical", "classes": 3}
    found = gradients(20_000, num_latents=4, control=control, **joint)
    logits = torch.linspace(-0.5, 0.7, 6).view(2, 3).requires_grad_()
    log_q = logits.log_softmax(-1)
    log_p = PRIOR.log() + Normal(CENTERS, WIDE_STD).log_prob(Y[0][:, None])
    (exact,) = torch.autograd.grad((log_q.exp() * (log_q - log_p)).sum(), logits)
    error = (found.var(0) / len(found)).sqrt()
    assert float(((found.mean(0) - exact.flatten()) / error).abs().max()) < 4


def test_entropies_are_those_of_torch() -> None:
    parameters = Draws(torch.arange(5)).normal("q", 4)
    mean, log_variance = parameters.chunk(2, 1)
    exact = Normal(mean, (0.5 * log_variance).exp()).entropy()
    assert torch.allclose(GaussianFamily(parameters).entropy(), exact, atol=1e-5)
    logits = parameters.view(5, 2, 2)
    assert torch.allclose(CategoricalFamily(logits).entropy(), Categorical(logits=logits).entropy(), atol=1e-5)


def test_codes_are_drawn_by_their_probabilities() -> None:
    logits = torch.tensor([[[0.0, 1.0, -1.0]]]).expand(20_000, -1, -1)
    code, _ = CategoricalFamily(logits).draw(Draws(torch.arange(20_000)), 1, 1)
    found = torch.bincount(code.flatten(), minlength=3) / 20_000
    assert torch.allclose(found, logits[0, 0].softmax(0), atol=0.014)  # 4 standard errors


def test_options_that_contradict_each_other_are_refused() -> None:
    features = FeatureSpec(4)
    with pytest.raises(Incompatible, match="which can be imported"):
        BlackBox(features, TARGETS, log_joint="latent_joints:nothing")
    with pytest.raises(Incompatible, match="the family gaussian for reparameterization"):
        BlackBox(features, TARGETS, family="categorical", gradient="reparameterized")
    with pytest.raises(Incompatible, match="at least 2 for"):
        BlackBox(features, TARGETS, num_latents=1)


def test_a_sample_without_a_vector_of_its_own_is_refused() -> None:
    model = PerSample(InputSpec("image", (1, 1, 2)), InputSpec("image", (1, 1, 2)), width=3)
    model.allocate(4)
    vectors = model(Inputs(torch.zeros(2, 1, 1, 1, 2), index=torch.tensor([3, 0]))).pooled["all"][:, 0]
    assert torch.equal(vectors, model.table[[3, 0]])
    with pytest.raises(Incompatible, match="samples without a number"):
        model(Inputs(torch.zeros(2, 1, 1, 1, 2)))
