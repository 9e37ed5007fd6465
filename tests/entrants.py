"""Entrants: a small suite, and records that enter it, for tests of the leaderboard."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.measured import pack_items
from pretask_bench.records.record import Record, build_record, record_hash
from pretask_bench.runs.suites import FixedOptions, Suite, SuiteFile

LINEAR = {"evaluator": "linear", "metric": "accuracy", "chance": "majority"}
KNN = {"evaluator": "knn", "metric": "accuracy", "chance": 0.1}
DATA = ("pretask/shapes@1", {"size": 64})
EVALUATORS: dict[str, dict[str, Any]] = {"pretask/linear@1": {"val_fraction": 0.1}, "pretask/knn@1": {"most": 20}}
BASELINES = {"random-init": 0.3, "raw-input": 0.25, "supervised": 0.9}
ITEMS = 100


def suite(
    seeds: int = 1, *, measures: tuple[Mapping[str, Any], ...] = (LINEAR, KNN), changes: Mapping[str, Any] | None = None
) -> Suite:
    """One division, on images, with these changes."""
    division = {"name": "images", "modality": "image", "data": "shapes", "samples": 640, "measures": measures}
    division |= changes or {}
    file = SuiteFile.model_validate({"summary": "Tiny.", "seeds": seeds, "division": [division]})
    evaluators = {name: EVALUATORS[name] for name in (f"pretask/{measure['evaluator']}@1" for measure in measures)}
    return Suite("acme/tiny@1", file, {"images": FixedOptions(*DATA, evaluators)})


def row(evaluator: str, encoder: str, value: float, items: int = ITEMS) -> dict[str, Any]:
    """The row of an evaluator that found this share of the items, with layers and bits."""
    right = np.arange(items) < round(value * items)
    return {
        "encoder": encoder,
        "evaluator": evaluator,
        "metrics": {
            "accuracy": value,
            "majority": 0.1,
            "layer1.accuracy": value / 2,
            "layer2.accuracy": value,
        },
        "items": {"accuracy": pack_items(right, "b" * 32).model_dump()},
    }


def entrant(
    facts: Mapping[str, Any],
    linear: float = 0.5,
    knn: float = 0.5,
    *,
    seed: int = 0,
    task: str = "pretask/jigsaw@1",
    beside: Mapping[str, float] = BASELINES,
    cell: Mapping[str, Any] | None = None,
    items: int = ITEMS,
    **changes: Any,
) -> Record:
    """A record that enters the suite.

    Args:
        facts: A valid record.
        linear: What the probe finds of the trained encoder.
        knn: What neighbours find of it.
        seed: Of the cell.
        task: Full id.
        beside: What both find of the baselines.
        cell: Further changes of the cell.
        items: How many test items there are.
        changes: Of the record.
    """
    shares = {"trained": (linear, knn)} | {encoder: (value, value) for encoder, value in beside.items()}
    rows = [
        row(evaluator, encoder, value, items)
        for encoder, both in shares.items()
        for evaluator, value in zip(EVALUATORS, both, strict=True)
    ]
    own = {
        **facts["cell"],
        "task": task,
        "split": {"id": task, "options": {}},  # a task of its own, for a task alone is but a label
        "data": {"id": DATA[0], "options": DATA[1], "fingerprints": {"train": "a" * 32, "test": "b" * 32}},
        "evaluators": EVALUATORS,
        "recipe": {"samples": 640, "lr": 0.1},
        "seed": seed,
        **(cell or {}),
    }
    trained = sha256(canonical_bytes(own)).hexdigest()  # other cells, other weights and another loss
    pretext = {"metrics": {"order": 1 + int(trained[:8], 16) / 2**38}}  # within what a rerun may differ by
    return build_record({**facts, "cell": own, "results": rows, "weights": trained, "pretext": pretext, **changes})


def named(*records: Record) -> dict[str, Record]:
    """Records by their hash."""
    return {record_hash(record): record for record in records}
