"""Knn: do samples whose features point the same way belong to one class?

The score of a class is the sum over the k nearest training samples of exp(cosine / temperature). k, temperature,
pooling and layer are chosen on a held-out tenth of the training part; then the whole training part answers for the test
part, once.

Source: Wu, Xiong, Yu and Lin, CVPR 2018, section 3.4.
Differs: k and temperature are chosen, where the paper has 200 and 0.07.
Axes: N samples, Q queries, K neighbours, C classes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Float, Int
from pretask import Budget, Choice, Data, Items, PretaskError, Task
from pretask.pooling import POOLINGS
from torch import Tensor

from pretask_plugins.evaluators.probes.moments import unit_rows
from pretask_plugins.evaluators.probes.validation_split import Probed, best_poolings, check_poolings, probed, report

QUERIES = 1024  # looked up at once


@dataclass(frozen=True)
class NearestNeighbours:
    """Weighted nearest neighbours on every layer.

    Args:
        k: Numbers of neighbours to choose from.
        temperature: Temperatures to choose from; the smaller, the more the nearest one decides.
        label: Name of the labels; the first ones when empty.
        held_out: Share of the training part on which all is chosen.
        pooling: Those to choose from: mean, last, own (the model's own pooled vector, such as a class token), mean-max.
    """

    k: tuple[int, ...] = (1, 5, 10, 20, 50, 100, 200)
    temperature: tuple[float, ...] = (0.03, 0.07, 0.2)
    label: str = ""
    held_out: float = 0.1
    pooling: tuple[str, ...] = POOLINGS

    def __post_init__(self) -> None:
        check_poolings("knn", self.pooling)
        if not self.k or min(self.k) < 1:
            raise PretaskError("knn.k", "numbers of neighbours from 1", str(self.k), "Set it to (20,).", exit_code=2)
        if not self.temperature or min(self.temperature) <= 0:
            raise PretaskError(
                "knn.temperature", "numbers above 0", str(self.temperature), "Set it to (0.07,).", exit_code=2
            )

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items | Choice]]:
        """`accuracy`, `balanced_accuracy` and `items` of the layer and pooling chosen on held-out data, which `layer`
        and `pooling` tell; `layerK.accuracy` of each, and its `layerK.pooling`; `majority`, what a blind guess reaches.

        Raises:
            PretaskError: There are no labels, or too few samples of a class.
        """
        probe = probed("knn", task, data, budget, self.label, self.held_out, self.pooling)
        chosen = {name: self.choose(probe, name) for name in probe.train.features}
        names = best_poolings({name: score for name, (score, _, _) in chosen.items()})
        guesses = {name: self.answer(probe, name, *chosen[name][1:]) for name in names}
        yield from report(probe, max(names, key=lambda name: chosen[name][0]), guesses)

    def choose(self, probe: Probed, name: str) -> tuple[float, int, float]:
        """The best accuracy on held-out samples, and the k and temperature that reach it."""
        fit, held = probe.parted(name)
        near = neighbours(fit.rows.all(), fit.labels, held.rows.all(), max(self.k))
        scores = [
            (float((vote(*near, k, heat, probe.classes) == held.labels).float().mean()), k, heat)
            for k, heat in product(self.k, self.temperature)
        ]
        return max(scores, key=lambda score: score[0])

    def answer(self, probe: Probed, name: str, k: int, heat: float) -> Int[Tensor, " N"]:
        """The classes that the whole training part gives the test samples."""
        near = neighbours(probe.train.rows(name).all(), probe.train.labels, probe.test.rows(name).all(), k)
        return vote(*near, k, heat, probe.classes)


def neighbours(
    known: Float[Tensor, "N D"], labels: Int[Tensor, " N"], queries: Float[Tensor, "Q D"], count: int
) -> tuple[Float[Tensor, "Q K"], Int[Tensor, "Q K"]]:
    """Cosine and class of the nearest known samples of every query, nearest first."""
    known = unit_rows(known)
    found = [(unit_rows(some) @ known.T).topk(min(count, len(known)), dim=1) for some in torch.split(queries, QUERIES)]
    return torch.cat([each.values for each in found]), labels[torch.cat([each.indices for each in found])]


def vote(
    cosine: Float[Tensor, "Q K"], label: Int[Tensor, "Q K"], k: int, heat: float, classes: int
) -> Int[Tensor, " Q"]:
    """The class with the largest sum of exp(cosine / temperature) over the k nearest."""
    weight = ((cosine[:, :k] - cosine[:, :1]) / heat).exp()  # the nearest one's factor cancels, and nothing overflows
    return torch.zeros(len(cosine), classes).scatter_add_(1, label[:, :k], weight).argmax(1)
