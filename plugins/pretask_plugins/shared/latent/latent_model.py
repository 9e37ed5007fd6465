"""What elbo and iwae share: a Gaussian code made from the pooled features, and a decoder with a likelihood per target.

Axes: B batch, K codes of a sample, D its dimensions; `...` a target's views and grid, C outputs per position.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import torch
from jaxtyping import Float, Int
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
from pretask.language.sampling import GREEDY, Sampling
from torch import Tensor, nn

from pretask_plugins.shared.latent.autoregressive import AutoregressiveDecoder
from pretask_plugins.shared.latent.decoders import DecoderName, build_decoder
from pretask_plugins.shared.latent.gaussian import Posterior, log_prior
from pretask_plugins.shared.latent.likelihoods import build_likelihood, log_likelihood
from pretask_plugins.shared.scores import most_likely_class, r2

LikelihoodName = Literal["auto", "bernoulli", "gaussian", "logistic", "categorical"]
MIN_ACTIVE_VARIANCE = 0.01  # of the posterior mean in a dimension of the code that is in use (Burda et al. 2016)
Mean = tuple[Tensor, Tensor]  # a mean and the weight behind it, as weighted_mean gives them


class LatentModel(nn.Module):
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

    def log_likelihoods(self, outputs: Mapping[str, Tensor], targets: Targets) -> Mapping[str, Float[Tensor, "B K"]]:
        """Return log p(y | z) of every target, from the decoders' outputs."""
        return {name: log_likelihood(self.likelihoods[name], outputs[name], targets[name]) for name in self.targets}

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

    def score(self, predictions: Mapping[str, Tensor], targets: Targets, /) -> Loss:
        """Return the same reports for predictions that need no code: their divergence is 0.

        Predictions of other targets are passed over. A likelihood with a standard deviation has the one at which the
        prediction is most likely.
        """
        log_likelihoods = {}
        means = {name: predictions[name] for name in targets}
        for name, mean in means.items():
            likelihood = self.likelihoods[name]
            output = likelihood.inverse_link(mean.float())
            best = likelihood.with_best_std(output, targets[name])
            log_likelihoods[name] = log_likelihood(best, output[:, None], targets[name])
        total = sum_over_targets(log_likelihoods)
        return build_vae_loss(
            total.mean(1).neg(),
            {
                "negative_elbo": weighted_mean(-total),
                **reconstruction_reports(log_likelihoods),
                "kl": weighted_mean(torch.zeros_like(total)),
                **self.metrics(means, targets),
            },
        )

    def metrics(self, means: Mapping[str, Tensor], targets: Targets) -> dict[str, Mean]:
        """Return the accuracy of every target of categories, and R^2 of every other."""
        reports = {}
        for name, spec in self.targets.items():
            mean, target = means[name], targets[name]
            if isinstance(spec, Categories):
                reports[f"{name}.accuracy"] = accuracy(mean, target)
            else:
                reports[f"{name}.r2"] = r2(mean, target.value, target.weight)
        return reports

    @property
    def chance(self) -> dict[str, float]:
        """Return the value of each part for a prediction that knows nothing; the bound where y is all of t."""
        uniform = [self.likelihoods[name].uniform_nats() for name in self.targets]
        chance = {f"{name}.r2": 0.0 for name, spec in self.targets.items() if not isinstance(spec, Categories)}
        chance |= {
            f"{n}.accuracy": 1 / spec.classes for n, spec in self.targets.items() if isinstance(spec, Categories)
        }
        if None not in uniform and not any(spec.hidden for spec in self.targets.values()):
            sizes = [count_positions(spec) for spec in self.targets.values()]
            chance["negative_elbo"] = sum(nats * size for nats, size in zip(uniform, sizes, strict=True))
        return chance


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


def count_positions(spec: TargetSpec) -> int:
    """Count the positions of a target, views included."""
    count = spec.views or 1
    for side in spec.grid:
        count *= side
    return count


def sum_over_targets(log_likelihoods: Mapping[str, Tensor]) -> Tensor:
    """Return the sum over targets."""
    return torch.stack(list(log_likelihoods.values())).sum(0)


def reconstruction_reports(log_likelihoods: Mapping[str, Float[Tensor, "B K"]]) -> dict[str, Mean]:
    """Return the negative log-likelihood given the code, in nats; for each of several targets as well."""
    total = sum_over_targets(log_likelihoods)
    by_target = log_likelihoods if len(log_likelihoods) > 1 else {}
    return {
        "reconstruction": weighted_mean(-total),
        **{name: weighted_mean(-values) for name, values in by_target.items()},
    }


def build_vae_loss(per_sample: Float[Tensor, " B"], reports: Mapping[str, Mean]) -> Loss:
    """Return the loss that is differentiated, the mean over the batch, with reports beside it."""
    return Loss(
        weighted_mean(per_sample)[0],
        {name: mean.detach() for name, (mean, _) in reports.items()},
        {name: weight.detach() for name, (_, weight) in reports.items()},
    )


def count_active_units(mean: Float[Tensor, "B D"]) -> Float[Tensor, ""]:
    """Count the dimensions of the code whose mean varies from sample to sample."""
    return (mean.var(0, correction=0) > MIN_ACTIVE_VARIANCE).float().sum()


def accuracy(log_probability: Float[Tensor, "B ... C"], target: Target) -> Mean:
    """Return the fraction of positions whose most likely class is the label."""
    correct = log_probability.argmax(-1) == most_likely_class(target)
    return weighted_mean(correct.float(), target.weight)
