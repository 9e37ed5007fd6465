"""pretask: a registry of self-supervision tasks.

    (x, y) = split(t)         train p(y | x)         keep the encoder of x

Declarations and errors are here at once; whatever needs torch is imported when it is first named.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pretask.declare import Component, data, evaluator, hookimpl, model, objective, split, suite, task
from pretask.errors import Incompatible, PretaskError, Unknown
from pretask.specs import (
    Agreement,
    Categories,
    FeatureSpec,
    InputSpec,
    Observed,
    Reference,
    TargetSpec,
    TargetSpecs,
    Values,
    Vocabulary,
)

if TYPE_CHECKING:
    from pretask.composition import Task
    from pretask.draws import Draws
    from pretask.precision import full_precision, upcast
    from pretask.protocols import Budget, Choice, Data, Evaluator, Figure, Fitted, Items, Model, Objective, SplitFn
    from pretask.readout import Heads, Reading, check_kinds, find_reading
    from pretask.recipe import Recipe
    from pretask.samples import Labels, Samples
    from pretask.scoring import build_loss, weighted_mean
    from pretask.values import Batch, Features, Inputs, Loss, Target, Targets

__version__ = "0.1.0"

HOMES = {
    "draws": ("Draws",),
    "protocols": (
        "Budget",
        "Choice",
        "Data",
        "Evaluator",
        "Figure",
        "Fitted",
        "Items",
        "Model",
        "Objective",
        "SplitFn",
    ),
    "readout": ("Heads", "Reading", "check_kinds", "find_reading"),
    "recipe": ("Recipe",),
    "samples": ("Labels", "Samples"),
    "precision": ("full_precision", "upcast"),
    "scoring": ("build_loss", "weighted_mean"),
    "composition": ("Task",),
    "values": ("Batch", "Features", "Inputs", "Loss", "Target", "Targets"),
}
HOME = {name: home for home, names in HOMES.items() for name in names}

__all__ = [
    "Agreement",
    "Batch",
    "Budget",
    "Categories",
    "Choice",
    "Component",
    "Data",
    "Draws",
    "Evaluator",
    "FeatureSpec",
    "Features",
    "Figure",
    "Fitted",
    "Heads",
    "Incompatible",
    "InputSpec",
    "Inputs",
    "Items",
    "Labels",
    "Loss",
    "Model",
    "Objective",
    "Observed",
    "PretaskError",
    "Reading",
    "Recipe",
    "Reference",
    "Samples",
    "SplitFn",
    "Target",
    "TargetSpec",
    "TargetSpecs",
    "Targets",
    "Task",
    "Unknown",
    "Values",
    "Vocabulary",
    "build_loss",
    "check_kinds",
    "data",
    "evaluator",
    "find_reading",
    "full_precision",
    "hookimpl",
    "model",
    "objective",
    "split",
    "suite",
    "task",
    "upcast",
    "weighted_mean",
]


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(import_module(f"pretask.{HOME[name]}"), name)
    raise AttributeError(f"module 'pretask' has no attribute {name!r}")
