"""Many records: stores as large as one likes, of sound records that compete on the board of a suite.

Every record is a copy of one that was measured, with another learning rate for every entry, another seed within it, and
its own weights, losses and answers to a few test items.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.encoders import RANDOM, RAW, TRAINED
from pretask_bench.records.record import build_record
from pretask_bench.records.store import write
from pretask_bench.sweeps.grid import read_grid
from pretask_bench.sweeps.ledger import Ledger
from pretask_bench.sweeps.planning import Planner
from pretask_registry import Registry

from benchmarks.speed.startup import RECORDS

SEEDS = 3  # records of an entry
CHANGED = 0.05  # part of the test items whose answer is drawn anew


def write_records(folder: Path, measured: Path, count: int, first: int = 0) -> None:
    """Write so many records.

    Args:
        folder: Of the store.
        measured: Folder of records to begin with, of which those of seed 0 are taken: of others, copies would be of
            the same cells.
        count: How many are written.
        first: Number of the first; records of other numbers differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = [path.read_text() for path in sorted(measured.glob("*.json"))]
    templates = [text for text in texts if json.loads(text)["cell"]["seed"] == 0]
    for number in range(first, first + count):
        content = canonical_bytes(vary(json.loads(templates[number % len(templates)]), number // len(templates)))
        (folder / f"{sha256(content).hexdigest()}.json").write_bytes(content)


def record_grid(grid: Path, folder: Path) -> None:
    """Write a record of every cell of a grid, with the numbers of another one."""
    folder.mkdir(parents=True, exist_ok=True)
    template = json.loads(next(iter(sorted(RECORDS.glob("*.json")))).read_text())
    for cell in Planner(Registry.load(), read_grid(grid), folder, Ledger(folder)).plan():
        assert cell.described is not None
        rows = [
            {"encoder": encoder, "evaluator": evaluator, "metrics": {"accuracy": 0.5}}
            for evaluator in cell.described.fields["evaluators"]
            for encoder in (TRAINED, RANDOM, RAW)
        ]
        fields = {"cell": cell.described.fields, "code": cell.described.code, "results": rows, "pretext": None}
        write(folder, build_record({**template, **fields, "declared": {}, "duplicates": {}}))


def vary(record: dict[str, Any], number: int) -> Mapping[str, Any]:
    """Return a record as another run would have left it."""
    random = np.random.default_rng(number)
    record["cell"]["recipe"]["lr"] = 1e-3 + 1e-6 * (number // SEEDS)
    record["cell"]["seed"] = number % SEEDS
    record["weights"] = sha256(canonical_bytes(record["cell"])).hexdigest()
    record.pop("duplicates", None)
    losses = record["pretext"]["metrics"]
    record["pretext"]["metrics"] = {name: value * (1 + 1e-3 * random.random()) for name, value in losses.items()}
    for result in record["results"]:
        if result["encoder"] == TRAINED:
            answer_anew(result, random)
    return record


def answer_anew(result: dict[str, Any], random: np.random.Generator) -> None:
    """Change the answers to a few test items, and the fractions that they make up."""
    for name, items in result["items"].items():
        bits = np.unpackbits(np.frombuffer(b64decode(items["bits"]), np.uint8), count=items["count"])
        changed = random.random(len(bits)) < CHANGED
        bits = np.where(changed, random.random(len(bits)) < bits.mean(), bits).astype(np.uint8)
        items["bits"] = b64encode(np.packbits(bits).tobytes()).decode()
        result["metrics"][name] = float(bits.mean())
