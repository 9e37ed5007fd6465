"""Class activation: convolutions over the joined maps of all views, and a linear classifier of their mean.

Since the classifier is linear and comes after the mean, it can stand at every position before it: the mean of the
logits at the positions is the logit of the sample, so that a map shows where the answer comes from.

Source: Zhou, Khosla, Lapedriza, Oliva and Torralba, CVPR 2016, section 2 (class activation maps); Wei, Lim, Zisserman
and Freeman, CVPR 2018, section 4 (T-CAM: maps of several groups of frames, joined as channels).
Differs: normalization over the channels and positions of a sample, where the released code normalizes over the batch,
so that a prediction depends on its own sample only; no dropout.
Axes: B batch, V views, D width, C classes, h w positions, N samples that are drawn.
"""

import math
from collections.abc import Iterator, Mapping

from jaxtyping import Float
from pretask import (
    Batch,
    Categories,
    Draws,
    Features,
    FeatureSpec,
    Figure,
    Heads,
    Incompatible,
    Loss,
    Targets,
    TargetSpecs,
    Task,
    build_loss,
    check_kinds,
    upcast,
    weighted_mean,
)
from pretask.options import Depth, Size
from pretask.pretext_score import HELD_OUT_EPOCH
from pretask.readout import widest_stream
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.objectives.cross_entropy import cross_entropy
from pretask_plugins.shared.activation_maps import draw_activations
from pretask_plugins.shared.scores import most_likely_class

FIGURES = 6  # samples that are drawn


class ClassActivation(nn.Module):
    """The sum over targets of the mean cross-entropy of each, in nats.

    Args:
        features: What the model offers: maps of two axes.
        targets: Categories, one label per sample, any number of them.
        width: Channels of the convolutions.
        depth: How many there are, of 3 x 3 positions.

    Raises:
        Incompatible: A target is not Categories, or has positions or views; features have no map of two axes.
    """

    def __init__(self, features: FeatureSpec, targets: TargetSpecs, /, *, width: Size = 1024, depth: Depth = 2) -> None:
        super().__init__()
        check_kinds("class-activation", targets, {"categories"})
        check_maps(features, targets)
        self.grid = features.grid
        self.classes = {name: spec.classes for name, spec in targets.items() if isinstance(spec, Categories)}
        self.streams = {
            name: widest_stream("class-activation", name, features, spec.sees) for name, spec in targets.items()
        }
        channels = features.width * features.views
        self.heads = Heads({name: build_convolutions(channels, width, depth) for name in self.classes})
        self.classifiers = Heads({name: nn.Linear(width, count) for name, count in self.classes.items()})

    @property
    def chance(self) -> dict[str, float]:
        """Return the value of each part for uniform predictions."""
        nats = {name: math.log(count) for name, count in self.classes.items()}
        return {**nats, **{f"{name}.accuracy": 1 / count for name, count in self.classes.items()}}

    def convolve(self, features: Features, name: str) -> Float[Tensor, "B h w D"]:
        """Return what the convolutions make of the maps of all views, joined as channels."""
        tokens = features.streams[self.streams[name]]  # (B, V, N, D)
        joined = tokens.permute(0, 1, 3, 2).reshape(len(tokens), -1, *self.grid)
        maps: Tensor = self.heads[name](joined)
        return maps.movedim(1, 3)

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return log-probabilities of every target, (B, C)."""
        logits = {name: self.classifiers[name](self.convolve(features, name).mean((1, 2))) for name in self.classes}
        return {name: upcast(values).log_softmax(-1) for name, values in logits.items()}

    def activation_maps(self, features: Features, name: str, /) -> Float[Tensor, "B C h w"]:
        """Return the logit of every class at every position; their mean over positions is that of the sample."""
        maps: Tensor = self.classifiers[name](self.convolve(features, name))
        return upcast(maps).movedim(3, 1)

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the mean cross-entropy of every target, in nats, and its accuracy."""
        return self.score(self.predict(features), targets)

    def score(self, predictions: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """Return the same for log-probabilities (B, C) by target, wherever they come from."""
        terms, reports = {}, {}
        for name in self.classes:
            target, logits = targets[name], upcast(predictions[name])
            terms[name] = weighted_mean(cross_entropy(logits, target), target.weight, target.denominator)
            correct = (logits.argmax(-1) == most_likely_class(target)).float()
            reports[f"{name}.accuracy"] = weighted_mean(correct, target.weight, target.denominator)
        return build_loss(terms, reports)

    def figures(self, task: Task, batch: Batch, /) -> Iterator[Figure]:
        """Yield what some samples show, and where it speaks for the label or against it."""
        draws = Draws(batch.index, 0, HELD_OUT_EPOCH)
        inputs, targets = task.apply_split_and_prepare(batch, draws)
        features = task.encode_inputs(inputs)
        for name in self.classes:
            label = most_likely_class(targets[name])[:FIGURES]
            maps = self.activation_maps(features, name)[:FIGURES]
            evidence = take_evidence(maps, label)
            prediction = maps.mean((2, 3)).argmax(1)
            yield draw_activations(inputs.data[:FIGURES], evidence, label, prediction, name)


def check_maps(features: FeatureSpec, targets: TargetSpecs) -> None:
    """Raise Incompatible unless features are maps of two axes, and targets labels of samples that x hides."""
    if len(features.grid) != 2:
        raise Incompatible(
            "class-activation",
            "features with rows and columns",
            f"positions {features.grid}",
            "Choose a model that keeps maps, such as frames, or the objective cross-entropy.",
        )
    for name, spec in targets.items():
        if spec.grid or spec.views is not None or not spec.hidden or spec.sees != "all":
            raise Incompatible(
                "class-activation",
                f"one hidden label per sample, read from everything, for the target '{name}'",
                f"positions {spec.grid}, views {spec.views}, hidden {spec.hidden}, sight {spec.sees}",
                "Choose the objective cross-entropy.",
            )


def build_convolutions(channels: int, width: int, depth: int) -> nn.Sequential:
    """Build convolutions that keep the size of a map, each with its normalization."""
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.GroupNorm(1, width), nn.ReLU()]
        channels = width
    return nn.Sequential(*layers)


def take_evidence(maps: Float[Tensor, "N C h w"], label: Tensor) -> Float[Tensor, "N h w"]:
    """Return by how much every position speaks for a class: its logit less the mean of those of the others.

    >>> take_evidence(torch.tensor([2.0, 0.0]).view(1, 2, 1, 1), torch.tensor([1])).item()
    -2.0
    """
    mine = F.one_hot(label, maps.shape[1]).to(maps)[..., None, None]
    others = (maps * (1 - mine)).sum(1) / max(maps.shape[1] - 1, 1)
    return (maps * mine).sum(1) - others
