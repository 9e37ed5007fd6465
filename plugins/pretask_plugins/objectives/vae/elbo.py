"""Elbo: the evidence lower bound, log p(y) >= E_q[log p(y | z)] - KL(q(z | x) || p(z)), in nats per sample.

Source: Kingma and Welling, ICLR 2014, equations 3, 7 and 8; gradients after Ranganath et al. 2014 and Roeder et al.
2017; annealing after Bowman et al. 2016; free bits after Kingma et al., NIPS 2016. Differs: see the folder's header;
free bits are of each sample, not of the mean over a batch.
Axes: B batch, K codes of a sample, D its dimensions, W width of the features.
"""

from typing import Annotated, Literal

import torch
from jaxtyping import Float
from pretask import Draws, Features, FeatureSpec, Incompatible, Loss, Targets, TargetSpecs, weighted_mean
from pretask.options import Fraction, FractionAboveZero, Interval, NonNegativeFloat, Size
from torch import Tensor, nn

from pretask_plugins.shared.latent.baseline import Baseline
from pretask_plugins.shared.latent.decoders import DecoderName
from pretask_plugins.shared.latent.gaussian import Posterior, anneal, log_prior, surrogate
from pretask_plugins.shared.latent.latent_model import LatentModel, LikelihoodName, count_active_units
from pretask_plugins.shared.latent.target_likelihoods import build_vae_loss, reconstruction_reports, sum_over_targets


class Elbo(LatentModel):
    """A Gaussian code short enough to be a bottleneck, and decoders of the targets.

    Args:
        features: What the model offers; its pooled features make the code.
        targets: Categories or Values, any number of them, hidden or not.
        latent_dim: Dimensions of the code.
        likelihood: Of Values: bernoulli, gaussian, or logistic for 8-bit gray levels; auto is gaussian.
        decoder: A perceptron; convolutions, plain or residual, for targets on a line or in a plane; or a GRU or causal
            transformer for words, which is shown the words before.
        hidden: Widths of the hidden layers; the first one is the convolutions' width.
        word_dropout: Fraction of the words before that are hidden in training; 1 hides them in evaluation as well.
        num_latents: Codes drawn for each sample (L in the paper).
        bound: The divergence in closed form, or sampled like the rest.
        gradient: By reparameterization, by its path alone (without the score of q, which has mean zero), or by the
            score function, for which codes need not be differentiable.
        control: What lowers the score function's variance: a control variate estimated on the other codes of the
            sample, a baseline that is learned from the features, or none.
        beta: Factor of the divergence in training; what is reported has factor 1.
        free_bits: Nats of every dimension of the code that cost nothing in training (Kingma et al. 2016).
        annealing: How that factor rises from 0 during training.
        anneal_end: Progress of training at which it has risen.

    Raises:
        Incompatible: A target cannot be decoded, or options contradict each other.
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
        num_latents: Size = 1,
        bound: Literal["analytic", "sampled"] = "analytic",
        gradient: Literal["reparameterized", "path", "score"] = "reparameterized",
        control: Literal["leave_one_out", "baseline", "none"] = "leave_one_out",
        beta: Annotated[float, Interval(ge=0, le=1e6)] = 1.0,
        free_bits: NonNegativeFloat = 0.0,
        annealing: Literal["none", "linear", "sigmoid"] = "none",
        anneal_end: FractionAboveZero = 0.3,
    ) -> None:
        super().__init__("elbo", features, targets, latent_dim, likelihood, decoder, hidden, word_dropout)
        self.num_latents, self.bound, self.gradient, self.control = num_latents, bound, gradient, control
        self.beta, self.free_bits, self.annealing, self.anneal_end = beta, free_bits, annealing, anneal_end
        check_options(self)
        learned = gradient == "score" and control == "baseline"
        self.baseline = Baseline(self.readout.width, latent_dim) if learned else None
        self.progress: Tensor
        self.register_buffer("progress", torch.zeros(()))

    def after_step(self, model: nn.Module, progress: float) -> None:
        """Note how far training has come, for annealing."""
        self.progress.fill_(progress)

    def kl_factor(self) -> Float[Tensor, ""]:
        """Return the factor of the divergence at this progress of training."""
        return self.beta * anneal(self.progress, self.annealing, self.anneal_end)

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        """Return the negative bound, its two terms, how many dimensions are in use, and a metric of each target."""
        posterior, noise = self.posterior(features), self.noise(draws, self.num_latents)
        code = (posterior.detach() if self.gradient == "score" else posterior).draw(noise)
        outputs = self.decode_targets(code, targets, draws)
        log_likelihoods = self.log_likelihoods(outputs, targets)
        total, kl = sum_over_targets(log_likelihoods), self.kl(posterior, code)
        means = {name: self.likelihoods[name].mean(output[:, 0].detach()) for name, output in outputs.items()}
        return build_vae_loss(
            self.loss_per_sample(posterior, noise, total, kl, self.readout(features)),
            {
                "negative_elbo": weighted_mean(kl.sum(-1) - total),
                **reconstruction_reports(log_likelihoods),
                "kl": weighted_mean(kl.sum(-1)),
                "active_units": (count_active_units(posterior.mean.detach()), torch.ones_like(self.progress)),
                **self.metrics(means, targets),
            },
        )

    def kl(self, posterior: Posterior, code: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        """Return log q(z | x) - log p(z) by dimension, or its mean in closed form, for every code.

        Its gradient is what the chosen estimator wants of it.
        """
        if self.bound == "analytic":
            return posterior.divergences()[:, None].expand(code.shape)
        scored = posterior if self.gradient == "reparameterized" else posterior.detach()
        return scored.log_density(code) - log_prior(code)

    def loss_per_sample(
        self,
        posterior: Posterior,
        noise: Float[Tensor, "B K D"],
        log_likelihood: Float[Tensor, "B K"],
        kl: Float[Tensor, "B K D"],
        vector: Float[Tensor, "B W"],
    ) -> Float[Tensor, " B"]:
        """Return the negative bound of every sample, differentiable by the chosen estimator."""
        factor = self.kl_factor()
        paid = kl.clamp(min=self.free_bits) if self.free_bits else kl
        negative = (factor * paid.sum(-1) - log_likelihood).mean(1)
        if self.gradient != "score":
            return negative
        signal = log_likelihood.detach()[..., None].expand_as(kl)
        if self.bound == "sampled":
            signal = signal - factor * kl.detach()
        if self.baseline is not None:
            signal, lesson = self.baseline(vector, signal)
            negative = negative + lesson
        return negative - surrogate(posterior, noise, signal, control=self.control == "leave_one_out")


def check_options(elbo: Elbo) -> None:
    """Raise Incompatible where options of the objective contradict each other."""
    who = f"elbo with objective.gradient={elbo.gradient}"
    if elbo.gradient == "path" and elbo.bound != "sampled":
        raise Incompatible(who, "objective.bound=sampled", elbo.bound, "Set objective.bound=sampled.")
    minimum = 2 if elbo.gradient == "score" and elbo.control == "leave_one_out" else 1
    if elbo.num_latents < minimum:
        raise Incompatible(
            who,
            f"objective.num_latents of at least {minimum}",
            f"{elbo.num_latents}",
            f"Set objective.num_latents={minimum} or more.",
        )
    if elbo.free_bits and elbo.bound != "analytic":
        needs = "objective.bound=analytic for objective.free_bits, since a sampled divergence may be below its mean"
        raise Incompatible("elbo", needs, elbo.bound, "Set objective.bound=analytic, or objective.free_bits=0.")
    if not 0 < elbo.anneal_end <= 1:
        raise Incompatible("elbo", "objective.anneal_end above 0 and up to 1", f"{elbo.anneal_end}", "Set it to 0.3.")
