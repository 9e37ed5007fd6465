"""Early: what a run refuses before it trains.

Parts that fail in their first step on tiny data, before any data is decoded; and data or a task that an evaluator will
not measure.
"""

import os

import torch
from pretask import ChecksBefore, Incompatible
from pretask_registry import build
from pretask_registry.canned import OBSERVED
from pretask_registry.trial import explain_trial, try_parts

from pretask_bench.runs.plan import Plan
from pretask_bench.runs.prepare import PreparedRun

TRIED_PARTS = ("split", "objective", "model")


def check_first_step(plan: Plan) -> None:
    """Raise Incompatible where parts fit and fail in their first step, at their small sizes and as they were set.

    What canned data cannot tell is left to the run itself: whether these options fit, and whether this data gives
    something to learn from. One of several ranks tries nothing, since all would have to.
    """
    modality = plan.parts["data"].component.traits["modality"]
    if modality not in OBSERVED or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return
    split, objective, model = (plan.parts[kind] for kind in TRIED_PARTS)
    settings = {kind: plan.options_of(kind) for kind in TRIED_PARTS}
    if not try_parts(modality, split, objective, model).crash:
        return
    if try_parts(modality, split, objective, model, settings).crash:
        reason = explain_trial(modality, split, objective, model, settings)
        raise Incompatible(f"{reason} Choose another part, or correct this one.")


def check_evaluators(prepared: PreparedRun, device: torch.device) -> None:
    """Raise PretaskError where an evaluator says that it will not measure the task on the data that it is given."""
    plan = prepared.plan
    every = [build(evaluator, plan.options_of(evaluator.name)) for evaluator in plan.evaluators]
    checking = [evaluator for evaluator in every if isinstance(evaluator, ChecksBefore)]
    if checking:
        task = prepared.compose(device)
        for evaluator in checking:
            evaluator.check(task, prepared.evaluation_data)
