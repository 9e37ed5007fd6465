"""Extraction: the features of all layers, pooled, beside the forward pass of the same encoder on inputs that are ready.

The bare pass computes the same layers and throws them away; ours fetches, prepares and pools as well. Nothing is
cached. `ratio` is the time of the bare pass over ours.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pretask import Budget, Samples, Task
from pretask.extraction import extract
from pretask.pretext_score import evaluation_mode
from pretask_registry import Registry

from benchmarks.speed.race import judge, print_heading, print_race, race
from benchmarks.speed.workloads import LARGER, Workload

GOAL = 0.95
BATCH, BATCHES = 16, 2
TASKS = ("colorization", "masked-lm", "causal-lm", "masked-speech", "sequence-verification", "relative-position")


def measure_extraction(device: torch.device, tasks: tuple[str, ...] = (), **options: Any) -> Mapping[str, Any]:
    """Return for the larger network of every task how much of the time of an extraction is its forward pass."""
    registry, measured = Registry.load(), {}
    print_heading(theirs="bare ms")
    for task in tasks or TASKS:
        run = Workload(task, "larger").build(registry, device)
        ours, bare = find_works(run.task, run.feed.samples, device)
        name = f"{task}, {LARGER[task][0]}"
        measured[name] = judge(race(ours, bare, device, **options), GOAL)
        print_race(name, measured[name])
    return measured


def find_works(task: Task, samples: Samples, device: torch.device) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return the work of extraction, and that of bare forward passes over the same samples."""
    some = samples.some(slice(0, BATCH * BATCHES), "some")
    budget = Budget(batch=BATCH)
    ready = [task.split.whole(batch) for batch in some.batches(BATCH, device)]

    def forward() -> None:
        with evaluation_mode(task), torch.no_grad():
            for inputs in ready:
                task.model(inputs, layers=True)

    return lambda: extract(task, some, budget), forward
