"""Promises of the task text-vae: a cure of collapse, annealing that ends at the whole bound, no padding told."""

from functools import cache
from typing import Any

import pytest
import torch
from pretask import Batch, Budget, Draws, Samples, Task
from pretask.composition import compose
from pretask.pretext_score import held_out_loss, trivial_losses
from pretask.training import train
from pretask_bench.runs.plan import Plan, make_plan
from pretask_plugins.data.text.toy_grammar import ToyGrammar
from pretask_plugins.evaluators.density.interpolation import Interpolation
from pretask_plugins.evaluators.density.posterior import PosteriorEvaluator
from pretask_registry import Registry, build

REGISTRY = Registry.load()
DATA = ToyGrammar(size=512, test_size=128)


def plan(preset: str | None = None, **settings: Any) -> Plan:
    named = {name.replace("_", ".", 1): value for name, value in settings.items()}
    return make_plan(REGISTRY, "text-vae", preset=preset, parts={"data": "toy-grammar"}, settings=named)


def composed(plan: Plan) -> Task:
    split, model, objective = (
        build(plan.parts[part], plan.options_of(part)) for part in ("split", "model", "objective")
    )
    observed = DATA("train").observed
    return compose(observed, split.fit(observed, []), model, objective, plan.recipe)


@cache
def trained(preset: str = "small") -> Task:
    task = composed(plan(preset, recipe_samples=64 * 180, recipe_batch=64, recipe_lr=0.01))
    train(task, DATA("train"))
    task.model.eval()
    task.objective.eval()
    return task


def nats(task: Task, samples: Samples, code: torch.Tensor) -> torch.Tensor:
    """The cost of every sentence given its code, without the divergence."""
    _, targets = task.split(samples.batch(torch.arange(len(code)), task.device), Draws(torch.arange(len(code))))
    outputs = task.objective.decode_targets(code[:, None], targets)
    cost: torch.Tensor = -torch.stack([*task.objective.log_likelihoods(outputs, targets).values()]).sum(0)[:, 0]
    return cost


def codes(task: Task, samples: Samples, count: int) -> torch.Tensor:
    with torch.no_grad():
        batch = samples.batch(torch.arange(count), task.device)
        mean: torch.Tensor = task.objective.posterior(task.encode(batch)).mean
    return mean


def test_the_task_is_the_papers_with_a_recurrent_decoder() -> None:
    task = composed(plan())
    assert type(task.objective.decoders["tokens"].body).__name__ == "GruBody"
    assert (type(task.model).__name__, len(task.model.forward_layers.layers)) == ("Lstm", 1)
    assert (task.objective.annealing, task.objective.latent_dim, task.recipe.clip) == ("sigmoid", 32, 5.0)


def test_the_divergence_counts_for_nothing_at_first_for_half_in_between_and_whole_in_the_end() -> None:
    task, factors = composed(plan("small")), []
    objective = task.objective
    for progress in (0.0, 0.25, 1.0):
        objective.after_step(task.model, progress)
        factors.append(float(objective.kl_factor()))
    assert factors[0] < 0.01
    assert factors[1] == pytest.approx(0.5)
    assert factors[2] > 0.99


def test_padding_is_neither_told_nor_seen() -> None:
    task, samples = composed(plan("small")), DATA("test")
    task.model.eval()
    batch = samples.batch(torch.arange(16), task.device)
    assert batch.present is not None
    other = Batch(torch.where(batch.present, batch.data, 5), batch.index, batch.present)
    one, two = (task.loss(given, Draws(batch.index)).total.item() for given in (batch, other))
    assert one == two


def test_a_prediction_of_frequencies_costs_their_cross_entropy_for_every_word() -> None:
    task, samples, held_out = composed(plan("small")), DATA("train"), DATA("test")
    assert samples.present is not None
    assert held_out.present is not None
    size = task.observed.vocabulary.size  # type: ignore[union-attr]
    count = torch.bincount(samples.data[samples.present].long(), minlength=size) + 1.0
    words = held_out.data[held_out.present].long()
    expected = float(-(count / count.sum()).log()[words].sum()) / len(held_out)
    found = trivial_losses(task, samples, held_out)["unigram"]
    assert found["negative_elbo"] == pytest.approx(expected, rel=1e-4)
    assert found["kl"] == 0


@pytest.mark.exhaustive
def test_annealing_and_hidden_words_keep_the_code_that_is_lost_without_them() -> None:
    cured, collapsed = (dict(PosteriorEvaluator()(trained(name), DATA, Budget())) for name in ("small", "collapse"))
    assert cured["mutual_information"] > 0.4
    assert collapsed["mutual_information"] < 0.1
    assert cured["permutation_cost"] > 5 * max(collapsed["permutation_cost"], 0.1)
    assert collapsed["active_units"] < cured["active_units"]


@pytest.mark.slow
def test_sentences_between_two_are_grammatical_and_nearer_to_each_other_than_the_two() -> None:
    found = dict(Interpolation(num_paths=40, num_samples=200)(trained(), DATA, Budget()))
    assert float(found["path.grammatical"]) > 0.8
    assert float(found["path.neighbor_distance"]) < 0.5 * float(found["path.end_distance"])
    assert float(found["path.distinct"]) > 0.3


@pytest.mark.slow
def test_sentences_cost_less_than_by_frequencies() -> None:
    task, held_out = trained(), DATA("test")
    score, trivial = held_out_loss(task, held_out), trivial_losses(task, DATA("train"), held_out)["unigram"]
    assert score["negative_elbo"] < trivial["negative_elbo"] - 3
    assert score["active_units"] >= 1


@pytest.mark.slow
def test_a_walk_between_two_codes_begins_and_ends_with_their_own_sentences() -> None:
    task = trained()
    one, two = codes(task, DATA("test"), 2)
    steps = torch.linspace(0, 1, 5)[:, None]
    with torch.no_grad():
        walk = task.objective.means(((1 - steps) * one + steps * two)[:, None])
        own = task.predict(DATA("test").batch(torch.arange(2), task.device), Draws(torch.arange(2)))
    (name,) = walk
    tokens = walk[name][:, 0].argmax(-1)
    assert torch.equal(tokens[[0, -1]], own[name].argmax(-1))
