"""Chance: the best constant prediction, counted on training labels, scored on held-out answers, for any target."""

import doctest
import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pretask.constant_prediction
import pytest
import torch
from pretask import Batch, Categories, Draws, Features, FeatureSpec, Inputs, InputSpec, Loss, Observed, Target, Targets
from pretask.composition import compose
from pretask.pretext_score import score_references
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

import tiny

LABELS, CLASSES, GRID = "label", 3, (2,)
PLANTED = torch.tensor([0, 1, 1, 1, 1, 1, 1, 1, 1, 1])  # by sample number: always saying 1 is right nine times in ten


@dataclass(frozen=True)
class Planted:
    """A label by sample number, on a grid, hard or soft, of which the second position may weigh less or nothing."""

    soft: bool = False
    second: float = 1.0

    def spec(self, images: Observed, /) -> tuple[InputSpec, dict[str, Categories]]:
        return InputSpec("image", images.shape), {LABELS: Categories(grid=GRID, classes=CLASSES)}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        return InputSpec("image", images.shape)

    def whole(self, batch: Batch, /) -> Inputs:
        return Inputs(batch.data[:, None] / 255)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        first = PLANTED[batch.index % len(PLANTED)]
        value = torch.stack([first, torch.full_like(first, 2)], 1)  # at the second position always 2
        weight = torch.tensor([1.0, self.second]).expand(len(batch), 2)
        if not self.soft:
            return self.whole(batch), {LABELS: Target(value, weight)}
        candidates = torch.stack([value, torch.zeros_like(value)], -1)
        probability = torch.tensor([0.75, 0.25]).expand(*value.shape, 2)
        return self.whole(batch), {LABELS: Target(candidates, weight, probability)}


class Classifier(nn.Module):
    """A linear head whose loss is the cross-entropy, smoothed on demand; it says nothing of chance."""

    smoothing = 0.0

    def __init__(self, features: FeatureSpec, targets: Any, /) -> None:
        super().__init__()
        self.head = nn.Linear(6, GRID[0] * CLASSES)

    def predict(self, features: Features, /) -> dict[str, Tensor]:
        return {LABELS: self.head(features.pooled["all"][:, 0]).view(-1, *GRID, CLASSES).log_softmax(-1)}

    def forward(self, features: Features, targets: Targets, draws: Draws, /) -> Loss:
        target, log_probability = targets[LABELS], self.predict(features)[LABELS]
        value = target.value[..., None] if target.probability is None else target.value
        probability = torch.ones(()) if target.probability is None else target.probability
        nats = -(probability * log_probability.gather(-1, value)).sum(-1)
        nats = (1 - self.smoothing) * nats - self.smoothing * log_probability.mean(-1)
        weight = torch.ones(nats.shape) if target.weight is None else target.weight
        mean, accuracy = ((part * weight).sum() / weight.sum() for part in (nats, torch.zeros_like(nats)))
        return Loss(
            mean,
            {LABELS: mean.detach(), f"{LABELS}.accuracy": accuracy},
            dict.fromkeys((LABELS, f"{LABELS}.accuracy"), weight.sum()),
        )


class Smoothed(Classifier):
    """Its loss is no cross-entropy of what it predicts, and it says what it knows."""

    smoothing = 0.05
    chance = {LABELS: 1.25, f"{LABELS}.accuracy": 1 / CLASSES}  # noqa: RUF012


def chance(split: Any, objective: Any = Classifier, train: int = 100, held_out: int = 40) -> dict[str, float]:
    made = compose(tiny.OBSERVED, split, tiny.Flat, objective, replace(tiny.RECIPE, batch=16))
    return dict(score_references(made, tiny.samples(train), tiny.samples(held_out)).chance)


def laplace(*counts: float) -> list[float]:
    return [(count + 1) / (sum(counts) + len(counts)) for count in counts]


def test_a_detector_of_rare_cases_is_held_against_always_saying_no() -> None:
    found = chance(Planted(second=0.0))
    first, second, _ = laplace(10, 90, 0)
    assert found[f"{LABELS}.accuracy"] == pytest.approx(0.9)
    assert found[LABELS] == pytest.approx(-0.1 * math.log(first) - 0.9 * math.log(second))
    assert found[LABELS] < math.log(2) / 2 < math.log(CLASSES)


def test_positions_count_by_their_weight() -> None:
    found = chance(Planted(second=0.5))
    first, second, third = laplace(*(200 / 150 * count for count in (10, 90, 50)))  # 200 answers of 150 in weight
    nats = (0.1 * math.log(first) + 0.9 * math.log(second) + 0.5 * math.log(third)) / -1.5
    assert found == pytest.approx({LABELS: nats, f"{LABELS}.accuracy": 0.9 / 1.5})


def test_a_soft_label_counts_by_its_probabilities_and_is_correct_where_it_is_most_probable() -> None:
    found = chance(Planted(soft=True, second=0.0))
    first, second, _ = laplace(10 * 0.75 + 25, 90 * 0.75, 0)
    expected = -(0.1 * 0.75 + 0.25) * math.log(first) - 0.9 * 0.75 * math.log(second)
    assert found == pytest.approx({LABELS: expected, f"{LABELS}.accuracy": 0.9})


def test_the_guess_is_chosen_in_training_and_scored_on_held_out_answers() -> None:
    found = chance(Planted(second=0.0), train=1, held_out=10)  # the only training label is the rare one
    first, second, _ = laplace(1, 0, 0)
    assert found == pytest.approx({LABELS: -0.1 * math.log(first) - 0.9 * math.log(second), f"{LABELS}.accuracy": 0.1})


def test_balanced_labels_leave_what_uniform_guesses_reach() -> None:
    made = tiny.task()
    found = score_references(made, tiny.samples(2000), tiny.samples(2000)).chance
    assert found["brighter.accuracy"] == pytest.approx(0.5, abs=0.02)
    assert found["brighter"] == pytest.approx(math.log(2), abs=2e-3)


def test_a_loss_that_is_no_cross_entropy_keeps_what_the_objective_says_of_it() -> None:
    found = chance(Planted(second=0.0), Smoothed)
    assert found == pytest.approx({LABELS: 1.25, f"{LABELS}.accuracy": 0.9})


def test_labels_are_counted_while_the_predictors_pass_and_each_once() -> None:
    seen: list[int] = []

    class Watched(Planted):
        def trivial_predictors(self, batches: Iterable[Batch]) -> dict[str, Any]:
            for batch in batches:
                seen.extend(batch.index.tolist())
                break  # the rest is counted all the same
            return {}

    class Scorer(Classifier):
        def score(self, predictions: Any, targets: Targets, /) -> Loss:
            raise AssertionError("there is no predictor")

    assert chance(Watched(second=0.0), Scorer) == pytest.approx(chance(Planted(second=0.0)))
    assert seen == [*range(16)]


def test_the_examples_in_docstrings_are_true() -> None:
    assert doctest.testmod(pretask.constant_prediction).failed == 0
