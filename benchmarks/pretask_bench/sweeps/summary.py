"""Summary: a planned sweep in numbers: cells of each state, what they share, what they will take; and as rows."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pretask.progress import format_time
from pretask.room import format_bytes

from pretask_bench.records.ids import short_name
from pretask_bench.runs.plan import KINDS
from pretask_bench.sweeps.grid import EVALUATE, SEED, TASK
from pretask_bench.sweeps.past import Estimate
from pretask_bench.sweeps.planning import STATES, PlannedCell

Estimates = Mapping[int, Estimate]  # by the number of a cell
NAMES = (TASK, *KINDS)  # choices whose values are ids


@dataclass(frozen=True)
class Cost:
    """What the cells that are to run will take.

    Args:
        seconds: Of all that can be estimated, one after the other.
        unknown: Cells that nothing is known of.
        memory: Bytes at most at once, of one cell.
    """

    seconds: float
    unknown: int
    memory: int | None


def to_run(cells: Sequence[PlannedCell]) -> list[PlannedCell]:
    """Return the cells that are to run."""
    return [cell for cell in cells if cell.state == "to run"]


def count_trainings(cells: Sequence[PlannedCell]) -> int:
    """Return how many trainings the cells that are to run need, beside those that are recorded."""
    trained = {cell.pretrain for cell in cells if cell.state == "done"}
    return len({cell.pretrain for cell in to_run(cells)} - trained)


def count_extractions(cells: Sequence[PlannedCell]) -> tuple[int, int]:
    """Return how often features are extracted for the cells that are to run, and how many of these read them."""
    reading = [cell for cell in to_run(cells) if reads_features(cell)]
    keys = {cell.described.keys.features if cell.described is not None else cell.name for cell in reading}
    return len(keys), len(reading)


def reads_features(cell: PlannedCell) -> bool:
    """Return whether an evaluator of a cell needs the encoder."""
    evaluators = cell.plan.evaluators if cell.plan is not None else ()
    return any(evaluator.component.traits["needs"] != "objective" for evaluator in evaluators)


def total_cost(cells: Sequence[PlannedCell], estimates: Estimates) -> Cost:
    """Return what the cells that are to run will take; a training that several share once."""
    seconds, unknown, memory = 0.0, 0, 0
    trained = {cell.pretrain for cell in cells if cell.state == "done"}
    for cell in to_run(cells):
        estimate = estimates.get(cell.number, Estimate())
        trains = cell.pretrain not in trained
        trained.add(cell.pretrain)
        known = [part for part in (estimate.pretrain if trains else None, estimate.measure) if part is not None]
        seconds += sum(known)
        unknown += not known
        memory = max(memory, estimate.memory or 0)
    return Cost(seconds, unknown, memory or None)


def describe(cells: Sequence[PlannedCell], estimates: Estimates, jobs: int) -> list[str]:
    """Return what there is to say of a planned sweep, in lines."""
    counts = Counter(cell.state for cell in cells)
    states = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
    lines = [f"{len(cells)} cells: {states or 'none'}"]
    if left := to_run(cells):
        extractions, reading = count_extractions(cells)
        lines.append(
            f"{count_trainings(cells)} trainings for {len(left)} cells, "
            f"{extractions} extractions of features for {reading}"
        )
        lines.append(describe_cost(total_cost(cells, estimates), len(left), jobs))
    return lines


def describe_cost(cost: Cost, cells: int, jobs: int) -> str:
    """Return a line of what cells will take.

    >>> describe_cost(Cost(120.0, 1, 1 << 30), 4, 2)
    'about 0:01:00 with 2 at once, without 1 cell of which no record tells (--calibrate), at most 1.0 GiB each'
    """
    if cost.unknown == cells:
        return "no record tells how long they take (--calibrate tries a few steps of each)"
    cell = "cell" if cost.unknown == 1 else "cells"
    unknown = f", without {cost.unknown} {cell} of which no record tells (--calibrate)" if cost.unknown else ""
    memory = f", at most {format_bytes(cost.memory)} each" if cost.memory else ""
    together = f" with {jobs} at once" if jobs > 1 else ""
    return f"about {format_time(cost.seconds / jobs)}{together}{unknown}{memory}"


def find_varying(cells: Sequence[PlannedCell]) -> list[str]:
    """Return the choices that not all cells make alike, of those that make them; the seed last."""
    values: dict[str, set[str]] = {}
    for cell in cells:
        for name, value in cell.choices.items():
            values.setdefault(name, set()).add(repr(value))
    varying = [name for name in values if len(values[name]) > 1]
    return [*(name for name in varying if name != SEED), *(name for name in varying if name == SEED)]


def format_choice(name: str, value: Any) -> str:
    """Return the value of a choice as people read it.

    >>> format_choice("split", "pretask/whole@1"), format_choice("evaluate", ("pretask/knn@1",))
    ('whole', 'knn')
    >>> format_choice("model.hidden", [64, 64])
    '64,64'
    """
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        return ",".join(format_choice(name, one) for one in value)
    return short_name(value) if name in (*NAMES, EVALUATE) and isinstance(value, str) else str(value)


def title_of(cell: PlannedCell, varying: Sequence[str]) -> str:
    """Return a line that tells a cell from others: its number, and what varies."""
    words = [
        format_choice(name, cell.choices[name])
        if name in (*NAMES, EVALUATE)
        else f"{name}={format_choice(name, cell.choices[name])}"
        for name in varying
        if name in cell.choices
    ]
    return " ".join([f"{cell.number}", *words])


def rows_of(cells: Sequence[PlannedCell], estimates: Estimates) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return headings and rows of a table of cells."""
    varying = find_varying(cells)
    rows = [
        (
            str(cell.number),
            *(format_choice(name, cell.choices.get(name)) for name in varying),
            cell.state,
            format_estimate(estimates.get(cell.number)),
            cell.why,
        )
        for cell in cells
    ]
    return ["cell", *varying, "state", "seconds", "why"], rows


def format_estimate(estimate: Estimate | None) -> str:
    """Return the seconds of a cell, those of its training first; "" where nothing is known."""
    if estimate is None or (estimate.pretrain is None and estimate.measure is None):
        return ""
    return " + ".join("?" if part is None else f"{part:.1f}" for part in (estimate.pretrain, estimate.measure))


def as_json(cell: PlannedCell, estimate: Estimate | None) -> dict[str, Any]:
    """Return a cell as JSON holds it."""
    return {
        "cell": cell.number,
        "choices": dict(cell.choices),
        "state": cell.state,
        "why": cell.why,
        "keys": asdict(cell.described.keys) if cell.described is not None else None,
        "record": str(cell.record) if cell.record is not None else None,
        "estimate": None if estimate is None else estimate._asdict(),
    }
