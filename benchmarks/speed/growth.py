"""Growth: how CPU time grows with what is given, and the exponent of the power law that fits it.

The probe with samples and with the width of features; `results` (from its index), `board` and finding the records of
one cell with records; `sweep --plan` with cells, none and all of which are recorded, and whose trainings all differ.
Between two sizes the exponent is the slope of log seconds over log size, of all sizes by least squares, once the
seconds of the smallest start (no record at all) are taken off.
"""

import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from pretask_bench.records.cell import Cell
from pretask_bench.records.store import read
from pretask_bench.results.index import find_by_cell
from pretask_plugins.evaluators.probes.logistic import fit_grid
from pretask_registry.conformance.small_data import use_fresh_cache

from benchmarks.speed.many_records import record_grid, write_records
from benchmarks.speed.startup import PRETASK, RECORDS, start_process

SUITE, MEASURED = "lecture", RECORDS.parent / "lecture"  # records that all enter a division of their suite
RECORD_COUNTS = (100, 1000, 10_000)
CELL_COUNTS = (100, 1000, 10_000)
SAMPLES, WIDTHS = (2500, 5000, 10_000, 20_000), (64, 128, 256, 512)
FIXED_SAMPLES, FIXED_WIDTH, CLASSES = 5000, 128, 10
REGULARIZERS = tuple(10 ** (-6 + 11 * place / 44) for place in range(45))
REPEATS = 3
GOALS = {"results": 3.0, "board": 10.0}  # seconds of 10,000 records
NEW, DONE, DIFFERENT = "sweep --plan, new", "sweep --plan, done", "sweep --plan, all differ"
LOOKUPS = 10  # cells whose records are found
PLAN_GOAL = 5.0  # seconds of 10,000 cells


def measure_growth(
    counts: Sequence[int] = RECORD_COUNTS,
    samples: Sequence[int] = SAMPLES,
    widths: Sequence[int] = WIDTHS,
    repeats: int = REPEATS,
    cells: Sequence[int] = CELL_COUNTS,
) -> dict[str, Any]:
    """Return seconds by size, and the exponent, of everything that is measured."""
    measured = {
        "probe, samples": fit_growth({size: time_probe(size, FIXED_WIDTH, repeats) for size in samples}),
        "probe, width": fit_growth({size: time_probe(FIXED_SAMPLES, size, repeats) for size in widths}),
    }
    for name, growth in measured.items():
        print_growth(name, growth)
    with tempfile.TemporaryDirectory() as folder:
        for name, seconds in time_records(Path(folder), counts).items():
            measured[name] = {**fit_growth(seconds, start=seconds[0]), "goal": GOALS[name]}
            measured[name]["met"] = seconds[max(counts)] <= GOALS[name]
            print_growth(name, measured[name])
        measured["records of a cell"] = fit_growth(time_lookups(Path(folder) / "looked-up", counts))
        print_growth("records of a cell", measured["records of a cell"])
        for name, seconds in time_plans(Path(folder) / "sweeps", cells).items():
            measured[name] = {**fit_growth(seconds, start=seconds[1]), "goal": PLAN_GOAL}
            measured[name]["met"] = seconds[max(cells)] <= PLAN_GOAL
            print_growth(name, measured[name])
    return measured


def time_probe(samples: int, width: int, repeats: int) -> float:
    """Return the CPU seconds of a grid of 45 regularizers, the median over repeats."""
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(CLASSES, (samples,), generator=generator)
    centers = 0.3 * torch.randn(CLASSES, width, generator=generator)
    features = centers[label] + torch.randn(samples, width, generator=generator)

    def fit() -> object:
        return fit_grid(features, label, CLASSES, REGULARIZERS)

    fit()  # what is imported and allocated once is of no size
    return median(time_call(fit) for _ in range(repeats))


def time_call(work: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def time_records(folder: Path, counts: Sequence[int]) -> dict[str, dict[int, float]]:
    """Return CPU seconds of `results` and `board` by records; the first reading, which fills the index, apart."""
    store, taken = folder / "records", {name: dict[int, float]() for name in GOALS}
    store.mkdir()
    for before, count in zip((0, 0, *counts), (0, *counts), strict=False):
        write_records(store, MEASURED, count - before, before)
        commands = {
            "results": ("results", str(store), "--format", "csv"),
            "board": ("board", SUITE, str(store), "--out", str(folder / "site")),
        }
        start_process((*PRETASK, *commands["results"]), str(folder))
        for name, command in commands.items():
            taken[name][count] = start_process((*PRETASK, *command), str(folder))[0]
    return taken


def time_lookups(store: Path, counts: Sequence[int]) -> dict[int, float]:
    """Return CPU seconds of finding the records of one cell by records, which the index knows."""
    taken = {}
    with use_fresh_cache():
        for before, count in pairwise((0, *counts)):
            write_records(store, MEASURED, count - before, before)
            cells = [read(path).cell for path in sorted(store.glob("*.json"))[:LOOKUPS]]

            def find(cells: Sequence[Cell] = cells) -> None:
                for cell in cells:
                    list(find_by_cell(store, cell))

            find()  # which adds to the index what it does not know
            taken[count] = time_call(find) / LOOKUPS
    return taken


def time_plans(folder: Path, counts: Sequence[int]) -> dict[str, dict[int, float]]:
    """Return CPU seconds of planning grids by cells, with an empty store and with one that has a record of each.

    Of a single cell first, which is what a start takes. A grid has five seeds and two evaluators for every rate; of the
    last one every cell has a rate of its own.
    """
    folder.mkdir()
    taken: dict[str, dict[int, float]] = {NEW: {}, DONE: {}, DIFFERENT: {}}
    for count in (1, *counts):
        grid, different = folder / f"{count}.toml", folder / f"different{count}.toml"
        fixed = '[fixed]\ntask = "vae"\npreset = "small"\ndata = "digits"\n'
        rest = 'seeds = 5\n[axes]\nevaluate = ["knn", "ridge"]\n' if count > 1 else "[axes]\n"
        grid.write_text(f"{rest}{list_rates(max(1, count // 10))}{fixed}")
        different.write_text(f"[axes]\n{list_rates(count)}{fixed}")
        taken[NEW][count] = time_plan(grid)
        record_grid(grid, grid.with_suffix("") / "records")
        taken[DONE][count] = time_plan(grid)
        taken[DIFFERENT][count] = time_plan(different)
    return taken


def list_rates(count: int) -> str:
    """Return the line of a grid that has so many learning rates."""
    return f'"recipe.lr" = [{", ".join(f"{1e-3 + 1e-6 * number}" for number in range(count))}]\n'


def time_plan(grid: Path) -> float:
    """Return the CPU seconds of planning a grid a second time; its records are in a folder of its name beside it."""
    command = (*PRETASK, "sweep", str(grid), "--plan", "--out", str(grid.with_suffix("")))
    start_process(command, str(grid.parent))
    return start_process(command, str(grid.parent))[0]


def fit_growth(seconds: Mapping[int, float], start: float = 0.0) -> dict[str, Any]:
    """Return seconds by size with the exponent of their growth over what a start takes."""
    points = [(math.log(size), math.log(max(taken - start, 1e-3))) for size, taken in seconds.items() if size]
    slopes = [(high - low) / (right - left) for (left, low), (right, high) in pairwise(points)]
    return {
        "seconds": {str(size): round(taken, 3) for size, taken in seconds.items()},
        "exponent": round(fit_slope(points), 3),
        "last exponent": round(slopes[-1], 3),
    }


def fit_slope(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope of the line nearest to some points.

    >>> fit_slope([(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)])
    2.0
    """
    middle, level = (mean(axis) for axis in zip(*points, strict=True))
    covariance = math.fsum((place - middle) * (value - level) for place, value in points)
    return covariance / math.fsum((place - middle) ** 2 for place, _ in points)


def print_growth(name: str, growth: Mapping[str, Any]) -> None:
    """Print seconds by size, the exponent, and the goal of the largest."""
    goal = "" if "goal" not in growth else f"  goal {growth['goal']:g} s{'' if growth['met'] else ' missed'}"
    print(f"{name:18}exponent {growth['exponent']:5.2f}   {json.dumps(growth['seconds'])}{goal}", flush=True)
