"""Calibration: a few steps of every training that no record tells of, to estimate how long the whole takes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from pretask import PretaskError
from pretask.stopping import raise_again
from pretask.training import train
from pretask_registry import Registry

from pretask_bench.runs.fit_with import load_encoder_source
from pretask_bench.runs.memory import check_memory
from pretask_bench.runs.plan import Plan
from pretask_bench.runs.prepare import build_encoder_without_memory, prepare_run
from pretask_bench.sweeps.past import Estimate
from pretask_bench.sweeps.planning import PlannedCell
from pretask_bench.sweeps.summary import to_run

Say = Callable[[str], None]


def calibrate(
    registry: Registry,
    cells: Sequence[PlannedCell],
    estimates: dict[int, Estimate],
    steps: int,
    device: torch.device,
    say: Say,
) -> dict[int, Estimate]:
    """Return estimates with the seconds and bytes of trainings that nothing was known of.

    Args:
        registry: Where names are looked up.
        cells: Of the sweep.
        estimates: What is known, by number.
        steps: Optimizer steps of each.
        device: Where they are taken.
        say: Called with a line for each.
    """
    found, tried = dict(estimates), dict[str, tuple[float, int] | None]()
    for cell in to_run(cells):
        if cell.plan is None or found.get(cell.number, Estimate()).pretrain is not None:
            continue
        kind = repr(without_budget(cell.plan))
        if kind not in tried:
            tried[kind] = try_steps(registry, cell.plan, steps, device, say)
        if (measured := tried[kind]) is not None:
            rate, memory = measured
            known = found.get(cell.number, Estimate())
            seconds = rate * cell.plan.recipe.steps * cell.plan.recipe.batch
            found[cell.number] = known._replace(pretrain=seconds, memory=known.memory or memory)
    return found


def without_budget(plan: Plan) -> tuple[object, ...]:
    """Return what determines how long a step takes."""
    parts = {name: part.id for name, part in plan.parts.items() if name != "on"}
    settings = {name: dict(options) for name, options in plan.settings.items() if name in parts}
    recipe = plan.recipe
    return parts, settings, recipe.batch, recipe.accumulate, recipe.precision, recipe.compile, recipe.optimizer


def try_steps(registry: Registry, plan: Plan, steps: int, device: torch.device, say: Say) -> tuple[float, int] | None:
    """Return the seconds for every sample, and the bytes that a training needs at least; None where it fails."""
    recipe = plan.recipe
    few = replace(plan, recipe=replace(recipe, samples=steps * recipe.batch), seed=0)
    try:
        prepared = prepare_run(few, device, load_encoder_source(registry, few, device))
        network = build_encoder_without_memory(prepared.split, prepared.build_model, prepared.train)
        memory = check_memory(network, prepared.train, recipe, 1, device)
        train(prepared.compose(device), prepared.train)  # what is imported and allocated once is of no step
        began = time.monotonic()
        train(prepared.compose(device), prepared.train)
        rate = (time.monotonic() - began) / (steps * recipe.batch)
    except PretaskError as error:
        say(f"{plan.name}: {error}")
        return None
    except Exception as error:  # a plugin's, whatever it is
        raise_again(error)
        say(f"{plan.name}: {type(error).__name__}: {error}")
        return None
    say(f"{plan.name}: {1 / rate:.0f} samples/s")
    return rate, memory
