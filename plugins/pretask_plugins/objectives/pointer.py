"""Pointer: copy labels from reference positions with similar features.

A_ij = exp(f_i . f_j / t) / sum_k exp(f_k . f_j / t) over the reference positions i, for a query position j; its label
is predicted as the sum over i of A_ij times the label of i, a probability. The loss is its negative logarithm: a
softmax of these probabilities, as in a well-known port, could not fall below log(1 + (K - 1) / e).

Source: Vondrick et al., ECCV 2018, section 3.2; Vinyals, Fortunato and Jaitly, NIPS 2015 (pointing).
Axes: B batch, V views, N positions, D width, Q query positions, P positions that may be pointed at, K classes.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from pretask import (
    Draws,
    Features,
    FeatureSpec,
    Heads,
    Incompatible,
    Loss,
    PretaskError,
    Reference,
    Target,
    Targets,
    TargetSpecs,
    build_loss,
    check_kinds,
    find_readout,
    upcast,
    weighted_mean,
)
from pretask.options import SizeOrZero, Temperature
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.shared.pointing import copy_labels

EPSILON = 1e-6  # added to a probability before its logarithm is taken


class Pointer(nn.Module):
    """The sum over targets of the mean nats of the labels that were copied.

    Args:
        features: What the model offers.
        targets: References, any number of them, with positions.
        width: Of the vectors that are compared, a linear map of the features; 0 for the features themselves.
        temperature: What products are divided by.
        normalize: Whether vectors are brought to length 1.
        query_views: Of a target with views, how many of the last views are queries; the views before them are pointed
            at. 0 if any view may be a query and be pointed at, which costs more.

    Raises:
        Incompatible: A target is no Reference, has no positions, or leaves no view to point at.
    """

    def __init__(
        self,
        features: FeatureSpec,
        targets: TargetSpecs,
        /,
        *,
        width: SizeOrZero = 64,
        temperature: Temperature = 1.0,
        normalize: bool = False,
        query_views: SizeOrZero = 0,
    ) -> None:
        super().__init__()
        check_kinds("pointer", targets, {"reference"})
        self.classes = {name: spec.classes for name, spec in targets.items() if isinstance(spec, Reference)}
        self.readouts = {name: find_readout("pointer", name, features, spec) for name, spec in targets.items()}
        for name, spec in targets.items():
            check_positions(name, spec.grid, spec.views, query_views)
        maps = {
            name: nn.Linear(readout.width, width) if width else nn.Identity() for name, readout in self.readouts.items()
        }
        self.heads = Heads(maps)
        self.temperature, self.normalize, self.query_views = temperature, normalize, query_views

    @property
    def chance(self) -> dict[str, float]:
        """Return the value of each part for uniform predictions."""
        nats = {name: math.log(count) for name, count in self.classes.items()}
        return {**nats, **{f"{name}.accuracy": 1 / count for name, count in self.classes.items()}}

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return vectors (B, [V,] *grid, D) whose products say how much one position points at another.

        Labels cannot be predicted without those that are given, which belong to the targets.
        """
        return {name: self.vectors(features, name) for name in self.classes}

    def embed(self, tokens: Float[Tensor, "*axes D"], /) -> Float[Tensor, "*axes E"]:
        """Return the vectors of the first target that are compared, of features of positions of one view."""
        name, readout = next(iter(self.readouts.items()))
        if tokens.shape[-1] != readout.width:
            raise PretaskError(
                "pointer",
                f"features of {readout.width} numbers for each position",
                f"{tokens.shape[-1]}",
                "Choose a split whose target has views.",
            )
        embedded: Tensor = self.heads[name](tokens)
        return embedded

    def vectors(self, features: Features, name: str) -> Float[Tensor, "B ... D"]:
        """Return the vectors of one target, at its positions."""
        readout = self.readouts[name]
        vectors = upcast(readout.place(self.heads[name](readout(features))))
        if self.normalize:
            vectors = F.normalize(vectors, dim=-1)
        return vectors / math.sqrt(self.temperature)

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the mean loss of every target, in nats, and its accuracy."""
        return self.score(self.predict(features), targets)

    def score(self, vectors: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """Return the same for vectors (B, [V,] *grid, D) by target, wherever they come from."""
        terms, reports = {}, {}
        for name, count in self.classes.items():
            has_views = self.readouts[name].per_view
            label, weight = flatten_positions(targets[name], has_views)
            points = vectors[name].flatten(2 if has_views else 1, -2)
            probability = copy_labels(
                points if has_views else points[:, None], label, weight == 0, count, self.query_views
            )
            label, weight = label[:, -self.query_views :], weight[:, -self.query_views :]
            nats = -(probability.gather(-1, label[..., None])[..., 0] + EPSILON).log()
            denominator = targets[name].denominator
            terms[name] = weighted_mean(nats, weight, denominator)
            reports[f"{name}.accuracy"] = weighted_mean((probability.argmax(-1) == label).float(), weight, denominator)
        return build_loss(terms, reports)

    def scored_weights(self, targets: Targets, /) -> Mapping[str, Tensor]:
        """Return the weights of the query views: views before them are pointed at, whatever they weigh."""
        return {
            name: flatten_positions(targets[name], self.readouts[name].per_view)[1][:, -self.query_views :]
            for name in self.classes
        }


def flatten_positions(target: Target, has_views: bool) -> tuple[Int[Tensor, "B V N"], Float[Tensor, "B V N"]]:
    """Return labels and weights, with an axis of views and one of positions."""
    weight = torch.ones_like(target.value, dtype=torch.float32) if target.weight is None else target.weight
    both = (target.value, weight) if has_views else (target.value[:, None], weight[:, None])
    return both[0].flatten(2), both[1].flatten(2)


def check_positions(name: str, grid: tuple[int, ...], views: int | None, query_views: int) -> None:
    """Raise Incompatible unless a target has positions, and views to point at."""
    if not grid or (query_views and query_views >= (views or 1)):
        raise Incompatible(
            "pointer",
            f"a target with positions, in more views than objective.query_views = {query_views}",
            f"'{name}' with the grid {grid} in {views or 'no'} views",
            "Set objective.query_views=0, or choose another split.",
        )
