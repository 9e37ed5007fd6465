"""Gaussian: codes and their divergence, and the gradients of an expectation over them.

Those of a code are given dimension by dimension, in nats; a divergence is their sum.
Source: Kingma and Welling, ICLR 2014, section 2 and appendix B. Differs: nothing.
Axes: B batch, K codes of a sample, D its dimensions; `...` whatever comes before them.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LOG_TWO_PI = math.log(2 * math.pi)
SIGMOID_SLOPE = 12.5  # Bowman's 0.0025 per step over the 5,000 steps that are centred on 2,500


@dataclass(frozen=True)
class Posterior:
    """q(z | x): independent Gaussians.

    Args:
        mean: Of every dimension.
        log_variance: The same.
    """

    mean: Float[Tensor, "B D"]
    log_variance: Float[Tensor, "B D"]

    def draw(self, noise: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        """Return codes by reparameterization of standard normal noise."""
        return self.mean[:, None] + (0.5 * self.log_variance).exp()[:, None] * noise

    def log_density(self, code: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        """Return log q(z | x), dimension by dimension."""
        return log_normal(code, self.mean[:, None], self.log_variance[:, None])

    def divergences(self) -> Float[Tensor, "B D"]:
        """Return KL(q || p) from the standard normal prior, dimension by dimension."""
        return kl_to_standard_normal(self.mean, self.log_variance)

    def detach(self) -> "Posterior":
        """Return the same without a gradient."""
        return Posterior(self.mean.detach(), self.log_variance.detach())


def kl_to_standard_normal(mean: Float[Tensor, "..."], log_variance: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Return KL(N(mean, variance) || N(0, 1)), dimension by dimension.

    >>> kl_to_standard_normal(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0])).tolist()
    [0.5, 0.0]
    """
    return 0.5 * (log_variance.exp() + mean.square() - 1 - log_variance)


def log_normal(
    value: Float[Tensor, "..."], mean: Float[Tensor, "..."], log_variance: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """Return the log-density of a Gaussian, element by element.

    >>> round(log_normal(torch.tensor(0.0), torch.tensor(0.0), torch.tensor(0.0)).item(), 4)
    -0.9189
    """
    return -0.5 * (LOG_TWO_PI + log_variance + (value - mean).square() * (-log_variance).exp())


def log_prior(code: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
    """Return log p(z) of a standard normal, dimension by dimension."""
    return -0.5 * (LOG_TWO_PI + code.square())


def log_mean_exp(value: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """Return the logarithm of the mean over K of what `value` is the logarithm of.

    >>> round(log_mean_exp(torch.tensor([[0.0, math.log(3)]])).exp().item(), 4)
    2.0
    """
    return value.logsumexp(1) - math.log(value.shape[1])


def score_gradient(
    signal: Float[Tensor, "B K D"], score: Float[Tensor, "B K D"], *, control: bool
) -> Float[Tensor, "B D"]:
    """Return the gradient of E_q[signal] by the score function: the mean of (signal - a) * score over samples.

    The factor a = Cov(signal * score, score) / Var(score) of the control variate is, for every sample, dimension and
    parameter, estimated on the other samples, so that the gradient stays unbiased.

    Args:
        signal: f, what is averaged; per dimension what depends on that dimension (Rao-Blackwell).
        score: The derivative of log q by a parameter.
        control: Whether the control variate is used; it takes two samples or more.

    Source: Ranganath, Gerrish and Blei, AISTATS 2014, section 3. Differs: a is estimated without a bias.
    """
    if control:
        square = score.square()
        signal = signal - sum_over_others(signal * square) / sum_over_others(square).clamp(min=1e-12)
    return (signal * score).mean(1)


def sum_over_others(value: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
    """Return for every code of a sample the sum over the other ones.

    They are added up: to subtract the own one from the sum of all would round.

    >>> sum_over_others(torch.tensor([[[1.0], [10.0], [100.0]]])).flatten().tolist()
    [110.0, 101.0, 11.0]
    """
    count = value.shape[1]
    others = 1 - torch.eye(count, device=value.device, dtype=value.dtype)
    return torch.einsum("kj,bjd->bkd", others, value)


def surrogate(
    posterior: Posterior, noise: Float[Tensor, "B K D"], signal: Float[Tensor, "B K D"], *, control: bool
) -> Float[Tensor, " B"]:
    """Return zero, with the score-function gradient of E_q[signal] by mean and log-variance."""
    with torch.no_grad():
        by_mean = score_gradient(signal, noise * (-0.5 * posterior.log_variance).exp()[:, None], control=control)
        by_log_variance = score_gradient(signal, 0.5 * (noise.square() - 1), control=control)
    term = (by_mean * posterior.mean + by_log_variance * posterior.log_variance).sum(-1)
    return term - term.detach()


def anneal(progress: Float[Tensor, ""], shape: str, anneal_end: float) -> Float[Tensor, ""]:
    """Return the factor of the divergence at this progress of training.

    Args:
        progress: 0 at the start, 1 at the end.
        shape: `none` (all of it), `linear` (from 0 to 1), `sigmoid` (Bowman et al. 2016: 1/2 half way).
        anneal_end: Progress at which it is over.

    >>> [round(anneal(torch.tensor(p), "sigmoid", 1.0).item(), 3) for p in (0.0, 0.5, 1.0)]
    [0.002, 0.5, 0.998]
    """
    if shape == "none":
        return torch.ones_like(progress)
    if shape == "linear":
        return (progress / anneal_end).clamp(max=1)
    return torch.sigmoid(SIGMOID_SLOPE * (progress / anneal_end - 0.5))
