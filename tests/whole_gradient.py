"""The gradient of one optimizer step of every built-in task, for tests of accumulation and of several ranks.

Run by `torch.distributed.run` it writes the gradients of rank 0 to a file: FILE.
"""

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import torch
from pretask import Draws, Recipe, Samples, Task
from pretask.checkpoint import Progress
from pretask.composition import compose
from pretask.training import Run
from pretask_registry import Registry, build, resolve_options
from pretask_registry.canned import share_canned_samples
from pretask_registry.conformance.double import compute_in_double
from pretask_registry.conformance.material import declared_parts, find_modality, fit_split
from pretask_registry.registry import Registered
from torch import Tensor, nn

REGISTRY = Registry.load()


def compares_samples(task: Registered) -> bool:
    """Whether a sample's loss is against the others of its batch, as InfoNCE's: no sum of parts."""
    traits = declared_parts(REGISTRY, task)["objective"].component.traits
    return traits["depends_on_batch"] or "agreement" in traits["targets"]


BUILT_IN = [task for task in REGISTRY.current("task") if task.namespace == "pretask"]
TASKS = sorted(task.id for task in BUILT_IN if not compares_samples(task))
SIZE = 32  # samples of the step
DOUBLE = torch.float64


def uneven(samples: Samples) -> Samples:
    """The samples with padding that differs from one to the next, where tokens or sound can have it."""
    if samples.data.ndim != 2:
        return samples
    length = samples.data.shape[1]
    kept = Draws(torch.arange(len(samples))).integers("length", length // 4, length + 1)
    present = torch.arange(length) < kept[:, None]
    vocabulary = samples.observed.vocabulary
    filler = 0 if vocabulary is None else vocabulary.id("pad") or 0
    return replace(samples, data=samples.data.where(present, filler), present=present)


@cache
def prepared(name: str, dtype: torch.dtype) -> tuple[Task, Samples]:
    """A task at its small size with uneven samples: no dropout, batch normalization in evaluation mode."""
    parts = declared_parts(REGISTRY, REGISTRY.find("task", name))
    samples = uneven(share_canned_samples(find_modality(REGISTRY, parts)))
    task = small(parts, samples, Recipe(batch=SIZE, samples=SIZE, channels_last=False))
    if dtype is DOUBLE:
        task = compute_in_double(task)
    return task, samples


def gradient(name: str, accumulate: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """The whole gradient of the first step."""
    task, samples = prepared(name, dtype)
    task = replace(task, recipe=replace(task.recipe, accumulate=accumulate))
    run = Run(task, samples, 0, None, Progress(""), None)
    run.differentiate(run.make_micro_batches(run.fetch(0)))
    return torch.cat([parameter.grad.flatten() for parameter in run.parameters if parameter.grad is not None])


def small(parts: Mapping[str, Registered], samples: Samples, recipe: Recipe) -> Task:
    built = {kind: build(part, {**part.component.small, **without_dropout(part)}) for kind, part in parts.items()}
    made = compose(samples.observed, fit_split(built["split"], samples), built["model"], built["objective"], recipe)
    for module in [*made.model.modules(), *made.objective.modules()]:
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()
    return made


def without_dropout(part: Registered) -> dict[str, float]:
    return {"dropout": 0.0} if "dropout" in resolve_options(part, {}) else {}


if __name__ == "__main__":
    from accelerate import PartialState

    torch.set_num_threads(1)
    found = {name: gradient(name, accumulate=2, dtype=DOUBLE) for name in TASKS}
    if PartialState().is_main_process:
        torch.save(found, sys.argv[1])
