"""Promises of VQ-VAE: rows of codes in order, priors that are what they say, and codes that training puts to use."""

import math
from functools import cache
from typing import Any

import pytest
import torch
from pretask import Batch, Budget, Draws, Figure, Observed, PretaskError, Recipe, Samples, Task
from pretask.composition import compose
from pretask.training import train
from pretask_plugins.methods.vq_vae.codes import NextCode
from pretask_plugins.methods.vq_vae.prior import CodePrior, draw_codes, score_codes, unigram_nats
from pretask_plugins.models.image.convnet import Convnet
from pretask_plugins.objectives.vae.vector_quantization import VectorQuantization
from pretask_plugins.splits.whole import Whole
from torch import nn

SPLIT = NextCode(((1, 1), (2, 2)), 3)
SIDE, KINDS = 8, 4
OBSERVED = Observed("image", (1, SIDE, SIDE), "uint8", 128)


def rows(count: int) -> torch.Tensor:
    """Rows whose top code is uniform and whose bottom codes all equal it."""
    top = torch.arange(count)[:, None] % 3
    return torch.cat([top, 3 + top.expand(-1, 4)], 1)


def test_a_row_has_the_top_codes_first_and_each_is_predicted_from_those_before() -> None:
    codes = [torch.tensor([[[2]]]), torch.tensor([[[0, 1], [2, 0]]])]
    row = SPLIT.join(codes)
    assert row.tolist() == [[2, 3, 4, 5, 3]]
    assert all(torch.equal(one, two) for one, two in zip(SPLIT.part(row), codes, strict=True))
    inputs, targets = SPLIT(Batch(row), Draws(torch.arange(1)))
    assert inputs.data.tolist() == [[[6, 2, 3, 4, 5]]]
    assert targets["level0"].value[targets["level0"].weight > 0].tolist() == [2]  # type: ignore[operator]
    assert targets["level1"].value[targets["level1"].weight > 0].tolist() == [0, 1, 2, 0]  # type: ignore[operator]


@cache
def learned() -> Task:
    return CodePrior(samples=64 * 60, width=16, depth=1, heads=2, dropout=0.0, lr=0.02).learn(
        SPLIT, rows(120), 0, torch.device("cpu")
    )


def test_a_prior_needs_the_entropy_of_what_is_left_to_tell() -> None:
    nats = score_codes(learned(), rows(30), Budget(batch=16))
    assert float(nats[0]) == pytest.approx(math.log(3), abs=0.03)
    assert float(nats[1:].max()) < 0.03
    assert unigram_nats(*[SPLIT.part(rows(120))[1]] * 2, 3) == pytest.approx(math.log(3), abs=1e-3)


def test_rows_are_drawn_code_by_code_and_each_level_from_its_own_entries() -> None:
    drawn = draw_codes(learned(), 300, 0)
    same = (drawn[:, 1:] - 3 == drawn[:, :1]).all(1).float()
    assert float(same.mean()) > 0.9
    counts = torch.bincount(drawn[:, 0], minlength=3)
    assert float((counts - 100).abs().max()) < 35  # 4 standard errors, and what the prior has not learned


def images(part: str) -> Samples:
    """Four pictures, over and over."""
    kind = torch.arange(128) % KINDS
    axis = torch.arange(SIDE)
    stripes = torch.stack([axis[:, None] // 2 % 2 + 0 * axis, axis // 2 % 2 + 0 * axis[:, None]])
    pictures = torch.cat([stripes, 1 - stripes])[kind]
    return Samples(OBSERVED, (255 * pictures).byte()[:, None], fingerprint=part)


@cache
def trained() -> Task:
    options: dict[str, Any] = {"codebook_size": 8, "code_dim": 4, "channels": 8, "likelihood": "bernoulli"}
    task = compose(
        OBSERVED,
        Whole(),
        lambda *specs: Convnet(*specs, width=8, depth=1, stride=1),
        lambda *specs: VectorQuantization(*specs, levels=2, **options),
        Recipe(optimizer="adam", lr=0.01, batch=32, samples=32 * 80, weight_decay=0.0),
    )
    train(task, images("train"))
    return task


@pytest.mark.slow
def test_pictures_of_four_kinds_are_told_by_codes_that_cost_the_prior_little_more_than_the_logarithm_of_four() -> None:
    prior = CodePrior(samples=64 * 80, width=16, depth=1, heads=2, dropout=0.0, lr=0.02, num_samples=4)
    found = dict(prior(trained(), images, Budget(batch=32)))
    assert float(found["reconstruction"]) < 0.15 * 64 * math.log(2)
    assert found["negative_elbo"] < found["uniform_negative_elbo"]
    nats = float(found["level0.nats_per_code"]) * 4 + float(found["level1.nats_per_code"]) * 16
    assert math.log(KINDS) - 0.05 < nats < math.log(KINDS) + 1
    assert float(found["level1.nats_per_code"]) < float(found["level1.unigram"]) <= float(found["level1.uniform"]) + 0.1
    assert all(1 <= float(found[f"level{level}.perplexity"]) <= 8 for level in range(2))
    assert isinstance(found["samples"], Figure)
    assert isinstance(found["reconstructions"], Figure)


def test_an_objective_without_a_codebook_is_refused() -> None:
    plain = Task("plain", Whole(), nn.Identity(), nn.Identity(), Recipe(), OBSERVED, torch.device("cpu"))  # type: ignore[arg-type]
    with pytest.raises(PretaskError, match="an objective with a codebook"):
        dict(CodePrior()(plain, images, Budget()))
