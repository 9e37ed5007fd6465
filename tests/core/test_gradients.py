"""Gradients: training with nothing to learn from ends with the reason, and legitimate zeros do not."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretask import PretaskError, Task, upcast
from pretask.first_step import try_first_step
from pretask.gradients import MIN_STEPS, GradientWatch
from pretask.training import train
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

from tiny import RECIPE, BrighterObjective, Halves, samples, task

LONG, SHORT = replace(RECIPE, samples=12 * 2 * MIN_STEPS), replace(RECIPE, samples=12)


def with_gradient(change: str, recipe: object = LONG) -> Task:
    """The tiny task with an objective whose gradients are changed."""
    made = task(recipe)  # type: ignore[arg-type]
    plain = BrighterObjective.forward

    def forward(self: BrighterObjective, features: object, targets: object, draws: object) -> object:
        loss = plain(self, features, targets, draws)  # type: ignore[arg-type]
        return replace(loss, total=loss.total * 0)

    if change == "nothing":
        made.objective.forward = forward.__get__(made.objective)
    if change == "head at 0":
        nn.init.zeros_(made.objective.head.weight)
    if change == "head alone":
        made.model.register_forward_hook(lambda module, given, made: replace(made, pooled=cut(made.pooled)))
    return made


def cut(pooled: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: upcast(value).detach() for name, value in pooled.items()}


@pytest.mark.parametrize("recipe", [LONG, SHORT])
def test_a_run_whose_gradients_are_all_0_ends_with_the_reason(recipe: object, tmp_path: Path) -> None:
    with pytest.raises(PretaskError, match="something to learn from; got a gradient of 0 of every parameter in"):
        train(with_gradient("nothing", recipe), samples(), folder=tmp_path)
    assert not list(tmp_path.glob("step-*"))


def test_a_run_whose_encoder_never_had_a_gradient_ends_with_the_reason() -> None:
    with pytest.raises(PretaskError, match="of every parameter of the encoder in all of the first 16 steps"):
        train(with_gradient("head alone"), samples())


@pytest.mark.parametrize(("change", "recipe"), [("head at 0", LONG), ("head at 0", SHORT), ("head alone", SHORT)])
def test_a_head_that_begins_at_0_or_is_trained_first_is_no_reason(change: str, recipe: object) -> None:
    assert not train(with_gradient(change, recipe), samples()).interrupted


def test_an_encoder_that_is_frozen_on_purpose_is_no_reason() -> None:
    made = task(LONG)
    made.model.requires_grad_(False)
    assert train(made, samples()).steps == 2 * MIN_STEPS


def test_a_few_batches_without_an_answer_are_no_reason_before_enough_steps_are_seen() -> None:
    weight = nn.Parameter(torch.zeros(2))
    watch = GradientWatch([weight], [weight])
    for _ in range(MIN_STEPS - 1):
        weight.grad = torch.zeros(2)
        watch.note()
        watch.check(torch.zeros(()), total=MIN_STEPS)
    weight.grad = torch.tensor([0.0, torch.nan])  # whatever it is, it is not 0
    watch.note()
    watch.check(torch.zeros(()), total=MIN_STEPS)
    assert watch.is_decided


def test_a_run_that_goes_on_for_its_last_steps_is_not_judged_by_them() -> None:
    weight = nn.Parameter(torch.zeros(2))
    watch = GradientWatch([weight], [weight])
    watch.note()
    watch.check(torch.zeros(()), total=MIN_STEPS)
    assert not watch.is_decided


def test_the_first_step_names_the_part_that_failed() -> None:
    def fail(*_: object, **__: object) -> None:
        raise IndexError("too far.\nAnd more of it")

    assert try_first_step(task(), samples()) == ("", "")
    for part, inner in (("model", "linear"), ("objective", "head")):
        made = task()
        getattr(getattr(made, part), inner).forward = fail
        crash, refusal = try_first_step(made, samples())
        assert (crash, refusal) == (f"the {part} failed in the first step with IndexError: too far.", "")
    broken = type("Broken", (Halves,), {"__call__": fail})()
    assert try_first_step(replace(task(), split=broken), samples()).crash.startswith(
        "the split failed in the first step"
    )
    made = task()
    made.objective.after_step = fail
    assert try_first_step(made, samples()).crash.startswith("the update after the gradient failed in the first step")


def test_what_a_few_samples_cannot_teach_is_tried_with_all_before_it_is_refused() -> None:
    made = task()
    plain = made.model.forward
    made.model.forward = lambda inputs, layers=False: plain(replace(inputs, data=inputs.data * (len(inputs.data) > 8)))
    made.model.linear.bias.requires_grad_(False)
    made.objective.head.requires_grad_(False)
    assert try_first_step(made, samples()) == ("", "")
