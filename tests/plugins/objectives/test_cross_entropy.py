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


def test_logits_at_a_few_scored_positions_have_the_loss_and_the_gradients_of_those_at_all() -> None:
    spec, generator = FeatureSpec(4, (12,)), torch.Generator().manual_seed(0)
    weight = torch.zeros(3, 12)
    weight[0, [1, 7]], weight[1, 11] = 1.0, 0.5  # fewer than 4, and none in the third
    target = Target(torch.randint(0, 6, (3, 12), generator=generator), weight)
    tokens, found = torch.randn(3, 1, 12, 4, generator=generator), []
    for scored in (None, 4):
        torch.manual_seed(0)
        objective = CrossEntropy(spec, {"token": Categories(6, grid=(12,), scored=scored)})
        leaf = tokens.clone().requires_grad_()
        asked = Features({"all": leaf}, {"all": leaf.mean(2)}, (12,))
        loss = objective(asked, {"token": target}, DRAWS)
        loss.total.backward()
        found.append(
            [loss.total, *loss.parts.values(), *loss.weights.values(), leaf.grad, objective.predict(asked)["token"]]
        )
        at = torch.tensor([[3], [0], [11]])
        picked = objective.predict_at(asked, "token", at)[:, 0]
        assert torch.allclose(picked, found[-1][-1][torch.arange(3), at[:, 0]], atol=1e-6)
    for all_positions, few in zip(*found, strict=True):
        torch.testing.assert_close(all_positions, few)


def test_logits_are_computed_at_scored_positions_alone() -> None:
    objective = CrossEntropy(FeatureSpec(4, (12,)), {"token": Categories(6, grid=(12,), scored=4)})
    rows: list[int] = []
    objective.heads["token"].register_forward_hook(lambda module, given, made: rows.append(made.shape[1]))
    objective(features(grid=(12,)), {"token": Target(torch.zeros(2, 12).long(), torch.zeros(2, 12))}, DRAWS)
    assert rows == [4]
