"""Start-up: CPU seconds of whole processes of the command, over those of Python alone, which alternate with them.

Every command is a process of its own with a cache of its own, and does next to nothing: what it costs is its imports.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROUNDS = 3
BARE = ("-c", "pass")
PRETASK = ("-m", "pretask_bench")
RECORDS = Path(__file__).parents[1] / "results" / "quick-2"
# Command: arguments, and seconds over bare Python that are its goal.
COMMANDS: Mapping[str, tuple[tuple[str, ...], float | None]] = {
    "--help": (("--help",), 0.2),
    "list": (("list",), 0.2),
    "show vae": (("show", "vae"), 2.0),
    "run --help": (("run", "--help"), None),
    "run vae, 128 samples": (
        (
            "run",
            "vae",
            "--preset",
            "small",
            "--samples",
            "128",
            "--evaluate",
            "knn",
            "--again",
            "--out",
            "{folder}/run",
        ),
        None,
    ),
    "results, 7 records": (("results", str(RECORDS)), None),
    "board quick, 7 records": (("board", "quick", str(RECORDS), "--out", "{folder}/site"), None),
}


def measure_startup(rounds: int = ROUNDS, names: Sequence[str] = ()) -> dict[str, Any]:
    """Return for every command its CPU seconds over those of bare Python."""
    measured: dict[str, Any] = {}
    print(f"{'':28}{'over bare Python, CPU s':>24}{'goal':>12}{'bare s':>9}{'wall s':>9}")
    for name in names or COMMANDS:
        arguments, goal = COMMANDS[name]
        measured[name] = measure_command(arguments, goal, rounds)
        line = "{:28}{over_bare:24.3f}{:>12}{bare:9.3f}{wall:9.2f}"
        goal_text = "" if goal is None else f"{goal:g}{'' if measured[name]['met'] else ' missed'}"
        print(line.format(name, goal_text, **measured[name]), flush=True)
    return measured


def measure_command(arguments: Sequence[str], goal: float | None, rounds: int) -> dict[str, Any]:
    """Time one command and bare Python in turn."""
    with tempfile.TemporaryDirectory() as folder:
        filled = [argument.format(folder=folder) for argument in arguments]
        start_process((*PRETASK, *filled), folder)  # what is compiled and cached once is not of every start
        times = [(start_process((*PRETASK, *filled), folder), start_process(BARE, folder)) for _ in range(rounds)]
    over = median(ours[0] - bare[0] for ours, bare in times)
    return {
        "over_bare": round(over, 4),
        "bare": round(median(bare[0] for _, bare in times), 4),
        "wall": round(median(ours[1] for ours, _ in times), 3),
        "goal": goal,
        "met": None if goal is None else over <= goal,
    }


def start_process(arguments: Sequence[str], folder: str) -> tuple[float, float]:
    """Run Python with some arguments; return CPU and wall seconds."""
    before, began = os.times(), os.times().elapsed
    environment = os.environ | {"PRETASK_CACHE": f"{folder}/cache", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    after = os.times()
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr[-400:]}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used, after.elapsed - began
