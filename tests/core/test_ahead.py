"""Steps whose x and y are made together are to the last bit those that are made alone, or are made alone."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from pretask import Batch, Draws, Inputs, Recipe, Samples, Targets, ahead
from pretask.checkpoint import Progress
from pretask.composition import compose
from pretask.training import MicroBatch, Run, train
from pretask.unread_rows import UnreadRows

sys.path.insert(0, str(Path(__file__).parent))

from tiny import OBSERVED, RECIPE, BrighterObjective, Flat, Halves, samples, task, weights

COUNT = ahead.MAX_STEPS


class LeansOnItsBatch(Halves):
    """A split that is none: a sample's x depends on what else is in its batch."""

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        inputs, targets = super().__call__(batch, draws)
        return Inputs(inputs.data - inputs.data.mean()), targets


def make_run(split: Any = None, recipe: Recipe = RECIPE, count: int = 50) -> Run:
    made = compose(OBSERVED, split or Halves(), Flat, BrighterObjective, recipe, seed=0)
    return Run(made, samples(count), 7, None, Progress("key"))


def iterate_pairs(run: Run, first: int, last: int) -> Iterator[tuple[list[MicroBatch], list[MicroBatch]]]:
    """Steps as they are trained on, and as each is by itself."""
    for number, step in enumerate(run.iterate_steps(first, last), start=first):
        yield step, run.make_micro_batches(run.fetch(number))


@pytest.mark.parametrize(("first", "last"), [(0, 40), (5, 38), (16, 17), (39, 40), (3, 90)])
def test_every_step_is_what_it_is_alone_over_the_ends_of_epochs_and_wherever_a_run_goes_on(
    first: int, last: int
) -> None:
    run = make_run()
    assert run.together == COUNT
    pairs = list(iterate_pairs(run, first, last))
    assert len(pairs) == last - first
    for (step,), (alone,) in pairs:
        assert ahead.is_same(step, alone)
        assert isinstance(step.epoch, int) == isinstance(alone.epoch, int)


def test_training_gives_the_same_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    together, alone = task(), task()
    train(together, samples(), seed=7)
    monkeypatch.setattr(ahead, "MAX_STEPS", 1)
    train(alone, samples(), seed=7)
    assert all(torch.equal(value, weights(alone)[name]) for name, value in weights(together).items())


def test_steps_wait_for_one_another_as_far_as_memory_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(recipe=replace(RECIPE, samples=200 * RECIPE.batch))
    assert run.waiting == ahead.MAX_WAITING == 4 * COUNT
    groups: list[range] = []
    make_steps = run.make_steps
    monkeypatch.setattr(
        run, "make_steps", lambda batches, steps: [groups.append(steps), *make_steps(batches, steps)][1:]
    )
    steps = run.iterate_steps(5, 200)
    next(steps)
    assert [group.start for group in groups] == [0, 16, 32, 48]
    assert len(list(islice(steps, 58))) == 58
    assert len(groups) == 4
    next(steps)
    assert groups[-1] == range(112, 128)
    assert len(list(steps)) == 200 - 5 - 60
    (alone,) = run.make_micro_batches(run.fetch(0))
    rows = torch.empty(ahead.MAX_BYTES // 40, dtype=torch.uint8)
    assert ahead.count_waiting(alone, COUNT) == 64
    assert ahead.count_waiting(alone, COUNT - 1) == COUNT - 1  # steps of many bytes
    assert ahead.count_waiting({"x": rows, "y": rows[:5]}, COUNT) == 2 * COUNT
    assert ahead.count_waiting({"x": rows, "y": rows.clone()}, COUNT) == COUNT


def test_what_depends_on_its_batch_is_split_step_by_step() -> None:
    run = make_run(LeansOnItsBatch())
    assert run.together == 1
    assert all(ahead.is_same(*pair) for pair in iterate_pairs(run, 0, 3))


def test_a_tensor_without_a_row_for_every_sample_is_not_cut() -> None:
    with pytest.raises(ahead.Uncut, match="3 times as many rows"):
        ahead.cut({"rows": torch.ones(6), "shared": torch.ones(())}, 3)
    with pytest.raises(ahead.Uncut, match="4 times as many rows"):
        ahead.cut(torch.ones(6), 4)


def test_steps_that_cannot_be_cut_later_are_split_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    assert run.together == COUNT
    monkeypatch.setattr(run, "cut_steps", refuse)
    assert all(ahead.is_same(*pair) for pair in iterate_pairs(run, 0, 3))


def refuse(*_: object) -> None:
    raise ahead.Uncut("steps", "rows", "none", "")


def test_zeros_with_a_sign_and_numbers_that_are_none_are_told_apart() -> None:
    zero, none = torch.zeros(2), torch.full((2,), torch.nan)
    assert ahead.is_same(none, none.clone())
    assert not ahead.is_same(zero, none)
    assert not ahead.is_same(zero, -zero)


def test_parts_and_large_steps_are_not_made_together() -> None:
    data = samples()
    assert ahead.count_together(data, RECIPE, ranks=1) == COUNT
    assert ahead.count_together(data, replace(RECIPE, samples=12 * 3), ranks=1) == 3
    assert ahead.count_together(data, RECIPE, ranks=2) == 1
    assert ahead.count_together(data, replace(RECIPE, accumulate=2), ranks=1) == 1
    assert ahead.count_together(data, replace(RECIPE, compile=True), ranks=1) == 1
    large = Samples(replace(OBSERVED, shape=(3, 512, 512)), torch.empty(50, 3, 512, 512, dtype=torch.uint8))
    assert ahead.count_together(large, replace(RECIPE, batch=10), ranks=1) == 2
    assert ahead.count_together(large, RECIPE, ranks=1) == 1


def test_rows_that_are_read_one_by_one_are_not_read_ahead() -> None:
    rows = UnreadRows(lambda index: torch.zeros(len(index), 8), (50, 8), torch.float32)
    assert ahead.count_together(Samples(OBSERVED, rows), RECIPE, ranks=1) == 1


def test_a_stop_between_steps_that_were_made_together_loses_nothing() -> None:
    run = make_run()
    with_rest = list(islice(run.iterate_steps(0, 40), 3))
    assert len(with_rest) == 3
    assert all(ahead.is_same(*pair) for pair in iterate_pairs(run, 3, 6))
