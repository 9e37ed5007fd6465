"""Recipe: how a task is trained, apart from what it is. Every number is a field, so that a record can hold it.

Axes: none; steps and samples are counted.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from pretask.options import (
    Fraction,
    FractionAboveZero,
    FractionBelowOne,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    SampleCount,
    require_range,
)

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer

STABLE = "warmup-stable-decay"


def count_steps(samples: int, batch: int) -> int:
    """Return the steps of a budget: as many as it has whole batches, at least one where there is a budget.

    >>> count_steps(100, 32), count_steps(8, 32), count_steps(0, 32)
    (3, 1, 0)
    """
    return max(1, samples // batch) if samples else 0


@dataclass(frozen=True)
class Recipe:
    """Optimizer, schedule, budget and precision.

    Args:
        optimizer: Which update rule.
        lr: Peak learning rate.
        weight_decay: On matrices and kernels; biases, gains and other vectors have none.
        momentum: Of sgd and lars.
        betas: Of adam and adamw.
        batch: Samples in one optimizer step, over all devices.
        samples: Budget: samples seen in the whole run, repeats counted; 0 measures the weights that a run begins with.
        warmup: Fraction of the steps in which the rate rises from 0.
        schedule: How the rate goes on after that: falls to 0 as a half cosine or a line, stays, or stays and then falls
            in a line (Hu 2024, MiniCPM, section 4), so that a longer run can go on from before its fall.
        clip: Largest norm of the gradient; 0 for no limit.
        accumulate: Parts of a batch that are computed one after the other, to save memory. The gradient is that of the
            whole batch, except where dropout, batch normalization or an objective that compares samples is at work.
        precision: fp32; tf32, which is fp32 but for the products of matrices on a GPU, whose factors have 10 bits after
            the point; or bf16 autocast with fp32 weights. A GPU must have what is asked for, and a CPU refuses bf16 to
            networks that it would train wrongly.
        compile: Whether torch.compile is used; the first steps then take long.
        channels_last: Memory layout of convolutions on a GPU. On a CPU it gains a tenth at most, and gradients of 1 x 1
            convolutions of stride 2 and fewer than 16 channels write past their memory (torch 2.11 with oneDNN).
        augment: Names of augmentations of t, applied before the split; see augment.py.
        decay: Fraction of the steps, the last ones, in which the rate of warmup-stable-decay falls.
        initial_accumulator: What the sums of squared gradients of adagrad begin with, for every weight.
    """

    optimizer: Literal["adamw", "adam", "sgd", "lars", "adagrad"] = "adamw"
    lr: NonNegativeFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.05
    momentum: FractionBelowOne = 0.9
    betas: tuple[FractionBelowOne, FractionBelowOne] = (0.9, 0.999)
    batch: SampleCount = 256
    samples: NonNegativeInt = 1_000_000
    warmup: Fraction = 0.05
    schedule: Literal["cosine", "linear", "constant", "warmup-stable-decay"] = "cosine"
    clip: NonNegativeFloat = 0.0
    accumulate: PositiveInt = 1
    precision: Literal["fp32", "tf32", "bf16"] = "fp32"
    compile: bool = False
    channels_last: bool = True
    augment: tuple[str, ...] = ()
    decay: FractionAboveZero = 0.1
    initial_accumulator: NonNegativeFloat = 0.0

    def __post_init__(self) -> None:
        require_range("a recipe", "recipe", self)

    @property
    def steps(self) -> int:
        """Optimizer steps of the run."""
        return count_steps(self.samples, self.batch)

    @property
    def warmup_steps(self) -> int:
        """Optimizer steps in which the rate rises."""
        return round(self.warmup * self.steps)

    @property
    def stable_steps(self) -> int | None:
        """Optimizer steps before the rate of warmup-stable-decay falls; None of other schedules."""
        return self.steps - math.ceil(self.decay * self.steps) if self.schedule == STABLE else None

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0.

        >>> Recipe(lr=1.0, samples=100, batch=1, warmup=0.1).rate(9)
        1.0
        """
        warm, stable = self.warmup_steps, self.stable_steps
        if step < warm:
            return self.lr * (step + 1) / warm
        if stable is not None:
            return self.lr * min(1.0, (self.steps - step) / (self.steps - stable))
        left = (self.steps - step) / max(self.steps - warm, 1)
        return self.lr * {"cosine": (1 - math.cos(math.pi * left)) / 2, "linear": left, "constant": 1.0}[self.schedule]

    def as_fields(self) -> dict[str, Any]:
        """Return the fields as a record holds them: later ones only where they do something, so that old cells stay."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}  # nothing that could be changed
        if self.schedule != STABLE:
            del found["decay"]
        if self.optimizer != "adagrad" or not self.initial_accumulator:
            del found["initial_accumulator"]
        return found

    def make_optimizer(self, parameters: Iterable["Parameter"]) -> "Optimizer":
        """Make the optimizer over the parameters that want a gradient, matrices apart from vectors."""
        import torch

        from pretask.accelerator import has_fused_step
        from pretask.lean_optimizers import strip_wrappers

        wanted = [parameter for parameter in parameters if parameter.requires_grad]
        groups = [
            {"params": [parameter for parameter in wanted if parameter.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [parameter for parameter in wanted if parameter.ndim <= 1], "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        fused = has_fused_step(self.optimizer, wanted)  # a tenth to a quarter of the time
        factories: dict[str, Any] = {
            "adamw": lambda: strip_wrappers(torch.optim.AdamW)(groups, lr=self.lr, betas=self.betas, fused=fused),
            "adam": lambda: strip_wrappers(torch.optim.Adam)(groups, lr=self.lr, betas=self.betas, fused=fused),
            "sgd": lambda: strip_wrappers(torch.optim.SGD)(groups, lr=self.lr, momentum=self.momentum, fused=fused),
            "adagrad": lambda: strip_wrappers(torch.optim.Adagrad)(
                groups, lr=self.lr, initial_accumulator_value=self.initial_accumulator, fused=fused
            ),
            "lars": lambda: lars(groups, self.lr, self.momentum),
        }
        optimizer: Optimizer = factories[self.optimizer]()
        return optimizer


def lars(groups: Any, lr: float, momentum: float) -> Any:
    """Make an optimizer with layer-wise adaptive rates (You, Gitman and Ginsburg 2017), as timm has them."""
    from timm.optim import Lars

    from pretask.lean_optimizers import strip_wrappers

    return strip_wrappers(Lars)(groups, lr=lr, momentum=momentum)
