"""Promises of the objective cross-entropy."""

import math

import pytest
import torch
from pretask import Categories, Draws, Features, FeatureSpec, Incompatible, Target, Values
from pretask_plugins.objectives.cross_entropy import CrossEntropy, cross_entropy
from pretask_plugins.shared.scores import most_likely_class

DRAWS = Draws(torch.arange(2))


def features(views: int = 1, grid: tuple[int, ...] = (), width: int = 4, batch: int = 2) -> Features:
    tokens = torch.linspace(-1, 1, batch * views * math.prod(grid) * width).view(batch, views, -1, width)
    return Features({"all": tokens}, {"all": tokens.mean(2)}, grid)


def test_hard_answers_score_as_torch_scores_them() -> None:
    logits, value = torch.linspace(-2, 2, 30).view(5, 6), torch.tensor([0, 5, 2, 2, 1])
    assert torch.allclose(
        cross_entropy(logits, Target(value)), torch.nn.functional.cross_entropy(logits, value, reduction="none")
    )


def test_soft_answers_score_as_the_full_distribution_does() -> None:
    logits = torch.linspace(-2, 2, 12).view(2, 6)
    target = Target(torch.tensor([[1, 4], [0, 5]]), probability=torch.tensor([[0.3, 0.7], [1.0, 0.0]]))
    full = torch.tensor([[0, 0.3, 0, 0, 0.7, 0], [1.0, 0, 0, 0, 0, 0]])
    assert torch.allclose(
        cross_entropy(logits, target), torch.nn.functional.cross_entropy(logits, full, reduction="none")
    )


def test_the_most_likely_candidate_is_the_label() -> None:
    soft = Target(torch.tensor([[7, 3]]), probability=torch.tensor([[0.4, 0.6]]))
    assert most_likely_class(soft).tolist() == [3]


def test_a_uniform_guess_scores_what_chance_says() -> None:
    objective = CrossEntropy(FeatureSpec(4), {"kind": Categories(8)})
    torch.nn.init.zeros_(objective.heads["kind"][-1].weight)
    torch.nn.init.zeros_(objective.heads["kind"][-1].bias)
    loss = objective(features(), {"kind": Target(torch.tensor([1, 7]))}, DRAWS)
    assert float(loss.total.detach()) == pytest.approx(objective.chance["kind"]) == math.log(8)
    assert objective.chance["kind.accuracy"] == 1 / 8


def test_positions_of_weight_zero_do_not_count() -> None:
    objective = CrossEntropy(FeatureSpec(4, (3,)), {"word": Categories(5, grid=(3,))})
    weight = torch.tensor([[1.0, 0, 1], [0, 0, 1]])
    value = torch.tensor([[1, 2, 3], [4, 0, 1]])
    other = torch.where(weight > 0, value, 0)
    one, two = (
        objective(features(grid=(3,)), {"word": Target(label, weight)}, DRAWS).total for label in (value, other)
    )
    assert torch.equal(one, two)


def test_several_targets_add_up() -> None:
    specs = {"first": Categories(3), "second": Categories(5)}
    objective = CrossEntropy(FeatureSpec(4), specs)
    loss = objective(features(), {"first": Target(torch.tensor([0, 1])), "second": Target(torch.tensor([4, 2]))}, DRAWS)
    assert torch.allclose(loss.total, loss.parts["first"] + loss.parts["second"])


def test_which_view_came_first_can_be_told() -> None:
    objective = CrossEntropy(FeatureSpec(4, views=2), {"order": Categories(2)})
    forward = features(views=2)
    backward = Features({"all": forward.streams["all"].flip(1)}, {"all": forward.pooled["all"].flip(1)})
    assert not torch.allclose(objective.predict(forward)["order"], objective.predict(backward)["order"])


def test_a_finer_grid_than_the_features_is_answered_everywhere() -> None:
    objective = CrossEntropy(FeatureSpec(4, (2, 2)), {"colour": Categories(7, grid=(6, 6))})
    assert objective.predict(features(grid=(2, 2)))["colour"].shape == (2, 6, 6, 7)


def test_predictions_are_log_probabilities() -> None:
    log_probs = CrossEntropy(FeatureSpec(4), {"kind": Categories(8)}, hidden=(6,)).predict(features())["kind"]
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(2))


def test_label_smoothing_scores_as_torch_scores_it() -> None:
    logits, value = torch.linspace(-2, 2, 12).view(2, 6), torch.tensor([0, 5])
    expected = torch.nn.functional.cross_entropy(logits, value, reduction="none", label_smoothing=0.1)
    assert torch.allclose(cross_entropy(logits, Target(value), 0.1), expected)


def test_other_kinds_of_target_are_refused() -> None:
    with pytest.raises(Incompatible, match="categories"):
        CrossEntropy(FeatureSpec(4), {"pixels": Values(3)})


def test_a_target_that_x_shows_is_refused() -> None:
    with pytest.raises(Incompatible, match="bottleneck"):
        CrossEntropy(FeatureSpec(4), {"kind": Categories(3, hidden=False)})
