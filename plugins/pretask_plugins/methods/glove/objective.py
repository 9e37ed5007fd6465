"""Weighted least squares on the logarithms of co-occurrences.

    J = sum over i, j of f(X_ij) (w_i . w~_j + b_i + b~_j - log X_ij)^2                                  (equation 8)
    f(x) = (x / x_max)^alpha below x_max, 1 above                                                       (equation 9)

The split shows a pair as often as it counts in X, so that each is weighted by f(X_ij) / X_ij here: the loss is J over
the sum of X. x shows the very words whose count is predicted, and nothing hides the answer from who would learn X by
heart; what makes it a task is that a word has d numbers and not C: the bottleneck.

Source: Pennington, Socher and Manning, EMNLP 2014, section 3. Differs: nothing; the released code halves J.
Axes: B batch, N positions, D width, the last number of which is the bias.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from jaxtyping import Float
from pretask import (
    Draws,
    Features,
    FeatureSpec,
    Incompatible,
    Loss,
    Targets,
    TargetSpecs,
    build_loss,
    check_kinds,
    take_only_target,
    upcast,
    weighted_mean,
)
from pretask.options import Interval, PositiveFloat
from pretask.readout import widest_stream
from torch import Tensor, nn

WHO = "glove"


class Glove(nn.Module):
    """J over the sum of X.

    Args:
        features: What the model offers: of two views, the vectors of a word and its neighbor with their biases.
        targets: One co-occurrence.
        x_max: Count from which a pair has full weight.
        alpha: Power by which pairs of smaller counts weigh less.

    Raises:
        Incompatible: The target is no co-occurrence, or the features are not of two words at each of its places.
    """

    def __init__(
        self,
        features: FeatureSpec,
        targets: TargetSpecs,
        /,
        *,
        x_max: PositiveFloat = 100.0,
        alpha: Annotated[float, Interval(ge=0, le=1)] = 0.75,
    ) -> None:
        super().__init__()
        check_kinds(WHO, targets, {"co-occurrence"})
        self.name, spec = take_only_target(WHO, targets)
        self.stream = widest_stream(WHO, self.name, features, spec.sees)
        if features.views != 2 or features.grid != spec.grid or features.width < 2:
            raise Incompatible(
                WHO,
                f"features of 2 views at the positions {spec.grid}, the last number of each a bias",
                f"{features.views} of width {features.width} at {features.grid}",
                "Choose the model glove or embedding.",
            )
        self.x_max, self.alpha = x_max, alpha

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return w_i . w~_j + b_i + b~_j, (B, N)."""
        return {self.name: multiply(upcast(features.streams[self.stream]))}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return J over the sum of X, and the mean squared error over the pairs of the text."""
        return self.score(self.predict(features), targets)

    def score(self, predictions: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """Return the same for predicted logarithms, wherever they come from."""
        target = targets[self.name]
        log_count = upcast(target.value)
        squared = (upcast(predictions[self.name]) - log_count).square()
        count = log_count.exp()
        weight = weigh_count(count, self.x_max, self.alpha) / count
        term = weighted_mean(weight * squared, target.weight, target.denominator)
        report = weighted_mean(squared.detach(), target.weight, target.denominator)
        return build_loss({self.name: term}, {f"{self.name}.squared_error": report})


def weigh_count(count: Float[Tensor, "..."], x_max: float, alpha: float) -> Float[Tensor, "..."]:
    """Return f(x), equation 9.

    >>> weigh_count(torch.tensor([0.0, 10.0, 50.0, 100.0, 500.0]), 100, 0.75).tolist()
    [0.0, 0.17782793939113617, 0.5946035385131836, 1.0, 1.0]
    """
    return (count / x_max).clamp(max=1) ** alpha


def multiply(pairs: Float[Tensor, "B 2 N D"]) -> Float[Tensor, "B N"]:
    """Return the products of two vectors without their last numbers, plus these: equation 7.

    >>> multiply(torch.tensor([[[[2.0, 3.0, 0.5]], [[1.0, 1.0, 0.25]]]])).tolist()
    [[5.75]]
    """
    product: Tensor = MultiplyPairs.apply(pairs)  # type: ignore[no-untyped-call]
    return product


class MultiplyPairs(torch.autograd.Function):
    """The products with their gradient, which autograd would make of slices in three times the memory."""

    @staticmethod
    def forward(context: Any, pairs: Tensor) -> Tensor:
        """Return w_i . w~_j + b_i + b~_j."""
        context.save_for_backward(pairs)
        words, others = pairs.unbind(1)
        products: Tensor = torch.linalg.vecdot(words[..., :-1], others[..., :-1])
        return products + words[..., -1] + others[..., -1]

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """Return the gradient of both vectors: that of a product is the other vector, that of a bias 1."""
        (pairs,) = context.saved_tensors
        by_product, result = gradient[..., None], torch.empty_like(pairs)
        torch.mul(pairs[:, 1], by_product, out=result[:, 0])
        torch.mul(pairs[:, 0], by_product, out=result[:, 1])
        result[..., -1] = gradient[:, None]
        return result
