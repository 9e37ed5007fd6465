"""Steps: which part of a step's time is the network's. The rest is data, draws, split, seeds and bookkeeping.

The step share is the time of forward of model and objective, backward, clipping and optimizer on tensors that are
ready, over that of a whole step, fetching its samples included. Both alternate in one process, a few steps at a time,
in whole groups of those that are made before the first of them is trained, and a ratio is taken within a round; the
model-only steps of a round are timed before and after the whole ones, and the ratio of these two is the noise. CPU time
(of all threads of the process) is what counts where other programs share the machine; wall time stands beside it. On a
GPU both are taken after the device is done.
"""

from collections.abc import Iterable
from statistics import median
from typing import Any

import torch
from pretask.training import MicroBatch, Run
from pretask_registry import Registry

from benchmarks.speed.operations import score_and_differentiate
from benchmarks.speed.race import Times, time_work
from benchmarks.speed.workloads import Workload

READY = 4  # batches that model-only steps take in turn, so that none lies in a cache
WARMUP_STEPS = 2
ROUND_SECONDS = 0.4  # of model-only steps in a round, about
ROUNDS = 5


def measure_steps(workloads: Iterable[Workload], device: torch.device, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return for every workload the share of a step that is the network's, by CPU and by wall time."""
    registry, measured = Registry.load(), {}
    print(f"{'':36}share (CPU)  (wall)  model/model (CPU)   model-only ms   whole ms")
    for workload in workloads:
        found = measure_share(workload.build(registry, device), rounds)
        line = "{:36}{share:11.3f} {share_wall:7.3f} {noise:18.3f} {model_only_ms:15.2f} {step_ms:10.2f}"
        print(line.format(str(workload), **found), flush=True)
        measured[str(workload)] = found
    return measured


def measure_share(run: Run, rounds: int) -> dict[str, float]:
    """Measure the step share of one run: medians over rounds."""
    run.gradients.is_decided = True
    ready = [run.make_micro_batches(run.fetch(step)) for step in range(READY)]
    counter, steps = iter(range(1 << 30)), run.iterate_steps(0, 1 << 30)

    def model_only() -> None:
        step_on_ready(run, ready[next(counter) % READY])

    def whole() -> None:
        run.take_step(next(steps))
        run.progress.step += 1

    time_work(model_only, WARMUP_STEPS, run.task.device)
    steps_of_a_round = ROUND_SECONDS / time_work(model_only, WARMUP_STEPS, run.task.device)[0]
    if run.waiting > steps_of_a_round:  # slow steps, to which it is all the same how many wait
        run.waiting = run.together
    time_work(whole, WARMUP_STEPS * run.waiting, run.task.device)
    count = run.waiting * max(1, round(steps_of_a_round / run.waiting))  # a group is timed as a whole, or not at all
    times: list[tuple[Times, Times, Times]] = []
    for _ in range(rounds):
        before, full, after = (time_work(work, count, run.task.device) for work in (model_only, whole, model_only))
        times.append((before, full, after))
    return summarize(times)


def step_on_ready(run: Run, micro_batches: list[MicroBatch]) -> None:
    """Make a step on x and y that are ready."""
    score_and_differentiate(run, micro_batches)
    run.update()


def summarize(times: list[tuple[Times, Times, Times]]) -> dict[str, float]:
    """Return medians of ratios within a round: the share, and of model-only steps to themselves."""
    shares = [[(before[way] + after[way]) / 2 / full[way] for before, full, after in times] for way in (0, 1)]
    return {
        "share": round(median(shares[0]), 4),
        "share_lowest": round(min(shares[0]), 4),
        "share_highest": round(max(shares[0]), 4),
        "share_wall": round(median(shares[1]), 4),
        "noise": round(median(before[0] / after[0] for before, _, after in times), 4),
        "model_only_ms": round(1e3 * median((before[0] + after[0]) / 2 for before, _, after in times), 3),
        "step_ms": round(1e3 * median(full[0] for _, full, _ in times), 3),
    }
