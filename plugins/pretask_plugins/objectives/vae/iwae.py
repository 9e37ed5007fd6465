"""Iwae: the importance-weighted bound, log p(y) >= E log (1/K) sum_k p(y, z_k) / q(z_k | x), in nats per sample.

Source: Burda, Grosse and Salakhutdinov, ICLR 2016, section 3; the path gradient is the doubly reparameterised one of
Tucker, Lawson, Gu and Maddison, ICLR 2019. Differs: nothing.
Axes: B batch, K samples of the code, D its dimensions.
"""

from typing import Literal

import torch
from jaxtyping import Float
from pretask import Draws, Features, FeatureSpec, Incompatible, Loss, Targets, TargetSpecs, weighted_mean
from torch import Tensor

from pretask_plugins.objectives.vae.gaussian import log_mean_exp, log_prior
from pretask_plugins.objectives.vae.latent_model import (
    DecoderName,
    LatentModel,
    LikelihoodName,
    active_units,
    as_loss,
    fit_reports,
    total,
)


class Iwae(LatentModel):
    """The same model as elbo, fitted to a bound that rises to log p(y) with the number of codes.

    Args:
        features: What the model offers; its pooled features make the code.
        targets: Categories or Values, any number of them, hidden or not.
        latent: Dimensions of the code.
        likelihood: Of Values: bernoulli, gaussian, or logistic for 8-bit grey levels; auto is gaussian.
        decoder: A perceptron, or convolutions for targets on a line or in a plane.
        hidden: Widths of the perceptron's hidden layers; the first one is the convolutions' width.
        samples: Codes drawn for each sample (K in the paper).
        gradient: By reparameterisation, or by its path alone, whose weights for the encoder are squared.

    Raises:
        Incompatible: A target cannot be decoded, or there is no code to draw.
    """

    def __init__(
        self,
        features: FeatureSpec,
        targets: TargetSpecs,
        /,
        *,
        latent: int = 20,
        likelihood: LikelihoodName = "auto",
        decoder: DecoderName = "perceptron",
        hidden: tuple[int, ...] = (500,),
        samples: int = 5,
        gradient: Literal["reparameterised", "path"] = "reparameterised",
    ) -> None:
        super().__init__("iwae", features, targets, latent, likelihood, decoder, hidden)
        if samples < 1:
            raise Incompatible("iwae", "objective.samples of at least 1", f"{samples}", "Leave it at 5.")
        self.samples, self.gradient = samples, gradient

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """The negative bound of K codes, that of one, its two terms, and what the codes tell of each target."""
        posterior = self.posterior(features)
        code = posterior.draw(self.noise(draws, self.samples))
        said = {name: self.decode(code, name) for name in self.targets}
        fits = self.fits(said, targets)
        scored = posterior.detached() if self.gradient == "path" else posterior
        rate = (scored.log_density(code) - log_prior(code)).sum(-1)
        first = {name: self.likelihoods[name].mean(each[:, 0].detach()) for name, each in said.items()}
        return as_loss(
            self.to_lower(code, total(fits) - rate),
            {
                "negative_iwae": weighted_mean(-log_mean_exp(total(fits) - rate)),
                "negative_elbo": weighted_mean(rate - total(fits)),
                **fit_reports(fits),
                "kl": weighted_mean(rate),
                "active_units": (active_units(posterior.mean.detach()), torch.ones_like(rate[0, 0])),
                **self.metrics(first, targets),
            },
        )

    def to_lower(self, code: Float[Tensor, "B K D"], log_weight: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
        """The negative bound of every sample, differentiable by the chosen estimator."""
        bound: Tensor = log_mean_exp(log_weight)
        if self.gradient == "path" and code.requires_grad:
            share = log_weight.detach().softmax(1)[..., None]
            # The bound has weighted the gradient once, which is right for the decoder; the code's is weighted twice.
            code.register_hook(lambda gradient: gradient * share)  # type: ignore[no-untyped-call]
        return -bound
