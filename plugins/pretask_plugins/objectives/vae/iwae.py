"""Iwae: the importance-weighted bound, log p(y) >= E log (1/K) sum_k p(y, z_k) / q(z_k | x), in nats per sample.

Source: Burda, Grosse and Salakhutdinov, ICLR 2016, section 3; the path gradient is the doubly reparameterized one of
Tucker, Lawson, Gu and Maddison, ICLR 2019. Differs: nothing.
Axes: B batch, K codes of a sample, D its dimensions.
"""

from typing import Literal

import torch
from jaxtyping import Float
from pretask import Draws, Features, FeatureSpec, Incompatible, Loss, Targets, TargetSpecs, weighted_mean
from pretask.options import Fraction, Size
from torch import Tensor

from pretask_plugins.shared.latent.decoders import DecoderName
from pretask_plugins.shared.latent.gaussian import log_mean_exp, log_prior
from pretask_plugins.shared.latent.latent_model import LatentModel, LikelihoodName, count_active_units
from pretask_plugins.shared.latent.target_likelihoods import build_vae_loss, reconstruction_reports, sum_over_targets


class Iwae(LatentModel):
    """The same model as elbo, fitted to a bound that rises to log p(y) with the number of codes.

    Args:
        features: What the model offers; its pooled features make the code.
        targets: Categories or Values, any number of them, hidden or not.
        latent_dim: Dimensions of the code.
        likelihood: Of Values: bernoulli, gaussian, or logistic for 8-bit gray levels; auto is gaussian.
        decoder: A perceptron; convolutions, plain or residual, for targets on a line or in a plane; or a GRU or causal
            transformer for words, which is shown the words before.
        hidden: Widths of the hidden layers; the first one is the convolutions' width.
        word_dropout: Fraction of the words before that are hidden in training; 1 hides them in evaluation as well.
        num_latents: Codes drawn for each sample (K in the paper).
        gradient: By reparameterization, or by its path alone, whose weights for the encoder are squared.

    Raises:
        Incompatible: A target cannot be decoded, or there is no code to draw.
    """

    def __init__(
        self,
        features: FeatureSpec,
        targets: TargetSpecs,
        /,
        *,
        latent_dim: Size = 20,
        likelihood: LikelihoodName = "auto",
        decoder: DecoderName = "perceptron",
        hidden: tuple[Size, ...] = (500,),
        word_dropout: Fraction = 0.0,
        num_latents: Size = 5,
        gradient: Literal["reparameterized", "path"] = "reparameterized",
    ) -> None:
        super().__init__("iwae", features, targets, latent_dim, likelihood, decoder, hidden, word_dropout)
        if num_latents < 1:
            raise Incompatible("iwae", "objective.num_latents of at least 1", f"{num_latents}", "Set it to 5.")
        self.num_latents, self.gradient = num_latents, gradient

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the negative bounds of K codes and of one, the latter's two terms, and a metric of each target."""
        posterior = self.posterior(features)
        code = posterior.draw(self.noise(draws, self.num_latents))
        outputs = self.decode_targets(code, targets, draws)
        log_likelihoods = self.log_likelihoods(outputs, targets)
        scored = posterior.detach() if self.gradient == "path" else posterior
        kl = (scored.log_density(code) - log_prior(code)).sum(-1)
        total = sum_over_targets(log_likelihoods)
        means = {name: self.likelihoods[name].mean(output[:, 0].detach()) for name, output in outputs.items()}
        return build_vae_loss(
            self.loss_per_sample(code, total - kl),
            {
                "negative_iwae": weighted_mean(-log_mean_exp(total - kl)),
                "negative_elbo": weighted_mean(kl - total),
                **reconstruction_reports(log_likelihoods),
                "kl": weighted_mean(kl),
                "active_units": (count_active_units(posterior.mean.detach()), torch.ones_like(kl[0, 0])),
                **self.metrics(means, targets),
            },
        )

    def loss_per_sample(self, code: Float[Tensor, "B K D"], log_weight: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
        """Return the negative bound of every sample, differentiable by the chosen estimator."""
        bound: Tensor = log_mean_exp(log_weight)
        if self.gradient == "path" and code.requires_grad:
            weight = log_weight.detach().softmax(1)[..., None]
            # The bound has weighted the gradient once, which is right for the decoder; the code's is weighted twice.
            code.register_hook(lambda gradient: gradient * weight)  # type: ignore[no-untyped-call]
        return -bound
