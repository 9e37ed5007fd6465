"""A pass on the meta device tells the features of a model, and what torch would say of a network that does not fit."""

import sys
from pathlib import Path

import pytest
from jaxtyping import Float
from pretask import Features, FeatureSpec, Inputs, InputSpec
from pretask.shape_pass import try_features
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

from tiny import Flat

SPEC = InputSpec("image", (1, 8, 8), views=3)


class Normalizing(nn.Module):
    """Convolves, normalizes over the batch and over the channels, and keeps a grid."""

    def __init__(self, channels: int = 6, width: int = 6) -> None:
        super().__init__()
        self.convolve = nn.Conv2d(1, 6, 3, stride=2, padding=1)
        self.over_batch = nn.BatchNorm2d(channels)
        self.over_channels = nn.LayerNorm(width)

    def forward(self, inputs: Inputs, /, *, layers: bool = False) -> Features:
        grid: Float[Tensor, "BV D H W"] = self.over_batch(self.convolve(inputs.data.flatten(0, 1)))
        places = self.over_channels(grid.flatten(2).mT).unflatten(0, inputs.data.shape[:2])
        return Features({"all": places}, {"all": places.mean(2)}, tuple(grid.shape[2:]))


def test_a_pass_tells_the_features_and_changes_nothing() -> None:
    model = Flat(InputSpec("image", (1, 8, 8)), InputSpec("image", (1, 8, 8)))
    assert try_features(model, SPEC) == FeatureSpec(6, (), 3)
    assert model.training


def test_what_is_normalized_keeps_its_shape() -> None:
    assert try_features(Normalizing(), SPEC) == FeatureSpec(6, (4, 4), 3)


@pytest.mark.parametrize(("wrong", "complaint"), [({"channels": 5}, "should contain 6"), ({"width": 5}, r"\[5\]")])
def test_a_normalization_of_other_channels_is_refused(wrong: dict[str, int], complaint: str) -> None:
    with pytest.raises(RuntimeError, match=complaint):
        try_features(Normalizing(**wrong), SPEC)
