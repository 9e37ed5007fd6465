"""Pointer: copy every asked label from given positions whose vectors are alike.

A_ij = exp(f_i . f_j / t) / sum_k exp(f_k . f_j / t) over the given positions i, for an asked position j; its label is
guessed as the sum over i of A_ij times the label of i, a probability. The loss is its negative logarithm: a softmax of
these probabilities, as in a well-known port, could not fall below log(1 + (K - 1) / e).

Source: Vondrick et al., ECCV 2018, section 3.2; Vinyals, Fortunato and Jaitly, NIPS 2015 (pointing).
Axes: B batch, V views, N positions, D width, Q asked positions, P positions that may be pointed at, K classes.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from pretask import (
    Draws,
    Features,
    FeatureSpec,
    Heads,
    Incompatible,
    Loss,
    Reference,
    Target,
    Targets,
    TargetSpecs,
    build_loss,
    check_kinds,
    find_readout,
    full_precision,
    upcast,
    weighted_mean,
)
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-6  # added to a probability before its logarithm is taken


class Pointer(nn.Module):
    """The sum over targets of the mean nats of the labels that were copied.

    Args:
        features: What the model offers.
        targets: References, any number of them, with positions.
        width: Of the vectors that are compared, a linear map of the features; 0 for the features themselves.
        temperature: What products are divided by.
        normalise: Whether vectors are brought to length 1.
        asked: Of a target with views, how many of the last views are asked; the views before them are pointed at. 0 if
            any view may be asked and pointed at, which costs more.

    Raises:
        Incompatible: A target is no Reference, has no positions, or leaves no view to point at.
    """

    def __init__(
        self,
        features: FeatureSpec,
        targets: TargetSpecs,
        /,
        *,
        width: int = 64,
        temperature: float = 1.0,
        normalise: bool = False,
        asked: int = 0,
    ) -> None:
        super().__init__()
        check_kinds("pointer", targets, {"reference"})
        self.classes = {name: spec.classes for name, spec in targets.items() if isinstance(spec, Reference)}
        self.readouts = {name: find_readout("pointer", name, features, spec) for name, spec in targets.items()}
        for name, spec in targets.items():
            check_positions(name, spec.grid, spec.views, asked)
        maps = {name: nn.Linear(read.width, width) if width else nn.Identity() for name, read in self.readouts.items()}
        self.heads = Heads(maps)
        self.temperature, self.normalise, self.asked = temperature, normalise, asked

    @property
    def chance(self) -> dict[str, float]:
        """The value of each part for a guess that gives every class the same probability."""
        nats = {name: math.log(count) for name, count in self.classes.items()}
        return {**nats, **{f"{name}.accuracy": 1 / count for name, count in self.classes.items()}}

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Vectors (B, [V,] *grid, D) whose products say how much one position points at another.

        Labels cannot be guessed without those that are given, which belong to the targets.
        """
        return {name: self.vectors(features, name) for name in self.classes}

    def vectors(self, features: Features, name: str) -> Float[Tensor, "B ... D"]:
        """The vectors of one target, at its positions."""
        read = self.readouts[name]
        vectors = upcast(read.place(self.heads[name](read(features))))
        if self.normalise:
            vectors = F.normalize(vectors, dim=-1)
        return vectors / math.sqrt(self.temperature)

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Mean nats of every target, and the share of right guesses."""
        return self.score(self.predict(features), targets)

    def score(self, guess: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """The same for vectors (B, [V,] *grid, D) by target, wherever they come from."""
        terms, reports = {}, {}
        for name, count in self.classes.items():
            has_views = self.readouts[name].per_view
            label, weight = flat(targets[name], has_views)
            vectors = guess[name].flatten(2 if has_views else 1, -2)
            told = copied(vectors if has_views else vectors[:, None], label, weight == 0, count, self.asked)
            label, weight = label[:, -self.asked :], weight[:, -self.asked :]
            nats = -(told.gather(-1, label[..., None])[..., 0] + EPSILON).log()
            denominator = targets[name].denominator
            terms[name] = weighted_mean(nats, weight, denominator)
            reports[f"{name}.accuracy"] = weighted_mean((told.argmax(-1) == label).float(), weight, denominator)
        return build_loss(terms, reports)

    def scored_weights(self, targets: Targets, /) -> Mapping[str, Tensor]:
        """The weights of the views that are asked: views before them are pointed at, whatever they weigh."""
        return {name: flat(targets[name], self.readouts[name].per_view)[1][:, -self.asked :] for name in self.classes}


def flat(target: Target, has_views: bool) -> tuple[Int[Tensor, "B V N"], Float[Tensor, "B V N"]]:
    """Labels and weights, with an axis of views and one of positions."""
    weight = torch.ones_like(target.value, dtype=torch.float32) if target.weight is None else target.weight
    both = (target.value, weight) if has_views else (target.value[:, None], weight[:, None])
    return both[0].flatten(2), both[1].flatten(2)


def copied(
    vectors: Float[Tensor, "B V N D"],
    label: Int[Tensor, "B V N"],
    given: Bool[Tensor, "B V N"],
    classes: int,
    asked: int = 0,
) -> Float[Tensor, "B A N K"]:
    """The probability of every class at the positions of the last `asked` views, or of all views.

    >>> label, given = torch.tensor([[[2, 0]]]), torch.tensor([[[True, False]]])
    >>> copied(torch.zeros(1, 1, 2, 4), label, given, classes=3)[0, 0, 1].tolist()
    [0.0, 0.0, 1.0]
    """
    views = vectors.shape[1] - asked
    asking = vectors[:, -asked:]
    pointed = [each[:, :views].flatten(1, 2) for each in (vectors, label, given)]
    with full_precision(vectors.device):
        affinity = pointing(asking.flatten(1, 2), pointed[0], pointed[2])
        shares = affinity @ F.one_hot(pointed[1].clamp(min=0), classes).to(affinity.dtype)
    return shares.view(*asking.shape[:3], classes)


def pointing(
    asking: Float[Tensor, "B Q D"], pointed: Float[Tensor, "B P D"], given: Bool[Tensor, "B P"]
) -> Float[Tensor, "B Q P"]:
    """The share with which every asking position points at every given one; rows add up to one."""
    products = asking @ pointed.transpose(1, 2)
    return products.masked_fill(~given[:, None], torch.finfo(products.dtype).min).softmax(-1)


def check_positions(name: str, grid: tuple[int, ...], views: int | None, asked: int) -> None:
    """Raise Incompatible unless a target has positions, and views to point at."""
    if not grid or (asked and asked >= (views or 1)):
        raise Incompatible(
            "pointer",
            f"a target with positions, in more views than objective.asked = {asked}",
            f"'{name}' with the grid {grid} in {views or 'no'} views",
            "Set objective.asked=0, or choose another split.",
        )
