"""Promises of the held-out score: what it counts, how much it rests on, and what trivial predictors are shown."""

import doctest
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pretask.order
import pytest
import torch
from pretask import Batch, Draws, Features, Inputs, Target, Targets
from pretask.composition import compose
from pretask.order import epoch_order, positions, shown_samples
from pretask.pretext_score import (
    MAX_BLOCKS,
    MAX_DRAWS,
    HeldOutScore,
    choose_draws,
    held_out_loss,
    score_held_out,
    score_references,
    trivial_losses,
)
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

import tiny


class MaskedHalves(tiny.Halves):
    """The same question, asked of a planted share of samples, with a weight that is not 1."""

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        inputs, targets = super().__call__(batch, draws)
        weight = (batch.index % 5 == 0).float() * 0.25
        return inputs, {"brighter": Target(targets["brighter"].value, weight)}


class StillHalves(tiny.Halves):
    """A question that draws nothing."""

    shown: ClassVar[list[int]] = []

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        return super().__call__(batch, Draws(batch.index, 0, 0))

    def trivial_predictors(self, batches: Any) -> dict[str, Any]:
        """Remember what was shown, and predict nothing of it."""
        self.shown.extend(number for batch in batches for number in batch.index.tolist())
        return {"even": lambda batch, draws: {"brighter": torch.zeros(len(batch), 2)}}


class Scorer(tiny.BrighterObjective):
    """Cross-entropy that also scores others, with one part that depends on the batch it is in."""

    def forward(self, features: Any, targets: Targets, draws: Draws, /) -> Any:
        loss = super().forward(features, targets, draws)
        count = torch.tensor(float(len(targets["brighter"].value)))
        return replace(loss, parts={**loss.parts, "neighbors": count}, weights={**loss.weights, "neighbors": count})

    def score(self, predictions: dict[str, Tensor], targets: Targets, /) -> Any:
        nats = torch.nn.functional.cross_entropy(predictions["brighter"], targets["brighter"].value)
        return replace(super().forward(*self.nothing(targets)), parts={"brighter": nats}, weights={})

    def nothing(self, targets: Targets) -> Any:
        """Features of zeros."""
        count = len(targets["brighter"].value)
        zeros = torch.zeros(count, 1, 6)
        features = Features({"all": zeros[:, :, None]}, {"all": zeros})
        return features, targets, Draws(torch.arange(count))


def task(split: Any = None, objective: Any = tiny.BrighterObjective) -> Any:
    recipe = replace(tiny.RECIPE, batch=16)
    return compose(tiny.OBSERVED, split or tiny.Halves(), tiny.Flat, objective, recipe)


def score(count: int, **options: Any) -> HeldOutScore:
    return score_held_out(task(**options), tiny.samples(count))


def test_answers_are_counted_by_position_and_not_by_weight() -> None:
    found = score(100, split=MaskedHalves())
    assert found.metrics["brighter"].count == found.metrics["brighter.accuracy"].count == 20 * found.draws


@pytest.mark.parametrize(("samples", "draws"), [(20, MAX_DRAWS), (100, 10), (700, 4)])
def test_few_samples_are_drawn_often_and_many_at_least_four_times(samples: int, draws: int) -> None:
    assert choose_draws(task(), tiny.samples(samples)) == draws


def test_a_question_that_draws_nothing_is_asked_once() -> None:
    assert score(20, split=StillHalves()).draws == 1


def test_the_score_is_the_mean_over_draws_that_training_never_has() -> None:
    made, held_out = task(), tiny.samples(20)
    made.model.eval()
    index = torch.arange(20)
    losses = [
        float(made.loss(held_out.batch(index, made.device), Draws(index, 0, -draw)).parts["brighter"].detach())
        for draw in range(1, MAX_DRAWS + 1)
    ]
    assert score_held_out(made, held_out).values["brighter"] == pytest.approx(sum(losses) / len(losses), rel=1e-6)


@pytest.mark.parametrize("count", [20, 150])
def test_blocks_are_consecutive_samples_with_all_their_draws(count: int) -> None:
    part = score(count).metrics["brighter.accuracy"]
    assert len(part.blocks) == min(count, math.ceil(count / math.ceil(count / MAX_BLOCKS)))
    assert sum(weight for _, weight in part.blocks) == part.count
    assert sum(total for total, _ in part.blocks) / part.count == pytest.approx(part.value)


def test_the_same_seed_gives_the_same_score_whatever_the_batch() -> None:
    made, held_out = task(), tiny.samples(50)
    bigger = replace(made, recipe=replace(made.recipe, batch=50))
    assert score_held_out(made, held_out) == score_held_out(made, held_out)
    assert score_held_out(bigger, held_out).values == pytest.approx(score_held_out(made, held_out).values, abs=1e-6)


def test_a_part_that_the_batch_changes_is_scored_on_whole_batches() -> None:
    found = score(48, objective=Scorer)
    assert found.values["neighbors"] == 16
    assert len(found.metrics["neighbors"].blocks) == 3
    assert len(found.metrics["brighter"].blocks) == 48


def test_trivial_predictors_are_shown_the_samples_that_the_model_was_shown() -> None:
    split = StillHalves()
    split.shown.clear()
    made, train = task(split=split, objective=Scorer), tiny.samples(50)
    shown = shown_samples(seed=7, count=20, total=50)
    assert shown is not None
    found = score_references(made, train, tiny.samples(30), shown=shown).trivial
    assert sorted(split.shown) == shown.tolist() == sorted(positions(7, 0, 20, 50)[0].tolist())
    assert found["even"].values["brighter"] == pytest.approx(math.log(2))
    assert found["even"].metrics["brighter"].count == 30


def test_after_an_epoch_everything_was_shown() -> None:
    assert shown_samples(0, 50, 50) is None
    first = shown_samples(0, 49, 50)
    assert first is not None
    assert sorted({*range(50)} - {*first.tolist()}) == [int(epoch_order(0, 0, 50)[-1])]


def test_the_plain_dictionaries_hold_the_same_values() -> None:
    made, held_out = task(split=StillHalves(), objective=Scorer), tiny.samples(30)
    assert held_out_loss(made, held_out) == score_held_out(made, held_out).values
    assert trivial_losses(made, held_out, held_out) == {"even": {"brighter": pytest.approx(math.log(2))}}


def test_no_sample_gives_no_number() -> None:
    assert score_held_out(task(), tiny.samples(1).some(slice(0, 0), "none")) == HeldOutScore({}, 0, 0)


def test_the_examples_in_docstrings_are_true() -> None:
    assert doctest.testmod(pretask.order).failed == 0
