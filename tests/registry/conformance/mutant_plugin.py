"""A light module that declares every mutant, and its sound twin, as a third party would."""

from collections.abc import Callable, Iterator
from typing import Any

import pretask
from mutant_table import KINDS

HERE = {kind: f"mutant_{kind}s" for kind in KINDS}
HITS = pretask.Metric("fraction", higher_is_better=True)
TRAITS: dict[str, dict[str, Any]] = {
    "rotate": {"modality": "image", "targets": {"categories"}},
    "fill": {"modality": "image", "targets": {"values"}},
    "quantize": {"modality": "image", "targets": {"categories"}},
    "follow": {"modality": "text", "targets": {"categories"}, "sees": "past"},
    "reverse": {"modality": "video", "targets": {"categories"}, "views": None},
    "reader": {"modality": "text", "streams": "past"},
    "vote": {"targets": {"categories"}},
    "recall": {"targets": {"agreement"}, "state": {"queue"}},
    "centroid": {"modality": "image"},
    "retrieve": {"modality": "image", "metrics": {"hits": HITS}, "headline": "hits"},
    "dots": {"modality": "image"},
    "table": {"modality": "image"},
    "smells": {"modality": "smell"},
    "sniff": {"modality": "smell", "targets": {"values"}},
    "nose": {"modality": ("smell", "stench")},
}
OTHERS: dict[str, dict[str, Any]] = {  # where a fault is in the declaration
    "rotate-two-views-declared": {"views": 2},
    "rotate-summary-missing": {"summary": ""},
    "follow-sees-all": {"sees": "all"},
    "smells-label-leak": {"modality": "stench"},
    "sniff-label-leak": {"modality": "stench"},
}
IMPLEMENTATIONS = {  # where a fault is in the type of an option
    "rotate-option-without-a-range": "RotateWithoutARange",
    "rotate-default-out-of-range": "RotateByDefaultOutOfRange",
}
MAKE: dict[str, Callable[..., pretask.Component]] = {
    "split": pretask.split,
    "model": pretask.model,
    "objective": pretask.objective,
    "evaluator": pretask.evaluator,
    "data": pretask.data,
}
TASK: dict[str, Any] = {
    "split": "mutants/rotate",
    "objective": "mutants/vote",
    "model": "convnet",
    "summary": "Which way up?",
    "source": "us",
}
SNIFFED = {**TASK, "split": "mutants/sniff", "objective": "regression", "model": "mutants/nose"}
FOLLOWED = {**TASK, "split": "mutants/follow", "model": "mutants/reader"}
OTHER_TASKS: dict[str, dict[str, Any]] = {
    "preset-of-no-option": {"presets": {"small": {"model.no_such_option": 3}}},
    "parts-that-do-not-fit": {"split": "mutants/fill"},
    "nothing-learned": {"split": "mutants/rotate-labels-drawn-anew"},
    "layer-unused-in-the-paper": {"options": {"model.fault": "parameter-unused"}},
    "layer-unused-in-a-preset": {"presets": {"large": {"model.fault": "parameter-unused"}}},
    "tokens-lost-in-the-paper": {"options": {"model.fault": "times-nothing"}},
}


@pretask.hookimpl
def pretask_components() -> Iterator[pretask.Component]:
    for kind, twins in KINDS.items():
        for twin, faults in twins.items():
            for fault in ("", *faults):
                yield task(twin, fault) if kind == "task" else part(kind, twin, fault)
    yield part("split", "rotate", "labels-drawn-anew")  # the parts of tasks
    yield part("model", "nose", "")
    for fault in ("", "label-leak"):
        yield part("data", "smells", fault)
        yield part("split", "sniff", fault)


def part(kind: str, twin: str, fault: str) -> pretask.Component:
    name = f"{twin}-{fault}" if fault else twin
    settings: dict[str, Any] = {"summary": "A twin.", "small": {"fault": fault}, **TRAITS[twin], **OTHERS.get(name, {})}
    return MAKE[kind](name, f"{HERE[kind]}:{IMPLEMENTATIONS.get(name, twin.capitalize())}", **settings)


def task(twin: str, fault: str) -> pretask.Component:
    name = f"{twin}-{fault}" if fault else twin
    sniffed = {**SNIFFED, "split": f"mutants/sniff{name.removeprefix('sniffed')}"}
    others = {"sniffed": sniffed, "followed": FOLLOWED}.get(twin, TASK)
    return pretask.task(name, **{**others, **OTHER_TASKS.get(fault, {})})
