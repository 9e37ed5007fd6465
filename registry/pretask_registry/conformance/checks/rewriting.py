"""What an objective promises whose own network makes part of x, and what one promises of the state that it declares.

Axes: B batch.
"""

from dataclasses import replace
from typing import Any

import torch
from pretask import Draws, EncodesViews, Inputs, Rewrites, Targets
from pretask.values import iterate_tensors

from pretask_registry.conformance import ambient
from pretask_registry.conformance.check import check, require
from pretask_registry.conformance.checks.splits import check_target
from pretask_registry.conformance.kinds import ObjectiveCase, Trial
from pretask_registry.conformance.material import split_numbered
from pretask_registry.conformance.tensors import describe_difference

TEACHER = "teacher"  # the state that core keeps


def rewrite(trial: Trial, change_targets: bool = False) -> tuple[Inputs, Inputs, Targets]:
    """Return x of the split, and x and y as the objective rewrites them; from other targets where these are changed."""
    draws = Draws(trial.batch.index)
    inputs, targets = split_numbered(trial.task, trial.batch, draws)
    if change_targets:
        targets = {name: replace(target, value=target.value.roll(1, 0)) for name, target in targets.items()}
    with torch.no_grad():
        return inputs, *trial.task.prepare(inputs, targets, draws)


@check("objective")
def rewriting_follows_from_x_and_draws(case: ObjectiveCase) -> None:
    """Check that a rewritten x depends on no y and no ambient randomness, and keeps its form and what is visible."""
    for trial in case.tasks:
        if not isinstance(trial.task.objective, Rewrites):
            continue
        before = ambient.read_states()
        given, made, targets = rewrite(trial)
        moved = ambient.name_moved(before)
        require(not moved, f"What rewrites x must draw from Draws only; it moved the generator of {moved}.")
        ours, theirs = dict(iterate_tensors(made)), dict(iterate_tensors(rewrite(trial, change_targets=True)[1]))
        other = describe_difference(ours, theirs)
        require(not other, f"A rewritten x must not depend on the answers; with those of other samples, {other}.")
        check_form(given, made)
        for name, spec in trial.specs.items():
            check_target(name, targets[name], spec, len(trial.batch))


def check_form(given: Inputs, made: Inputs) -> None:
    """Raise Failure unless a rewritten x has the form of the split's, and all that was visible in it."""
    same = made.data.shape == given.data.shape and made.data.dtype == given.data.dtype
    require(same, "A rewritten x must keep the shape and the type that the model was built for.")
    if given.visible is not None:
        kept = given.visible.view(*given.visible.shape, *[1] * (given.data.ndim - given.visible.ndim))
        changed = int(((made.data != given.data) & kept).sum())
        require(not changed, f"A rewritten x must keep what is visible; it is changed at {changed} places.")


@check("objective", when=lambda component: bool(component.traits.get("state")))
def declared_state_moves_after_steps_only(case: ObjectiveCase) -> None:
    """Check that declared state is in the state_dict, is left alone by the loss, and moves after a step."""
    names = case.component.traits["state"]
    for trial in case.tasks:
        objective = trial.task.objective
        for name in sorted(names - {TEACHER}):
            found = name in dict(objective.named_buffers())
            require(found, f"'{name}' is declared as state; register it as a buffer of that name, so that it is saved.")
        declared = isinstance(objective, EncodesViews) and objective.teacher_momentum is not None
        require(
            declared == (TEACHER in names),
            f"state must name '{TEACHER}' where there is a teacher, and only there; it declares {sorted(names)}.",
        )
        before = read_state(trial, names)
        trial.score()
        other = describe_difference(before, read_state(trial, names), 0.0)
        require(not other, f"State must move in after_step only, once for a step of any parts; in the loss, {other}.")
        shake(trial)
        trial.task.follow(0.5)
        after = read_state(trial, names)
        idle = [name for name in before if torch.equal(before[name], after[name])]
        require(len(idle) < len(before), f"State must move after a step; {', '.join(idle[:3])} did not.")


def read_state(trial: Trial, names: Any) -> dict[str, torch.Tensor]:
    """Copy the tensors of some state."""
    task, found = trial.task, {}
    for name, value in task.objective.named_buffers():
        if name in names:
            found[name] = value.detach().clone()
    if TEACHER in names and task.teacher is not None:
        found |= {f"{TEACHER}.{name}": value.detach().clone() for name, value in task.teacher.named_parameters()}
    return found


@torch.no_grad()
def shake(trial: Trial) -> None:
    """Move all weights a little, as a step of an optimizer does."""
    for network in (trial.task.model, trial.task.objective):
        for parameter in network.parameters():
            parameter.add_(0.01)
