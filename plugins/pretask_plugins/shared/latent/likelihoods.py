"""Likelihoods: log p(y | z) of a target, from the outputs of a decoder, in nats.

Source: Kingma and Welling, ICLR 2014, appendix C (Bernoulli, Gaussian); Salimans et al., ICLR 2017 (discretized
logistic). Differs: the standard deviation is learned, one for every channel, and not predicted, so that no single pixel
can drive the density to infinity.
Axes: `...` positions, C channels or classes.
"""

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Shaped
from pretask import Categories, Incompatible, Target, TargetSpec, Values
from torch import Tensor, nn
from torch.nn import functional as F

from pretask_plugins.shared.latent.gaussian import log_normal

GRAY_LEVELS = 256  # of an 8-bit image
MIN_LOG_STD = -7.0  # a standard deviation of a quarter of a gray level


class Bernoulli(nn.Module):
    """Black or white; gray values count as probabilities. The decoder outputs logits."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_outputs = channels

    def forward(self, output: Float[Tensor, "... C"], target: Target) -> Float[Tensor, "..."]:
        """Return log p of every position."""
        value = target.value.to(output.dtype).expand_as(output)
        return -F.binary_cross_entropy_with_logits(output, value, reduction="none").sum(-1)

    def mean(self, output: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """Return the expected value."""
        return output.sigmoid()

    def inverse_link(self, mean: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """Return the output of a decoder that has this mean."""
        return mean.logit(1e-4)

    def with_best_std(self, mean: Float[Tensor, "... C"], target: Target) -> nn.Module:
        """Return itself: there is no scale to fit."""
        return self

    def uniform_nats(self) -> float | None:
        """Return the nats of a position at a probability of one half."""
        return self.num_outputs * math.log(2)


class Gaussian(nn.Module):
    """Real numbers with one learned standard deviation for every channel. The decoder outputs means."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_outputs = channels
        self.log_std = nn.Parameter(torch.full((channels,), -1.0))

    def forward(self, output: Float[Tensor, "... C"], target: Target) -> Float[Tensor, "..."]:
        """Return log p of every position."""
        return log_normal(target.value.to(output.dtype), output, 2 * self.log_std.clamp(min=MIN_LOG_STD)).sum(-1)

    def mean(self, output: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """Return the expected value."""
        return output

    def inverse_link(self, mean: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """Return the output of a decoder that has this mean."""
        return mean

    def with_best_std(self, mean: Float[Tensor, "... C"], target: Target) -> nn.Module:
        """Return the same with the standard deviation at which this mean is most likely."""
        likelihood = Gaussian(self.num_outputs).to(mean.device)
        likelihood.log_std.data = best_log_std(mean, target)
        return likelihood

    def uniform_nats(self) -> float | None:
        """Return None: without a scale there is no uniform density of real numbers."""
        return None


class Logistic(nn.Module):
    """One of 256 gray levels in [0, 1]: the mass of a logistic distribution from half a level below to half above.

    Both ends take what lies beyond them. The standard deviation is learned, one for every channel; the decoder outputs
    means.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.num_outputs = channels
        self.log_std = nn.Parameter(torch.full((channels,), -1.0))

    def forward(self, output: Float[Tensor, "... C"], target: Target) -> Float[Tensor, "..."]:
        """Return log p of every position."""
        scale = self.log_std.clamp(min=MIN_LOG_STD).exp() * math.sqrt(3) / math.pi
        return log_logistic_mass(target.value.to(output.dtype), output, scale).sum(-1)

    def mean(self, output: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """Return the expected value."""
        return output

    def inverse_link(self, mean: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """Return the output of a decoder that has this mean."""
        return mean

    def with_best_std(self, mean: Float[Tensor, "... C"], target: Target) -> nn.Module:
        """Return the same with the standard deviation of the errors of this mean."""
        likelihood = Logistic(self.num_outputs).to(mean.device)
        likelihood.log_std.data = best_log_std(mean, target)
        return likelihood

    def uniform_nats(self) -> float | None:
        """Return the nats of a position where all levels are equally likely."""
        return self.num_outputs * math.log(GRAY_LEVELS)


class Categorical(nn.Module):
    """A class, or a distribution over some classes. The decoder outputs logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.num_outputs = classes

    def forward(self, output: Float[Tensor, "... C"], target: Target) -> Float[Tensor, "..."]:
        """Return log p of every position."""
        log_probability = output.log_softmax(-1)
        if target.probability is None:
            index = target.value[..., None].expand(*output.shape[:-1], 1)
            return log_probability.gather(-1, index)[..., 0]
        index = target.value.expand(*output.shape[:-1], -1)
        return (target.probability * log_probability.gather(-1, index)).sum(-1)

    def mean(self, output: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """Return log-probabilities."""
        return output.log_softmax(-1)

    def inverse_link(self, mean: Float[Tensor, "... C"]) -> Float[Tensor, "... C"]:
        """Return the output of a decoder that has these log-probabilities."""
        return mean

    def with_best_std(self, mean: Float[Tensor, "... C"], target: Target) -> nn.Module:
        """Return itself: there is no scale to fit."""
        return self

    def uniform_nats(self) -> float | None:
        """Return the nats of a position where all classes are equally likely."""
        return math.log(self.num_outputs)


def best_log_std(mean: Float[Tensor, "... C"], target: Target) -> Float[Tensor, " C"]:
    """Return the log standard deviation about a mean at which a target is most likely, were it Gaussian."""
    axes = tuple(range(mean.ndim - 1))
    weight = torch.ones_like(mean) if target.weight is None else target.weight[..., None].expand_as(mean)
    variance = ((mean - target.value).square() * weight).sum(axes) / weight.sum(axes).clamp(min=1)
    return 0.5 * variance.clamp(min=1e-12).log()


def log_logistic_mass(
    value: Float[Tensor, "..."], mean: Float[Tensor, "..."], scale: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """Return the log-probability of a level in [0, 1] under a discretized logistic distribution.

    log(F(u) - F(l)) = log F(u) + log F(-l) + log(1 - e^(l - u)), which is exact in both tails.

    >>> levels = torch.arange(256) / 255
    >>> round(log_logistic_mass(levels, torch.tensor(0.3), torch.tensor(0.1)).exp().sum().item(), 4)
    1.0
    """
    half = 0.5 / (GRAY_LEVELS - 1)
    upper, lower = (value + half - mean) / scale, (value - half - mean) / scale
    inner = F.logsigmoid(upper) + F.logsigmoid(-lower) + (-torch.expm1(lower - upper)).clamp(min=1e-12).log()
    above = torch.where(value > 1 - half, F.logsigmoid(-lower), inner)
    return torch.where(value < half, F.logsigmoid(upper), above)


VALUES: Mapping[str, type[Bernoulli | Gaussian | Logistic]] = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "logistic": Logistic,
}


def build_likelihood(who: str, name: str, spec: TargetSpec, wanted: str) -> nn.Module:
    """Build the likelihood of a target: `auto` takes categorical for Categories and Gaussian for Values.

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


def log_likelihood(likelihood: nn.Module, output: Shaped[Tensor, "B K ... C"], target: Target) -> Float[Tensor, "B K"]:
    """Return log p of a sample: the weighted sum over its positions, for every code."""
    by_code = Target(
        target.value[:, None],
        None,
        None if target.probability is None else target.probability[:, None],
    )
    values: Tensor = likelihood(output, by_code)
    if target.weight is not None:
        values = values * target.weight[:, None]
    return values.flatten(2).sum(2) if values.ndim > 2 else values
