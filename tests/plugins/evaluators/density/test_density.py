"""Promises of the evaluator density, on a linear-Gaussian model of images whose evidence is known exactly."""

import io
import math
from typing import Any

import pytest
import torch
from PIL import Image
from pretask import (
    Budget,
    Draws,
    Features,
    FeatureSpec,
    Figure,
    Inputs,
    Observed,
    PretaskError,
    Recipe,
    Samples,
    Task,
    Values,
)
from pretask_plugins.evaluators.density.density import Density, best_posterior, bound, weigh_codes
from pretask_plugins.evaluators.density.pictures import draw_codes, manifold, traversals
from pretask_plugins.objectives.vae.elbo import Elbo
from pretask_plugins.shared.image_sheets import as_images
from pretask_plugins.splits.whole import Whole
from scipy import stats
from torch import nn
from torch.distributions import MultivariateNormal

STD, SIDE = 0.3, 2
COLUMNS = torch.tensor([[1.0, 1, -1, 0], [0.5, -0.5, 0, 1]]).T  # orthogonal
PRECISION = 1 + COLUMNS.square().sum(0) / STD**2
OBSERVED = Observed("image", (1, SIDE, SIDE), "float32", 40)


class Exact(nn.Module):
    """An encoder whose features are the posterior itself, its means off by `wrong`."""

    def __init__(self, wrong: float = 0.0) -> None:
        super().__init__()
        self.wrong = wrong

    def forward(self, inputs: Inputs, layers: bool = False) -> Features:
        mean = inputs.data.flatten(2) @ COLUMNS / STD**2 / PRECISION + self.wrong
        vector = torch.cat([mean, -PRECISION.log().expand_as(mean)], 2)
        return Features({"all": vector[:, :, None]}, {"all": vector})


def images(part: str) -> Samples:
    draws = Draws(torch.arange(40)).branch(part)
    pixels = draws.normal("z", 2) @ COLUMNS.T + STD * draws.normal("e", 4)
    return Samples(OBSERVED, pixels.view(40, 1, SIDE, SIDE), fingerprint=part)


def planted(wrong: float = 0.0) -> Task:
    objective = Elbo(
        FeatureSpec(4), {"pixels": Values(1, grid=(SIDE, SIDE), hidden=False)}, latent_dim=2, hidden=(), num_latents=1
    )
    with torch.no_grad():
        objective.to_code.weight.copy_(torch.eye(4))
        objective.to_code.bias.zero_()
        objective.decoders["pixels"].body[0].weight.copy_(COLUMNS)
        objective.decoders["pixels"].body[0].bias.zero_()
        objective.likelihoods["pixels"].log_std.fill_(math.log(STD))
    return Task("planted", Whole(), Exact(wrong), objective, Recipe(), OBSERVED, torch.device("cpu"))


def found(task: Task, **options: Any) -> dict[str, Any]:
    return dict(Density(**options)(task, images, Budget(batch=16)))


def evidence() -> float:
    """The mean of log p over the test part, exactly."""
    covariance = COLUMNS @ COLUMNS.T + STD**2 * torch.eye(4)
    return float(MultivariateNormal(torch.zeros(4), covariance).log_prob(images("test").data.flatten(1)).mean())


def test_of_an_exact_model_every_bound_is_the_evidence_and_there_is_no_gap() -> None:
    numbers = found(planted(), num_latents=60, gap_size=20, gap_steps=40)
    assert numbers["elbo"] == pytest.approx(evidence(), abs=1e-3)
    assert numbers["iwae"] == pytest.approx(evidence(), abs=1e-3)
    assert numbers["elbo"] == pytest.approx(numbers["reconstruction_log_likelihood"] - numbers["kl"], abs=1e-4)
    assert numbers["active_units"] == 2
    assert numbers["test_size"] == 40
    assert abs(numbers["amortization_gap"]) < 0.1  # 64 common codes may be fitted a little


def test_a_wrong_encoder_loses_what_the_divergence_says_and_the_search_finds_it() -> None:
    wrong = 0.3
    numbers = found(planted(wrong), num_latents=300, gap_size=40, gap_steps=100)
    lost = float(0.5 * wrong**2 * PRECISION.sum())  # KL between Gaussians of equal variance
    assert numbers["elbo"] == pytest.approx(evidence() - lost, abs=0.1)
    assert numbers["elbo"] < numbers["iwae"] < evidence() + 0.05
    assert numbers["amortization_gap"] == pytest.approx(lost, abs=0.1)
    assert abs(numbers["approximation_gap"]) < 0.1  # the posterior is a Gaussian


def test_the_search_never_ends_below_where_it_began() -> None:
    task, batch = planted(1.0), next(images("test").batches(8, torch.device("cpu")))
    draws = Draws(batch.index)
    _, targets = task.split(batch, draws)
    start = task.objective.posterior(task.model(task.split.whole(batch)))
    best = best_posterior(task.objective, start, targets, draws, 60)
    gain = bound(task.objective, best, targets, draws) - bound(task.objective, start, targets, draws)
    assert float(gain.detach().min()) > -1e-3


def test_weights_do_not_depend_on_how_the_codes_are_cut() -> None:
    task, batch = planted(0.2), next(images("test").batches(8, torch.device("cpu")))
    _, targets = task.split(batch, Draws(batch.index))
    posterior = task.objective.posterior(task.model(task.split.whole(batch)))
    many, _ = weigh_codes(task.objective, posterior, targets, Draws(batch.index), 120)
    few, _ = weigh_codes(task.objective, posterior, targets, Draws(batch.index), 100)
    assert many.shape == (8, 120)
    assert torch.allclose(many[:, :100], few)
    assert len(torch.unique(many[0])) == 120


def test_pictures_are_png_files_of_so_many_images() -> None:
    numbers = found(planted(), test_size=12)
    shown = {name: value for name, value in numbers.items() if isinstance(value, Figure)}
    assert set(shown) == {"samples", "reconstructions", "manifold", "traversals"}
    side = 2 * 20 + 2  # pixels enlarged twenty times, and a gap
    size = {name: Image.open(io.BytesIO(figure.png)).size for name, figure in shown.items()}
    assert size["samples"] == (10 * side, 10 * side)
    assert size["manifold"] == (20 * side, 20 * side)
    assert size["traversals"] == (10 * side, 2 * side)
    assert size["reconstructions"] == (10 * side, 3 * side)  # 12 pairs in rows of five
    assert all("ecoder mean" in figure.caption for figure in shown.values())


def test_the_manifold_cuts_the_prior_into_cells_of_equal_mass() -> None:
    grid = manifold(20, torch.device("cpu")).view(20, 20, 2)
    quantile = torch.special.ndtr(grid.double())
    assert torch.allclose(quantile[:, 0, 0], torch.linspace(0.05, 0.95, 20).double(), atol=1e-6)
    assert torch.equal(grid[:, 0, 0], grid[0, :, 1])
    codes = draw_codes(50_000, 2, torch.device("cpu"))
    cell = torch.bucketize(codes, grid[:, 0, 0].contiguous())
    inner = ((cell > 0) & (cell < 20)).all(1)
    counts = torch.bincount((cell[inner, 0] - 1) * 19 + cell[inner, 1] - 1, minlength=19 * 19)
    assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_a_traversal_walks_one_dimension_and_leaves_the_others() -> None:
    base = torch.tensor([5.0, 6.0, 7.0])
    walks = traversals(base, torch.tensor([2, 0])).view(2, 10, 3)
    assert torch.allclose(walks[0, :, 2], torch.linspace(-3, 3, 10))
    assert torch.equal(walks[0, :, :2], base[:2].expand(10, 2))
    assert torch.allclose(walks[1, :, 0], torch.linspace(-3, 3, 10))


def test_squares_are_put_back_where_they_were_cut() -> None:
    picture = torch.arange(3 * 4 * 6.0).view(1, 3, 4, 6)
    squares = picture.view(1, 3, 2, 2, 3, 2).permute(0, 2, 4, 1, 3, 5).reshape(1, 2, 3, 12)
    assert torch.equal(as_images(squares, Observed("image", (3, 4, 6))), picture)


def test_an_objective_without_a_code_is_refused() -> None:
    task = planted()
    plain = Task("plain", task.split, task.model, nn.Identity(), Recipe(), OBSERVED, torch.device("cpu"))  # type: ignore[arg-type]
    with pytest.raises(PretaskError, match="latent variables, elbo or iwae; got Identity"):
        found(plain)


def test_nothing_is_changed_by_measuring() -> None:
    task = planted(0.2)
    before = {name: value.clone() for name, value in task.objective.state_dict().items()}
    first, again = (
        found(task, num_latents=20, gap_size=8, gap_steps=5),
        found(task, num_latents=20, gap_size=8, gap_steps=5),
    )
    assert first == again
    assert all(torch.equal(value, task.objective.state_dict()[name]) for name, value in before.items())
    assert task.objective.training
