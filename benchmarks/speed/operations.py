"""Operations: how many kernels a step starts, and how many of them the network needs. The machine's load is no matter.

Counted are calls below autograd: those that compute or copy. Not counted are views, memory that is only allocated, and
the optimizer, which does the same work in both. A draw of random numbers is one. So is, on a CPU, whatever we have
registered as an operation, such as the colors of exemplar: what a split issues on other devices, where that is many,
stands beside it, counted on tensors that have a shape and no numbers.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from pretask import Draws
from pretask.training import MicroBatch, Run
from pretask_registry import Registry
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.speed.workloads import ENDLESS, Workload

FREE = {
    "_unsafe_view",
    "empty",
    "empty_like",
    "empty_strided",
    "new_empty",
    "new_empty_strided",
    "lift_fresh",
    "transpose_",
}


class CountOperations(TorchDispatchMode):
    """Counts by name what is computed inside."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = function.overloadpacket.__name__
        if not (function.is_view or name in FREE):
            self.counts[name] += 1
        return function(*args, **(kwargs or {}))


def measure_operations(workloads: Iterable[Workload], device: torch.device) -> dict[str, Any]:
    """Return for every workload the operations of a whole step, those of model and objective, and what is more."""
    registry, measured = Registry.load(), {}
    for workload in workloads:
        run = workload.build(registry, device)
        whole, model_only = count_step(run)
        step, needed = sum(whole.values()), model_only.total()
        found = {
            "split elsewhere": count_split(run, torch.device("meta")),
            "step": round(step, 2),
            "model_only": needed,
            "more": round(step - needed, 2),
            "ratio": round(step / needed, 3),
        }
        more = list_difference(whole, model_only)
        row = "{:36}{step:8.1f} {model_only:6} {more:+7.1f} {ratio:6.2f} {split elsewhere:5}   "
        print(row.format(str(workload), **found) + more, flush=True)
        measured[str(workload)] = {**found, "what": more}
    return measured


def count_step(run: Run) -> tuple[Mapping[str, float], Counter[str]]:
    """Count what a whole step computes, and what model and objective do on tensors that are ready; without optimizer.

    Of steps that are split together it is the mean. Some go before: what is built once is not of every step. Gradients
    are watched for the first half second of a run only, and are not here.
    """
    run.gradients.is_decided = True
    run.waiting = run.together  # whole groups are counted
    steps = run.iterate_steps(0, ENDLESS)
    for number in range(run.together):  # those that are made together
        run.progress.step = number
        run.differentiate(next(steps))
    ready = run.make_micro_batches(run.fetch(run.together))
    model_only = count(lambda: score_and_differentiate(run, ready))
    whole = count(lambda: [run.differentiate(next(steps)) for _ in range(run.together)])
    return {name: number / run.together for name, number in whole.items()}, model_only


def count_split(run: Run, device: torch.device) -> int:
    """Count what the split of a step computes on a device; on `meta` what it does on any that is not a CPU."""
    (batch, epoch), *_ = run.fetch(0)
    moved = batch.to(device)

    def split() -> None:
        run.task.apply_split(moved, Draws(moved.index, run.seed, epoch))

    split()  # what is built once is not counted
    return count(split).total()


def count(work: Callable[[], object]) -> Counter[str]:
    """Count what a call computes, by name."""
    with CountOperations() as mode:
        work()
    return mode.counts


def score_and_differentiate(run: Run, micro_batches: list[MicroBatch]) -> None:
    """Do what no step can do without: score and differentiate x and y that are ready."""
    run.optimizer.zero_grad(set_to_none=True)
    for micro_batch in micro_batches:
        run.raw_score(micro_batch).total.backward()


def list_difference(whole: Mapping[str, float], model_only: Mapping[str, int]) -> str:
    """Say of which operations a whole step has more, most first."""
    more = {name: number - model_only.get(name, 0) for name, number in whole.items()}
    ordered = sorted(more.items(), key=lambda pair: -pair[1])
    return ", ".join(f"{number:.3g} {name}" for name, number in ordered if number > 0)
