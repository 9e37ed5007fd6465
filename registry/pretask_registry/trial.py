"""Trial: whether three parts train, tried on canned data of a modality at their declared small sizes.

Parts are composed, which hands specs along, and train one step. The answer is remembered, and shared by parts that are
implemented by the same and declare the same small options.
"""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from pretask import PretaskError

from pretask_registry.canned import share_canned_samples
from pretask_registry.registry import Registered
from pretask_registry.resolve import build, import_implementation
from pretask_registry.stand_in import fit_on_trial

if TYPE_CHECKING:
    from pretask.composition import ModelFactory, ObjectiveFactory

Settings = Mapping[str, Mapping[str, Any]]


class Outcome(NamedTuple):
    """What a trial found; all empty where the parts train.

    Args:
        misfit: Why they do not fit.
        crash: Why they fit and fail in the first step.
        refusal: What they would need of data to train, and do not find in canned ones.
    """

    misfit: str = ""
    crash: str = ""
    refusal: str = ""


CACHE: dict[tuple[str, tuple[Any, ...], str], Outcome] = {}


def explain_trial(
    modality: str, split: Registered, objective: Registered, model: Registered, settings: Settings | None = None
) -> str | None:
    """Return why three parts do not fit canned data of a modality, or do not train on them; None where they do.

    Args:
        modality: Of the data.
        split: Makes x and y.
        objective: Scores y.
        model: Reads x.
        settings: By kind, options beside the declared small ones.
    """
    outcome = try_parts(modality, split, objective, model, settings)
    failure = outcome.crash or outcome.refusal
    if failure:
        return f"{split.name} + {objective.name} + {model.name} fit and do not train: {failure}"
    return outcome.misfit or None


def try_parts(
    modality: str, split: Registered, objective: Registered, model: Registered, settings: Settings | None = None
) -> Outcome:
    """Return the outcome of a trial, from memory where equal parts were tried before; see `explain_trial`."""
    parts = (split, objective, model)
    options = [{**part.component.small, **(settings or {}).get(part.kind, {})} for part in parts]
    try:
        made_of = tuple(import_implementation(part) for part in parts)
        key = (modality, made_of, json.dumps(options, default=str))
        if key not in CACHE:
            built = [build(part, given) for part, given in zip(parts, options, strict=True)]
            CACHE[key] = try_built(modality, *built)
        return CACHE[key]
    except PretaskError as error:  # of the names of one part, so that it is not shared
        return Outcome(misfit=str(error))


def try_built(modality: str, split: Any, objective: "ObjectiveFactory", model: "ModelFactory") -> Outcome:
    """Fit the split, compose, which hands specs along, and train a step."""
    from pretask.composition import compose
    from pretask.first_step import try_first_step

    samples = share_canned_samples(modality)
    try:
        task = compose(samples.observed, fit_on_trial(split, samples), model, objective)
    except PretaskError as error:
        return Outcome(misfit=str(error))
    return Outcome("", *try_first_step(task, samples))
