"""Regression: score predicted real numbers.

Source: the negative log-likelihood of a Gaussian (squared) or Laplace (absolute) distribution of fixed width, up to
constants; Huber 1964. Parts are in squared (or plain) units of the target, not in nats.
Axes: B batch, V views, K channels; `...` is (), (V,), (*grid) or (V, *grid).
"""

from collections.abc import Mapping
from typing import Literal

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
from pretask.options import Size
from torch import Tensor, nn

from pretask_plugins.shared.heads import perceptron
from pretask_plugins.shared.scores import errors, r2


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

    # The batch's own mean explains none of the variance.
    chance: Mapping[str, float]

    def __init__(
        self,
        features: FeatureSpec,
        targets: TargetSpecs,
        /,
        *,
        hidden: tuple[Size, ...] = (),
        error: Literal["squared", "absolute", "huber"] = "squared",
    ) -> None:
        super().__init__()
        check_kinds("regression", targets, {"values"})
        channels = {name: spec.channels for name, spec in targets.items() if isinstance(spec, Values)}
        self.readouts = {name: find_readout("regression", name, features, spec) for name, spec in targets.items()}
        self.heads = Heads({name: perceptron(self.readouts[name].width, hidden, channels[name]) for name in targets})
        self.error = error
        self.chance = {f"{name}.r2": 0.0 for name in targets}

    def values(self, features: Features, name: str) -> Float[Tensor, "B ... K"]:
        """Return the predicted values, at the target\'s positions."""
        readout = self.readouts[name]
        return upcast(readout.place(self.heads[name](readout(features))))

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return values of every target, (B, ..., channels)."""
        return {name: self.values(features, name) for name in self.readouts}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the mean error of every target, and its R^2."""
        return self.score(self.predict(features), targets)

    def score(self, predictions: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """Return the same for values (B, ..., channels) by target, wherever they come from."""
        terms, reports = {}, {}
        for name in self.readouts:
            target, values = targets[name], upcast(predictions[name])
            terms[name] = weighted_mean(errors(values, target.value, self.error), target.weight, target.denominator)
            reports[f"{name}.r2"] = r2(values.detach(), target.value, target.weight)
        return build_loss(terms, reports)
