"""Train on: a run with a larger budget goes on from a finished one, where that gives the very same weights.

That is so where the two differ in the budget alone, as far as every step that was taken would be taken again: at a
constant rate to the end, with warmup-stable-decay until the rate falls, of which a checkpoint is kept. The warmup must
be as many steps in both, and nothing may follow how far through its budget a run is. Elsewhere it says why not.
"""

from contextlib import suppress
from pathlib import Path

from pretask import AfterStep, PretaskError, Task
from pretask.checkpoint import adopt
from pretask.recipe import STABLE, Recipe
from pretask_registry import fill_options

from pretask_bench.artifacts.task_file import RECORD
from pretask_bench.records.cell import Cell, training_cell_key
from pretask_bench.records.code import Code, code_key
from pretask_bench.records.record import parse_record
from pretask_bench.runs.context import RunContext
from pretask_bench.runs.plan import OPTIONS_OF_RECIPE
from pretask_bench.runs.prepare import PreparedRun
from pretask_bench.runs.probing import take_probed
from pretask_bench.runs.ranks import count_ranks

BUDGET = ("samples", "warmup", "decay")  # fields that say how long a run is, or are fractions of that
GOES_ON = ("constant", STABLE)  # schedules whose first steps do not depend on how many there are


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
    shorter, shorter_key, place = found
    shared, reason = count_shared_steps(shorter, task.recipe), explain_anew(shorter, task)
    step = None if reason is not None else adopt(place, folder, shorter_key, key, shared)
    if step is not None:
        earlier = "" if step == shorter.steps else f", at step {step} of {shorter.steps}, before its rate fell"
        context.say(f"goes on from {place.name}, which saw {shorter.samples} samples{earlier}")
        take_probed(prepared, place, folder, step)
    else:
        reason = reason or f"it kept no checkpoint of step {shared} or before."
        context.say(f"{place.name} saw {shorter.samples} samples, and this run starts anew: {reason}")


def find_shorter(prepared: PreparedRun, out: Path, code: Code) -> tuple[Recipe, str, Path] | None:
    """Return recipe, key and folder of the longest finished run with a smaller budget, and all else the same."""
    found: list[tuple[Recipe, str, Path]] = []
    budget = prepared.plan.recipe.samples
    for record in sorted(out.glob(f"{prepared.plan.name}-*-{code_key(code)[:8]}/{RECORD}")):
        with suppress(OSError, PretaskError):  # of a record that cannot be read no other run need know
            cell = parse_record(record.read_bytes()).cell
            if is_same_but_for_budget(cell, prepared.cell):
                recipe = Recipe(**fill_options("the recipe", "recipe", OPTIONS_OF_RECIPE, cell.recipe))
                if 0 < recipe.samples < budget:
                    found.append((recipe, training_cell_key(cell), record.parent))
    return max(found, key=lambda run: run[0].samples) if found else None


def is_same_but_for_budget(cell: Cell, other: Cell) -> bool:
    """Return whether two cells train the same, as long as they do; a fraction of the budget may be another one."""
    budget = {name: other.recipe[name] for name in BUDGET if name in other.recipe}
    same = cell.model_copy(update={"recipe": {**cell.recipe, **budget}})
    return training_cell_key(same) == training_cell_key(other)


def count_shared_steps(shorter: Recipe, recipe: Recipe) -> int:
    """Return how many steps, from the first, two recipes take at the same rates.

    >>> options = {"batch": 1, "schedule": "warmup-stable-decay", "decay": 0.5}
    >>> count_shared_steps(Recipe(samples=10, warmup=0.2, **options), Recipe(samples=20, warmup=0.1, **options))
    6
    """
    steps = range(min(shorter.steps, recipe.steps))
    return next((step for step in steps if shorter.rate(step) != recipe.rate(step)), len(steps))


def explain_anew(shorter: Recipe, task: Task) -> str | None:
    """Return why a task cannot go on from what a shorter recipe trained; None where it can."""
    recipe = task.recipe
    if task.teacher is not None or isinstance(task.objective, AfterStep):
        return "its objective follows how much of its budget is spent, whatever the schedule."
    if recipe.schedule not in GOES_ON:
        able = " or ".join(GOES_ON)
        return f"its {recipe.schedule} schedule ends with its budget; recipe.schedule={able} could go on."
    if shorter.warmup_steps != recipe.warmup_steps:
        steps = f"{recipe.warmup_steps} steps instead of {shorter.warmup_steps}"
        fraction = shorter.warmup_steps / recipe.steps
        return f"its warmup is a fraction of its budget, {steps}; recipe.warmup={fraction:g} could go on."
    return None
