"""Promises of the task vae; the paper's algorithm and what must come out of it, methods.md section 1."""

from typing import Any

import pytest
import torch
from pretask import Budget, Task
from pretask.composition import compose
from pretask.pretext_score import held_out_loss, trivial_losses
from pretask.training import train
from pretask_bench.runs.plan import Plan, make_plan
from pretask_plugins.data.image.digits import Digits
from pretask_plugins.evaluators.density.density import Density
from pretask_registry import Registry, build

REGISTRY = Registry.load()


def plan(preset: str | None = None, **settings: Any) -> Plan:
    named = {name.replace("_", ".", 1): value for name, value in settings.items()}
    return make_plan(REGISTRY, "vae", preset=preset, parts={"data": "digits"}, settings=named)


def composed(plan: Plan) -> Task:
    split, model, objective = (
        build(plan.parts[part], plan.options_of(part)) for part in ("split", "model", "objective")
    )
    return compose(Digits()("train").observed, split, model, objective, plan.recipe)


def test_the_recipe_is_the_papers_algorithm() -> None:
    paper = plan()
    recipe = paper.recipe
    assert (recipe.optimizer, recipe.batch, recipe.schedule, recipe.warmup) == ("adagrad", 100, "constant", 0.0)
    assert recipe.lr in (0.01, 0.02, 0.1)
    task = composed(paper)
    assert (task.objective.num_latents, task.objective.latent_dim, task.objective.bound) == (1, 20, "analytic")
    assert task.objective.gradient == "reparameterized"
    widths = [layer.out_features for layer in task.model.modules() if isinstance(layer, torch.nn.Linear)]
    decoder = [layer.out_features for layer in task.objective.decoders.modules() if isinstance(layer, torch.nn.Linear)]
    assert (widths, decoder) == ([500], [500, 64])


def test_a_blind_model_scores_the_logarithm_of_two_for_every_pixel() -> None:
    task = composed(plan("small"))
    for parameter in task.objective.parameters():
        torch.nn.init.zeros_(parameter)
    scores = held_out_loss(task, Digits()("test"))
    assert scores["negative_elbo"] == pytest.approx(64 * 0.693147, rel=1e-4)
    assert scores["negative_elbo"] == pytest.approx(task.objective.chance["negative_elbo"], rel=1e-6)
    assert scores["kl"] == pytest.approx(0, abs=1e-6)


def test_the_mean_image_is_a_code_of_no_length() -> None:
    task, digits = composed(plan("small")), Digits()
    mean = trivial_losses(task, digits("train"), digits("test"))["mean"]
    gray = (digits("train").data / 255).mean(0).clamp(1e-4, 1 - 1e-4)
    black = digits("test").data.float().mean(0) / 255
    entropy = float(-(black * gray.log() + (1 - black) * (1 - gray).log()).sum())
    assert mean["kl"] == 0
    assert mean["negative_elbo"] == pytest.approx(entropy, rel=0.02)  # pixels were drawn, once each


def test_the_manifold_has_two_dimensions() -> None:
    assert composed(plan("manifold")).objective.latent_dim == 2


@pytest.mark.slow
def test_it_learns_digits_beyond_their_mean_and_uses_its_code() -> None:
    task, digits = composed(plan("small", recipe_samples=24_000)), Digits()
    train(task, digits("train"))
    scores = held_out_loss(task, digits("test"))
    mean = trivial_losses(task, digits("train"), digits("test"))["mean"]
    assert scores["negative_elbo"] < mean["negative_elbo"] - 1
    numbers = dict(Density(num_latents=50)(task, digits, Budget()))
    assert numbers["elbo"] == pytest.approx(-scores["negative_elbo"], abs=0.5)
    assert numbers["iwae"] > numbers["elbo"]
    assert numbers["active_units"] >= 5  # type: ignore[operator]
