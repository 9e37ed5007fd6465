"""Target likelihoods: log p(y | z) of all targets, and the reports that follow from it, whatever the code is.

Axes: B batch, K codes of a sample; `...` a target's views and grid, C outputs per position.
"""

from collections.abc import Mapping
from math import prod

import torch
from jaxtyping import Float
from pretask import Categories, Heads, Loss, Target, Targets, TargetSpec, TargetSpecs, weighted_mean
from torch import Tensor, nn

from pretask_plugins.shared.latent.likelihoods import log_likelihood
from pretask_plugins.shared.scores import most_likely_class, r2

Mean = tuple[Tensor, Tensor]  # a mean and the weight behind it, as weighted_mean gives them


class TargetLikelihoods(nn.Module):
    """A likelihood of every target; what is built on it decodes codes into their parameters."""

    targets: TargetSpecs
    likelihoods: Heads

    def log_likelihoods(self, outputs: Mapping[str, Tensor], targets: Targets) -> Mapping[str, Float[Tensor, "B K"]]:
        """Return log p(y | z) of every target, from the decoders' outputs."""
        return {name: log_likelihood(self.likelihoods[name], outputs[name], targets[name]) for name in self.targets}

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


def count_positions(spec: TargetSpec) -> int:
    """Count the positions of a target, views included."""
    return (spec.views or 1) * prod(spec.grid)


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


def accuracy(log_probability: Float[Tensor, "B ... C"], target: Target) -> Mean:
    """Return the fraction of positions whose most likely class is the label."""
    correct = log_probability.argmax(-1) == most_likely_class(target)
    return weighted_mean(correct.float(), target.weight)
