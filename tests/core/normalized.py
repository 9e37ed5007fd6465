"""A network that normalizes over the batch, trained by one process or by several: FILE.

Rank 0 writes the weights, what batch normalization keeps for evaluation, and the loss on held-out samples. Every rank
has a part of each batch; there is no dropout, so that all draws are the same whatever the number of ranks.
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from pretask import Features, FeatureSpec, Inputs, InputSpec
from pretask.composition import compose
from pretask.pretext_score import held_out_loss
from pretask.training import train
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))

from tiny import OBSERVED, RECIPE, BrighterObjective, Halves, samples

STEPS = 30


class Normalized(nn.Module):
    """Convolution, batch normalization over pixels, a linear map, and batch normalization of its vectors."""

    def __init__(self, spec: InputSpec, whole_spec: InputSpec, /) -> None:
        super().__init__()
        self.convolution, self.pixels = nn.Conv2d(1, 4, 3, 2, 1, bias=False), nn.BatchNorm2d(4)
        self.linear, self.vectors = nn.Linear(64, 6, bias=False), nn.BatchNorm1d(6, momentum=None)

    def features(self, spec: InputSpec, /) -> FeatureSpec:
        return FeatureSpec(6)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        maps = self.pixels(self.convolution(inputs.data.flatten(0, 1) * 2 - 1)).relu()
        tokens = self.vectors(self.linear(maps.flatten(1))).tanh().unflatten(0, inputs.data.shape[:2])[:, :, None]
        features = Features({"all": tokens}, {"all": tokens.mean(2)})
        return replace(features, layers=(features,)) if layers else features


def learn() -> dict[str, torch.Tensor]:
    """Train; return all that is kept, and the loss on held-out samples."""
    torch.set_num_threads(1)
    recipe = replace(RECIPE, samples=RECIPE.batch * STEPS)
    task = compose(OBSERVED, Halves(), Normalized, BrighterObjective, recipe)
    before = [module.forward for module in task.model.modules()]
    train(task, samples(), seed=7)
    assert before == [module.forward for module in task.model.modules()], "a network is as it was before"
    loss = torch.tensor(held_out_loss(task, samples(100))["brighter"])
    return {**task.model.state_dict(), **task.objective.state_dict(), "loss": loss}


if __name__ == "__main__":
    from accelerate import PartialState

    found = learn()
    if PartialState().is_main_process:
        torch.save(found, sys.argv[1])
