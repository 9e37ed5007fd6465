"""Promises of elbo and iwae: exactness where all is Gaussian, gradients that agree, and honest reports.

The linear-Gaussian model y = W z + b + s e has a posterior and an evidence in closed form.
"""

import math
from typing import Any

import pytest
import torch
from pretask import Agreement, Batch, Categories, Draws, Features, FeatureSpec, Incompatible, Target, Values
from pretask_plugins.objectives.vae.elbo import Elbo
from pretask_plugins.objectives.vae.iwae import Iwae
from pretask_plugins.shared.latent.gaussian import Posterior, log_mean_exp
from torch.distributions import MultivariateNormal, Normal, kl_divergence

LATENT, NUMBERS, STD = 2, 5, 0.6
COLUMNS = torch.tensor([[1.0, 1, -1, 0, 0], [0.5, -0.5, 0, 1, 2]]).T  # orthogonal, so that the posterior is diagonal
OFFSET = torch.tensor([0.3, -0.2, 0.0, 1.0, 0.5])


def linear_gaussian(objective: type[Any], **options: Any) -> Any:
    """The objective with the planted decoder; its features are mean and log-variance themselves."""
    torch.manual_seed(0)
    made = objective(FeatureSpec(2 * LATENT), {"y": Values(NUMBERS)}, latent_dim=LATENT, hidden=(), **options)
    with torch.no_grad():
        made.to_code.weight.copy_(torch.eye(2 * LATENT))
        made.to_code.bias.zero_()
        made.decoders["y"].body[0].weight.copy_(COLUMNS)
        made.decoders["y"].body[0].bias.copy_(OFFSET)
        made.likelihoods["y"].log_std.fill_(math.log(STD))
    return made


def observed(count: int) -> torch.Tensor:
    draws = Draws(torch.arange(count)).branch("observed")
    return draws.normal("z", LATENT) @ COLUMNS.T + OFFSET + STD * draws.normal("e", NUMBERS)


def evidence(y: torch.Tensor) -> torch.Tensor:
    """log p(y), exactly."""
    covariance = COLUMNS @ COLUMNS.T + STD**2 * torch.eye(NUMBERS)
    return MultivariateNormal(OFFSET, covariance).log_prob(y)


def exact_posterior(y: torch.Tensor) -> Posterior:
    precision = 1 + COLUMNS.square().sum(0) / STD**2
    mean = (y - OFFSET) @ COLUMNS / STD**2 / precision
    return Posterior(mean, -precision.log().expand_as(mean))


def as_features(posterior: Posterior, *, wrong: float = 0.0, gradient: bool = False) -> Features:
    """Features from which the posterior is read, its mean and log-variance off by `wrong`."""
    pooled = torch.cat([posterior.mean + wrong, posterior.log_variance + wrong], 1)[:, None]
    pooled = pooled.requires_grad_(gradient)
    return Features({"all": pooled[:, :, None]}, {"all": pooled})


def test_at_the_posterior_every_code_weighs_the_evidence_and_all_bounds_are_exact() -> None:
    y = observed(20)
    model = linear_gaussian(Elbo)
    codes = exact_posterior(y).draw(model.noise(Draws(torch.arange(20)), 50))
    weights = model.log_weights(codes, exact_posterior(y), {"y": Target(y)}).detach()
    assert float(weights.std(1).max()) < 1e-4  # single precision
    for count in (1, 5, 50):
        assert torch.allclose(log_mean_exp(weights[:, :count]), evidence(y), atol=1e-4)


def test_with_another_posterior_the_bound_rises_with_the_number_of_codes_to_the_evidence() -> None:
    y = observed(1).expand(4000, -1)
    wrong = Posterior(exact_posterior(y).mean + 0.3, exact_posterior(y).log_variance + 0.3)
    model = linear_gaussian(Iwae)
    weights = model.log_weights(wrong.draw(model.noise(Draws(torch.arange(4000)), 200)), wrong, {"y": Target(y)})
    bounds = [float(log_mean_exp(weights[:, :count].detach()).mean()) for count in (1, 5, 50, 200)]
    assert bounds == sorted(bounds)
    assert bounds[1] - bounds[0] > 0.1
    assert float(evidence(y)[0]) - 0.02 < bounds[-1] < float(evidence(y)[0]) + 0.01


def parts(model: Any, features: Features, y: torch.Tensor) -> dict[str, float]:
    loss = model(features, {"y": Target(y)}, Draws(torch.arange(len(y))))
    return {name: float(value) for name, value in loss.parts.items()}


def test_both_forms_of_the_bound_agree() -> None:
    y = observed(30)
    features = as_features(exact_posterior(y), wrong=0.4)
    analytic = parts(linear_gaussian(Elbo, num_latents=5000), features, y)
    sampled = parts(linear_gaussian(Elbo, num_latents=5000, bound="sampled"), features, y)
    assert sampled["kl"] == pytest.approx(analytic["kl"], abs=0.02)  # 4 standard errors of 150,000 codes
    assert sampled["negative_elbo"] == pytest.approx(analytic["negative_elbo"], abs=0.02)
    assert analytic["negative_elbo"] == pytest.approx(analytic["reconstruction"] + analytic["kl"], abs=1e-4)
    assert parts(linear_gaussian(Iwae, num_latents=1), features, y)["negative_iwae"] == pytest.approx(
        parts(linear_gaussian(Elbo, num_latents=1, bound="sampled"), features, y)["negative_elbo"], abs=1e-4
    )


def code_gradients(model: Any, y: torch.Tensor, wrong: float) -> torch.Tensor:
    """The gradient of each sample's own loss by mean and log-variance, (B, 2 D)."""
    features = as_features(exact_posterior(y), wrong=wrong, gradient=True)
    loss = model(features, {"y": Target(y)}, Draws(torch.arange(len(y))))
    (gradient,) = torch.autograd.grad(loss.total, features.pooled["all"])
    return gradient[:, 0] * len(y)


def test_the_path_gradient_vanishes_at_the_posterior_and_the_others_only_do_in_the_mean() -> None:
    y = observed(2000)
    path = code_gradients(linear_gaussian(Elbo, gradient="path", bound="sampled"), y, 0.0)
    assert float(path.abs().max()) < 1e-4  # single precision
    assert float(code_gradients(linear_gaussian(Iwae, gradient="path", num_latents=4), y, 0.0).abs().max()) < 1e-4
    plain = code_gradients(linear_gaussian(Elbo, bound="sampled"), y, 0.0)
    assert float(plain.std()) > 0.3
    assert float((plain.mean(0) / (plain.std(0) / 2000**0.5)).abs().max()) < 4


def test_the_controlled_score_gradient_vanishes_too_where_all_codes_weigh_the_same() -> None:
    """With one dimension in use, what depends on it is constant at the posterior, and its control variate takes all."""
    y, model = observed(300), linear_gaussian(Elbo, gradient="score", bound="sampled", num_latents=3)
    with torch.no_grad():
        model.decoders["y"].body[0].weight[:, 1] = 0
    exact = exact_posterior(y)
    used = torch.tensor([1.0, 0.0])
    pooled = torch.cat([exact.mean * used, exact.log_variance * used], 1)[:, None].requires_grad_()
    loss = model(Features({"all": pooled[:, :, None]}, {"all": pooled}), {"y": Target(y)}, Draws(torch.arange(300)))
    (gradient,) = torch.autograd.grad(loss.total, pooled)
    assert float(gradient[:, 0, ::2].abs().max()) * 300 < 1e-2  # single precision, divided by small scores
    assert float(gradient[:, 0, 1::2].abs().max()) * 300 > 1


ESTIMATORS = {
    "sampled": {"bound": "sampled"},
    "path": {"gradient": "path", "bound": "sampled"},
    "score": {"gradient": "score", "num_latents": 4},
    "score, sampled": {"gradient": "score", "bound": "sampled", "num_latents": 4},
    "score, no control": {"gradient": "score", "control": "none"},
    "score, baseline": {"gradient": "score", "control": "baseline"},
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_has_the_gradient_of_reparameterisation(name: str) -> None:
    y = observed(1).expand(20_000, -1)
    expected = code_gradients(linear_gaussian(Elbo), y, 0.3)
    found = code_gradients(linear_gaussian(Elbo, **ESTIMATORS[name]), y, 0.3)
    error = ((expected.var(0) + found.var(0)) / 20_000).sqrt()
    assert float(((found.mean(0) - expected.mean(0)) / error).abs().max()) < 4
    assert float(expected.mean(0).abs().max()) > 10 * float(error.max())  # it is no comparison of zeros


def test_the_control_variate_lowers_the_variance_of_the_bounds_gradient() -> None:
    y = observed(1).expand(5000, -1)
    without, with_it = (
        code_gradients(linear_gaussian(Elbo, gradient="score", num_latents=4, control=control), y, 0.3).var(0)
        for control in ("none", "leave_one_out")
    )
    assert bool((with_it < 0.5 * without).all())


def test_a_learned_baseline_lowers_the_variance_of_few_codes_where_others_are_too_few_to_estimate_anything() -> None:
    y = observed(1).expand(5000, -1)
    without, with_it = (linear_gaussian(Elbo, gradient="score", control=control) for control in ("none", "baseline"))
    optimizer = torch.optim.Adam(with_it.baseline.parameters(), 0.05)
    for step in range(60):
        optimizer.zero_grad()
        features = as_features(exact_posterior(y[:64]), wrong=0.3)
        with_it(features, {"y": Target(y[:64])}, Draws(torch.arange(64), 1, step)).total.backward()
        optimizer.step()
    plain, lower = (code_gradients(model, y, 0.3).var(0) for model in (without, with_it))
    assert bool((lower < 0.8 * plain).all())


def test_the_doubly_reparameterized_gradient_is_right_with_less_variance() -> None:
    y = observed(1).expand(20_000, -1)
    plain, path = (
        code_gradients(linear_gaussian(Iwae, num_latents=8, gradient=gradient), y, 0.3)
        for gradient in ("reparameterized", "path")
    )
    error = ((plain.var(0) + path.var(0)) / 20_000).sqrt()
    assert float(((plain.mean(0) - path.mean(0)) / error).abs().max()) < 4
    assert bool((path.var(0) < 0.5 * plain.var(0)).all())


@pytest.mark.parametrize("objective", [Elbo, Iwae])
def test_the_estimator_does_not_change_the_decoders_gradient(objective: type[Any]) -> None:
    y = observed(50)
    found = []
    for options in ({"gradient": "reparameterized"}, {"gradient": "path"}):
        extra = {"bound": "sampled"} if objective is Elbo else {}
        model = linear_gaussian(objective, num_latents=3, **options, **extra)
        features = as_features(exact_posterior(y), wrong=0.3, gradient=True)
        model(features, {"y": Target(y)}, Draws(torch.arange(50))).total.backward()
        found.append(model.decoders["y"].body[0].weight.grad)
    assert torch.allclose(found[0], found[1], atol=1e-6)


def test_beta_and_annealing_weigh_the_divergence_but_never_the_report() -> None:
    y = observed(40)
    features = as_features(exact_posterior(y), wrong=0.2)
    plain = linear_gaussian(Elbo, beta=3.0, annealing="linear", anneal_end=0.5)
    loss = plain(features, {"y": Target(y)}, Draws(torch.arange(40)))
    assert float(loss.total.detach()) == pytest.approx(float(loss.parts["reconstruction"]), abs=1e-4)
    plain.after_step(torch.nn.Identity(), 0.25)
    half = plain(features, {"y": Target(y)}, Draws(torch.arange(40)))
    weighed = float(half.parts["reconstruction"]) + 1.5 * float(half.parts["kl"])
    assert float(half.total.detach()) == pytest.approx(weighed, abs=1e-4)
    assert float(half.parts["negative_elbo"]) == float(loss.parts["negative_elbo"])
    assert float(plain.state_dict()["progress"]) == 0.25  # so that a resumed run goes on annealing where it was


def test_free_bits_cost_nothing_in_any_dimension_but_are_reported() -> None:
    y = observed(40)
    exact = exact_posterior(y)
    features = as_features(
        Posterior(exact.mean * torch.tensor([1.0, 0.1]), exact.log_variance * torch.tensor([1.0, 0]))
    )
    free, plain = (
        linear_gaussian(Elbo, free_bits=bits)(features, {"y": Target(y)}, Draws(torch.arange(40)))
        for bits in (0.7, 0.0)
    )
    mean, log_variance = features.pooled["all"][:, 0].chunk(2, 1)
    kl = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0))
    extra = (0.7 - kl).clamp(min=0).sum(1).mean()
    assert float(extra) > 0.5
    assert float(free.total.detach() - plain.total.detach()) == pytest.approx(float(extra), abs=1e-4)
    assert float(free.parts["negative_elbo"]) == float(plain.parts["negative_elbo"])


def test_units_are_active_where_the_code_tells_samples_apart() -> None:
    y = observed(200)
    exact = exact_posterior(y)
    idle = Posterior(exact.mean * torch.tensor([1.0, 0.0]), exact.log_variance)
    assert parts(linear_gaussian(Elbo), as_features(exact), y)["active_units"] == 2
    assert parts(linear_gaussian(Elbo), as_features(idle), y)["active_units"] == 1


TARGETS = {
    "picture": Values(3, grid=(8, 8), hidden=False),
    "clip": Values(1, grid=(4, 4), views=2, hidden=False),
    "words": Categories(9, grid=(6,), hidden=False),
    "kind": Categories(4),
}


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("objective", [Elbo, Iwae])
def test_any_decodable_target_is_decoded_and_blind_guesses_score_as_chance(objective: type[Any], name: str) -> None:
    spec = TARGETS[name]
    likelihood = "bernoulli" if isinstance(spec, Values) else "auto"
    model = objective(FeatureSpec(6), {name: spec}, latent_dim=2, hidden=(5,), likelihood=likelihood)
    torch.nn.init.zeros_(model.to_code.weight)
    for parameter in model.decoders[name].parameters():
        torch.nn.init.zeros_(parameter)
    vector = Draws(torch.arange(7)).normal("x", 1, 6)
    lead = (7, *(() if spec.views is None else (spec.views,)), *spec.grid)
    draws = Draws(torch.arange(7)).branch("answer")
    value = (
        draws.integers("class", 0, 4, *lead[1:]) if isinstance(spec, Categories) else draws.uniform("v", *lead[1:], 3)
    )
    value = value[..., : spec.channels] if isinstance(spec, Values) else value
    features = Features({"all": vector[:, :, None]}, {"all": vector})
    prediction = model.predict(features)[name]
    assert prediction.shape == (*lead, spec.classes if isinstance(spec, Categories) else spec.channels)
    loss = model(features, {name: Target(value)}, draws)
    if not spec.hidden:
        assert float(loss.parts["reconstruction"]) == pytest.approx(model.chance["negative_elbo"], rel=1e-5)
    scored = model.score({name: prediction, "nobody asked": prediction}, {name: Target(value)})
    assert float(scored.parts["reconstruction"]) == pytest.approx(float(loss.parts["reconstruction"]), rel=1e-4)


def test_several_targets_add_up_and_are_reported_apart() -> None:
    specs = {"a": Values(2), "b": Categories(3)}
    model = Elbo(FeatureSpec(4), specs, latent_dim=2, hidden=(5,))
    vector = Draws(torch.arange(9)).normal("x", 1, 4)
    targets = {"a": Target(vector[:, 0, :2]), "b": Target(torch.arange(9) % 3)}
    loss = model(Features({"all": vector[:, :, None]}, {"all": vector}), targets, Draws(torch.arange(9)))
    assert float(loss.parts["a"] + loss.parts["b"]) == pytest.approx(float(loss.parts["reconstruction"]), rel=1e-5)
    assert {"a.r2", "b.accuracy"} < set(loss.parts)


def test_a_sample_has_the_same_code_in_any_batch() -> None:
    model = linear_gaussian(Elbo)
    whole = model.noise(Draws(torch.arange(10), 3, 1), 4)
    assert torch.equal(model.noise(Draws(torch.tensor([7, 2]), 3, 1), 4), whole[[7, 2]])


def test_what_cannot_be_decoded_is_refused_with_the_way_out() -> None:
    features = FeatureSpec(4)
    with pytest.raises(Incompatible, match="agreement"):
        Elbo(features, {"same": Agreement()})
    with pytest.raises(Incompatible, match="pooling sees them all"):
        Elbo(FeatureSpec(4, (6,), streams=("past",)), {"next": Categories(5, grid=(6,), sees="past")})
    with pytest.raises(Incompatible, match=r"objective.bound=sampled; got analytic"):
        Elbo(features, {"y": Values(2)}, gradient="path")
    with pytest.raises(Incompatible, match=r"objective.num_latents of at least 2; got 1"):
        Elbo(features, {"y": Values(2)}, gradient="score")
    with pytest.raises(Incompatible, match=r"objective.latent_dim of at least 1; got 0"):
        Elbo(features, {"y": Values(2)}, latent_dim=0)
    with pytest.raises(Incompatible, match=r"objective.num_latents of at least 1; got 0"):
        Iwae(features, {"y": Values(2)}, num_latents=0)


def test_four_prototypes_cost_the_logarithm_of_four_and_little_more() -> None:
    """The best bound on four equally likely, noiseless patterns is their entropy."""
    torch.manual_seed(0)
    pattern = (torch.arange(4)[:, None] >> torch.arange(2) & 1).float().repeat(1, 8)
    kind = torch.arange(64) % 4
    model = Elbo(FeatureSpec(4), {"y": Values(16, hidden=False)}, latent_dim=2, hidden=(32,), likelihood="bernoulli")
    vector = torch.eye(4)[kind][:, None]
    features = Features({"all": vector[:, :, None]}, {"all": vector})
    optimizer = torch.optim.Adam(model.parameters(), 0.04)
    for step in range(120):
        batch = Batch(kind)
        loss = model(features, {"y": Target(pattern[kind])}, Draws(batch.index, 0, step))
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
    assert math.log(4) - 0.05 < float(loss.parts["negative_elbo"]) < math.log(4) + 1.5  # blind: 11.1
