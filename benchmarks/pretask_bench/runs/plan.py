"""Plan: what a run will be made of, found by name before anything is imported, decoded or trained.

Later settings win: the task's own, the preset's, `--split` and its like, `--set`. A part that is replaced takes the
settings that were made for it with it.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, get_args

from pretask import Incompatible, Unknown
from pretask.recipe import Recipe
from pretask_registry import (
    Registered,
    Registry,
    build,
    explain_misfit,
    fill_options,
    read_component_options,
    read_options,
)
from pretask_registry.options import format_value

PARTS = ("data", "split", "objective", "model")
EVALUATION_DATA = "on"  # the part that is other data, for the evaluators
KINDS = {**{part: part for part in PARTS}, EVALUATION_DATA: "data"}
RECIPE = "recipe"
OPTIONS_OF_RECIPE = read_options(Recipe, by_keyword=False)
COMMON_PRESETS: Mapping[str, Mapping[str, Any]] = {"bf16": {"recipe.precision": "bf16"}}  # that every task has


@dataclass(frozen=True)
class Plan:
    """The parts of a run, their options as they were set, and the recipe.

    Args:
        name: Name for people and folders.
        task: The task that was the starting point; None for a free combination.
        parts: Data, split, objective and model; `on`, where the encoder is measured on other data.
        evaluators: What the encoder will be measured by.
        settings: Options by the name of a part or evaluator, as they were given.
        recipe: The recipe, with every field settled.
        seed: Seed of weights, order and draws.
        fit_with: A run with whose encoder the split is fitted; None where it does without.
        init: What the model begins with instead of random weights: a run, a file or timm.
        hold_out: Share of the training part that stands in the place of the test part; 0 for none.
        left_out: Settings that went with a part that was replaced, though what replaces it has such an option, too.
    """

    name: str
    task: Registered | None
    parts: Mapping[str, Registered]
    evaluators: tuple[Registered, ...]
    settings: Mapping[str, Mapping[str, Any]]
    recipe: Recipe
    seed: int = 0
    fit_with: Path | None = None
    init: str | None = None
    hold_out: float = 0.0
    left_out: Mapping[str, Any] = field(default_factory=dict, compare=False)

    def options_of(self, part: str) -> Mapping[str, Any]:
        """Return the options of one part or evaluator, as they were given."""
        return self.settings.get(part, {})

    def build(self, part: str) -> Any:
        """Build one part with its options; of data what is left of its training part, where some of it is held out."""
        built = build(self.parts[part], self.options_of(part))
        if not self.hold_out or KINDS[part] != "data":
            return built
        from pretask.hold_out import HoldOut  # imports torch

        return HoldOut(built, self.hold_out)


def trains_the_same(plan: Plan, other: Plan) -> bool:
    """Return whether another plan is the same but for what it is measured by, and on."""
    return strip_measuring(plan) == strip_measuring(other)


def strip_measuring(plan: Plan) -> Plan:
    """Return the plan without evaluators, and without other data to measure on."""
    measuring = {EVALUATION_DATA, *(evaluator.name for evaluator in plan.evaluators)}
    parts = {name: part for name, part in plan.parts.items() if name not in measuring}
    settings = {name: options for name, options in plan.settings.items() if name not in measuring}
    return replace(plan, parts=parts, settings=settings, evaluators=())


@dataclass
class PlanSettings:
    """Settings of a plan while it is made: the names of its parts, and their options by part; later ones win."""

    parts: dict[str, str] = field(default_factory=dict)
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    replaced: dict[str, dict[str, Any]] = field(default_factory=dict)  # by part, what was set of another one before

    def add(self, settings: Mapping[str, Any]) -> None:
        """Add settings such as {"model": "convnet", "split.patch": 24}; parts first, whatever their order."""
        for name, value in settings.items():
            if name in KINDS and self.parts.get(name) != value:
                self.parts[name] = str(value)
                self.replaced[name] = {**self.options.pop(name, {}), **self.replaced.get(name, {})}
        for name, value in settings.items():
            if name not in KINDS:
                part, _, option = name.partition(".")
                self.options.setdefault(part, {})[option] = value


def parse_setting(text: str) -> tuple[str, str]:
    """Return the name and value of `split.patch=24`.

    Raises:
        Unknown: It has another form.
    """
    name, equals, value = text.partition("=")
    part, dot, option = name.partition(".")
    if not (equals and dot and part and option):
        raise Unknown(f"--set needs PART.OPTION=VALUE, such as split.patch=24; got {format_value(text)}.")
    return name.strip(), value


def make_plan(
    registry: Registry,
    task: str | None = None,
    *,
    preset: str | None = None,
    parts: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    evaluators: Iterable[str] = ("linear",),
    seed: int = 0,
    fit_with: Path | None = None,
    init: str | None = None,
    hold_out: float = 0.0,
) -> Plan:
    """Settle what a run is made of.

    Args:
        registry: Where names are looked up.
        task: The starting point; without one, all four parts must be named.
        preset: One of the task's presets or of those that all have, or several: `small+bf16`.
        parts: Names of parts that replace the task's; `data` must be among them, `on` may be.
        settings: Options, such as {"split.patch": "24", "recipe.lr": 0.1, "linear.val_fraction": 0.2}.
        evaluators: Names of evaluators.
        seed: Seed of weights, order and draws.
        fit_with: A run with whose encoder the split is fitted.
        init: A run, a file or timm, with whose weights the model begins.
        hold_out: Share of the training part to measure on in the place of the test part; 0 for none.

    Raises:
        Unknown: A name or option does not exist, or a part is missing.
        Incompatible: The parts do not fit by what they declare.
    """
    plan_settings = PlanSettings()
    found_task = registry.find("task", task) if task is not None else None
    if found_task is not None:
        add_task_settings(plan_settings, found_task, preset)
    elif preset is not None:
        raise Unknown("--preset needs a task; got none.")
    plan_settings.replaced.clear()  # what a preset replaces is meant
    plan_settings.add(dict(parts or {}))
    plan_settings.add(dict(settings or {}))
    found_parts = find_parts(registry, plan_settings.parts)
    found_evaluators = tuple(registry.find("evaluator", name) for name in evaluators)
    check_prefixes(plan_settings, [*found_parts, RECIPE, *(evaluator.name for evaluator in found_evaluators)])
    recipe = Recipe(**fill_options("the recipe", RECIPE, OPTIONS_OF_RECIPE, plan_settings.options.get(RECIPE, {})))
    name = found_task.name if found_task is not None else "-".join(found_parts[part].name for part in PARTS[1:])
    options, places = plan_settings.options, (fit_with, init)
    left_out = find_left_out(plan_settings, found_parts)
    return Plan(name, found_task, found_parts, found_evaluators, options, recipe, seed, *places, hold_out, left_out)


def find_left_out(plan_settings: PlanSettings, found: Mapping[str, Registered]) -> dict[str, Any]:
    """Return what was set of a replaced part, of options that the part in its place has with another default."""
    left_out = dict[str, Any]()
    for part, settings in plan_settings.replaced.items():
        if KINDS[part] == "data":  # other data have other sizes
            continue
        known = read_component_options(found[part])
        for name, value in settings.items():
            if name in known and name not in plan_settings.options.get(part, {}) and known[name].default != value:
                left_out[f"{part}.{name}"] = value
    return left_out


def add_task_settings(plan_settings: PlanSettings, task: Registered, preset: str | None) -> None:
    """Add what a task declares, and its presets, several with a plus between them: `small+bf16`."""
    traits = task.component.traits
    plan_settings.add(traits["parts"])
    plan_settings.add({f"{RECIPE}.{name}": value for name, value in traits["recipe"].items()})
    plan_settings.add(traits["options"])
    known = {**COMMON_PRESETS, **traits["presets"]}
    for name in preset.split("+") if preset is not None else ():
        if name not in known:
            listed = ", ".join([*traits["presets"], *COMMON_PRESETS])
            raise Unknown(f"{task.name} has no preset '{name}'. Its presets: {listed}.")
        plan_settings.add(known[name])


def find_parts(registry: Registry, names: Mapping[str, str]) -> dict[str, Registered]:
    """Return the named parts; raises where one is missing or they do not fit by what they declare."""
    for part in PARTS:
        if part not in names:
            listed = f"pretask list {part}"
            raise Unknown(f"A run needs {part}; got none. Name one with --{part}: {listed}.")
    found = {part: registry.find(KINDS[part], name) for part, name in names.items()}
    reason = explain_misfit(
        registry, found["split"], found["objective"], found["model"], found["data"].component.traits["modality"]
    )
    if reason is not None:
        raise Incompatible(reason)
    return found


def check_prefixes(plan_settings: PlanSettings, known: Collection[str]) -> None:
    """Raise Unknown for settings of something that the run does not have."""
    for part in plan_settings.options:
        if part not in known:
            raise Unknown(f"Nothing is called '{part}' in this run. Options belong to: {', '.join(known)}.")


def path_options(registered: Registered) -> list[str]:
    """Return the options of a component that are paths, of which a record holds only the last name."""
    options = read_component_options(registered).items()
    return [name for name, option in options if Path in (option.annotation, *get_args(option.annotation))]


def split_names(text: str) -> list[str]:
    """Return names with commas between them, each once.

    >>> split_names("linear, knn,")
    ['linear', 'knn']
    """
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
