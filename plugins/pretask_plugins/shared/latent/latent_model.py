"""What elbo and iwae share: a Gaussian code made from the pooled features, and a decoder with a likelihood per target.

Axes: B batch, K codes of a sample, D its dimensions; `...` a target's views and grid, C outputs per position.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from jaxtyping import Float, Int
from pretask import (
    Draws,
    Features,
    FeatureSpec,
    Heads,
    Incompatible,
    Readout,
    Target,
    Targets,
    TargetSpecs,
    check_kinds,
    find_readout,
    upcast,
)
from pretask.language.sampling import GREEDY, Sampling
from torch import Tensor, nn

from pretask_plugins.shared.latent.autoregressive import AutoregressiveDecoder
from pretask_plugins.shared.latent.decoders import DecoderName, build_decoder
from pretask_plugins.shared.latent.gaussian import Posterior, log_prior
from pretask_plugins.shared.latent.likelihoods import build_likelihood
from pretask_plugins.shared.latent.target_likelihoods import TargetLikelihoods, sum_over_targets

LikelihoodName = Literal["auto", "bernoulli", "gaussian", "logistic", "categorical"]
MIN_ACTIVE_VARIANCE = 0.01  # of the posterior mean in a dimension of the code that is in use (Burda et al. 2016)


class LatentModel(TargetLikelihoods):
    """p(y | z) p(z) and q(z | x).

    Args:
        who: The objective, for errors.
        features: What the encoder offers.
        targets: What is decoded.
        latent_dim: Dimensions of the code.
        likelihood: Of Values; `auto` is Gaussian for them and categorical for Categories.
        decoder: The kind of all decoders.
        hidden: Widths of a perceptron's hidden layers, or of an autoregressive decoder's; the first one is the width of
            a convolutional decoder.
        word_dropout: Of an autoregressive decoder: how much of the history is hidden in training.

    Raises:
        Incompatible: A target cannot be decoded, or must not see all that is pooled.
    """

    def __init__(
        self,
        who: str,
        features: FeatureSpec,
        targets: TargetSpecs,
        latent_dim: int,
        likelihood: LikelihoodName,
        decoder: DecoderName,
        hidden: tuple[int, ...],
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_kinds(who, targets, {"categories", "values"})
        check_latent_dim(who, latent_dim)
        self.latent_dim, self.targets = latent_dim, dict(targets)
        self.readout = find_shared_readout(who, features, targets)
        self.to_code = nn.Linear(self.readout.width, 2 * latent_dim)
        self.likelihoods = Heads(
            {name: build_likelihood(who, name, spec, likelihood) for name, spec in targets.items()}
        )
        self.decoders = Heads(
            {
                name: build_decoder(
                    who, decoder, latent_dim, spec, self.likelihoods[name].num_outputs, hidden, word_dropout
                )
                for name, spec in targets.items()
            }
        )

    def posterior(self, features: Features) -> Posterior:
        """Return q(z | x), in float32."""
        mean, log_variance = upcast(self.to_code(self.readout(features))).chunk(2, -1)
        return Posterior(mean, log_variance)

    def noise(self, draws: Draws, num_latents: int) -> Float[Tensor, "B K D"]:
        """Draw the standard normal noise of which codes are made."""
        return draws.normal("code", num_latents, self.latent_dim)

    def decode(
        self, code: Float[Tensor, "B K D"], name: str, target: Target | None = None, draws: Draws | None = None
    ) -> Float[Tensor, "B K ... C"]:
        """Decode codes into the parameters of a target's likelihood.

        Args:
            code: Of every sample.
            name: Of the target.
            target: Whose positions an autoregressive decoder is shown, each to those after it; where it is left out, a
                position is shown what the decoder finds most likely at those before.
            draws: Of what is hidden of them in training; nothing is, where they are left out.
        """
        decoder, flat = self.decoders[name], code.flatten(0, 1)
        if not isinstance(decoder, AutoregressiveDecoder):
            output = decoder(flat)
        elif target is None:
            output = decoder.generate(flat)[1]
        else:
            output = decoder(flat, decoder.history(target, draws).repeat_interleave(code.shape[1], 0))
        return upcast(output).view(*code.shape[:2], *output.shape[1:])

    def decode_targets(
        self, code: Float[Tensor, "B K D"], targets: Targets, draws: Draws | None = None
    ) -> dict[str, Float[Tensor, "B K ... C"]]:
        """Decode codes into the parameters of the likelihoods of targets that are known."""
        return {name: self.decode(code, name, targets[name], draws) for name in self.targets}

    def means(self, code: Float[Tensor, "B K D"]) -> Mapping[str, Float[Tensor, "B K ... C"]]:
        """Return the expected value of every target, or the log-probabilities of its classes."""
        return {name: self.likelihoods[name].mean(self.decode(code, name)) for name in self.targets}

    def draw_classes(
        self, code: Float[Tensor, "B D"], name: str, sampling: Sampling = GREEDY, draws: Draws | None = None
    ) -> Int[Tensor, "B L"]:
        """Return the classes of a target in a row that codes are decoded to, such as the words of sentences.

        Args:
            code: One for every row.
            name: Of a target of categories on a line.
            sampling: How a class is chosen: by an autoregressive decoder after those before it, by any other alone.
            draws: One for every code; what takes the most likely class needs none.
        """
        decoder = self.decoders[name]
        if isinstance(decoder, AutoregressiveDecoder):
            return decoder.generate(code, sampling, draws)[0]
        logits = self.decode(code[:, None], name)[:, 0]
        unit = code.new_zeros(logits.shape[:2]) if draws is None else draws.uniform("position", logits.shape[1])
        return sampling(logits.flatten(0, 1), unit.flatten()).view(logits.shape[:2])

    def log_weights(self, code: Float[Tensor, "B K D"], posterior: Posterior, targets: Targets) -> Float[Tensor, "B K"]:
        """Return log p(y, z) - log q(z | x).

        The bound is its mean, and log p(y) the logarithm of the mean of its exponential.
        """
        outputs = self.decode_targets(code, targets)
        kl = (posterior.log_density(code) - log_prior(code)).sum(-1)
        return sum_over_targets(self.log_likelihoods(outputs, targets)) - kl

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """Return what is decoded from the mean of the code: values (B, ..., C), or log-probabilities."""
        means = self.means(self.posterior(features).mean[:, None])
        return {name: mean[:, 0] for name, mean in means.items()}

    def draw_predictions(self, features: Features, draws: Draws, count: int, /) -> Mapping[str, Tensor]:
        """Return what is decoded from so many draws of the code: values (B, K, ..., C), or log-probabilities."""
        return self.means(self.posterior(features).draw(self.noise(draws.branch("predictions"), count)))


def check_latent_dim(who: str, latent_dim: int) -> None:
    """Raise Incompatible unless the code has a dimension."""
    if latent_dim < 1:
        raise Incompatible(who, "objective.latent_dim of at least 1", f"{latent_dim}", "Set it to 20.")


def find_shared_readout(who: str, features: FeatureSpec, targets: TargetSpecs) -> Readout:
    """Return how pooled features are read that every target may see; raise Incompatible where there is none."""
    readouts = [
        find_readout(who, name, features, replace(spec, grid=(), views=None), bottleneck=True)
        for name, spec in targets.items()
    ]
    if len(set(readouts)) != 1:
        raise Incompatible(
            who,
            "targets that may all see the same, since one code is made for them",
            "targets of different sights" if readouts else "no target",
            "Choose a split with one sight.",
        )
    return readouts[0]


def count_active_units(mean: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Count the dimensions of the code whose mean varies from sample to sample."""
    return (mean.var(0, correction=0) > MIN_ACTIVE_VARIANCE).float().sum()
