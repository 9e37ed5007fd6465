"""Promises of vector-quantization: a bound with a uniform prior, levels in order, and codes that say it all."""

import math
from typing import Any

import pytest
import torch
from pretask import Categories, Draws, Features, FeatureSpec, Incompatible, Target, Values
from pretask_plugins.objectives.vae.vector_quantization import VectorQuantization

PICTURE = Values(1, grid=(8, 8), hidden=False)
COUNT = 6


def build(**options: Any) -> VectorQuantization:
    torch.manual_seed(0)
    small = {"codebook_size": 5, "code_dim": 4, "channels": 8, "likelihood": "bernoulli", "min_usage": 0.0}
    return VectorQuantization(FeatureSpec(3, (4, 4)), {"pixels": PICTURE}, **{**small, **options})


def features() -> Features:
    tokens = Draws(torch.arange(COUNT)).normal("x", 1, 16, 3)
    return Features({"all": tokens}, {"all": tokens.mean(2)}, (4, 4))


def targets() -> dict[str, Target]:
    return {"pixels": Target(Draws(torch.arange(COUNT)).uniform("y", 8, 8, 1))}


@pytest.mark.parametrize(("levels", "codes"), [(1, 16), (2, 20)])
def test_the_bound_has_the_divergence_of_certain_codes_from_a_uniform_prior(levels: int, codes: int) -> None:
    loss = build(levels=levels)(features(), targets(), Draws(torch.arange(COUNT)))
    assert float(loss.parts["kl"]) == pytest.approx(codes * math.log(5), rel=1e-5)
    assert float(loss.parts["negative_elbo"]) == pytest.approx(
        float(loss.parts["kl"] + loss.parts["reconstruction"]), rel=1e-5
    )
    expected = float(loss.parts["reconstruction"]) + 0.25 * float(loss.parts["commitment"])
    assert float(loss.total.detach()) == pytest.approx(expected, rel=1e-5)


def test_the_codes_alone_are_decoded_to_what_is_predicted() -> None:
    model = build(levels=2).eval()
    _, _, codes = model.quantize(features())
    assert [tuple(index.shape) for index in codes] == [(COUNT, 2, 2), (COUNT, 4, 4)]
    assert torch.allclose(model.means(codes)["pixels"], model.predict(features())["pixels"], atol=1e-6)


def test_the_bottom_codes_depend_on_the_top_ones_and_not_the_other_way_round() -> None:
    model = build(levels=2).eval()
    _, _, before = model.quantize(features())
    model.quantizers[1].codebook.mul_(-1.0)
    _, _, after = model.quantize(features())
    assert torch.equal(before[0], after[0])
    model.quantizers[0].codebook.mul_(-30.0)
    assert not torch.equal(model.quantize(features())[2][1], after[1])


def test_only_a_step_of_training_moves_the_codebooks() -> None:
    model = build(levels=2)
    before = {name: value.clone() for name, value in model.named_buffers()}
    model.eval()
    model(features(), targets(), Draws(torch.arange(COUNT)))
    model.after_step(torch.nn.Identity(), 0.5)
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    model.train()
    model(features(), targets(), Draws(torch.arange(COUNT)))
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    model.after_step(torch.nn.Identity(), 0.5)
    assert not any(torch.equal(value, before[name]) for name, value in model.named_buffers())


def test_what_is_on_no_grid_is_refused() -> None:
    with pytest.raises(Incompatible, match="a grid of rows and columns"):
        VectorQuantization(FeatureSpec(3), {"pixels": PICTURE})
    with pytest.raises(Incompatible, match="rows and columns for the target 'kind'"):
        VectorQuantization(FeatureSpec(3, (4, 4)), {"kind": Categories(4)})
