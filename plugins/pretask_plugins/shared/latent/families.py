"""Families: distributions q of a code with independent dimensions, as black-box variational inference needs them.

Each draws codes, knows its entropy exactly, and gives the score-function gradient of the mean of anything over its
codes, dimension by dimension (Rao-Blackwell: what depends on a dimension alone needs to weigh its score).

Source: Ranganath, Gerrish and Blei, AISTATS 2014, sections 2 and 3.
Axes: B batch, K codes of a sample, D dimensions of a code, C classes of a dimension, P = 2 D parameters.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from pretask import Draws
from pretask.language.sampling import pick_token
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.shared.latent.gaussian import LOG_TWO_PI, Posterior, score_gradient, surrogate


@dataclass(frozen=True)
class GaussianFamily:
    """Independent Gaussians, of a mean and a log-variance for each dimension.

    Args:
        parameters: Means, then log-variances.
    """

    parameters: Float[Tensor, "B P"]

    @property
    def posterior(self) -> Posterior:
        """The distribution."""
        return Posterior(*self.parameters.chunk(2, -1))

    def draw(self, draws: Draws, count: int, dimensions: int) -> tuple[Tensor, Float[Tensor, "B K D"]]:
        """Return standard normal noise, and the codes that are made of it, with their gradient."""
        noise = draws.normal("code", count, dimensions)
        return noise, self.posterior.draw(noise)

    def entropy(self) -> Float[Tensor, "B D"]:
        """Return the entropy of each dimension, in nats."""
        return 0.5 * (1 + LOG_TWO_PI + self.posterior.log_variance)

    def score_surrogate(self, noise: Tensor, signal: Float[Tensor, "B K D"], *, control: bool) -> Float[Tensor, " B"]:
        """Return zero, with the score-function gradient of the mean of the signal."""
        return surrogate(self.posterior, noise, signal, control=control)


@dataclass(frozen=True)
class CategoricalFamily:
    """Independent choices among the same number of classes.

    Args:
        logits: Of every dimension.
    """

    logits: Float[Tensor, "B D C"]

    def draw(self, draws: Draws, count: int, dimensions: int) -> tuple[Int[Tensor, "B K D"], Int[Tensor, "B K D"]]:
        """Return codes, twice: they are what their scores are computed from."""
        unit = draws.uniform("code", count, dimensions)
        logits = self.logits.detach()[:, None].expand(-1, count, -1, -1)
        code = pick_token(logits.log_softmax(-1).flatten(0, 2), unit.flatten()).view(unit.shape)
        return code, code

    def entropy(self) -> Float[Tensor, "B D"]:
        """Return the entropy of each dimension, in nats."""
        log_probability = self.logits.log_softmax(-1)
        return -(log_probability.exp() * log_probability).sum(-1)

    def score_surrogate(self, code: Tensor, signal: Float[Tensor, "B K D"], *, control: bool) -> Float[Tensor, " B"]:
        """Return zero, with the score-function gradient of the mean of the signal."""
        with torch.no_grad():
            score = F.one_hot(code, self.logits.shape[-1]) - self.logits.softmax(-1)[:, None]  # (B, K, D, C)
            repeated = signal[..., None].expand_as(score)
            gradient = score_gradient(repeated.flatten(2), score.flatten(2), control=control)
        term = (gradient * self.logits.flatten(1)).sum(-1)
        return term - term.detach()


Family = GaussianFamily | CategoricalFamily
