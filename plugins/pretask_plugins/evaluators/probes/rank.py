"""Rank: how many directions the features use. It needs no labels, and warns of collapse.

`rankme` is exp of the entropy of the singular values of the features, normalized to sum 1: between 1 and the smaller of
width and samples. `effective_dimension` is the participation ratio of the variances along the principal axes,
(sum v)^2 / sum v^2. `constant_features` is the fraction of features that deviate by no more than float32's rounding of
their mean. `mean_cosine` is the mean over all pairs of samples of the cosine of their features.

Features are pooled by the mean, which every layer offers, unless another pooling is requested.

`collapsed` is 1 where the output uses fewer than two directions (`rankme` below 2) or all of its features are constant,
else 0; a layer of width 1 is collapsed only when it is constant. It is a warning: a rank that is high says little.

Source: Garrido, Balestriero, Najman and LeCun, ICML 2023, equations 1 and 2; Roy and Vetterli 2007.
Differs: singular values are roots of the eigenvalues of the Gram matrix, summed in double precision (what is below 1e-8
of the largest is rounding); no constant is added inside the logarithm.
Axes: N samples, D features.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pretask import Budget, Data, Draws, PretaskError, Task
from pretask.extraction import extract
from pretask.options import NonNegativeInt
from torch import Tensor

from pretask_plugins.evaluators.probes.moments import Rows, compute_moments, normalize_rows
from pretask_plugins.evaluators.probes.validation_split import check_offered, check_poolings, layer_name


@dataclass(frozen=True)
class Rank:
    """RankMe and other statistics of the features of every layer.

    Args:
        train_size: Training samples at most, drawn by the seed; 0 for all.
        pooling: mean, last, own (the model's own pooled vector, such as a class token), mean-max, segments or quarters.
    """

    train_size: NonNegativeInt = 25_600
    pooling: str = "mean"

    def __post_init__(self) -> None:
        check_poolings("rank", (self.pooling,))
        if self.train_size < 0 or self.train_size == 1:
            raise PretaskError(
                "rank.train_size", "0, or 2 samples or more", str(self.train_size), "Set it to 0.", exit_code=2
            )

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float]]:
        """Yield the statistics of the output, `collapsed`, and those of each layer as `layerK.rankme` and so on.

        They are `rankme`, `effective_dimension`, `constant_features`, `mean_cosine` and `width`.

        Raises:
            PretaskError: There are fewer than two samples, or no layer that offers the pooling.
        """
        samples = data("train")
        if len(samples) < 2:
            raise PretaskError("rank", "at least 2 samples", str(len(samples)), "Use more data.")
        index = draw_subset(len(samples), self.train_size, budget.seed)
        features = extract(task, samples, budget, (self.pooling,))
        check_offered("rank", features, (self.pooling,))
        layers = {layer_name(name): compute_statistics(Rows(layer, index)) for name, layer in features.items()}
        output = list(layers.values())[-1]
        yield from output.items()
        yield "collapsed", float(is_collapsed(output))
        for name, found in layers.items():
            yield from ((f"{name}.{what}", value) for what, value in found.items())


def draw_subset(count: int, size: int, seed: int) -> Tensor | None:
    """Return the numbers of the samples that are looked at, in order; None for all."""
    if not size or count <= size:
        return None
    order = Draws(torch.arange(count), seed).branch("rank").uniform("place")
    return order.argsort()[:size].sort().values


def compute_statistics(rows: Rows) -> dict[str, float]:
    """Compute the numbers of one layer."""
    found = compute_moments(rows)
    products = found.scatter + found.count * torch.outer(found.mean, found.mean)  # of features that are not centered
    return {
        "rankme": rankme(singular_values(products)),
        "effective_dimension": participation(singular_values(found.scatter).square()),
        "constant_features": float((~found.varies).double().mean()),
        "mean_cosine": mean_cosine(rows),
        "width": float(rows.width),
    }


def is_collapsed(output: dict[str, float]) -> bool:
    """Return whether fewer than two directions are in use, or nothing varies."""
    return output["constant_features"] == 1 or output["rankme"] < min(2.0, output["width"])


def singular_values(gram: Float[Tensor, "D D"]) -> Float[Tensor, " D"]:
    """Return the singular values of the matrix whose Gram matrix it is; rounding is 0."""
    values = torch.linalg.eigvalsh(gram)
    return torch.where(values > 1e-16 * values[-1], values, 0.0).sqrt()


def rankme(values: Float[Tensor, " D"]) -> float:
    """Return the exponential of the entropy of singular values; 0 where there are none above 0.

    >>> round(rankme(torch.tensor([3.0, 3.0, 3.0, 0.0])), 4)
    3.0
    """
    if not bool(values.any()):
        return 0.0
    probabilities = values / values.sum()
    return float(torch.special.entr(probabilities).sum().exp())


def participation(variance: Float[Tensor, " D"]) -> float:
    """Return how many axes of equal variance would be as uneven as these; 0 where nothing varies.

    >>> participation(torch.tensor([2.0, 2.0, 0.0]))
    2.0
    """
    total = variance.square().sum()
    return float(variance.sum().square() / total) if total > 0 else 0.0


def mean_cosine(rows: Rows) -> float:
    """Return the mean cosine of two different samples; samples that are 0 are at right angles to all."""
    total = torch.zeros(rows.width, dtype=torch.float64, device=rows.features.device)
    own = 0.0
    for chunk in rows.chunks():
        unit = normalize_rows(chunk.double())
        total += unit.sum(0)
        own += float(unit.square().sum())
    return float(total.square().sum() - own) / (len(rows) * (len(rows) - 1))
