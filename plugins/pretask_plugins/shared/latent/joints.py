"""Joints: an example of what black-box variational inference is given, log p(y, z) of a model whose posterior is known.

Source: Bishop, Pattern Recognition and Machine Learning, 2006, section 2.3.6.
Axes: B batch, K codes, D dimensions of a code.
"""

import torch
from jaxtyping import Float
from pretask import Target, Targets
from torch import Tensor

from pretask_plugins.shared.latent.gaussian import log_normal, log_prior


def normal_mean(code: Float[Tensor, "B K D"], targets: Targets) -> tuple[Tensor, Tensor]:
    """Return log p(y, z) where z is standard normal and every number of y is normal about the first dimension of z.

    With n numbers of mean m the posterior of that dimension is N(n m / (n + 1), 1 / (n + 1)), and of others the prior.
    """
    likelihood = sum(weigh_numbers(code[..., 0], target) for target in targets.values())
    terms = log_prior(code)
    blanket = terms.clone()
    blanket[..., 0] = terms[..., 0] + likelihood
    return terms.sum(-1) + likelihood, blanket


def weigh_numbers(center: Float[Tensor, "B K"], target: Target) -> Float[Tensor, "B K"]:
    """Return log p of the numbers of a target, all of them normal about a center with a variance of 1."""
    value = target.value.to(center.dtype)
    weight = torch.ones_like(value) if target.weight is None else target.weight
    weight = weight.view(*weight.shape, *[1] * (value.ndim - weight.ndim)).expand_as(value)
    numbers, weights = (part.reshape(len(value), 1, -1) for part in (value, weight))
    return (log_normal(numbers, center[..., None], center.new_zeros(())) * weights).sum(-1)
