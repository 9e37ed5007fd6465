"""Regression: score a guess of real numbers.

Source: the negative log-likelihood of a Gaussian (squared) or Laplace (absolute) distribution of fixed width, up to
constants; Huber 1964. Parts are in squared (or plain) units of the target, not in nats.
Axes: B batch, V views, K channels; `...` is (), (V,), (*grid) or (V, *grid).
"""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Float
from pretask import (
    Draws,
    Features,
    FeatureSpec,
    Heads,
    Loss,
    Targets,
    TargetSpecs,
    Values,
    build_loss,
    check_kinds,
    find_readout,
    upcast,
    weighted_mean,
)
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.shared.heads import perceptron


class Regression(nn.Module):
    """The sum over targets of the mean error of each.

    Args:
        features: What the model offers.
        targets: Values, any number of them.
        hidden: Widths of hidden layers of every head; none for a linear head.
        error: Squared, absolute or Huber (squared up to 1, then absolute).

    Raises:
        Incompatible: A target is not Values, is not hidden, or cannot be read from the features.
    """

    # A guess of the batch's own mean explains none of the variance.
    chance: Mapping[str, float]

    def __init__(
        self,
        features: FeatureSpec,
        targets: TargetSpecs,
        /,
        *,
        hidden: tuple[int, ...] = (),
        error: Literal["squared", "absolute", "huber"] = "squared",
    ) -> None:
        super().__init__()
        check_kinds("regression", targets, {"values"})
        channels = {name: spec.channels for name, spec in targets.items() if isinstance(spec, Values)}
        self.readouts = {name: find_readout("regression", name, features, spec) for name, spec in targets.items()}
        self.heads = Heads({name: perceptron(self.readouts[name].width, hidden, channels[name]) for name in targets})
        self.error = error
        self.chance = {f"{name}.r2": 0.0 for name in targets}

    def guess(self, features: Features, name: str) -> Float[Tensor, "B ... K"]:
        """The guess, at the target's positions."""
        read = self.readouts[name]
        return upcast(read.place(self.heads[name](read(features))))

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Values of every target, (B, ..., channels)."""
        return {name: self.guess(features, name) for name in self.readouts}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Mean error of every target, and the share of the variance that is explained."""
        return self.score(self.predict(features), targets)

    def score(self, guess: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """The same for values (B, ..., channels) by target, wherever they come from."""
        terms, reports = {}, {}
        for name in self.readouts:
            target, values = targets[name], upcast(guess[name])
            terms[name] = weighted_mean(errors(values, target.value, self.error), target.weight, target.denominator)
            reports[f"{name}.r2"] = explained(values.detach(), target.value, target.weight)
        return build_loss(terms, reports)


def errors(guess: Float[Tensor, "B ... K"], value: Float[Tensor, "B ... K"], error: str) -> Float[Tensor, "B ..."]:
    """The error of every answer, a mean over its channels.

    >>> errors(torch.tensor([[3.0]]), torch.tensor([[1.0]]), "huber").item()
    1.5
    """
    value = value.to(guess.dtype)
    if error == "huber":
        return F.huber_loss(guess, value, reduction="none").mean(-1)
    difference = guess - value
    return (difference.square() if error == "squared" else difference.abs()).mean(-1)


def explained(
    guess: Float[Tensor, "B ... K"], value: Float[Tensor, "B ... K"], weight: Tensor | None
) -> tuple[Tensor, Tensor]:
    """1 - squared error / variance about the batch's mean, and its weight: 0 for a guess of the mean, at most 1."""
    value = value.float()
    weights = torch.ones_like(value) if weight is None else weight[..., None].expand_as(value).float()
    centre, count = weighted_mean(value, weights)
    variance, _ = weighted_mean((value - centre) ** 2, weights)
    squared, _ = weighted_mean((value - guess) ** 2, weights)
    return 1 - squared / variance.clamp(min=1e-12), count
