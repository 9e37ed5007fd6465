"""Ranks: how many samples two processes with one thread each train on in the time of one with one thread.

One and two processes take turns, with the same larger network, the same batch and the same steps, of which two ranks
have a half each. `wall` is the ratio of samples a second, which is 2 at best where two cores have nothing else to do;
`cpu` is what it would be if every process had a core of its own: twice the processor time of one over that of both,
which a busy machine hardly moves.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch
from pretask_registry import Registry

from benchmarks.speed.workloads import Workload

RANKS, STEPS, WARM, ROUNDS = 2, 8, 2, 3
TASKS = ("relative-position", "masked-lm")


def measure_ranks(tasks: Sequence[str] = (), rounds: int = ROUNDS) -> dict[str, Any]:
    """Return for each task the ratios of two ranks over one process, the median over rounds."""
    measured = {}
    for task in tasks or TASKS:
        pairs = [(time_processes(task, 1), time_processes(task, RANKS)) for _ in range(rounds)]
        measured[task] = {
            "wall": round(median(one["wall"] / two["wall"] for one, two in pairs), 2),
            "cpu": round(median(RANKS * one["cpu"] / two["cpu"] for one, two in pairs), 2),
            "one ms": round(median(one["wall"] for one, _ in pairs) * 1e3 / STEPS, 1),
            "two ms": round(median(two["wall"] for _, two in pairs) * 1e3 / STEPS, 1),
        }
        print(f"{task:24}{json.dumps(measured[task])}", flush=True)
    return measured


def time_processes(task: str, count: int) -> dict[str, float]:
    """Return wall seconds of some steps on so many ranks, and the processor seconds of all of them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"WORLD_SIZE": f"{count}", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": f"{port}", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.speed.ranks", task]
    processes = []
    for rank in range(count):
        surroundings = {**os.environ, **meeting, "RANK": f"{rank}", "LOCAL_RANK": f"{rank}"}
        place = Path(__file__).parents[2]
        processes.append(subprocess.Popen(command, env=surroundings, cwd=place, stdout=subprocess.PIPE, text=True))
    found = [json.loads(process.communicate()[0]) for process in processes]
    return {"wall": max(one["wall"] for one in found), "cpu": sum(one["cpu"] for one in found)}


def time_steps(task: str) -> dict[str, float]:
    """Return wall and processor seconds of some steps of this process."""
    torch.set_num_threads(1)
    run = Workload(task, "larger").build(Registry.load(), torch.device("cpu"))
    for step in range(WARM + STEPS):
        if step == WARM:
            wall, processor = perf_counter(), process_time()
        run.take_step(run.make_micro_batches(run.fetch(step)))
    return {"wall": perf_counter() - wall, "cpu": process_time() - processor}


if __name__ == "__main__":
    print(json.dumps(time_steps(sys.argv[1])))
