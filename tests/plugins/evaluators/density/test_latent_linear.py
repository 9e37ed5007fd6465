"""Promises of the evaluator latent-linear: components are principal ones, and a code that holds the class wins."""

import pytest
import torch
from pretask import (
    Budget,
    Draws,
    Features,
    FeatureSpec,
    Inputs,
    Items,
    Labels,
    Observed,
    PretaskError,
    Recipe,
    Samples,
    Task,
    Values,
)
from pretask_plugins.evaluators.density.latent_linear import LatentLinear, principal_axes
from pretask_plugins.objectives.vae.elbo import Elbo
from pretask_plugins.splits.whole import Whole
from sklearn.decomposition import PCA
from torch import nn

COUNT, SIDE = 80, 4
OBSERVED = Observed("image", (1, SIDE, SIDE), "float32", COUNT)


class Corner(nn.Module):
    """An encoder of the first pixel, twice."""

    def forward(self, inputs: Inputs, layers: bool = False) -> Features:
        vector = inputs.data.flatten(2)[..., :1].expand(-1, -1, 2)
        return Features({"all": vector[:, :, None]}, {"all": vector})


def images(part: str) -> Samples:
    """A class that the first pixel tells by a little, below the noise of all others."""
    draws = Draws(torch.arange(COUNT)).branch(part)
    label = torch.arange(COUNT) % 2
    pixels = draws.normal("pixels", SIDE * SIDE)
    pixels[:, 0] = 0.2 * label + 0.01 * pixels[:, 0]
    return Samples(OBSERVED, pixels.view(-1, 1, SIDE, SIDE), {"class": Labels(label, ("a", "b"))}, fingerprint=part)


def planted() -> Task:
    objective = Elbo(FeatureSpec(2), {"pixels": Values(1, grid=(SIDE, SIDE), hidden=False)}, latent_dim=1, hidden=())
    with torch.no_grad():
        objective.to_code.weight.copy_(torch.eye(2))
        objective.to_code.bias.zero_()
    return Task("planted", Whole(), Corner(), objective, Recipe(), OBSERVED, torch.device("cpu"))


def test_axes_span_what_principal_components_do() -> None:
    rows = images("train").data.flatten(1)
    ours, theirs = principal_axes(rows, 3), torch.from_numpy(PCA(3).fit(rows.numpy()).components_)
    assert torch.allclose((ours.T @ theirs.T).abs(), torch.eye(3), atol=1e-4)


def test_a_code_that_holds_the_class_is_read_and_a_component_that_does_not_is_no_better_than_chance() -> None:
    yielded = list(LatentLinear()(planted(), images, Budget(batch=32)))
    found = {name: value for name, value in yielded if isinstance(value, float)}
    (items,) = (value for _, value in yielded if isinstance(value, Items))
    assert found["accuracy"] == 1
    assert bool(items.correct.all())
    assert float(found["pca.accuracy"]) < 0.75  # 4.5 standard errors above a half
    assert found["majority"] == 0.5


def test_an_objective_without_a_code_is_refused() -> None:
    plain = Task("plain", Whole(), Corner(), nn.Identity(), Recipe(), OBSERVED, torch.device("cpu"))  # type: ignore[arg-type]
    with pytest.raises(PretaskError, match="latent-linear needs an objective with latent variables"):
        dict(LatentLinear()(plain, images, Budget()))
