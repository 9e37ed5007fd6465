"""Bench: every task that enters a suite, planned by name, then run one after another.

What is recorded already is found and not computed again, so that running it again resumes; a task that is refused or
fails is said so and hides no other.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pretask import Incompatible, PretaskError, Unknown
from pretask.stopping import raise_again
from pretask_registry import Registered, Registry

from pretask_bench.records.record import Record
from pretask_bench.runs.plan import COMMON_PRESETS, Plan, make_plan
from pretask_bench.runs.suites import Division, Suite

if TYPE_CHECKING:
    from pretask_bench.runs.context import RunContext

REFERENCES = "references"  # among arguments: the encoders that are measured beside the trained one


@dataclass(frozen=True)
class PlannedRun:
    """A run of a task in a division with one seed: its plan, or why there is none.

    Args:
        division: Division of the suite.
        task: The task.
        seed: The seed.
        plan: What it is made of; None where that is refused.
        refusal: Why it is.
        arguments: Those of `make_plan`, from which any process makes the same plan, and of `execute_plans`.
    """

    division: Division
    task: Registered
    seed: int
    plan: Plan | None
    refusal: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunOutcome:
    """What became of a planned run: its record and file, or why there is none."""

    planned: PlannedRun
    record: Record | None = None
    path: Path | None = None
    refused: str = ""
    failed: str = ""


def plan_suite(
    registry: Registry,
    suite: Suite,
    *,
    tasks: Collection[str] = (),
    divisions: Collection[str] = (),
    seeds: int | None = None,
    given: Mapping[str, Any] | None = None,
    everything: bool = False,
) -> list[PlannedRun]:
    """Plan all runs of a suite.

    Args:
        registry: What is installed.
        suite: What is fixed.
        tasks: Only these, by name, each in the divisions that it is for, or in all where it is for none; when empty
            those that a division names, or all installed ones.
        divisions: Only these; all when empty.
        seeds: How many, from 0; as many as the suite needs when left out.
        given: What the suite leaves to its user, such as {"data.root": "photos"}; of one division alone
            {"images.data.root": "photos"}.
        everything: All installed tasks, also where a division names some.

    Raises:
        Unknown: No such task or division, or something that the suite leaves to its user is missing.
    """
    check_names(suite, divisions)
    named_tasks = [registry.find("task", name) for name in tasks]
    chosen_divisions = [division for division in suite.file.division if not divisions or division.name in divisions]
    check_given(suite, chosen_divisions, given or {})
    pairs = [
        (division, task)
        for division in chosen_divisions
        for task in named_tasks or tasks_of_division(registry, division, everything)
    ]
    with_division = {task.id for division, task in pairs if is_for_division(registry, task, division)}
    return [
        plan_task(registry, suite, division, task, seed, given_to(division, given or {}))
        for division, task in pairs
        if is_for_division(registry, task, division) or (named_tasks and task.id not in with_division)
        for seed in range(suite.seeds_of(division) if seeds is None else seeds)
    ]


def tasks_of_division(registry: Registry, division: Division, everything: bool) -> list[Registered]:
    """Return the tasks that a division names to be run, or all that are installed."""
    if everything or not division.run:
        return registry.current("task")
    return [registry.find("task", name) for name in division.run]


def check_names(suite: Suite, divisions: Collection[str]) -> None:
    """Raise Unknown for a division that the suite does not have."""
    known = [division.name for division in suite.file.division]
    for name in divisions:
        if name not in known:
            raise Unknown(f"{suite.id} has no division '{name}'. It has: {', '.join(known)}.")


def given_to(division: Division, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is given to a division: by name, as in `images.data.root`, to the one it takes from, or to all."""
    places = {
        name: [f"{division.name}.{name}", f"{division.given_as}.{name}", name] for name in division.given_settings
    }
    found = {name: next((place for place in of_name if place in given), None) for name, of_name in places.items()}
    return {name: given[place] for name, place in found.items() if place is not None}


def check_given(suite: Suite, divisions: Sequence[Division], given: Mapping[str, Any]) -> None:
    """Raise Unknown where divisions need something of the suite's user, or the suite fixes what its user set."""
    of_all = {division.name: {*division.given_settings} for division in suite.file.division}
    by_name = {f"{name}.{setting}" for name, settings in of_all.items() for setting in settings}
    to_all = {setting for division in divisions for setting in division.given_settings}
    for division in divisions:
        if missing := sorted({*division.given_settings} - {*given_to(division, given)}):
            raise Unknown(
                f"{suite.id} needs --set {missing[0]}=…; got none for its division {division.name}. "
                f"--set {division.name}.{missing[0]}=… gives it to that one alone; --division runs only some."
            )
    if fixed := sorted({*given} - to_all - by_name):
        raise Unknown(f"{suite.id} fixes what is measured; --set {fixed[0]} is not left open. Use pretask run.")


def is_for_division(registry: Registry, task: Registered, division: Division) -> bool:
    """Return whether a task is for data of the division's modality, by what its split and model declare."""
    if task.name in division.without:
        return False
    parts = task.component.traits["parts"]
    try:
        split_and_model = [registry.find(kind, parts[kind]) for kind in ("split", "model")]
    except PretaskError:
        return True  # planning says what is wrong
    return all(division.modality in registered.component.traits["modality"] for registered in split_and_model)


def plan_task(
    registry: Registry, suite: Suite, division: Division, task: Registered, seed: int, given: Mapping[str, Any]
) -> PlannedRun:
    """Plan one task with one seed, under what the division fixes."""
    task_settings = {**suite.file.tasks.get(task.name, {}), **division.tasks.get(task.name, {})}
    preset = task_settings.pop("preset", division.preset)
    evaluators = dict.fromkeys([*division.evaluators, *task_settings.pop("also", ())])
    task_settings.pop("beside", None)
    fixed = fixed_settings(suite, division)
    arguments: dict[str, Any] = {
        "task": task.id,
        "preset": "+".join(name for name in preset.split("+") if has_preset(task, name)) or None,
        "parts": {"data": division.data, **({"on": division.on} if division.on else {})},
        "settings": {
            **task_settings,
            **fixed,
            **evaluator_settings(division),
            **given,
            "recipe.samples": division.samples_of(task.id),
        },
        "evaluators": tuple(evaluators),
        "seed": seed,
    }
    try:
        plan = make_plan(registry, **arguments)
    except (Incompatible, Unknown) as error:
        return PlannedRun(division, task, seed, None, str(error))
    references = (*suite.baselines_of(division), *suite.beside(division, task.name))
    return PlannedRun(division, task, seed, plan, arguments={**arguments, REFERENCES: references})


def has_preset(task: Registered, name: str) -> bool:
    """Return whether a task has a preset, of its own or one that all have."""
    return name in task.component.traits["presets"] or name in COMMON_PRESETS


def fixed_settings(suite: Suite, division: Division) -> dict[str, Any]:
    """Return the settings of data that a division fixes."""
    fixed = suite.fixed[division.name]
    found = {f"data.{name}": value for name, value in fixed.data_options.items()}
    found |= {f"on.{name}": value for name, value in fixed.on_options.items()}
    return {name: value for name, value in found.items() if name not in division.given_settings}


def evaluator_settings(division: Division) -> dict[str, Any]:
    """Return the settings of a division that are its evaluators'."""
    return {name: value for name, value in division.settings.items() if not name.startswith(("data.", "on."))}


@dataclass(frozen=True)
class Ended:
    """How the execution of a plan ended: the file of its record, or why there is none."""

    path: Path | None = None
    refused: str = ""
    failed: str = ""


def run_all(registry: Registry, planned_runs: Sequence[PlannedRun], context: "RunContext") -> Iterator[RunOutcome]:
    """Execute every planned run; a refusal or failure is an outcome too. Ctrl-C ends all, with everything saved."""
    from pretask_bench.records.store import read

    for number, planned in enumerate(planned_runs, start=1):
        if planned.plan is None:
            yield RunOutcome(planned, refused=planned.refusal)
            continue
        progress = f"[{number}/{len(planned_runs)}]"
        context.say(f"{progress} {planned.task.name} on {planned.division.name}, seed {planned.seed}")
        (ended,) = execute_plans(registry, [planned.arguments], context)
        record = read(ended.path) if ended.path is not None else None
        yield RunOutcome(planned, record, ended.path, ended.refused, ended.failed)


def execute_plans(registry: Registry, planned: Iterable[Mapping[str, Any]], context: "RunContext") -> Iterator[Ended]:
    """Execute plans one after the other; a refusal or failure is an end too. What trains the same is begun once.

    Args:
        registry: Where names are looked up.
        planned: The arguments of `make_plan`, from which each is made, with the encoders to measure beside it as
            `references` where these are not those of the context.
        context: Where and how it happens.

    Raises:
        Interrupted: Ctrl-C was pressed, or a signal came.
    """
    from pretask_bench.runs.run import Started, finish, start_after

    started: Started | None = None
    for given in planned:
        arguments = {**given}
        own = replace(context, references=arguments.pop(REFERENCES, context.references))
        try:
            started = start_after(registry, make_plan(registry, **arguments), own, started)
            yield Ended(finish(registry, started, own).path)
        except Exception as error:  # a plugin's, whatever it is; its record says failed
            yield explain_end(error)


def explain_end(error: Exception) -> Ended:
    """Return the end of a run that an error is; raise the error where it is the user's or a signal's."""
    from pretask_bench.runs.context import Interrupted

    if isinstance(error, Interrupted):
        raise error
    if isinstance(error, Incompatible):
        return Ended(refused=str(error))
    raise_again(error)
    return Ended(failed=f"{type(error).__name__}: {error}")
