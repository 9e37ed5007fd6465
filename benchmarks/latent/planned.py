"""Planned tasks: what the measurements of latent-variable models have in common, from names and options to a task."""

from collections.abc import Mapping
from typing import Any

from pretask import Data, Task
from pretask.composition import compose
from pretask_bench.runs.plan import make_plan
from pretask_registry import Registry, build


def plan_task(
    name: str, data: str, settings: Mapping[str, Any], preset: str | None = None, seed: int = 0
) -> tuple[Task, Data]:
    """Return a task with its first weights, and its data.

    Args:
        name: Of the task.
        data: Name of the data.
        settings: By option, such as `objective.latent_dim`.
        preset: Of the task; the paper's settings where it is left out.
        seed: Of the weights.
    """
    plan = make_plan(Registry.load(), name, preset=preset, parts={"data": data}, settings=settings)
    split, model, objective = (
        build(plan.parts[part], plan.options_of(part)) for part in ("split", "model", "objective")
    )
    source: Data = plan.build("data")
    observed = source("train").observed
    fitted = split.fit(observed, []) if hasattr(split, "fit") else split
    return compose(observed, fitted, model, objective, plan.recipe, seed=seed), source
