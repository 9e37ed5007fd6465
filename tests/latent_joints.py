"""Models whose posteriors are known, as the objective black-box is given them by name."""

import torch
from pretask import Targets
from torch import Tensor
from torch.distributions import Normal

STD = 0.5
WIDE_STD = 1.0  # of a mixture, whose classes are then all likely
CENTERS = torch.tensor([-2.0, 0.0, 1.5])
PRIOR = torch.tensor([0.2, 0.5, 0.3])


def numbers(targets: Targets) -> Tensor:
    """The two pixels of every sample, (B, 1, 2)."""
    return targets["pixels"].value.flatten(1)[:, None]


def normal(code: Tensor, targets: Targets) -> Tensor:
    """z_d standard normal, y_d normal about it."""
    y = numbers(targets)
    return (Normal(0.0, 1.0).log_prob(code) + Normal(code, STD).log_prob(y)).sum(-1)


def normal_by_dimension(code: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """The same, with the terms of each dimension."""
    terms = Normal(0.0, 1.0).log_prob(code) + Normal(code, STD).log_prob(numbers(targets))
    return terms.sum(-1), terms


def mixture(code: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """z_d one of three classes, y_d normal about the class's center."""
    terms = PRIOR.log()[code] + Normal(CENTERS[code], WIDE_STD).log_prob(numbers(targets))
    return terms.sum(-1), terms
