"""What elbo and iwae share: a Gaussian code made from the pooled features, and a decoder with a likelihood per target.

Axes: B batch, K samples of the code, D its dimensions; `...` a target's views and grid, C answers per position.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float
from pretask import (
    Categories,
    Draws,
    Features,
    FeatureSpec,
    Heads,
    Incompatible,
    Loss,
    Readout,
    Target,
    Targets,
    TargetSpec,
    TargetSpecs,
    check_kinds,
    find_readout,
    upcast,
    weighted_mean,
)
from torch import Tensor, nn

from pretask_plugins.objectives.vae.decoders import ConvolutionalDecoder, PerceptronDecoder
from pretask_plugins.objectives.vae.gaussian import Posterior, log_prior
from pretask_plugins.objectives.vae.likelihoods import likelihood_of, log_probability

LikelihoodName = Literal["auto", "bernoulli", "gaussian", "logistic", "categorical"]
DecoderName = Literal["perceptron", "convolution"]
ACTIVE = 0.01  # variance of the posterior mean above which a dimension of the code is in use (Burda et al. 2016)
Mean = tuple[Tensor, Tensor]  # a mean and the weight behind it, as weighted_mean gives them


class LatentModel(nn.Module):
    """p(y | z) p(z) and q(z | x).

    Args:
        who: The objective, for errors.
        features: What the encoder offers.
        targets: What is decoded.
        latent: Dimensions of the code.
        likelihood: Of Values; `auto` is Gaussian for them and categorical for Categories.
        decoder: The kind of all decoders.
        hidden: Widths of a perceptron's hidden layers; the first one is the width of a convolutional decoder.

    Raises:
        Incompatible: A target cannot be decoded, or must not see all that is pooled.
    """

    def __init__(
        self,
        who: str,
        features: FeatureSpec,
        targets: TargetSpecs,
        latent: int,
        likelihood: LikelihoodName,
        decoder: DecoderName,
        hidden: tuple[int, ...],
    ) -> None:
        super().__init__()
        check_kinds(who, targets, {"categories", "values"})
        check_size(who, latent)
        self.latent, self.targets = latent, dict(targets)
        self.read = one_readout(who, features, targets)
        self.to_code = nn.Linear(self.read.width, 2 * latent)
        self.likelihoods = Heads({name: likelihood_of(who, name, spec, likelihood) for name, spec in targets.items()})
        self.decoders = Heads(
            {
                name: make_decoder(who, decoder, latent, spec, self.likelihoods[name].answers, hidden)
                for name, spec in targets.items()
            }
        )

    def posterior(self, features: Features) -> Posterior:
        """q(z | x), in float32."""
        mean, log_variance = upcast(self.to_code(self.read(features))).chunk(2, -1)
        return Posterior(mean, log_variance)

    def noise(self, draws: Draws, samples: int) -> Float[Tensor, "B K D"]:
        """What codes are made of."""
        return draws.normal("code", samples, self.latent)

    def decode(self, code: Float[Tensor, "B K D"], name: str) -> Float[Tensor, "B K ... C"]:
        """What the decoder of a target says for every code."""
        said: Tensor = upcast(self.decoders[name](code.flatten(0, 1)))
        return said.view(*code.shape[:2], *said.shape[1:])

    def means(self, code: Float[Tensor, "B K D"]) -> Mapping[str, Float[Tensor, "B K ... C"]]:
        """The expected value of every target, or the log-probabilities of its classes."""
        return {name: self.likelihoods[name].mean(self.decode(code, name)) for name in self.targets}

    def fits(self, said: Mapping[str, Tensor], targets: Targets) -> Mapping[str, Float[Tensor, "B K"]]:
        """log p(y | z) of every target, from what the decoders say."""
        return {name: log_probability(self.likelihoods[name], said[name], targets[name]) for name in self.targets}

    def log_weights(self, code: Float[Tensor, "B K D"], posterior: Posterior, targets: Targets) -> Float[Tensor, "B K"]:
        """log p(y, z) - log q(z | x), of which the bound is a mean and log p(y) the logarithm of a mean exponential."""
        said = {name: self.decode(code, name) for name in self.targets}
        rate = (posterior.log_density(code) - log_prior(code)).sum(-1)
        return total(self.fits(said, targets)) - rate

    def predict(self, features: Features, /) -> Mapping[str, Tensor]:
        """What is decoded from the mean of the code: values (B, ..., C), or log-probabilities."""
        means = self.means(self.posterior(features).mean[:, None])
        return {name: mean[:, 0] for name, mean in means.items()}

    def score(self, guess: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """The same reports for a guess that needs no code: its divergence is 0. What nobody asked for is passed over.

        Where a likelihood has a deviation, it is the one at which the guess is likeliest.
        """
        fits = {}
        guess = {name: guess[name] for name in targets}
        for name, values in guess.items():
            likelihood = self.likelihoods[name]
            said = likelihood.saying(values.float())
            fits[name] = log_probability(likelihood.fitted(said, targets[name]), said[:, None], targets[name])
        free = torch.zeros_like(total(fits))
        return as_loss(
            total(fits).mean(1).neg(),
            {
                "negative_elbo": weighted_mean(-total(fits)),
                **fit_reports(fits),
                "kl": weighted_mean(free),
                **self.metrics(guess, targets),
            },
        )

    def metrics(self, guess: Mapping[str, Tensor], targets: Targets) -> dict[str, Mean]:
        """The share of the variance that is explained, or of classes that are right."""
        return {
            (f"{name}.accuracy" if isinstance(spec, Categories) else f"{name}.r2"): (
                accuracy(guess[name], targets[name])
                if isinstance(spec, Categories)
                else explained(guess[name], targets[name])
            )
            for name, spec in self.targets.items()
        }

    @property
    def chance(self) -> dict[str, float]:
        """Nats of a guess that knows nothing, where all of t is asked for; 1 / classes; no variance explained."""
        blind = [self.likelihoods[name].blind() for name in self.targets]
        known = {f"{name}.r2": 0.0 for name, spec in self.targets.items() if not isinstance(spec, Categories)}
        known |= {f"{n}.accuracy": 1 / spec.classes for n, spec in self.targets.items() if isinstance(spec, Categories)}
        if None not in blind and not any(spec.hidden for spec in self.targets.values()):
            sizes = [positions(spec) for spec in self.targets.values()]
            known["negative_elbo"] = sum(nats * size for nats, size in zip(blind, sizes, strict=True))
        return known


def check_size(who: str, latent: int) -> None:
    """Raise Incompatible unless the code has a dimension."""
    if latent < 1:
        raise Incompatible(who, "objective.latent of at least 1", f"{latent}", "Leave it at 20.")


def one_readout(who: str, features: FeatureSpec, targets: TargetSpecs) -> Readout:
    """How the pooled features are read, blind enough for every target; raises Incompatible where none is."""
    readouts = [
        find_readout(who, name, features, replace(spec, grid=(), views=None), bottleneck=True)
        for name, spec in targets.items()
    ]
    if len(set(readouts)) != 1:
        raise Incompatible(
            who,
            "targets that may all see the same, since one code is made for them",
            "different sights" if readouts else "no target",
            "Choose a split with one sight.",
        )
    return readouts[0]


def make_decoder(
    who: str, kind: DecoderName, latent: int, target: TargetSpec, answers: int, hidden: tuple[int, ...]
) -> nn.Module:
    """A decoder of the wanted kind."""
    if kind == "perceptron":
        return PerceptronDecoder(latent, target, answers, hidden)
    return ConvolutionalDecoder(who, latent, target, answers, hidden[0] if hidden else 64)


def positions(spec: TargetSpec) -> int:
    """How many positions a target has, views included."""
    count = spec.views or 1
    for side in spec.grid:
        count *= side
    return count


def total(fits: Mapping[str, Tensor]) -> Tensor:
    """The sum over targets."""
    return torch.stack(list(fits.values())).sum(0)


def fit_reports(fits: Mapping[str, Float[Tensor, "B K"]]) -> dict[str, Mean]:
    """The negative log-likelihood given the code, in nats; for each of several targets as well."""
    each = {name: weighted_mean(-fit) for name, fit in fits.items()} if len(fits) > 1 else {}
    return {"reconstruction": weighted_mean(-total(fits)), **each}


def as_loss(per_sample: Float[Tensor, " B"], reports: Mapping[str, Mean]) -> Loss:
    """The mean over the batch is what is differentiated; what is reported stands beside it."""
    return Loss(
        weighted_mean(per_sample)[0],
        {name: mean.detach() for name, (mean, _) in reports.items()},
        {name: weight.detach() for name, (_, weight) in reports.items()},
    )


def active_units(mean: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Dimensions of the code whose mean varies from sample to sample."""
    return (mean.var(0, correction=0) > ACTIVE).float().sum()


def accuracy(guess: Float[Tensor, "B ... C"], target: Target) -> Mean:
    """The share of positions whose likeliest class is right, or the likeliest of the candidates."""
    answer = target.value
    if target.probability is not None:
        answer = answer.gather(-1, target.probability.argmax(-1, keepdim=True))[..., 0]
    return weighted_mean((guess.argmax(-1) == answer).float(), target.weight)


def explained(guess: Float[Tensor, "B ... C"], target: Target) -> Mean:
    """1 - squared error / variance about the batch's mean."""
    value = target.value.float()
    weight = torch.ones_like(value) if target.weight is None else target.weight[..., None].expand_as(value)
    centre, count = weighted_mean(value, weight)
    variance, _ = weighted_mean((value - centre).square(), weight)
    squared, _ = weighted_mean((value - guess).square(), weight)
    return 1 - squared / variance.clamp(min=1e-12), count
