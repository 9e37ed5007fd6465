"""Density: how probable a latent-variable model finds held-out data, how much of its code it uses, and pictures of it.

log p(y) is estimated by importance weighting, `iwae`, a bound that rises with the number of codes.
What is scored is the split's own target, drawn as in training (binarised, where the split binarises).

Source: Burda, Grosse and Salakhutdinov, ICLR 2016 (importance weights, active units); Cremer, Li and Duvenaud, ICML
2018 (amortisation gap). Differs: active units are counted over the first `test_size` test samples.
Axes: B batch, K codes at once, D dimensions of the code.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from pretask import Batch, Budget, Data, Draws, Figure, PretaskError, Samples, Targets, Task
from pretask.options import NonNegativeInt, Size
from pretask.pretext_score import HELD_OUT_EPOCH, evaluation_mode
from pretask.protocols import count_partners
from torch import Tensor

from pretask_plugins.evaluators.density.pictures import pictures
from pretask_plugins.shared.latent.gaussian import Posterior, log_prior
from pretask_plugins.shared.latent.latent_model import LatentModel, count_active_units
from pretask_plugins.shared.latent.target_likelihoods import sum_over_targets

CODES_PER_DECODE = 50  # of one sample, decoded together
NUM_COMMON_CODES = 64  # on which a posterior is compared with the best one


@dataclass(frozen=True)
class Density:
    """Bounds on log p of the test part, in nats per sample.

    Args:
        num_latents: Codes for each sample (K); the paper reports 5,000.
        test_size: Test samples that are scored, the first ones; 0 for all.
        gap_size: Test samples whose best posterior is searched for; 0 leaves the amortisation gap out.
        gap_steps: Steps of that search.
    """

    num_latents: Size = 500
    test_size: NonNegativeInt = 1000
    gap_size: NonNegativeInt = 0
    gap_steps: Size = 300

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where the task's objective has no latent variables."""
        require_latent_model("density", task)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Figure]]:
        """Yield the bounds, their terms and pictures.

        `elbo`, `iwae`, `kl` and `reconstruction_log_likelihood` (log p(y | z)) are in nats; `active_units` counts
        dimensions of the code, and `test_size` the samples that were scored.

        Where a gap is requested: `amortization_gap` and `approximation_gap`, in nats.

        Raises:
            PretaskError: The task's objective has no latent variables.
        """
        require_latent_model("density", task)
        samples = take_first(data("test"), self.test_size)
        with evaluation_mode(task), torch.no_grad():
            yield from self.bounds(task, samples, budget)
            if self.gap_size:
                yield from self.gaps(task, take_first(samples, self.gap_size), budget)
            yield from pictures(task, samples)

    def bounds(self, task: Task, samples: Samples, budget: Budget) -> Iterator[tuple[str, float]]:
        """Yield every number that needs no search."""
        rows, means = [], []
        for batch in samples.resident(task.device).batches(budget.batch, task.device, count_partners(task.split)):
            posterior, targets, draws = encode(task, batch, budget.seed)
            log_weights, log_likelihood = weigh_codes(task.objective, posterior, targets, draws, self.num_latents)
            rows.append(
                torch.stack(
                    [log_weights.mean(1), log_weights.logsumexp(1) - math.log(self.num_latents), log_likelihood], 1
                )
            )
            means.append(posterior.mean)
        elbo, iwae, log_likelihood = torch.cat(rows).double().mean(0).tolist()
        yield "elbo", elbo
        yield "iwae", iwae
        yield "reconstruction_log_likelihood", log_likelihood
        yield "kl", log_likelihood - elbo
        yield "active_units", float(count_active_units(torch.cat(means)))
        yield "test_size", float(len(samples))

    def gaps(self, task: Task, samples: Samples, budget: Budget) -> Iterator[tuple[str, float]]:
        """Yield how much the encoder loses to the best Gaussian of every sample, and that one to log p."""
        amortisation, approximation = [], []
        for batch in samples.resident(task.device).batches(budget.batch, task.device, count_partners(task.split)):
            posterior, targets, draws = encode(task, batch, budget.seed)
            best = best_posterior(task.objective, posterior, targets, draws, self.gap_steps)
            given, reached = (bound(task.objective, codes, targets, draws) for codes in (posterior, best))
            log_weights, _ = weigh_codes(task.objective, best, targets, draws, self.num_latents)
            amortisation.append(reached - given)
            approximation.append(log_weights.logsumexp(1) - math.log(self.num_latents) - reached)
        yield "amortization_gap", float(torch.cat(amortisation).mean())
        yield "approximation_gap", float(torch.cat(approximation).mean())


def require_latent_model(who: str, task: Task) -> None:
    """Raise PretaskError unless the task's objective has latent variables."""
    if not isinstance(task.objective, LatentModel):
        raise PretaskError(
            who,
            "an objective with latent variables, elbo or iwae",
            type(task.objective).__name__,
            f"Leave {who} out of --evaluate, or choose --objective elbo.",
        )


def take_first(samples: Samples, count: int) -> Samples:
    """Take the first so many samples; all of them for 0."""
    if not count or count >= len(samples):
        return samples
    present = None if samples.present is None else samples.present[:count]
    return replace(samples, data=samples.data[:count], present=present, labels={})


def encode(task: Task, batch: Batch, seed: int) -> tuple[Posterior, Targets, Draws]:
    """Encode samples: the code's distribution, what it shall explain, and draws that training never has."""
    draws = Draws(batch.index, seed, HELD_OUT_EPOCH)
    inputs, targets = task.apply_split(batch, draws)
    return task.objective.posterior(task.model(inputs)), targets, draws.branch("density")


def weigh_codes(
    model: LatentModel, posterior: Posterior, targets: Targets, draws: Draws, num_latents: int
) -> tuple[Float[Tensor, "B K"], Float[Tensor, " B"]]:
    """Compute log p(y, z) - log q(z | x) of so many codes, and the mean of log p(y | z); a few codes at a time."""
    weights, log_likelihoods = [], []
    for begin in range(0, num_latents, CODES_PER_DECODE):
        code = posterior.draw(
            draws.normal(f"codes from {begin}", min(CODES_PER_DECODE, num_latents - begin), model.latent_dim)
        )
        log_likelihood = sum_over_targets(model.log_likelihoods(model.decode_targets(code, targets), targets))
        weights.append(log_likelihood + (log_prior(code) - posterior.log_density(code)).sum(-1))
        log_likelihoods.append(log_likelihood)
    return torch.cat(weights, 1), torch.cat(log_likelihoods, 1).mean(1)


def bound(model: LatentModel, posterior: Posterior, targets: Targets, draws: Draws) -> Float[Tensor, " B"]:
    """Compute the bound, its divergence in closed form, on codes that are the same for every posterior."""
    code = posterior.draw(draws.normal("common", NUM_COMMON_CODES, model.latent_dim))
    log_likelihood = sum_over_targets(model.log_likelihoods(model.decode_targets(code, targets), targets))
    return log_likelihood.mean(1) - posterior.divergences().sum(-1)


@torch.enable_grad()
def best_posterior(model: LatentModel, start: Posterior, targets: Targets, draws: Draws, steps: int) -> Posterior:
    """Search, from the encoder's, the Gaussian with the highest bound for every sample, with the decoder as it is."""
    free = [parameter.detach().clone().requires_grad_() for parameter in (start.mean, start.log_variance)]
    optimizer = torch.optim.Adam(free, 0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    for _ in range(steps):
        loss = -bound(model, Posterior(*free), targets, draws).sum()
        gradients = torch.autograd.grad(loss, free)
        for parameter, gradient in zip(free, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        schedule.step()
    return Posterior(*(parameter.detach() for parameter in free))
