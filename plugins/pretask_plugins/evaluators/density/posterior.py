"""Posterior: what the codes of a latent-variable model tell of the data, and how far they are from p(z) together.

The mean divergence is what a code tells of its sample and what it wastes:
E KL(q(z | x) || p(z)) = I(x; z) + KL(q(z) || p(z)), where q(z) is the mean of q(z | x) over the data (Hoffman and
Johnson 2016). A posterior has collapsed where all three are 0; the decoder then makes the same of any code.

q(z) is the mixture over the samples that are measured, so that the mutual information is at most the logarithm of how
many they are, `log_size`.

Source: Hoffman and Johnson, NIPS workshop 2016; Burda, Grosse and Salakhutdinov, ICLR 2016 (active units); He,
Spokoyny, Neubig and Berg-Kirkpatrick, ICLR 2019 (mutual information by the aggregate posterior). Differs: q(z) is over
all that is measured, not over a batch.
Axes: N samples, K codes of a sample, D dimensions of the code.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pretask import Budget, Data, Draws, Samples, Targets, Task
from pretask.options import NonNegativeInt, Size
from pretask.pretext_score import evaluation_mode
from pretask.protocols import count_partners
from torch import Tensor

from pretask_plugins.evaluators.density.density import encode, require_latent_model, take_first
from pretask_plugins.shared.latent.gaussian import Posterior, log_prior
from pretask_plugins.shared.latent.latent_model import LatentModel, count_active_units
from pretask_plugins.shared.latent.target_likelihoods import sum_over_targets

ROWS_AT_ONCE = 64  # codes whose density under all posteriors is computed together


@dataclass(frozen=True)
class PosteriorEvaluator:
    """What codes tell, in nats per sample of the test part.

    Args:
        num_latents: Codes for each sample.
        test_size: Test samples that are measured, the first ones; 0 for all.
    """

    num_latents: Size = 4
    test_size: NonNegativeInt = 1000

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where the task's objective has no latent variables."""
        require_latent_model("posterior", task)

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float]]:
        """Yield `mutual_information`, `kl` and `aggregate_kl`, in nats, `active_units`, and what bounds the first.

        `permutation_cost` is how many nats a sample loses where it is decoded from the code of another one.

        Raises:
            PretaskError: The task's objective has no latent variables.
        """
        require_latent_model("posterior", task)
        samples = take_first(data("test"), self.test_size)
        with evaluation_mode(task), torch.no_grad():
            found = [
                (posterior, *self.decode_both(task.objective, posterior, targets, draws))
                for posterior, targets, draws in encode_all(task, samples, budget)
            ]
        posterior = Posterior(
            torch.cat([one.mean for one, *_ in found]), torch.cat([one.log_variance for one, *_ in found])
        )
        code = torch.cat([code for _, code, *_ in found])
        own, aggregate, prior = measure_information(posterior, code)
        yield "mutual_information", own - aggregate
        yield "kl", float(posterior.divergences().double().sum(-1).mean())
        yield "aggregate_kl", aggregate - prior
        yield "active_units", float(count_active_units(posterior.mean))
        yield "permutation_cost", float(torch.cat([cost for *_, cost in found]).double().mean())
        yield "log_size", math.log(len(samples))

    def decode_both(
        self, model: LatentModel, posterior: Posterior, targets: Targets, draws: Draws
    ) -> tuple[Float[Tensor, "B K D"], Float[Tensor, " B"]]:
        """Return codes, and by how much log p(y | z) falls where they are those of the batch's next sample."""
        code = posterior.draw(draws.normal("code", self.num_latents, model.latent_dim))
        right, wrong = (
            sum_over_targets(model.log_likelihoods(model.decode_targets(codes, targets), targets)).mean(1)
            for codes in (code, code.roll(1, 0))
        )
        return code, right - wrong


def encode_all(task: Task, samples: Samples, budget: Budget) -> Iterator[tuple[Posterior, Targets, Draws]]:
    """Yield the posteriors of all samples, batch by batch, with targets and draws."""
    for batch in samples.resident(task.device).batches(budget.batch, task.device, count_partners(task.split)):
        yield encode(task, batch, budget.seed)


def measure_information(posterior: Posterior, code: Float[Tensor, "N K D"]) -> tuple[float, float, float]:
    """Return the means over codes of log q(z | x), log q(z) and log p(z)."""
    own, prior = posterior.log_density(code).sum(-1), log_prior(code).sum(-1)
    aggregate = [aggregate_log_density(posterior, rows) for rows in torch.split(code.flatten(0, 1), ROWS_AT_ONCE)]
    return float(own.double().mean()), float(torch.cat(aggregate).double().mean()), float(prior.double().mean())


def aggregate_log_density(posterior: Posterior, code: Float[Tensor, "R D"]) -> Float[Tensor, " R"]:
    """Return log q(z), the density of the mixture of all posteriors."""
    every = posterior.log_density(code[None].expand(len(posterior.mean), -1, -1)).sum(-1)
    return every.logsumexp(0) - math.log(len(every))
