"""pretask: a registry of self-supervision tasks.

    (x, y) = split(t)         train p(y | x)         keep the encoder of x

Declarations and errors are here at once; whatever needs torch is imported when it is first named.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pretask.declare import Component, data, evaluator, hookimpl, model, objective, split, suite, task
from pretask.errors import Incompatible, PretaskError, Unknown
from pretask.metrics import Metric
from pretask.specs import (
    Agreement,
    Categories,
    FeatureSpec,
    InputSpec,
    Observed,
    Reference,
    Representation,
    TargetSpec,
    TargetSpecs,
    Values,
    Vocabulary,
)

if TYPE_CHECKING:
    from pretask.composition import Task
    from pretask.draws import Draws
    from pretask.options import require_range
    from pretask.patches import (
        check_patch,
        count_visible_patches,
        find_visible_patches,
        restore_patches,
        select_patches,
    )
    from pretask.precision import full_precision, upcast
    from pretask.protocols import (
        AfterStep,
        Attaches,
        Budget,
        Choice,
        Data,
        Decodes,
        Encodes,
        EncodesViews,
        Evaluator,
        Figure,
        FitsWithEncoder,
        Fittable,
        HasChance,
        HasPartners,
        HasSampleParameters,
        HasTrivialPredictors,
        Items,
        KnowsEntropy,
        MeasuresText,
        Model,
        NamesTokenizer,
        Objective,
        OffersFigures,
        Predictor,
        Rewrites,
        ScoredOn,
        ScoresPredictions,
        SplitFn,
        WeighsTargets,
        WritesExample,
    )
    from pretask.readout import Heads, Readout, check_kinds, find_readout, take_only_target
    from pretask.recipe import Recipe
    from pretask.samples import Labels, Remembered, Samples, source_of
    from pretask.scoring import build_loss, gather_over_ranks, mean_over_ranks, weighted_mean
    from pretask.teacher import Encoders, Momentum
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
        "AfterStep",
        "Attaches",
        "Decodes",
        "Encodes",
        "EncodesViews",
        "FitsWithEncoder",
        "Fittable",
        "HasChance",
        "HasPartners",
        "HasSampleParameters",
        "HasTrivialPredictors",
        "KnowsEntropy",
        "MeasuresText",
        "NamesTokenizer",
        "OffersFigures",
        "Predictor",
        "Rewrites",
        "ScoredOn",
        "ScoresPredictions",
        "WeighsTargets",
        "WritesExample",
        "Items",
        "Model",
        "Objective",
        "SplitFn",
    ),
    "readout": ("Heads", "Readout", "check_kinds", "find_readout", "take_only_target"),
    "recipe": ("Recipe",),
    "samples": ("Labels", "Remembered", "Samples", "source_of"),
    "options": ("require_range",),
    "patches": ("check_patch", "count_visible_patches", "find_visible_patches", "restore_patches", "select_patches"),
    "precision": ("full_precision", "upcast"),
    "scoring": ("build_loss", "gather_over_ranks", "mean_over_ranks", "weighted_mean"),
    "composition": ("Task",),
    "teacher": ("Encoders", "Momentum"),
    "values": ("Batch", "Features", "Inputs", "Loss", "Target", "Targets"),
}
HOME = {name: home for home, names in HOMES.items() for name in names}

__all__ = [
    "AfterStep",
    "Agreement",
    "Attaches",
    "Batch",
    "Budget",
    "Categories",
    "Choice",
    "Component",
    "Data",
    "Decodes",
    "Draws",
    "Encoders",
    "Encodes",
    "EncodesViews",
    "Evaluator",
    "FeatureSpec",
    "Features",
    "Figure",
    "FitsWithEncoder",
    "Fittable",
    "HasChance",
    "HasPartners",
    "HasSampleParameters",
    "HasTrivialPredictors",
    "Heads",
    "Incompatible",
    "InputSpec",
    "Inputs",
    "Items",
    "KnowsEntropy",
    "Labels",
    "Loss",
    "MeasuresText",
    "Metric",
    "Model",
    "Momentum",
    "NamesTokenizer",
    "Objective",
    "Observed",
    "OffersFigures",
    "Predictor",
    "PretaskError",
    "Readout",
    "Recipe",
    "Reference",
    "Remembered",
    "Representation",
    "Rewrites",
    "Samples",
    "ScoredOn",
    "ScoresPredictions",
    "SplitFn",
    "Target",
    "TargetSpec",
    "TargetSpecs",
    "Targets",
    "Task",
    "Unknown",
    "Values",
    "Vocabulary",
    "WeighsTargets",
    "WritesExample",
    "build_loss",
    "check_kinds",
    "check_patch",
    "count_visible_patches",
    "data",
    "evaluator",
    "find_readout",
    "find_visible_patches",
    "full_precision",
    "gather_over_ranks",
    "hookimpl",
    "mean_over_ranks",
    "model",
    "objective",
    "require_range",
    "restore_patches",
    "select_patches",
    "source_of",
    "split",
    "suite",
    "take_only_target",
    "task",
    "upcast",
    "weighted_mean",
]


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(import_module(f"pretask.{HOME[name]}"), name)
    raise AttributeError(f"module 'pretask' has no attribute {name!r}")
