"""The profile of steps: phases that add up, of a training that stays the same."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pretask import draw_kernels
from pretask.ahead import MAX_WAITING
from pretask.draw_kernels import DRAWS
from pretask.step_profile import PHASES, WARMUP_STEPS, StepProfile
from pretask.training import train

sys.path.insert(0, str(Path(__file__).parent))
from tiny import RECIPE, samples, task, weights


def test_a_profiled_training_is_the_same_and_its_phases_add_up() -> None:
    recipe = replace(RECIPE, samples=100 * RECIPE.batch)
    plain, watched, profile = task(recipe), task(recipe), StepProfile()
    train(plain, samples(), seed=3)
    train(watched, samples(), seed=3, profile=profile)
    assert all(torch.equal(value, weights(watched)[name]) for name, value in weights(plain).items())
    assert profile.steps == 100 - MAX_WAITING  # the first ones are made before any of them is trained
    assert not profile.inside
    assert {name for name, spent in profile.seconds.items() if spent} >= {
        "split",
        "model",
        "objective",
        "backward",
        "optimizer",
    }
    assert all(getattr(draw_kernels, name) is draw for name, draw in DRAWS.items())  # nothing is timed afterwards
    lines = profile.describe()
    assert [line.split()[0] for line in lines[1:-1]] == [phase for phase in PHASES if profile.seconds[phase]]
    assert lines[-1].startswith("all")


def test_a_short_training_is_profiled_step_by_step() -> None:
    recipe = replace(RECIPE, samples=10 * RECIPE.batch)
    plain, watched, profile = task(recipe), task(recipe), StepProfile()
    train(plain, samples(), seed=3)
    train(watched, samples(), seed=3, profile=profile)
    assert profile.steps == 10 - WARMUP_STEPS
    assert profile.seconds["split"] > 0
    assert all(torch.equal(value, weights(watched)[name]) for name, value in weights(plain).items())


def test_a_phase_does_not_hold_the_time_of_phases_inside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 1.0, 3.0, 7.0, 8.0, 8.5])
    monkeypatch.setattr(time, "perf_counter", lambda: next(moments))
    profile = StepProfile()
    profile.steps = 1
    with profile.phase("split"), profile.phase("draws"):
        profile.timed("data", int)()
    assert {name: spent for name, spent in profile.seconds.items() if spent} == {
        "split": 1.5,
        "draws": 3.0,
        "data": 4.0,
    }


def test_too_few_steps_have_no_profile() -> None:
    assert StepProfile().describe() == [
        f"no profile: it leaves out the first {WARMUP_STEPS} steps, and no more were taken"
    ]
