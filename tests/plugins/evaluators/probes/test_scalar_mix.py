"""Promises of the scalar mix: a mean of layers at first, weights that sum to 1, and the layer that tells is found."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretask import Budget, Choice, Features, Inputs, Items, PretaskError
from pretask_plugins.evaluators.probes.linear import LinearProbe
from pretask_plugins.evaluators.probes.scalar_mix import ScalarMix, fit_mix
from pretask_plugins.evaluators.probes.tagging import Tagging
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

from planted import Planted, task_of
from pretask import Observed

LAYERS = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))


def test_before_anything_is_learned_a_mix_is_the_mean_of_the_layers_times_gamma() -> None:
    mix = ScalarMix(3)
    mix.gamma.data.fill_(2.5)
    assert torch.allclose(mix(LAYERS), 2.5 * LAYERS.mean(1))


def test_weights_sum_to_one_and_a_constant_added_to_all_scores_changes_nothing() -> None:
    mix = ScalarMix(3)
    mix.scores.data.copy_(torch.tensor([0.3, -2.0, 1.0]))
    before = mix(LAYERS)
    assert float(mix.weights.detach().sum()) == pytest.approx(1.0)
    mix.scores.data.add_(7.0)
    assert torch.allclose(mix(LAYERS), before, atol=1e-6)


@pytest.mark.parametrize("telling", [0, 2])
def test_the_layer_that_tells_the_class_gets_most_of_the_weight(telling: int) -> None:
    generator = torch.Generator().manual_seed(telling)
    label = torch.randint(3, (300,), generator=generator)
    layers = torch.randn(300, 3, 6, generator=generator)
    layers[torch.arange(300), telling, label] += 4.0
    weights = fit_mix(layers, label, 3).weights
    assert int(weights.argmax()) == telling
    assert float(weights[telling]) > 0.6


class Halves(nn.Module):
    """Two layers of pixels, of which each shows a half of what tells the class."""

    def forward(self, inputs: Inputs, layers: bool = False) -> Features:
        flat = inputs.data.flatten(2)
        where = torch.arange(16) % 2 == 0
        made: list[Tensor] = [flat * where, flat * ~where]
        both = [Features({"all": one[:, :, None]}, {"all": one}) for one in made]
        return replace(both[1], layers=tuple(both)) if layers else both[1]


def test_a_mix_reads_what_no_single_layer_tells_and_says_how_much_it_takes_of_each() -> None:
    task, data = task_of(Halves(), Observed("image", (1, 4, 4), "float32")), Planted(signal=3.0, train=200, test=150)
    yielded = list(LinearProbe(readout="mix", pooling=("mean",))(task, data, Budget()))
    found = {name: value for name, value in yielded if not isinstance(value, Items)}
    assert found["accuracy"] == found["mix.accuracy"]
    for layer in ("layer1", "layer2"):
        assert float(found["mix.accuracy"]) > float(found[f"{layer}.accuracy"]) + 0.1
        assert float(found[f"{layer}.weight"]) == pytest.approx(0.5, abs=0.3)
    assert found["layer"] == Choice("mix")
    plain = dict(LinearProbe(pooling=("mean",))(task, data, Budget()))
    assert plain["layer1.accuracy"] == found["layer1.accuracy"]
    assert "gamma" not in plain


def test_layers_of_different_widths_are_not_mixed() -> None:
    from test_tagging import Tagged
    from test_tagging import task as task_of_two_widths

    with pytest.raises(PretaskError, match=r"tagging\.readout needs layers of one width"):
        list(Tagging(readout="mix")(task_of_two_widths(), Tagged(), Budget()))
