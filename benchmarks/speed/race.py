"""Race: two ways to do the same in turn, so that what else the machine does slows both.

A round times ours, theirs and ours again; a ratio is taken within a round, and the median over rounds counts. Ours over
ours is the noise.
"""

import importlib
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch
from pretask import PretaskError

SECONDS, ROUNDS = 0.3, 5  # of a way in a round; rounds
CPU = torch.device("cpu")
Work = Callable[[], object]
Times = tuple[float, float]  # CPU and wall seconds


def race(
    ours: Work, theirs: Work, device: torch.device = CPU, *, seconds: float = SECONDS, rounds: int = ROUNDS
) -> dict[str, float]:
    """Time two ways in turn.

    Returns:
        How often ours is done in the time of theirs, by CPU time of the whole process (on a GPU by wall time; medians,
        the lowest and the highest) and by wall time; the noise; milliseconds of either.
    """
    counts = [max(1, int(seconds / max(time_work(work, 2, device)[0], 1e-7))) for work in (ours, theirs)]
    plan = [(ours, counts[0]), (theirs, counts[1]), (ours, counts[0])]
    times = [[time_work(work, count, device) for work, count in plan] for _ in range(rounds)]
    return summarize(times, way=0 if device.type == "cpu" else 1)


def time_work(work: Work, count: int, device: torch.device = CPU) -> Times:
    """Return CPU and wall seconds of one of `count` calls; on a GPU after it is done."""
    synchronize(device)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(count):
        work()
    synchronize(device)
    return (time.process_time() - cpu) / count, (time.perf_counter() - wall) / count


def whole_groups(steps: int, together: int) -> int:
    """Return how many steps to time, at least so many: those that are split together all or not at all.

    >>> whole_groups(15, 4)
    16
    """
    return -(-steps // together) * together


def synchronize(device: torch.device) -> None:
    """Wait until a GPU is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def summarize(rounds: list[list[Times]], way: int = 0) -> dict[str, float]:
    """Return medians over rounds of (ours, theirs, ours).

    Args:
        rounds: CPU and wall seconds of each.
        way: What counts: 0 for CPU time, 1 for wall time.
    """
    ratios, on_wall = ([2 * theirs[at] / (first[at] + last[at]) for first, theirs, last in rounds] for at in (way, 1))
    return {
        "ratio": round(median(ratios), 3),
        "lowest": round(min(ratios), 3),
        "highest": round(max(ratios), 3),
        "ratio_wall": round(median(on_wall), 3),
        "noise": round(median(first[way] / last[way] for first, _, last in rounds), 3),
        "ours_ms": round(1e3 * median((first[way] + last[way]) / 2 for first, _, last in rounds), 4),
        "theirs_ms": round(1e3 * median(theirs[way] for _, theirs, _ in rounds), 4),
    }


def race_best(ours: Work, theirs: Mapping[str, Work], device: torch.device = CPU, **options: Any) -> dict[str, Any]:
    """Race against the ways that somebody else's code offers; the fastest of them counts, the others are named."""
    found = {name: race(ours, work, device, **options) for name, work in theirs.items()}
    best = min(found, key=lambda name: found[name]["ratio"])
    others = {name: found[name]["ratio"] for name in found if name != best}
    return {**found[best], "against": best, "others": others}


def judge(found: Mapping[str, Any], goal: float | None) -> dict[str, Any]:
    """Return what was found with its goal, and whether it is met."""
    return {**found, "goal": goal, "met": None if goal is None else found["ratio"] >= goal}


def print_race(name: str, found: Mapping[str, Any]) -> None:
    """Print one line of a table."""
    goal = "" if found.get("goal") is None else f"{found['goal']:g}{'' if found['met'] else ' missed'}"
    line = "{:44}{ratio:8.2f} {:>12} {ratio_wall:8.2f} {noise:8.3f} {ours_ms:11.3f} {theirs_ms:11.3f}"
    print(line.format(name, goal, **found), flush=True)


def print_heading(ours: str = "ours ms", theirs: str = "theirs ms") -> None:
    """Print what the columns of `print_race` are."""
    print(f"{'':44}{'ratio':>8} {'goal':>12} {'(wall)':>8} {'noise':>8} {ours:>11} {theirs:>11}", flush=True)


def require_peer(module: str, install: str) -> Any:
    """Import somebody else's library, which is no dependency of ours.

    Raises:
        PretaskError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise PretaskError(
            "this measurement",
            install,
            f"no module {error.name}",
            f"Install it in an environment of its own: pip install -e '.[all]' {install}",
            exit_code=2,
        ) from error
