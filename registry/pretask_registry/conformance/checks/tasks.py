"""What every task and suite promises: parts that exist and fit, settings that are valid, and a lesson that is learned.

Axes: B batch.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from importlib.resources import files
from typing import Any

import torch
from pretask import Batch, Draws, Recipe, Samples, Task
from pretask.protocols import chance_of
from pretask.training import train

from pretask_registry.conformance import ambient
from pretask_registry.conformance.cases import Case
from pretask_registry.conformance.check import Failure, check, require
from pretask_registry.conformance.checks.models import has_gradient, nudge_weights
from pretask_registry.conformance.kinds import TaskCase
from pretask_registry.conformance.material import CPU, make_batch, split_numbered
from pretask_registry.conformance.tensors import copy_parameters, describe_difference, name_halves
from pretask_registry.fit import PARTS, static_fit
from pretask_registry.options import REQUIRED, fill_options, read_options
from pretask_registry.registry import Registered
from pretask_registry.resolve import import_implementation, read_implementation_options

STEPS, RATE = 60, 5e-3  # to overfit eight samples
LEARNED = 0.15  # of a trivial prediction's loss must be gone
RECENT = 3  # losses that must have fallen together


@check("task", once=True)
def parts_exist_and_fit(case: TaskCase) -> None:
    """Split, objective and model are installed, and fit by what they declare."""
    reason = static_fit(case.parts["split"], case.parts["objective"], case.parts["model"])
    require(reason is None, f"The parts of {case.id} must fit; {reason}")


@check("task", once=True)
def settings_are_valid(case: TaskCase) -> None:
    """Check that the paper's options and every preset name options that exist, with values of their types."""
    traits = case.component.traits
    check_settings(case, "options", traits["options"])
    Recipe(**fill_options("recipe", "recipe", read_options(Recipe, by_keyword=False), traits["recipe"]))
    for name, settings in traits["presets"].items():
        check_settings(case, f"the preset {name}", settings)


def check_settings(case: TaskCase, where: str, settings: Mapping[str, Any]) -> None:
    """Raise unless settings such as {"split.patch": 96, "data": "shapes"} can be taken."""
    parts: dict[str, Registered] = dict(case.parts)
    for name, value in settings.items():
        if "." not in name:
            kinds = (*PARTS, "data")
            require(name in kinds, f"{where} must set {', '.join(kinds)} or PART.OPTION; it sets {name!r}.")
            parts[name] = case.registry.find(name, value)
    given: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        part, _, option = name.partition(".")
        if option:
            given.setdefault(part, {})[option] = value
    recipe = given.pop("recipe", {})
    fill_options("recipe", "recipe", read_options(Recipe, by_keyword=False), recipe)
    for part, options in given.items():
        require(part in parts, f"{where} sets options of '{part}', which it does not name.")
        known = read_implementation_options(parts[part], import_implementation(parts[part]))
        given_or_small = {**parts[part].component.small, **options}
        named = {
            name: option
            for name, option in known.items()
            if part != "data" or name in given_or_small or option.default is not REQUIRED  # whose files, a user says
        }
        fill_options(parts[part].name, part, named, given_or_small)


def step(task: Task, batch: Batch, seed: int) -> Any:
    """Compute the loss of a batch whose draws are always the same."""
    draws = Draws(batch.index, seed)
    return task.score(*split_numbered(task, batch, draws), draws)


@check("task")
def overfits_one_batch(case: TaskCase) -> None:
    """Check that, trained on eight samples with the same draws, the loss falls well below start and chance."""
    task = case.make()
    batch = make_batch(case.samples, task.split, 8)
    optimizer = torch.optim.Adam([*task.model.parameters(), *task.objective.parameters()], RATE)
    task.model.train()
    losses: list[float] = []
    for number in range(STEPS):
        torch.manual_seed(number)
        loss = step(task, batch, case.seed)
        require(bool(loss.total.isfinite()), f"The loss must stay finite; it was {loss.total} in step {number}.")
        losses.append(float(loss.total.detach()))
        if has_learned(losses, trivial_loss(task, losses[0])):
            return
        optimizer.zero_grad()
        loss.total.backward()
        optimizer.step()
        task.follow((number + 1) / STEPS)
    change = (
        f"from {losses[0]:.4g} to {losses[-1]:.4g}, where a trivial prediction has {trivial_loss(task, losses[0]):.4g}"
    )
    raise Failure(f"Eight samples must be learned in {STEPS} steps; the loss went {change}.")


def has_learned(losses: list[float], start: float) -> bool:
    """Return whether the last losses together are well below the start."""
    recent = losses[-RECENT:]
    return len(losses) > RECENT and sum(recent) / RECENT < start - LEARNED * abs(start)


def trivial_loss(task: Task, first: float) -> float:
    """Return the loss of a trivial prediction, where the objective knows it of every target; at most the first one."""
    chance = chance_of(task.objective)
    names = list(task.split.spec(task.observed)[1])
    return min(first, sum(chance[name] for name in names)) if all(name in chance for name in names) else first


@check("task")
def gradient_reaches_every_parameter(case: TaskCase) -> None:
    """Check that every parameter of model and objective that wants a gradient gets one from the task's own loss."""
    task = case.make()
    nudge_weights(task.model.train())
    nudge_weights(task.objective.train())
    step(task, make_batch(case.samples, task.split, 16), case.seed).total.backward()
    dead = [
        f"{who}.{name}"
        for who, part in (("model", task.model), ("objective", task.objective))
        for name, parameter in part.named_parameters()
        if parameter.requires_grad and not has_gradient(parameter)
    ]
    require(not dead, f"A gradient must reach every parameter; none reaches {', '.join(dead[:5])}.")


@check("task")
def labels_make_no_difference(case: TaskCase) -> None:
    """Check that, trained on the same samples with other labels, the weights are the same, bit for bit."""
    change = describe_difference(train_once(case), train_weights(case, shuffle_labels(case.samples)), 0.0)
    require(not change, f"Labels must not reach the training; with other labels, {change}.")


@check("task")
def same_seed_same_weights(case: TaskCase) -> None:
    """Check that two runs of one seed give the same weights, whatever the ambient seed."""
    ours = train_once(case)
    ambient.seed_everything(2)
    change = describe_difference(ours, train_weights(case, case.samples), 0.0)
    require(not change, f"A run must follow from its seed; with another ambient seed, {change}.")


def train_once(case: TaskCase) -> dict[str, torch.Tensor]:
    """Train two steps, remembered for the next check, and return the weights."""
    ambient.seed_everything(1)
    weights: dict[str, torch.Tensor] | None = case.memory.get("first_run")
    if weights is None:
        weights = case.memory["first_run"] = train_weights(case, case.samples)
    return weights


def train_weights(case: TaskCase, samples: Samples) -> dict[str, torch.Tensor]:
    """Train two steps on some samples, and return the weights."""
    task = case.make()
    recipe = replace(Recipe(), batch=8, samples=16, lr=1e-3, channels_last=False)
    train(replace(task, recipe=recipe), samples, seed=case.seed)
    return copy_parameters(*task.networks.values())


def shuffle_labels(samples: Samples) -> Samples:
    """Return the same samples with the labels of others."""
    labels = {name: replace(labels, value=labels.value.roll(1, 0)) for name, labels in samples.labels.items()}
    return replace(samples, labels=labels)


@check("task")
def finite_in_bfloat16(case: TaskCase) -> None:
    """Check that the task's loss is finite under bfloat16 autocast."""
    task = case.make()
    with torch.autocast(CPU.type, torch.bfloat16):
        loss = step(task, make_batch(case.samples, task.split, 4), case.seed)
    require(bool(loss.total.isfinite()), f"The loss must be finite in bfloat16; it is {loss.total}.")


@check("task")
def split_runs_outside_autocast(case: TaskCase) -> None:
    """Check that, under bfloat16 autocast, a task has the very x and y that it has without."""
    task = case.make()
    batch = make_batch(case.samples, task.split, 16)
    plain = name_halves(split_numbered(task, batch, Draws(batch.index, case.seed)))
    with torch.autocast(CPU.type, torch.bfloat16):
        change = describe_difference(
            plain, name_halves(split_numbered(task, batch, Draws(batch.index, case.seed))), 0.0
        )
    require(
        not change, f"A split must run outside autocast, or precision changes the lesson; under bfloat16, {change}."
    )


@check("suite", once=True)
def file_can_be_read(case: Case) -> None:
    """Check that the file that a suite names lies beside its module and is TOML."""
    module, _, name = case.component.implementation.partition(":")
    content = tomllib.loads(files(module).joinpath(name).read_text(encoding="utf-8"))
    require(content, f"{name} must fix something; it is empty.")
