"""Bench: every task that enters a suite, planned by name, then run one after another.

What is recorded already is found and not computed again, so that running it again resumes; a task that is refused or
fails is said so and hides no other.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pretask import Incompatible, PretaskError, Unknown
from pretask_registry import Registered, Registry

from pretask_bench.records.record import Record
from pretask_bench.runs.plan import Plan, make_plan
from pretask_bench.runs.suites import Division, Suite


@dataclass(frozen=True)
class Entry:
    """A task in a division with one seed: planned, or refused for a reason."""

    division: Division
    task: Registered
    seed: int
    plan: Plan | None
    refusal: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of an entry: its record and file, or why there is none."""

    entry: Entry
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
) -> list[Entry]:
    """Plan all entries of a suite.

    Args:
        registry: What is installed.
        suite: What is fixed.
        tasks: Only these, by name, each in the divisions that it is for, or in all where it is for none; all installed
            ones when empty.
        divisions: Only these; all when empty.
        seeds: How many, from 0; as many as the suite needs when left out.
        given: What the suite leaves to its user, such as {"data.root": "photos"}.

    Raises:
        Unknown: No such task or division, or something that the suite leaves to its user is missing.
    """
    check_names(suite, divisions)
    named = [registry.find("task", name) for name in tasks]
    chosen = [division for division in suite.file.division if not divisions or division.name in divisions]
    for division in chosen:
        check_given(suite, division, given or {})
    every = [(division, task) for division in chosen for task in named or registry.current("task")]
    at_home = {task.id for division, task in every if belongs(registry, task, division)}
    return [
        plan_entry(registry, suite, division, task, seed, given or {})
        for division, task in every
        if belongs(registry, task, division) or (named and task.id not in at_home)
        for seed in range(suite.file.seeds if seeds is None else seeds)
    ]


def check_names(suite: Suite, divisions: Collection[str]) -> None:
    """Raise Unknown for a division that the suite does not have."""
    known = [division.name for division in suite.file.division]
    for name in divisions:
        if name not in known:
            raise Unknown(f"{suite.id} has no division '{name}'. It has: {', '.join(known)}.")


def check_given(suite: Suite, division: Division, given: Mapping[str, Any]) -> None:
    """Raise Unknown where the suite needs something of its user, or fixes what its user set."""
    needed = {f"data.{name}" for name in division.given}
    if missing := sorted(needed - {*given}):
        raise Unknown(f"{suite.id} needs --set {missing[0]}=…; got none.")
    if fixed := sorted({*given} - needed):
        raise Unknown(f"{suite.id} fixes what is measured; --set {fixed[0]} is not left open. Use pretask run.")


def belongs(registry: Registry, task: Registered, division: Division) -> bool:
    """Return whether a task is for data of the division's modality, by what its split and model declare."""
    if task.name in division.without:
        return False
    parts = task.component.traits["parts"]
    try:
        found = [registry.find(kind, parts[kind]) for kind in ("split", "model")]
    except PretaskError:
        return True  # planning says what is wrong
    return all(division.modality in registered.component.traits["modality"] for registered in found)


def plan_entry(
    registry: Registry, suite: Suite, division: Division, task: Registered, seed: int, given: Mapping[str, Any]
) -> Entry:
    """Plan one task with one seed, under what the division fixes."""
    own = dict(division.tasks.get(task.name, {}))
    preset = own.pop("preset", division.preset)
    _, options = suite.fixed[division.name].data
    fixed = {f"data.{name}": value for name, value in options.items() if name not in division.given}
    try:
        plan = make_plan(
            registry,
            task.id,
            preset=preset if preset in task.component.traits["presets"] else None,
            parts={"data": division.data},
            settings={**own, **fixed, **evaluator_settings(division), **given, "recipe.samples": division.samples},
            evaluators=division.evaluators,
            seed=seed,
        )
    except (Incompatible, Unknown) as error:
        return Entry(division, task, seed, None, str(error))
    return Entry(division, task, seed, plan)


def evaluator_settings(division: Division) -> dict[str, Any]:
    """Return the settings of a division that are its evaluators'."""
    return {name: value for name, value in division.settings.items() if not name.startswith("data.")}


def execute_all(registry: Registry, entries: list[Entry], context: Any) -> Iterator[Outcome]:
    """Run every entry; a refusal or failure is an outcome too. Ctrl-C ends all of it, with everything saved."""
    from pretask_bench.runs.context import Interrupted
    from pretask_bench.runs.run import run

    for number, entry in enumerate(entries, start=1):
        if entry.plan is None:
            yield Outcome(entry, refused=entry.refusal)
            continue
        context.say(f"[{number}/{len(entries)}] {entry.task.name} on {entry.division.name}, seed {entry.seed}")
        try:
            yield Outcome(entry, *run(registry, entry.plan, context))
        except Interrupted:
            raise
        except Incompatible as error:
            yield Outcome(entry, refused=str(error))
        except Exception as error:  # a plugin's, whatever it is; its record says failed
            yield Outcome(entry, failed=f"{type(error).__name__}: {error}")
