"""Cross-entropy: score a guess of classes, or of distributions over classes.

Source: the negative log-likelihood of a categorical distribution, in nats.
Axes: B batch, V views, K candidates, C classes; `...` is (), (V,), (*grid) or (V, *grid).
"""

import math
from collections.abc import Mapping

from jaxtyping import Float, Int
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
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.shared.heads import perceptron


class CrossEntropy(nn.Module):
    """The sum over targets of the mean cross-entropy of each.

    Args:
        features: What the model offers.
        targets: Categories, any number of them.
        hidden: Widths of hidden layers of every head; none for a linear head.
        smoothing: Share of the probability that is spread evenly over all classes (label smoothing).

    Raises:
        Incompatible: A target is not Categories, is not hidden, or cannot be read from the features.
    """

    def __init__(
        self, features: FeatureSpec, targets: TargetSpecs, /, *, hidden: tuple[int, ...] = (), smoothing: float = 0.0
    ) -> None:
        super().__init__()
        check_kinds("cross-entropy", targets, {"categories"})
        self.classes = {name: spec.classes for name, spec in targets.items() if isinstance(spec, Categories)}
        self.readouts = {name: find_readout("cross-entropy", name, features, spec) for name, spec in targets.items()}
        self.heads = Heads(
            {name: perceptron(self.readouts[name].width, hidden, count) for name, count in self.classes.items()}
        )
        self.smoothing = smoothing

    @property
    def chance(self) -> dict[str, float]:
        """The value of each part for a guess that gives every class the same probability."""
        nats = {name: math.log(count) for name, count in self.classes.items()}
        return {**nats, **{f"{name}.accuracy": 1 / count for name, count in self.classes.items()}}

    def logits(self, features: Features, name: str) -> Float[Tensor, "B ... C"]:
        """The scores of every class, at the target's positions."""
        read = self.readouts[name]
        return read.place(self.heads[name](read(features)))

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Log-probabilities of every target, (B, ..., C)."""
        return {name: upcast(self.logits(features, name)).log_softmax(-1) for name in self.classes}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Mean nats of every target, and the share of right guesses."""
        return self.score({name: self.logits(features, name) for name in self.classes}, targets)

    def score(self, guess: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """The same for logits or log-probabilities (B, ..., C) by target, wherever they come from."""
        terms, reports = {}, {}
        for name in self.classes:
            target, logits = targets[name], upcast(guess[name])
            terms[name] = weighted_mean(nats(logits, target, self.smoothing), target.weight, target.denominator)
            right = (logits.argmax(-1) == likeliest(target)).float()
            reports[f"{name}.accuracy"] = weighted_mean(right, target.weight, target.denominator)
        return build_loss(terms, reports)


def nats(logits: Float[Tensor, "B ... C"], target: Target, smoothing: float = 0.0) -> Float[Tensor, "B ..."]:
    """The cross-entropy of every answer.

    >>> nats(torch.zeros(1, 8), Target(torch.tensor([3]))).item() - math.log(8)
    0.0
    """
    if target.probability is not None:
        of_candidates = logits.log_softmax(-1).gather(-1, target.value)  # (B, ..., K)
        return -(target.probability * of_candidates).sum(-1)
    flat = F.cross_entropy(logits.flatten(0, -2), target.value.flatten(), reduction="none", label_smoothing=smoothing)
    return flat.view(target.value.shape)


def likeliest(target: Target) -> Int[Tensor, "B ..."]:
    """The class that the answer names, or holds for likeliest."""
    if target.probability is None:
        return target.value
    return target.value.gather(-1, target.probability.argmax(-1, keepdim=True))[..., 0]
