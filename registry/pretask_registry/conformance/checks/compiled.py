"""What torch.compile must not change: what a split makes, and the loss and gradient of a task's first step.

Compared on a batch of 16 with every set of options that is really used (settings.py), because a compiler chooses
another kernel for another size. Networks of the papers' size would take hours on two cores, so the papers' options of
split and objective are tried with a model of its small size; presets are tried whole.
Axes: B batch.
"""

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from pretask import Batch, Loss, Samples, Task
from pretask.compiled import as_tensors, compare_split, keep_buffers, name_suspects
from pretask.training import ApplySplit, MicroBatch, Score
from torch import Tensor

from pretask_registry.conformance import material
from pretask_registry.conformance.check import Skip, check, require
from pretask_registry.conformance.checks.models import nudge_weights
from pretask_registry.conformance.double import compute_in_double
from pretask_registry.conformance.kinds import SplitCase, TaskCase
from pretask_registry.conformance.settings import (
    PAPER,
    Setting,
    all_settings,
    compose_large,
    enlarge_for,
    split_options,
)
from pretask_registry.conformance.tensors import shapes_are_checked
from pretask_registry.resolve import build

SIZE = 16  # samples of a batch
MAX_RELATIVE_ERROR = 1e-3  # of a loss or a gradient: float32 sums in another order, through a whole network
MIN_GRADIENT_FRACTION = 1e-5  # of the whole gradient's norm: below it, a parameter's own gradient is rounding
MAX_FLIPPED_ERROR = 2e-2  # of a gradient, where an activation lies at 0 and rounding decides on which side
GRADIENT = "the gradient of "


@check("split")
def compiled_answers_as_eager(case: SplitCase) -> str:
    """Check that, compiled, it gives what it gives without, with the options of the paper and of every preset."""
    tried = 0
    with compiler():
        for name, options in split_options(case.registry, case.registered).items():
            split = build(case.registered, options)
            samples = enlarge_for(split, case.registry, case.where)
            if samples is None:
                continue  # a task's options may be for another modality
            split = material.fit_split(split, samples)
            problem = compare_split(split, material.make_batch(samples, split, SIZE), case.seed)
            detail = f"with the options of {name} it gives {problem}{name_suspects(split)}"
            require(not problem, f"A compiled split must answer as the eager one; {detail}.")
            tried += 1
    if not tried:
        raise Skip(f"No options of {case.id} fit canned data.")
    return f"{tried} sets of options"


@check("task")
def compiled_step_answers_as_eager(case: TaskCase) -> str:
    """Check that its first step, compiled, has the eager loss and gradient, as in the paper and every preset."""
    settings = dict(all_settings(case.registry, case.registered))
    with compiler():
        for name, setting in settings.items():
            affordable = with_small_model(setting) if name == PAPER else setting
            task, samples = compose_large(affordable, case.registry, case.seed)
            problem = compare_first_step(task, samples, case.seed)
            detail = f"with the options of {name}, {problem}{name_suspects(task.split)}"
            require(not problem, f"A compiled step must answer as the eager one; {detail}.")
    return f"{len(settings)} sets of options"


@contextmanager
def compiler() -> Iterator[None]:
    """Compile inside, without the warnings that are the compiler's own.

    Raises:
        Skip: There is no C++ compiler, or this process checks the shapes of its tensors.
    """
    if shapes_are_checked():
        raise Skip("What checks the shapes of this process cannot be traced: pretask check compiles it in its own.")
    if not shutil.which(os.environ.get("CXX", "g++")):
        raise Skip("torch.compile needs a C++ compiler on a CPU: install g++, or set CXX.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def with_small_model(setting: Setting) -> Setting:
    """Return the same parts and options, but for a model of its small size."""
    return replace(setting, options={**setting.options, "model": setting.parts["model"].component.small})


def compare_first_step(task: Task, samples: Samples, seed: int) -> str:
    """Say how loss or gradient of a first step differ when it is compiled; empty where they agree.

    Weights are a step away from where they began, so that no gradient is 0 by the way that it was initialized. Dropout
    is on: a compiled step that is set to draws as an eager one. A gradient may be further off where an activation is
    at 0 and rounding decides on which side; then both must agree in float64.
    """
    for part in (task.model, task.objective):
        nudge_weights(part.train())
    batch = material.make_batch(samples, task.split, SIZE)
    problem = compare_steps(task, batch, seed, MAX_RELATIVE_ERROR)
    if problem and not compare_steps(task, batch, seed, MAX_FLIPPED_ERROR):
        return compare_steps(compute_in_double(task), batch, seed, MAX_RELATIVE_ERROR)
    return problem


def compare_steps(task: Task, batch: Batch, seed: int, max_error: float) -> str:
    """Say which number of a step differs when it is compiled; empty where none does.

    The loss is that of x and y as the compiled split gives them. Gradients are of the same x and y in both, since a
    last digit of x moves the gradient of a first layer by a thousandth: splits are compared by themselves.

    Args:
        task: As it is trained.
        batch: Of samples.
        seed: Of draws and dropout.
        max_error: Of a gradient, as a fraction of its size; losses may differ by MAX_RELATIVE_ERROR.
    """
    apply_split, score = ApplySplit(task), Score(task)
    torch._dynamo.reset()  # after eight tasks in one process this code would be run eagerly, without a word
    compiled = torch.compile(score, options={"fallback_random": True})
    eager, other = (measure_step(task, apply_split, step, batch, seed) for step in (score, compiled))
    whole_step = measure_step(task, torch.compile(apply_split), compiled, batch, seed)
    other |= {name: value for name, value in whole_step.items() if not name.startswith(GRADIENT)}
    whole = torch.stack([value.norm() for value in eager.values()]).norm()
    for name, value in eager.items():
        allowed = max_error if name.startswith(GRADIENT) else MAX_RELATIVE_ERROR
        bound = allowed * value.norm() + MIN_GRADIENT_FRACTION * whole
        error = (other[name] - value).norm()
        if not error <= bound:
            return f"{name} differs by {float(error):.3g} from its {float(value.norm()):.3g}"
    return ""


def measure_step(
    task: Task, apply_split: Callable[..., Any], score: Callable[..., Loss], batch: Batch, seed: int
) -> dict[str, Tensor]:
    """Measure the loss, its parts and the gradient of every parameter, by name; put back the buffers that moved."""
    network = Score(task)
    network.zero_grad()
    torch.manual_seed(seed)
    key = as_tensors(batch, seed, 0)
    inputs, targets = apply_split(batch, *key)
    with keep_buffers(network):
        loss = score(MicroBatch(inputs, targets, batch.index, *key))
        torch.autograd.backward(loss.total)
    values = {"the loss": loss.total, **{f"the part {name}": value for name, value in loss.parts.items()}}
    for name, parameter in network.named_parameters():
        if parameter.grad is not None:
            values[f"{GRADIENT}{name}"] = parameter.grad
    return {name: value.detach().clone() for name, value in values.items()}
