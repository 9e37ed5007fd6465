"""Linear: the standard probe, version 1. Logistic regression on frozen features.

Every layer's features are extracted in one pass, pooled in up to four ways (pooling.py in core). A tenth of the
training part is held out, on which all is chosen: the pooling of each layer by ridge regression, which is solved in
closed form (ridge.py); for it the regularizer, of 45 that are solved on the other nine tenths (by accuracy; of equals,
by cross-entropy); then the layer of the headline. The chosen ones are solved again on the whole training part, and the
test part is scored once. There is no learning rate to tune and no epoch to pick. Layers of more than 2 GiB stay in the
file that they were extracted to, see basis.py. With the readout `mix` the headline is of all layers, mixed by weights
that are learned (scalar_mix.py).

Source: Kornblith, Shlens and Le, CVPR 2019 (held-out choice, refit); Oquab et al. 2023 (the grid of regularizers);
Peters et al., NAACL 2018 (the mix).
Differs: all layers and poolings, where they probe one.
Axes: N samples, G regularizers.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from pretask import Budget, Choice, Data, Items, Task
from pretask.options import InnerFraction
from pretask.pooling import POOLINGS
from torch import Tensor

from pretask_plugins.evaluators.probes.logistic import GRID, fit_grid
from pretask_plugins.evaluators.probes.ridge import RidgeProbe
from pretask_plugins.evaluators.probes.scalar_mix import Mixed, add_mixes, report_mix
from pretask_plugins.evaluators.probes.validation_split import (
    LabeledRows,
    LayerChoice,
    ProbeData,
    best_poolings,
    build_probe_data,
    check_poolings,
    find_classes,
    report,
)

Readout = Literal["layer", "mix"]
DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class LinearProbe:
    """Multinomial logistic regression on every layer.

    Args:
        label: Name of the labels; the first ones when empty.
        val_fraction: Fraction of the training part on which regularizer, pooling and layer are chosen.
        pooling: Those to choose from: mean, last, own (the model's own pooled vector, such as a class token), mean-max,
            segments and quarters, which keep the order of time and what is where (pretask.pooling).
        dtype: Of the arithmetic; bfloat16 is for products of matrices alone.
        readout: Whether the headline is of the best layer, or of all of them, mixed.
    """

    label: str = ""
    val_fraction: InnerFraction = 0.1
    pooling: tuple[str, ...] = POOLINGS
    dtype: Literal["bfloat16", "float32", "float64"] = "float32"
    readout: Readout = "layer"

    def __post_init__(self) -> None:
        check_poolings("linear", self.pooling)

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no labels to probe, or too few samples of a class."""
        find_classes("linear", data, self.label)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items | Choice]]:
        """Yield `accuracy`, `balanced_accuracy` and `items` of the layer and pooling chosen on validation data.

        `layer` and `pooling` name these; `layerK.accuracy` and `layerK.pooling` are of each layer. `majority` is the
        accuracy of the most frequent class; `gradient_norm` is the largest relative gradient norm of the
        final fits. Of a mix, `layerK.weight` and `gamma` are its own.

        Raises:
            PretaskError: There are no labels to probe, too few samples of a class, or no layers that can be mixed.
        """
        yield from self.measure(
            build_probe_data("linear", task, data, budget, self.label, self.val_fraction, self.pooling),
            "linear",
            budget.seed,
        )

    def measure(self, probe: ProbeData, who: str, seed: int) -> Iterator[tuple[str, float | Items | Choice]]:
        """Yield the same numbers of features that are there already, of whatever has a label.

        Args:
            probe: The features.
            who: The evaluator, for errors.
            seed: Of the rows that a mix is learned from, where there are many.
        """
        mixes: dict[str, Mixed] = {}
        if self.readout == "mix":
            probe, mixes = add_mixes(who, probe, seed)
        choices = {name: self.choose(probe, name) for name in poolings_by_ridge(probe)}
        best = max(
            (name for name in choices if not mixes or name in mixes), key=lambda name: choices[name].val_accuracy
        )
        predictions, gradients = {}, []
        for name, choice in choices.items():
            predictions[name], gradient = self.refit(probe, name, choice)
            gradients.append(gradient)
        yield from report(probe, best, predictions)
        yield "gradient_norm", max(gradients)
        if mixes:
            yield from report_mix(mixes[best])

    def choose(self, probe: ProbeData, name: str) -> "LayerChoice":
        """Choose the regularizer with which a layer, pooled in one way, does best on what is held out."""
        return choose_regularizer(*probe.fit_and_validation(name), probe.classes, dtype=DTYPES[self.dtype])

    def refit(self, probe: ProbeData, name: str, choice: "LayerChoice") -> tuple[Int[Tensor, " N"], float]:
        """Predict the test samples from a layer, fitted on all of the training part as chosen.

        The path up to it is solved as well, since it is the quickest way there.
        """
        grid = GRID[: choice.regularizer + 1]
        solution = fit_grid(probe.train.rows(name), probe.train.labels, probe.classes, grid, dtype=DTYPES[self.dtype])
        return solution.predict(probe.test.rows(name))[-1], float(solution.gradient[-1])


def poolings_by_ridge(probe: ProbeData) -> list[str]:
    """Choose, for every layer, the pooling with which ridge regression does best on validation data.

    To choose by the logistic path itself costs several times as much.
    """
    ridge = RidgeProbe()
    return [
        best_poolings({name: ridge.choose(probe, name)[0].val_accuracy for name in names})[0] if names[1:] else names[0]
        for names in probe.layers()
    ]


def choose_regularizer(
    fit: LabeledRows,
    validation: LabeledRows,
    classes: int,
    *,
    dtype: torch.dtype,
    std: Float[Tensor, " D"] | None = None,
) -> LayerChoice:
    """Choose the regularizer, solved on some samples, that is best on others; of equals, the lowest loss."""
    solution = fit_grid(fit.rows, fit.labels, classes, dtype=dtype, std=std)
    correct = (solution.predict(validation.rows) == validation.labels).double().mean(1)
    nats = solution.nats(validation.rows, validation.labels)
    return LayerChoice(int(nats.where(correct == correct.max(), math.inf).argmin()), float(correct.max()))
