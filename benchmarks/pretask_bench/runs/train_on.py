"""Train on: a run with a larger budget goes on from the end of a finished one, where that gives the very same weights.

That is so where the two differ in the budget alone and every step that was taken would be taken again: at a constant
rate without warmup, and with nothing that follows how far through its budget a run is. Elsewhere it says why not.
"""

from dataclasses import replace
from pathlib import Path

from pretask import AfterStep, Task
from pretask.checkpoint import adopt
from pretask.recipe import Recipe

from pretask_bench.artifacts.task_file import RECORD
from pretask_bench.records.code import Code, code_key
from pretask_bench.records.record import Cell, parse_record, training_cell_key
from pretask_bench.runs.context import RunContext
from pretask_bench.runs.prepare import PreparedRun
from pretask_bench.runs.ranks import count_ranks

BUDGET = "samples"


def train_on(prepared: PreparedRun, task: Task, context: RunContext, folder: Path, key: str, code: Code) -> None:
    """Give a run the last checkpoint of a shorter one that is the same but for its budget, where there is one.

    Args:
        prepared: The run.
        task: As it begins.
        context: Where runs are, and who is told.
        folder: Of the run; one that has checkpoints is left as it is.
        key: What determines its weights.
        code: Of the modules that train.
    """
    if any(folder.glob("step-*")) or count_ranks() > 1:  # another rank might look before it is there
        return
    found = find_shorter(prepared, context.out, code)
    if found is None:
        return
    shorter, place = found
    seen = f"{shorter.recipe[BUDGET]} samples"
    reason = explain_anew(replace(task.recipe, samples=int(str(shorter.recipe[BUDGET]))), task)
    if reason is not None:
        context.say(f"{place.name} saw {seen}, and this run starts anew: {reason}")
    elif adopt(place, folder, training_cell_key(shorter), key):
        context.say(f"goes on from {place.name}, which saw {seen}")


def find_shorter(prepared: PreparedRun, out: Path, code: Code) -> tuple[Cell, Path] | None:
    """Return the cell and folder of the longest finished run with a smaller budget, and all else the same."""
    found: list[tuple[int, Cell, Path]] = []
    budget = prepared.plan.recipe.samples
    for record in sorted(out.glob(f"{prepared.plan.name}-*-{code_key(code)[:8]}/{RECORD}")):
        cell = parse_record(record.read_bytes()).cell
        samples = cell.recipe.get(BUDGET)
        if isinstance(samples, int) and 0 < samples < budget and is_same_but_for_budget(cell, prepared.cell):
            found.append((samples, cell, record.parent))
    return max(found, key=lambda run: run[0])[1:] if found else None


def is_same_but_for_budget(cell: Cell, other: Cell) -> bool:
    """Return whether two cells train alike, as long as they do."""
    budgets = {BUDGET: other.recipe.get(BUDGET)}
    same = cell.model_copy(update={"recipe": {**cell.recipe, **budgets}})
    return training_cell_key(same) == training_cell_key(other)


def explain_anew(shorter: Recipe, task: Task) -> str | None:
    """Return why a task cannot go on from what a shorter recipe trained; None where it can."""
    recipe = task.recipe
    if recipe.schedule != "constant":
        return f"its {recipe.schedule} schedule ends with its budget; recipe.schedule=constant could go on."
    if any(shorter.rate(step) != recipe.rate(step) for step in range(shorter.steps)):
        return "its warmup is a fraction of its budget; recipe.warmup=0 could go on."
    if task.teacher is not None or isinstance(task.objective, AfterStep):
        return "its objective follows how much of its budget is spent."
    return None
