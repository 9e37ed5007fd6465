"""Likelihoods: log p(y | z) of a target, from what a decoder says of it, in nats.

Source: Kingma and Welling, ICLR 2014, appendix C (Bernoulli, Gaussian); Salimans et al., ICLR 2017 (discretised
logistic). Differs: the deviation is learned, one for every channel, and not predicted, so that no single pixel can
drive the density to infinity.
Axes: `...` positions, C channels or classes.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Shaped
from pretask import Categories, Incompatible, Target, TargetSpec, Values
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.objectives.vae.gaussian import log_normal

LEVELS = 256  # grey levels of an 8-bit image
LEAST = -7.0  # the smallest logarithm of a deviation: a quarter of a grey level


class Bernoulli(nn.Module):
    """Black or white; grey values count as probabilities. The decoder says logits."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.answers = channels

    def forward(self, said: Float[Tensor, "... C"], target: Target) -> Float[Tensor, "..."]:
        """log p of every position."""
        value = target.value.to(said.dtype).expand_as(said)
        return -F.binary_cross_entropy_with_logits(said, value, reduction="none").sum(-1)

    def mean(self, said: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """The expected value."""
        return said.sigmoid()

    def saying(self, guess: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """What a decoder would say whose mean is this guess."""
        return guess.logit(1e-4)

    def fitted(self, guess: Float[Tensor, "... C"], target: Target) -> nn.Module:
        """Itself: a mean is all there is."""
        return self

    def blind(self) -> float | None:
        """Nats of a position for a guess of one half everywhere."""
        return self.answers * math.log(2)


class Gaussian(nn.Module):
    """Real numbers with one learned deviation for every channel. The decoder says means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.answers = channels
        self.log_deviation = nn.Parameter(torch.full((channels,), -1.0))

    def forward(self, said: Float[Tensor, "... C"], target: Target) -> Float[Tensor, "..."]:
        """log p of every position."""
        return log_normal(target.value.to(said.dtype), said, 2 * self.log_deviation.clamp(min=LEAST)).sum(-1)

    def mean(self, said: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """The expected value."""
        return said

    def saying(self, guess: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """What a decoder would say whose mean is this guess."""
        return guess

    def fitted(self, guess: Float[Tensor, "... C"], target: Target) -> nn.Module:
        """The same with the deviation at which this guess is likeliest."""
        over = tuple(range(guess.ndim - 1))
        weight = torch.ones_like(guess) if target.weight is None else target.weight[..., None].expand_as(guess)
        variance = ((guess - target.value).square() * weight).sum(over) / weight.sum(over).clamp(min=1)
        likelihood = type(self)(self.answers).to(guess.device)
        likelihood.log_deviation.data = 0.5 * variance.clamp(min=1e-12).log()
        return likelihood

    def blind(self) -> float | None:
        """No blind guess: a density has no scale of its own."""
        return None


class Logistic(Gaussian):
    """One of 256 grey levels in [0, 1]: the mass of a logistic distribution from half a level below to half above.

    Both ends take what lies beyond them.
    """

    def forward(self, said: Float[Tensor, "... C"], target: Target) -> Float[Tensor, "..."]:
        """log p of every position."""
        scale = self.log_deviation.clamp(min=LEAST).exp() * math.sqrt(3) / math.pi
        return log_logistic_mass(target.value.to(said.dtype), said, scale).sum(-1)

    def blind(self) -> float | None:
        """Nats of a position where every level is as likely as any other."""
        return self.answers * math.log(LEVELS)


class Categorical(nn.Module):
    """One of so many classes, or a distribution over some of them. The decoder says logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.answers = classes

    def forward(self, said: Float[Tensor, "... C"], target: Target) -> Float[Tensor, "..."]:
        """log p of every position."""
        log_probability = said.log_softmax(-1)
        if target.probability is None:
            index = target.value[..., None].expand(*said.shape[:-1], 1)
            return log_probability.gather(-1, index)[..., 0]
        index = target.value.expand(*said.shape[:-1], -1)
        return (target.probability * log_probability.gather(-1, index)).sum(-1)

    def mean(self, said: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """Log-probabilities."""
        return said.log_softmax(-1)

    def saying(self, guess: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """What a decoder would say whose log-probabilities are this guess."""
        return guess

    def fitted(self, guess: Float[Tensor, "... C"], target: Target) -> nn.Module:
        """Itself: probabilities are all there is."""
        return self

    def blind(self) -> float | None:
        """Nats of a position where every class is as likely as any other."""
        return math.log(self.answers)


def log_logistic_mass(
    value: Float[Tensor, "..."], mean: Float[Tensor, "..."], scale: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """The log-probability of a level in [0, 1] under a discretised logistic distribution.

    log(F(u) - F(l)) = log F(u) + log F(-l) + log(1 - e^(l - u)), which is exact in both tails.

    >>> levels = torch.arange(256) / 255
    >>> round(log_logistic_mass(levels, torch.tensor(0.3), torch.tensor(0.1)).exp().sum().item(), 4)
    1.0
    """
    half = 0.5 / (LEVELS - 1)
    upper, lower = (value + half - mean) / scale, (value - half - mean) / scale
    inner = F.logsigmoid(upper) + F.logsigmoid(-lower) + (-torch.expm1(lower - upper)).clamp(min=1e-12).log()
    above = torch.where(value > 1 - half, F.logsigmoid(-lower), inner)
    return torch.where(value < half, F.logsigmoid(upper), above)


VALUES: Mapping[str, type[Bernoulli | Gaussian]] = {"bernoulli": Bernoulli, "gaussian": Gaussian, "logistic": Logistic}


def likelihood_of(who: str, name: str, spec: TargetSpec, wanted: str) -> nn.Module:
    """The likelihood of a target: `auto` takes categorical for Categories and Gaussian for Values.

    Raises:
        Incompatible: A likelihood of real numbers is wanted for categories.
    """
    if isinstance(spec, Categories):
        if wanted not in ("auto", "categorical"):
            raise Incompatible(
                who,
                f"values for the likelihood {wanted}",
                f"the target '{name}', which is {spec.kind}",
                "Set objective.likelihood=auto.",
            )
        return Categorical(spec.classes)
    assert isinstance(spec, Values)
    if wanted == "categorical":
        raise Incompatible(
            who,
            "categories for the likelihood categorical",
            f"the target '{name}', which is {spec.kind}",
            "Set objective.likelihood=auto.",
        )
    return VALUES["gaussian" if wanted == "auto" else wanted](spec.channels)


def log_probability(likelihood: nn.Module, said: Shaped[Tensor, "B K ... C"], target: Target) -> Float[Tensor, "B K"]:
    """log p of a sample: the weighted sum over its positions, for every code."""
    spread = Target(
        target.value[:, None],
        None,
        None if target.probability is None else target.probability[:, None],
    )
    each: Tensor = likelihood(said, spread)
    if target.weight is not None:
        each = each * target.weight[:, None]
    return each.flatten(2).sum(2) if each.ndim > 2 else each
