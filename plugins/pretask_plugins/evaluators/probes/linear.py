"""Linear: the standard probe, version 1. How much of the classes can a linear map read off frozen features?

Every layer's features are extracted in one pass, pooled in up to four ways (pooling.py in core). A tenth of the
training part is held out, on which all is chosen: the pooling of each layer by ridge lines, which are solved in closed
form (ridge.py); for it the regulariser, of 45 that are solved on the other nine tenths (by accuracy; of equals, by
cross-entropy); then the layer of the headline. The chosen ones are solved again on the whole training part, and the
test part is scored once. There is no learning rate to tune and no epoch to pick. Layers of more than 2 GiB stay in the
file that they were extracted to, see basis.py.

Source: Kornblith, Shlens and Le, CVPR 2019 (held-out choice, refit); Oquab et al. 2023 (the grid of regularisers).
Differs: all layers and poolings, where they probe one.
Axes: N samples, G regularisers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from pretask import Budget, Choice, Data, Items, Task
from pretask.pooling import POOLINGS
from torch import Tensor

from pretask_plugins.evaluators.probes.logistic import GRID, fit_grid
from pretask_plugins.evaluators.probes.ridge import RidgeProbe
from pretask_plugins.evaluators.probes.validation_split import (
    LayerChoice,
    Part,
    Probed,
    best_poolings,
    check_poolings,
    probed,
    report,
)

DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class LinearProbe:
    """Multinomial logistic regression on every layer.

    Args:
        label: Name of the labels; the first ones when empty.
        held_out: Share of the training part on which regulariser, pooling and layer are chosen.
        pooling: Those to choose from: mean, last, own (the model's own pooled vector, such as a class token), mean-max.
        dtype: Of the arithmetic; bfloat16 is for products of matrices alone.
    """

    label: str = ""
    held_out: float = 0.1
    pooling: tuple[str, ...] = POOLINGS
    dtype: Literal["bfloat16", "float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        check_poolings("linear", self.pooling)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items | Choice]]:
        """`accuracy`, `balanced_accuracy` and `items` of the layer and pooling chosen on held-out data, which `layer`
        and `pooling` tell; `layerK.accuracy` of each, and its `layerK.pooling`; `majority`, what a blind guess reaches;
        `gradient_norm`, the largest relative gradient norm of the final fits.

        Raises:
            PretaskError: There are no labels to probe, or too few samples of a class.
        """
        yield from self.measure(probed("linear", task, data, budget, self.label, self.held_out, self.pooling))

    def measure(self, probe: Probed) -> Iterator[tuple[str, float | Items | Choice]]:
        """The same of features that are there already, of whatever has a label."""
        choices = {name: self.choose(probe, name) for name in poolings_by_ridge(probe)}
        best = max(choices, key=lambda name: choices[name].held_out)
        guesses, gradients = {}, []
        for name, choice in choices.items():
            guesses[name], gradient = self.refit(probe, name, choice)
            gradients.append(gradient)
        yield from report(probe, best, guesses)
        yield "gradient_norm", max(gradients)

    def choose(self, probe: Probed, name: str) -> "LayerChoice":
        """The regulariser with which a layer, pooled in one way, does best on what is held out."""
        return chosen(*probe.parted(name), probe.classes, dtype=DTYPES[self.dtype])

    def refit(self, probe: Probed, name: str, choice: "LayerChoice") -> tuple[Int[Tensor, " N"], float]:
        """The classes that a layer gives the test samples, fitted on all of the training part as chosen.

        The path up to it is solved as well, since it is the quickest way there.
        """
        grid = GRID[: choice.regulariser + 1]
        solution = fit_grid(probe.train.rows(name), probe.train.labels, probe.classes, grid, dtype=DTYPES[self.dtype])
        return solution.predict(probe.test.rows(name))[-1], float(solution.gradient[-1])


def poolings_by_ridge(probe: Probed) -> list[str]:
    """For every layer the pooling with which ridge lines do best on held-out data.

    To choose by the logistic path itself costs several times as much.
    """
    lines = RidgeProbe()
    return [
        best_poolings({name: lines.choose(probe, name)[0].held_out for name in names})[0] if names[1:] else names[0]
        for names in probe.layers()
    ]


def chosen(
    fit: Part, held: Part, classes: int, *, dtype: torch.dtype, deviation: Float[Tensor, " D"] | None = None
) -> LayerChoice:
    """The regulariser, solved on some samples, that is right most often on others; of equals, the least surprised."""
    solution = fit_grid(fit.rows, fit.labels, classes, dtype=dtype, deviation=deviation)
    right = (solution.predict(held.rows) == held.labels).double().mean(1)
    nats = solution.nats(held.rows, held.labels)
    return LayerChoice(int(nats.where(right == right.max(), math.inf).argmin()), float(right.max()))
