"""Elbo: the evidence lower bound, log p(y) >= E_q[log p(y | z)] - KL(q(z | x) || p(z)), in nats per sample.

Source: Kingma and Welling, ICLR 2014, equations 3, 7 and 8; gradients after Ranganath et al. 2014 and Roeder et al.
2017; annealing after Bowman et al. 2016. Differs: see the folder's header.
Axes: B batch, K samples of the code, D its dimensions.
"""

from typing import Literal

import torch
from jaxtyping import Float
from pretask import Draws, Features, FeatureSpec, Incompatible, Loss, Targets, TargetSpecs, weighted_mean
from torch import Tensor, nn

from pretask_plugins.objectives.vae.gaussian import Posterior, annealed, log_prior, surrogate
from pretask_plugins.objectives.vae.latent_model import (
    DecoderName,
    LatentModel,
    LikelihoodName,
    active_units,
    as_loss,
    fit_reports,
    total,
)


class Elbo(LatentModel):
    """A code short enough to be a bottleneck, and what can be told from it.

    Args:
        features: What the model offers; its pooled features make the code.
        targets: Categories or Values, any number of them, hidden or not.
        latent: Dimensions of the code.
        likelihood: Of Values: bernoulli, gaussian, or logistic for 8-bit grey levels; auto is gaussian.
        decoder: A perceptron, or convolutions for targets on a line or in a plane.
        hidden: Widths of the perceptron's hidden layers; the first one is the convolutions' width.
        samples: Codes drawn for each sample (L in the paper).
        bound: The divergence in closed form, or sampled like the rest.
        gradient: By reparameterisation, by its path alone (without the score of q, which has mean zero), or by the
            score function, for which codes need not be differentiable.
        control: What lowers the score function's variance: a control variate estimated on the other samples, or none.
        beta: Factor of the divergence in training; what is reported has factor 1.
        annealing: How that factor rises from 0 during training.
        warm: Progress of training at which it has risen.

    Raises:
        Incompatible: A target cannot be decoded, or options contradict each other.
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
        samples: int = 1,
        bound: Literal["analytic", "sampled"] = "analytic",
        gradient: Literal["reparameterised", "path", "score"] = "reparameterised",
        control: Literal["others", "none"] = "others",
        beta: float = 1.0,
        annealing: Literal["none", "linear", "sigmoid"] = "none",
        warm: float = 0.3,
    ) -> None:
        super().__init__("elbo", features, targets, latent, likelihood, decoder, hidden)
        self.samples, self.bound, self.gradient, self.control = samples, bound, gradient, control
        self.beta, self.annealing, self.warm = beta, annealing, warm
        check_options(self)
        self.progress: Tensor
        self.register_buffer("progress", torch.zeros(()))

    def after_step(self, model: nn.Module, progress: float) -> None:
        """Note how far training has come, for annealing."""
        self.progress.fill_(progress)

    def factor(self) -> Float[Tensor, ""]:
        """Of the divergence, now."""
        return self.beta * annealed(self.progress, self.annealing, self.warm)

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """The negative bound, its two terms, how many dimensions are in use, and what the codes tell of each target."""
        posterior, noise = self.posterior(features), self.noise(draws, self.samples)
        code = (posterior.detached() if self.gradient == "score" else posterior).draw(noise)
        said = {name: self.decode(code, name) for name in self.targets}
        fits = self.fits(said, targets)
        rate = self.rate(posterior, code)
        first = {name: self.likelihoods[name].mean(each[:, 0].detach()) for name, each in said.items()}
        return as_loss(
            self.to_lower(posterior, noise, total(fits), rate),
            {
                "negative_elbo": weighted_mean(rate.sum(-1) - total(fits)),
                **fit_reports(fits),
                "kl": weighted_mean(rate.sum(-1)),
                "active_units": (active_units(posterior.mean.detach()), torch.ones_like(self.progress)),
                **self.metrics(first, targets),
            },
        )

    def rate(self, posterior: Posterior, code: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        """log q(z | x) - log p(z), dimension by dimension, or its mean in closed form, for every code.

        Its gradient is what the chosen estimator wants of it.
        """
        if self.bound == "analytic":
            return posterior.divergences()[:, None].expand(code.shape)
        scored = posterior if self.gradient == "reparameterised" else posterior.detached()
        return scored.log_density(code) - log_prior(code)

    def to_lower(
        self,
        posterior: Posterior,
        noise: Float[Tensor, "B K D"],
        fit: Float[Tensor, "B K"],
        rate: Float[Tensor, "B K D"],
    ) -> Float[Tensor, " B"]:
        """The negative bound of every sample, differentiable by the chosen estimator."""
        factor = self.factor()
        negative = (factor * rate.sum(-1) - fit).mean(1)
        if self.gradient != "score":
            return negative
        signal = fit.detach()[..., None].expand_as(rate)
        if self.bound == "sampled":
            signal = signal - factor * rate.detach()
        return negative - surrogate(posterior, noise, signal, control=self.control == "others")


def check_options(elbo: Elbo) -> None:
    """Raise Incompatible where options of the objective contradict each other."""
    who = f"elbo with objective.gradient={elbo.gradient}"
    if elbo.gradient == "path" and elbo.bound != "sampled":
        raise Incompatible(who, "objective.bound=sampled", elbo.bound, "Set objective.bound=sampled.")
    least = 2 if elbo.gradient == "score" and elbo.control == "others" else 1
    if elbo.samples < least:
        raise Incompatible(
            who, f"objective.samples of at least {least}", f"{elbo.samples}", f"Set objective.samples={least} or more."
        )
    if not 0 < elbo.warm <= 1:
        raise Incompatible("elbo", "objective.warm above 0 and up to 1", f"{elbo.warm}", "Leave it at 0.3.")
