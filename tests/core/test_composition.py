"""Composition: specs are handed along, seeds decide the weights, and nothing is allocated to find out what fits."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretask import Draws, Features, FeatureSpec, Incompatible, InputSpec, Loss, Model, Objective, SplitFn, Targets
from pretask.composition import check, compose, fit_parts, mean_of_views

sys.path.insert(0, str(Path(__file__).parent))

from tiny import OBSERVED, BrighterObjective, Flat, Halves, samples, task, weights


def test_the_parts_keep_their_protocols() -> None:
    made = task()
    assert isinstance(made.split, SplitFn)
    assert isinstance(made.model, Model)
    assert isinstance(made.objective, Objective)


def test_the_same_seed_initialises_the_same_weights_whatever_was_drawn_before() -> None:
    first = weights(task(seed=3))
    torch.rand(5)
    again, other = weights(task(seed=3)), weights(task(seed=4))
    assert all(torch.equal(value, again[name]) for name, value in first.items())
    assert not torch.equal(first["model.linear.weight"], other["model.linear.weight"])


def test_composing_leaves_ambient_randomness_alone() -> None:
    before = torch.get_rng_state()
    task()
    assert torch.equal(before, torch.get_rng_state())


def test_what_does_not_fit_is_refused_before_any_tensor_exists() -> None:
    class Picky(Flat):
        def features(self, spec: InputSpec, /) -> FeatureSpec:
            raise Incompatible("picky", "images of 9 pixels", f"{spec.shape}", "Use others.")

    with pytest.raises(Incompatible, match=r"picky needs images of 9 pixels; got \(1, 8, 8\)"):
        check(OBSERVED, Halves(), Picky, BrighterObjective)


def test_fitting_allocates_nothing_on_the_meta_device() -> None:
    with torch.device("meta"):
        model, objective = fit_parts(OBSERVED, Halves(), Flat, BrighterObjective)
    assert all(parameter.is_meta for part in (model, objective) for parameter in part.parameters())  # type: ignore[attr-defined]


def test_an_objective_meets_its_model_once() -> None:
    met: list[torch.nn.Module] = []

    class Attached(BrighterObjective):
        def attach(self, model: torch.nn.Module) -> None:
            met.append(model)

    made = compose(OBSERVED, Halves(), Flat, Attached)
    assert len(met) == 1
    assert met[0] is made.model


def test_split_and_objective_draw_from_branches_of_their_own() -> None:
    seen: dict[str, torch.Tensor] = {}

    class Watched(BrighterObjective):
        def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
            seen["objective"] = draws.uniform("swap")
            return super().forward(features, targets, draws)

    made = compose(OBSERVED, Halves(), Flat, Watched)
    batch = next(samples().batches(50, torch.device("cpu")))
    draws = Draws(batch.index)
    made.loss(batch, draws)
    assert not torch.equal(seen["objective"], draws.branch("split").uniform("swap"))


def test_encode_shows_the_whole_sample_and_predict_the_split_one() -> None:
    made = replace(task(), name="halves")
    made.model.eval()
    batch = next(samples().batches(4, torch.device("cpu")))
    assert torch.equal(made.encode(batch).pooled["all"], made.model(made.split.whole(batch)).pooled["all"])
    prediction = made.predict(batch, Draws(batch.index))["brighter"]
    inputs, _ = made.split(batch, Draws(batch.index).branch("split"))
    assert torch.equal(prediction, made.objective.predict(made.model(inputs))["brighter"])


@pytest.mark.parametrize("views", [1, 2, 3, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mean_of_views_is_that_of_torch_however_they_lie_in_memory(views: int, dtype: torch.dtype) -> None:
    maps = torch.randn(4 * views, 6, 5, 5).to(dtype)
    tokens = maps.flatten(2).transpose(1, 2).unflatten(0, (4, views))  # features first, as of a convolution
    expected = tokens.mean(1, keepdim=True)
    for vectors in (tokens, tokens.contiguous()):
        torch.testing.assert_close(mean_of_views(vectors), expected)
        assert views > 3 or torch.equal(mean_of_views(vectors), expected)  # of more, torch adds in another order
