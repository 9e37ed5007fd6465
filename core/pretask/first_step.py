"""First step: whether parts that fit by their specs also train, tried on a few samples.

The step is that of training.py: x and y, features, loss, gradients, update, and what follows an update.
"""

import warnings
from dataclasses import replace
from types import TracebackType
from typing import Any, NamedTuple

from torch import nn

from pretask.composition import Task
from pretask.errors import PretaskError
from pretask.recipe import Recipe
from pretask.samples import Samples
from pretask.stopping import raise_again
from pretask.training import train

FEW = 8  # samples of the step
MAX_ERROR_CHARACTERS = 300


class FirstStep(NamedTuple):
    """How it went; both empty where it works.

    Args:
        crash: Which part failed, with what.
        refusal: What a part, or training itself, needs and did not get, such as something to learn from.
    """

    crash: str = ""
    refusal: str = ""


def try_first_step(task: Task, samples: Samples) -> FirstStep:
    """Train a task for one step on a few samples.

    Where a few give nothing to learn from, that may be chance, so that all are taken before it is said.

    Args:
        task: Trained in place, whatever its recipe.
        samples: What it was composed for; at least a few.
    """
    few = step_once(task, samples, FEW)
    return step_once(task, samples, len(samples)) if few.refusal else few


def step_once(task: Task, samples: Samples, batch: int) -> FirstStep:
    """Train one step on a batch of this size."""
    recipe = Recipe(batch=batch, samples=batch, warmup=0.0, channels_last=False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            train(replace(task, recipe=recipe), samples)
    except PretaskError as error:
        return FirstStep(refusal=str(error))
    except Exception as error:  # whatever a plugin's arithmetic does
        raise_again(error)
        part = find_failing_part(task, error.__traceback__)
        return FirstStep(crash=f"the {part} failed in the first step with {shorten(error)}.")
    return FirstStep()


def shorten(error: Exception) -> str:
    """Return the kind of an error and the first line of its text, without the full stop at its end.

    >>> shorten(IndexError("too many indices.\\nMore of it"))
    'IndexError: too many indices'
    """
    text = (str(error).strip().splitlines() or [""])[0][:MAX_ERROR_CHARACTERS].rstrip(" .")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def find_failing_part(task: Task, trace: TracebackType | None) -> str:
    """Return the part in whose method, or in a method of whose inner modules, an error was raised: the innermost."""
    owners: dict[int, str] = {id(task.split): "split"}
    for name, part in (("objective", task.objective), ("model", task.model)):  # a model within an objective is a model
        submodules = part.modules() if isinstance(part, nn.Module) else ()
        owners |= {id(owner): name for owner in (part, *submodules)}
    found = "update after the gradient"
    while trace is not None:
        frame, trace = trace.tb_frame, trace.tb_next
        caller: Any = frame.f_locals.get("self")
        if caller is not None and id(caller) in owners:
            found = owners[id(caller)]
        elif isinstance(caller, Task) and frame.f_code.co_name == "apply_split":
            found = "split"
        elif frame.f_code.co_name == "backward":
            found = "gradient of the loss"
    return found
