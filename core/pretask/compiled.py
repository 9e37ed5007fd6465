"""Compiled: what torch.compile makes of a split and of a step, held against what they are without it.

A compiler may be wrong, and then a run trains on something else than its record says (miscompilations.py). So a
compiled run is checked on its first batch, and the conformance kit checks every split and task.
Axes: B batch.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from pretask.composition import seed_randomness
from pretask.draws import Draws
from pretask.errors import PretaskError
from pretask.miscompilations import find_suspects, is_of_this_torch
from pretask.protocols import SplitFn
from pretask.values import Batch, Inputs, Loss, Targets, name_outputs

if TYPE_CHECKING:
    from pretask.training import ApplySplit, MicroBatch, Score

# A compiled kernel rounds otherwise: a normal draw differs by 5e-7, the logarithm of a faint spectrum by 1e-5.
MAX_OUTPUT_ERROR = 1e-4  # of numbers around 1, absolute and relative
# Where rounding decides which of two nearest colors or pixels it is, a place may differ; a fault differs in far more.
MAX_FLIPPED_FRACTION = 1e-3
# A mean over a batch, through a whole network: float32 sums in another order, of bfloat16 with 8 bits of mantissa.
MAX_LOSS_ERROR = {"fp32": 1e-3, "tf32": 1e-2, "bf16": 3e-2}  # relative

Epoch = int | Tensor
Divided = Callable[..., tuple[Inputs, Targets]]


def check_compiled(apply_split: "ApplySplit", score: "Score", batch: Batch, seed: int | Tensor, epoch: Epoch) -> None:
    """Raise PretaskError unless a compiled step answers as the eager one does, on a run's first batch.

    x and y are compared output by output. The loss is compared where it follows from its arguments: not where two
    ambient seeds give two losses, since compiled dropout draws otherwise than eager dropout. Weights, buffers and
    random states are left as they were.

    Args:
        apply_split: Compiled in place (`apply_split.compile()`).
        score: Likewise, in the mode in which it will be trained.
        batch: As it comes from the data.
        seed: As the step will get it.
        epoch: Likewise.
    """
    task, given = score.task, (batch, *as_tensors(batch, seed, epoch))
    problem = compare_outputs(apply_split.forward, apply_split, given, MAX_FLIPPED_FRACTION)
    problem = problem or compare_loss(score, apply_split.forward(*given), given, MAX_LOSS_ERROR[task.recipe.precision])
    if problem:
        raise PretaskError(
            "recipe.compile",
            "a compiled step that answers as the eager one does on the first batch",
            problem + name_suspects(task.split),
            "Set recipe.compile=false.",
        )


def compare_split(split: SplitFn, batch: Batch, seed: int) -> str:
    """Say where x or y of a batch differ between the compiled and the eager split; empty where they agree."""

    def apply_split(batch: Batch, seed: Tensor, epoch: Tensor) -> tuple[Inputs, Targets]:
        return split(batch, Draws(batch.index, seed, epoch).branch("split"))

    torch._dynamo.reset()  # after eight splits in one process this code would be run eagerly, without a word
    return compare_outputs(apply_split, torch.compile(apply_split), (batch, *as_tensors(batch, seed, 0)), 0.0)


def as_tensors(batch: Batch, seed: int | Tensor, epoch: Epoch) -> tuple[Tensor, Tensor]:
    """Seed and epoch as a compiled run hands them over: a number would be another graph for every epoch."""
    epoch = epoch if isinstance(epoch, Tensor) else torch.full((len(batch),), epoch, device=batch.device)
    return torch.as_tensor(seed, device=batch.device), epoch


def compare_outputs(eager: Divided, compiled: Divided, given: tuple[Any, ...], max_flipped: float) -> str:
    """Say where x or y that are made of some arguments differ; empty where they agree.

    Args:
        eager: Without the compiler.
        compiled: The same with it.
        given: Arguments of both.
        max_flipped: The fraction of a tensor's places that may differ.
    """
    return find_difference(name_outputs(*eager(*given)), name_outputs(*compiled(*given)), max_flipped)


def compare_loss(score: "Score", divided: tuple[Inputs, Targets], given: tuple[Any, ...], max_error: float) -> str:
    """Say how the loss of a compiled step differs from the eager one; empty where it agrees or is drawn at random."""
    from pretask.training import MicroBatch

    micro_batch = MicroBatch(*divided, given[0].index, *given[1:])
    with keep_buffers(score):
        with torch.no_grad():
            eager, repeated = (measure(score.forward, micro_batch, ambient) for ambient in (0, 1))
        if eager != repeated:
            return ""
        compiled = measure(score, micro_batch, 0)
    if abs(compiled - eager) <= max_error * max(abs(eager), 1.0):
        return ""
    return f"a loss of {compiled:.5g} where the eager step has {eager:.5g}"


def measure(step: Callable[..., Loss], micro_batch: "MicroBatch", ambient: int) -> float:
    """Compute the loss of a step whose ambient randomness has a seed of its own."""
    with seed_randomness(ambient):
        return float(step(micro_batch).total.detach())


@contextmanager
def keep_buffers(module: nn.Module) -> Iterator[None]:
    """Put buffers, such as running means, back to what they were."""
    before = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)


def find_difference(eager: Mapping[str, Tensor], compiled: Mapping[str, Tensor], max_flipped: float) -> str:
    """Describe the first compiled tensor that differs from the eager one in more places than may; else empty.

    >>> find_difference({"y": torch.arange(4)}, {"y": torch.arange(4).clamp(max=2)}, 0.0)
    'y that differs at 1 of 4 places'
    """
    if eager.keys() != compiled.keys():
        return f"{sorted(compiled)} where the eager split makes {sorted(eager)}"
    for name, one in eager.items():
        other = compiled[name]
        if one.shape != other.shape or one.dtype != other.dtype:
            return f"{name} of {other.dtype} {tuple(other.shape)} where the eager split makes {one.dtype} {one.shape}"
        wrong = int((~compare_tensors(one, other)).sum())
        if wrong > max_flipped * one.numel():
            return f"{name} that differs at {wrong} of {one.numel()} places"
    return ""


def compare_tensors(one: Tensor, other: Tensor) -> Tensor:
    """Return where two tensors agree: integers where they are equal, floats up to rounding."""
    if not one.is_floating_point():
        return one == other
    return torch.isclose(one, other, MAX_OUTPUT_ERROR, MAX_OUTPUT_ERROR, equal_nan=True)


def name_suspects(component: object) -> str:
    """Name the known miscompilations that a component's source may hold, as the end of a sentence; empty where none."""
    return "".join(
        f" (it may be the known miscompilation {entry.name}: {entry.outcome}. {entry.instead})"
        for entry in find_suspects(component)
        if is_of_this_torch(entry)
    )
