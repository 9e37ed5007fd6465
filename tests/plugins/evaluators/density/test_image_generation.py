"""Promises of the evaluator image-generation: distances known in closed form, and copies that are found out."""

from typing import Any

import pytest
import torch
from pretask import (
    Budget,
    Categories,
    Draws,
    FeatureSpec,
    Figure,
    Observed,
    PretaskError,
    Recipe,
    Samples,
    Task,
    Values,
)
from pretask_plugins.evaluators.density.distances import frechet_distance, kernel_distance
from pretask_plugins.evaluators.density.image_generation import ImageGeneration, find_nearest
from pretask_plugins.models.mlp import Mlp
from pretask_plugins.objectives.vae.elbo import Elbo
from pretask_plugins.splits.whole import Whole

SIDE, COUNT = 8, 40
OBSERVED = Observed("image", (1, SIDE, SIDE), "float32", COUNT)


def gaussian(count: int, mean: float, std: tuple[float, float], name: str) -> torch.Tensor:
    return mean + torch.tensor(std) * Draws(torch.arange(count)).branch(name).normal("points", 2)


def test_the_frechet_distance_is_that_of_two_gaussians() -> None:
    one, two = gaussian(40_000, 0.0, (1.0, 2.0), "one"), gaussian(40_000, 1.0, (3.0, 2.0), "two")
    assert frechet_distance(one, two) == pytest.approx(2 + (3 - 1) ** 2, abs=0.1)
    turn = torch.linalg.qr(torch.tensor([[1.0, 2.0], [-1.0, 1.0]])).Q
    assert frechet_distance(one @ turn, two @ turn) == pytest.approx(frechet_distance(one, two), rel=1e-6)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-8)


def test_the_kernel_distance_is_a_sum_over_pairs_without_a_bias() -> None:
    one, two = gaussian(6, 0.0, (1.0, 1.0), "one").double(), gaussian(5, 0.5, (1.0, 1.0), "two").double()

    def k(x: torch.Tensor, y: torch.Tensor) -> float:
        return float((x @ y / 2 + 1) ** 3)

    brute = sum(k(x, y) for i, x in enumerate(one) for j, y in enumerate(one) if i != j) / 30
    brute += sum(k(x, y) for i, x in enumerate(two) for j, y in enumerate(two) if i != j) / 20
    brute -= 2 * sum(k(x, y) for x in one for y in two) / 30
    assert kernel_distance(one, two) == pytest.approx(brute, rel=1e-9)
    pairs = [kernel_distance(gaussian(50, 0, (1, 1), f"a{n}"), gaussian(50, 0, (1, 1), f"b{n}")) for n in range(60)]
    values = torch.tensor(pairs)
    assert abs(float(values.mean())) < 4 * float(values.std()) / 60**0.5


def images(part: str) -> Samples:
    pixels = Draws(torch.arange(COUNT)).branch(part).uniform("pixels", 1, SIDE, SIDE)
    return Samples(OBSERVED, pixels, fingerprint=part)


def planted(targets: dict[str, Any] | None = None) -> Task:
    """A model that decodes every code to the first training image."""
    targets = targets or {"pixels": Values(1, grid=(SIDE, SIDE), hidden=False)}
    objective = Elbo(FeatureSpec(4), targets, latent_dim=2, hidden=())
    spec = Whole().whole_spec(OBSERVED)
    if "pixels" in targets:
        with torch.no_grad():
            objective.decoders["pixels"].body[0].weight.zero_()
            objective.decoders["pixels"].body[0].bias.copy_(images("train").data[0].flatten())
    return Task("planted", Whole(), Mlp(spec, spec, hidden=(4,)), objective, Recipe(), OBSERVED, torch.device("cpu"))


def test_a_model_that_repeats_a_training_image_is_found_out() -> None:
    found = dict(ImageGeneration(num_samples=20)(planted(), images, Budget()))
    assert float(found["nearest"]) == pytest.approx(0, abs=1e-3)
    assert float(found["real.nearest"]) > 0.2
    assert float(found["frechet"]) > 1.3 * float(found["real.frechet"])
    assert float(found["kernel"]) > float(found["real.kernel"])
    assert {name for name, value in found.items() if isinstance(value, Figure)} == {"nearest training images", "lines"}


def test_the_nearest_image_is_that_of_least_squares() -> None:
    known, query = images("train").data, images("test").data[:7]
    distance, number = find_nearest(query, known)
    squares = (query[:, None] - known).square().mean((2, 3, 4))
    assert torch.equal(number, squares.argmin(1))
    assert torch.allclose(distance, squares.amin(1).sqrt(), atol=1e-5)


def test_a_target_that_is_no_image_is_refused() -> None:
    with pytest.raises(PretaskError, match="the whole image"):
        dict(ImageGeneration()(planted({"kind": Categories(3)}), images, Budget()))
