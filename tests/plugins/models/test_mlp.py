"""Promises of the model mlp."""

import pytest
import torch
from pretask import Draws, Incompatible, Inputs, InputSpec, Vocabulary
from pretask_plugins.models.mlp import Mlp

SPECS = {
    "image": InputSpec("image", (3, 8, 8)),
    "pair": InputSpec("image", (1, 6, 6), views=2),
    "clip": InputSpec("video", (3, 4, 4), views=5, ordered=True),
    "text": InputSpec("text", (7,), vocabulary=Vocabulary(11)),
    "audio": InputSpec("audio", (10, 40)),
}


def inputs(spec: InputSpec, count: int = 4) -> Inputs:
    draws = Draws(torch.arange(count))
    if spec.vocabulary is not None:
        return Inputs(draws.integers("token", 0, spec.vocabulary.size, spec.views, *spec.shape))
    return Inputs(draws.uniform("value", spec.views, *spec.shape))


@pytest.mark.parametrize("name", SPECS)
def test_any_input_is_read_view_by_view_and_every_hidden_layer_is_a_layer(name: str) -> None:
    spec = SPECS[name]
    model = Mlp(spec, spec, hidden=(12, 9))
    promised, got = model.features(spec), model(inputs(spec), layers=True)
    assert got.pooled["all"].shape == (4, promised.views, promised.width) == (4, spec.views, 9)
    assert got.streams["all"].shape == (4, spec.views, promised.positions, 9)
    assert [layer.pooled["all"].shape[-1] for layer in got.layers] == [12, 9]
    assert torch.equal(got.layers[-1].pooled["all"], model(inputs(spec)).pooled["all"])


def test_a_layer_is_the_activation_of_a_linear_map_of_what_was_laid_out_flat() -> None:
    spec = SPECS["image"]
    model, data = Mlp(spec, spec, hidden=(5,)), inputs(spec).data
    linear = model.stages[0][0]  # type: ignore[index]
    expected = torch.tanh(data.reshape(4, 1, -1) @ linear.weight.T + linear.bias)
    assert torch.allclose(model(Inputs(data)).pooled["all"], expected, atol=1e-6)


def test_views_share_weights_and_do_not_see_each_other() -> None:
    spec = SPECS["pair"]
    model, pair = Mlp(spec, spec), inputs(spec)
    swapped = model(Inputs(pair.data.flip(1))).pooled["all"]
    assert torch.allclose(swapped.flip(1), model(pair).pooled["all"])


def test_views_of_another_shape_and_no_layers_are_refused() -> None:
    with pytest.raises(Incompatible, match=r"views of one shape everywhere, \(3, 8, 8\); got \(3, 9, 9\)"):
        Mlp(SPECS["image"], InputSpec("image", (3, 9, 9)))
    with pytest.raises(Incompatible, match=r"at least one layer in model\.hidden"):
        Mlp(SPECS["image"], SPECS["image"], hidden=())
