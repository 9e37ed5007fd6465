"""Shared softmax: the cross-entropy of several targets of one vocabulary, by one matrix, of a few classes in training.

In training each sample draws `sampled` classes as noise, more often those of small numbers, as frequent words have
where a tokenizer ranks them: P(c) = log((c + 2) / (c + 1)) / log(C + 1). A class that is drawn twice counts once.
Labels and noise compete in a softmax of their logits less log Q(c), where Q(c) = 1 - (1 - P(c))^K is the probability
that a class is among K draws, so that the best logits are those of the whole softmax; noise that is the label itself is
left out. Samples draw for themselves, and no loss depends on the others of its batch. Scores on held-out samples and
predictions are of all classes.

Source: Peters et al., NAACL 2018, section 3.1 (one softmax for both directions); the released bilm-tf (8,192 sampled
classes); Jean, Cho, Memisevic and Bengio, ACL 2015 (sampled softmax).
Differs: noise is a sample's own, where theirs is a batch's, and of at most K different classes, where theirs is of K.
Axes: B batch, N positions, K noise classes, C classes, D width.
"""

import math

import torch
from jaxtyping import Float, Int
from pretask import (
    Draws,
    Features,
    FeatureSpec,
    Heads,
    Incompatible,
    Loss,
    Targets,
    TargetSpecs,
    build_loss,
    upcast,
    weighted_mean,
)
from pretask.options import NonNegativeInt
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.objectives.cross_entropy import CrossEntropy


class SharedSoftmax(CrossEntropy):
    """The sum over targets of the mean cross-entropy of each, by one linear head.

    Args:
        features: What the model offers.
        targets: Categories of as many classes each.
        sampled: Noise classes of a sample in training; 0 for all classes. 8,192 in the released code.

    Raises:
        Incompatible: A target is not Categories or cannot be read from the features, or they differ in classes or in
            the width that they are read from.
    """

    def __init__(self, features: FeatureSpec, targets: TargetSpecs, /, *, sampled: NonNegativeInt = 0) -> None:
        super().__init__(features, targets)
        sizes = {(self.readouts[name].width, count) for name, count in self.classes.items()}
        if len(sizes) > 1:
            raise Incompatible(
                "shared-softmax",
                "targets of as many classes each, read from vectors of one width",
                " and ".join(f"{count} classes from {width} numbers" for width, count in sorted(sizes)),
                "Choose the objective cross-entropy, which has a head for every target.",
            )
        ((width, count),) = sizes
        self.heads: Heads = OneHead(nn.Linear(width, count))
        self.sampled = sampled

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the mean cross-entropy of every target, in nats, and its accuracy; among noise in training."""
        plain = all(self.readouts[name].per_position and targets[name].probability is None for name in self.classes)
        if not (self.sampled and self.training and plain):
            return super().forward(features, targets, draws)
        terms, reports = {}, {}
        for name, classes in self.classes.items():
            target = targets[name]
            noise = draw_noise(draws, name, self.sampled, classes)
            label, vectors = target.value.flatten(1), self.readouts[name](features).flatten(1, -2)
            logits = self.compete(vectors, label, noise, classes).view(*target.value.shape, -1)
            losses = -logits.log_softmax(-1)[..., 0]
            terms[name] = weighted_mean(losses, target.weight, target.denominator)
            correct = (logits.argmax(-1) == 0).float()
            reports[f"{name}.accuracy"] = weighted_mean(correct, target.weight, target.denominator)
        return build_loss(terms, reports)

    def compete(
        self, vectors: Float[Tensor, "B N D"], label: Int[Tensor, "B N"], noise: Int[Tensor, "B K"], classes: int
    ) -> Float[Tensor, "B N K1"]:
        """Return corrected logits of the label, then of the noise."""
        head = self.heads["shared"]
        weight, bias = head.weight, head.bias
        noise_weight, noise_bias = F.embedding(noise, weight), F.embedding(noise, bias[:, None])
        of_noise = upcast(torch.baddbmm(noise_bias.mT, vectors, noise_weight.mT))
        of_noise = of_noise - log_drawn(noise, classes, self.sampled)[:, None]
        again = F.pad(noise[:, 1:] == noise[:, :-1], (1, 0))[:, None]  # noise is in order
        of_noise = of_noise.masked_fill(again | (noise[:, None] == label[..., None]), -math.inf)
        own = upcast((vectors * F.embedding(label, weight)).sum(-1) + F.embedding(label, bias[:, None])[..., 0])
        return torch.cat([(own - log_drawn(label, classes, self.sampled))[..., None], of_noise], -1)


class OneHead(Heads):
    """One head under the name of every target."""

    def __init__(self, head: nn.Linear) -> None:
        super().__init__({"shared": head})

    def __getitem__(self, name: str) -> nn.Linear:
        head: nn.Linear = super().__getitem__("shared")
        return head


def draw_noise(draws: Draws, name: str, count: int, classes: int) -> Int[Tensor, "B K"]:
    """Draw classes for every sample, in order, P(c) = log((c + 2) / (c + 1)) / log(C + 1): small numbers more often."""
    uniform = draws.branch("noise").uniform(name, count).sort(1).values
    return ((uniform * math.log(classes + 1)).exp().long() - 1).clamp(0, classes - 1)


def log_drawn(number: Int[Tensor, "..."], classes: int, count: int) -> Float[Tensor, "..."]:
    """Return the log of the probability that a class is among `count` draws, Q(c) = 1 - (1 - P(c))^K.

    >>> float(log_drawn(torch.arange(9), 9, 1).exp().sum())
    1.0
    """
    probability = torch.log1p(1 / (number.double() + 1)) / math.log(classes + 1)
    return (-torch.expm1(count * torch.log1p(-probability))).log().float()
