"""Cross-entropy: score predicted classes against hard or soft labels.

Source: the negative log-likelihood of a categorical distribution, in nats.
Axes: B batch, V views, K candidates, C classes; `...` is (), (V,), (*grid) or (V, *grid).
"""

import math
from collections.abc import Mapping

from jaxtyping import Float
from pretask import (
    Categories,
    Draws,
    Features,
    FeatureSpec,
    Heads,
    Loss,
    Target,
    Targets,
    TargetSpecs,
    build_loss,
    check_kinds,
    find_readout,
    upcast,
    weighted_mean,
)
from pretask.options import FractionBelowOne, Size
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.shared.heads import perceptron
from pretask_plugins.shared.scores import most_likely_class


class CrossEntropy(nn.Module):
    """The sum over targets of the mean cross-entropy of each.

    Args:
        features: What the model offers.
        targets: Categories, any number of them.
        hidden: Widths of hidden layers of every head; none for a linear head.
        label_smoothing: Probability that is spread evenly over all classes.

    Raises:
        Incompatible: A target is not Categories, is not hidden, or cannot be read from the features.
    """

    def __init__(
        self,
        features: FeatureSpec,
        targets: TargetSpecs,
        /,
        *,
        hidden: tuple[Size, ...] = (),
        label_smoothing: FractionBelowOne = 0.0,
    ) -> None:
        super().__init__()
        check_kinds("cross-entropy", targets, {"categories"})
        self.classes = {name: spec.classes for name, spec in targets.items() if isinstance(spec, Categories)}
        self.readouts = {name: find_readout("cross-entropy", name, features, spec) for name, spec in targets.items()}
        self.heads = Heads(
            {name: perceptron(self.readouts[name].width, hidden, count) for name, count in self.classes.items()}
        )
        self.label_smoothing = label_smoothing

    @property
    def chance(self) -> dict[str, float]:
        """Return the value of each part for uniform predictions."""
        nats = {name: math.log(count) for name, count in self.classes.items()}
        return {**nats, **{f"{name}.accuracy": 1 / count for name, count in self.classes.items()}}

    def logits(self, features: Features, name: str) -> Float[Tensor, "B ... C"]:
        """Return the logits of every class, at the target's positions."""
        readout = self.readouts[name]
        return readout.place(self.heads[name](readout(features)))

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return log-probabilities of every target, (B, ..., C)."""
        return {name: upcast(self.logits(features, name)).log_softmax(-1) for name in self.classes}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the mean cross-entropy of every target, in nats, and its accuracy."""
        return self.score({name: self.logits(features, name) for name in self.classes}, targets)

    def score(self, predictions: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """Return the same for logits or log-probabilities (B, ..., C) by target, wherever they come from."""
        terms, reports = {}, {}
        for name in self.classes:
            target, logits = targets[name], upcast(predictions[name])
            terms[name] = weighted_mean(
                cross_entropy(logits, target, self.label_smoothing), target.weight, target.denominator
            )
            correct = (logits.argmax(-1) == most_likely_class(target)).float()
            reports[f"{name}.accuracy"] = weighted_mean(correct, target.weight, target.denominator)
        return build_loss(terms, reports)


def cross_entropy(
    logits: Float[Tensor, "B ... C"], target: Target, label_smoothing: float = 0.0
) -> Float[Tensor, "B ..."]:
    """Return the cross-entropy of every position, in nats.

    >>> cross_entropy(torch.zeros(1, 8), Target(torch.tensor([3]))).item() - math.log(8)
    0.0
    """
    if target.probability is not None:
        log_probability = logits.log_softmax(-1).gather(-1, target.value)  # (B, ..., K)
        return -(target.probability * log_probability).sum(-1)
    flat = F.cross_entropy(
        logits.flatten(0, -2), target.value.flatten(), reduction="none", label_smoothing=label_smoothing
    )
    return flat.view(target.value.shape)
