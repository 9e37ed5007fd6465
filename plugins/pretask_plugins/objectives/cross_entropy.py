"""Cross-entropy: score predicted classes against hard or soft labels.

Source: the negative log-likelihood of a categorical distribution, in nats.
Axes: B batch, V views, K candidates, C classes; `...` is (), (V,), (*grid) or (V, *grid).
"""

import math
from collections.abc import Mapping
from dataclasses import replace

from jaxtyping import Float, Int
from pretask import (
    Categories,
    Draws,
    Features,
    FeatureSpec,
    Heads,
    Loss,
    Readout,
    Target,
    Targets,
    TargetSpec,
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

MAX_SCORED_FRACTION = 0.5  # of the positions; to gather more than that would save little


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
        self.scored = {name: count_scored(spec, self.readouts[name]) for name, spec in targets.items()}

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

    def predict_at(self, features: Features, name: str, at: Int[Tensor, "B K"], /) -> Float[Tensor, "B K C"]:
        """Return log-probabilities of one target at some of the features' positions."""
        return upcast(self.logits_at(features, name, at)).log_softmax(-1)

    def logits_at(self, features: Features, name: str, at: Int[Tensor, "B K"]) -> Float[Tensor, "B K C"]:
        """Return the logits of every class at some of the features' positions."""
        vectors = self.readouts[name](features)
        logits: Tensor = self.heads[name](vectors.gather(1, at[..., None].expand(-1, -1, vectors.shape[-1])))
        return logits

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the mean cross-entropy of every target, in nats, and its accuracy.

        Where few positions have weight, logits are computed at as many as may have some, and nowhere else.
        """
        predictions, scored = {}, dict(targets)
        for name in self.classes:
            target, count = targets[name], self.scored[name]
            if count is None or target.weight is None or target.probability is not None:
                predictions[name] = self.logits(features, name)
                continue
            weight, value = target.weight.flatten(1), target.value.flatten(1)
            at = weight.topk(count, sorted=False).indices
            predictions[name] = self.logits_at(features, name, at)
            scored[name] = replace(target, value=value.gather(1, at), weight=weight.gather(1, at))
        return self.score(predictions, scored)

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


def count_scored(spec: TargetSpec, readout: Readout) -> int | None:
    """Return how many positions logits are computed at; None for all, where most are scored or lie elsewhere."""
    at_features = readout.per_position and not readout.per_view and readout.grid == readout.target_grid
    few = spec.scored is not None and spec.scored <= MAX_SCORED_FRACTION * math.prod(spec.grid)
    return spec.scored if few and at_features else None


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
