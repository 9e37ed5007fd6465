"""Cells of sweeps that nobody trains: grids on the digits, and the records that their cells would leave."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench.conftest import FACTS
from pretask_bench.records.record import Record, build_record
from pretask_bench.records.store import write
from pretask_bench.sweeps.grid import GridFile
from pretask_bench.sweeps.ledger import Ledger
from pretask_bench.sweeps.planning import PlannedCell, Planner
from pretask_registry import Registry

FIXED: dict[str, Any] = {"task": "vae", "preset": "small", "data": "digits", "recipe.samples": 512}


def plan_cells(registry: Registry, out: Path, **fields: Any) -> list[PlannedCell]:
    """Plan a grid on the digits."""
    return make_planner(registry, out, **fields).plan()


def make_planner(registry: Registry, out: Path, **fields: Any) -> Planner:
    """What plans a grid on the digits."""
    file = GridFile.model_validate({**fields, "fixed": {**FIXED, **fields.get("fixed", {})}})
    return Planner(registry, file, out / "records", Ledger(out / "sweeps" / "grid"))


def record_of(cell: PlannedCell, **changes: Any) -> Record:
    """The record of a cell, with made-up numbers."""
    assert cell.described is not None
    facts = copy.deepcopy(FACTS)
    rows = [
        {"encoder": encoder, "evaluator": evaluator, "metrics": {"accuracy": 0.5}}
        for evaluator in cell.described.fields["evaluators"]
        for encoder in ("trained", "random-init", "raw-input")
    ]
    provenance = {
        **facts["provenance"],
        "stages": {"pretrain": 4.0, "knn.trained": 1.0, "pretext": 0.5},
        "samples": 256,
        "peak_memory": 1 << 30,
    }
    fields = {**facts, "cell": cell.described.fields, "results": rows, "code": cell.described.code}
    return build_record({**fields, "provenance": provenance, "pretext": None, **changes})


def record_cells(out: Path, cells: Iterable[PlannedCell]) -> None:
    """Write the records of cells."""
    for cell in cells:
        write(out / "records", record_of(cell))
