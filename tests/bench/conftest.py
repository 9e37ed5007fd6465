import copy
import json
from typing import Any

import pytest

# One small record, complete in every field, as a stranger might send it.
FACTS: dict[str, Any] = {
    "record": 1,
    "status": "complete",
    "error": None,
    "cell": {
        "task": "pretask/relative-position@1",
        "split": {"id": "pretask/relative-position@1", "options": {"patch": 24, "jitter": 2}},
        "objective": {"id": "pretask/cross-entropy@1", "options": {"label_smoothing": 0.0}},
        "model": {"id": "pretask/convnet@1", "options": {"widths": [16, 32], "name": "größe"}},
        "data": {
            "id": "pretask/shapes@1",
            "options": {"size": 4096},
            "fingerprints": {"train": "a" * 32, "test": "b" * 32},
        },
        "evaluated_on": None,
        "evaluators": {"pretask/linear@1": {"val_fraction": 0.1}},
        "recipe": {"optimizer": "sgd", "lr": 0.1, "batch": 256, "steps": 500},
        "artifact": None,
        "seed": 0,
        "precision": "fp32",
        "modality": "image",
    },
    "results": [
        {
            "encoder": "trained",
            "evaluator": "pretask/linear@1",
            "metrics": {"accuracy": 0.6, "loss": None},
            "missing": {"loss": "nan"},
            "chance": {"accuracy": 0.25},
            "items": {"accuracy": {"count": 10, "bits": "qoA=", "test": "b" * 32}},
            "pictures": [],
        },
        {
            "encoder": "random-init",
            "evaluator": "pretask/linear@1",
            "metrics": {"accuracy": 0.4},
            "missing": {},
            "chance": {"accuracy": 0.25},
            "items": {},
            "pictures": [],
        },
    ],
    "pretext": {
        "metrics": {"accuracy": 0.41},
        "missing": {},
        "chance": {"accuracy": 0.125},
        "pictures": [],
        "shortcut": {"accuracy": 0.13},
    },
    "weights": "c" * 64,
    "provenance": {
        "versions": {"python": "3.11.7", "pretask": "0.1.0"},
        "commit": "d" * 40,
        "modified": False,
        "hardware": {"device": "a processor", "devices": 1, "cores": 2, "platform": "Linux x86_64"},
        "threads": 1,
        "started": "2026-03-01T12:00:00Z",
        "ended": "2026-03-01T12:01:01Z",
        "seconds": 61.25,
        "stages": {"pretrain": 50.5},
        "samples": 128000,
        "parameters": 20000,
        "flops": 1.5e18,
        "peak_memory": 123456789,
        "command": ["pretask", "run", "relative-position"],
    },
    "licence": "CC-BY-4.0",
    "author": None,
    "note": "first\nsecond",
}


@pytest.fixture
def facts() -> dict[str, Any]:
    """A valid record as plain JSON, to be changed by the test that asks for it."""
    return copy.deepcopy(FACTS)


@pytest.fixture
def text(facts: dict[str, Any]) -> str:
    """The same record as JSON text, keys in the order of writing."""
    return json.dumps(facts)


@pytest.fixture(scope="session")
def lasting_facts() -> dict[str, Any]:
    """The same for fixtures that outlive a test, none of which changes it."""
    return copy.deepcopy(FACTS)
