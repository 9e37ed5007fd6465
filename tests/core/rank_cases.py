"""What several ranks have to learn as one process does, case by case: FILE.

Rank 0 writes the weights of every case. There is no dropout, and one process accumulates what two ranks share, so that
all that is computed is the same, bit for bit. Fifty samples and batches of twelve: batches reach over epochs.
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pretask import Features, Inputs, InputSpec, Recipe
from pretask.composition import compose
from pretask.training import train
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

from tiny import OBSERVED, RECIPE, BrighterObjective, Flat, Halves, samples

STEPS = 10


class Plain(Flat):
    """Without dropout."""

    def __init__(self, spec: InputSpec, whole_spec: InputSpec, /) -> None:
        super().__init__(spec, whole_spec)
        self.dropout = nn.Dropout(0.0)


class Spare(Plain):
    """With weights that nothing uses."""

    def __init__(self, spec: InputSpec, whole_spec: InputSpec, /) -> None:
        super().__init__(spec, whole_spec)
        self.spare = nn.Linear(3, 3)


class Seldom(Plain):
    """With weights that some samples use: of many batches no one, or those of one rank alone."""

    def __init__(self, spec: InputSpec, whole_spec: InputSpec, /) -> None:
        super().__init__(spec, whole_spec)
        self.scale = nn.Linear(1, 1)

    def forward(self, inputs: Inputs, /, layers: bool = False) -> Features:
        darkest = inputs.data.mean((1, 2, 3, 4)).min()
        if bool(darkest < DARK):
            inputs = replace(inputs, data=inputs.data * self.scale.weight + self.scale.bias)
        return super().forward(inputs, layers)


DARK = 0.33  # mean brightness; a fraction of the micro-batches has a sample below


@dataclass(frozen=True)
class Case:
    """A recipe and a model."""

    recipe: Recipe
    model: type[Flat] = Plain


CASES = {
    "plain": Case(RECIPE),
    "bf16": Case(replace(RECIPE, precision="bf16")),
    "accumulated": Case(replace(RECIPE, accumulate=2)),
    "clipped": Case(replace(RECIPE, clip=0.1)),
    "spare weights": Case(RECIPE, Spare),
    "seldom used weights": Case(RECIPE, Seldom),
}


def learn(case: Case, ranks: int) -> dict[str, Tensor]:
    """Train; return the weights. One process accumulates what so many ranks would share."""
    recipe = replace(case.recipe, samples=RECIPE.batch * STEPS, accumulate=case.recipe.accumulate * ranks)
    task = compose(OBSERVED, Halves(), case.model, BrighterObjective, recipe)
    train(task, samples(), seed=7)
    return {**task.model.state_dict(), **task.objective.state_dict()}


if __name__ == "__main__":
    from accelerate import PartialState

    torch.set_num_threads(1)
    found = {name: learn(case, ranks=1) for name, case in CASES.items()}
    if PartialState().is_main_process:
        torch.save(found, sys.argv[1])
