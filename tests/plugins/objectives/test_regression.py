"""Promises of the objective regression."""

import pytest
import torch
from pretask import Categories, Draws, Features, FeatureSpec, Incompatible, Target, Values
from pretask_plugins.objectives.regression import Regression
from pretask_plugins.shared.scores import errors, r2


def test_errors_are_the_ones_of_their_names() -> None:
    prediction, value = torch.tensor([[3.0, 0.5]]), torch.tensor([[1.0, 0.0]])
    assert errors(prediction, value, "squared").item() == pytest.approx((4 + 0.25) / 2)
    assert errors(prediction, value, "absolute").item() == pytest.approx((2 + 0.5) / 2)
    assert errors(prediction, value, "huber").item() == pytest.approx((1.5 + 0.125) / 2)


def test_the_mean_explains_nothing_and_the_truth_everything() -> None:
    value = torch.linspace(0, 1, 20).view(10, 2)
    assert r2(value.mean().expand(10, 2), value, None)[0].item() == pytest.approx(0, abs=1e-6)
    assert r2(value, value, None)[0].item() == pytest.approx(1)


def test_what_weighs_nothing_is_not_explained() -> None:
    value = torch.tensor([[0.0], [1.0], [50.0]])
    prediction = torch.tensor([[0.0], [1.0], [-9.0]])
    assert r2(prediction, value, torch.tensor([1.0, 1.0, 0.0]))[0].item() == pytest.approx(1)


def test_a_linear_head_finds_a_linear_answer() -> None:
    objective = Regression(FeatureSpec(3), {"size": Values(2)})
    x = Draws(torch.arange(64)).normal("x", 1, 1, 3)
    y = x[:, 0, 0] @ torch.tensor([[1.0, 0.5], [-2.0, 0.0], [0.0, 3.0]])
    batch = Features({"all": x}, {"all": x.mean(2)})
    optimizer = torch.optim.Adam(objective.parameters(), 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        loss = objective(batch, {"size": Target(y)}, Draws(torch.arange(64)))
        loss.total.backward()
        optimizer.step()
    assert float(loss.parts["size.r2"]) > 0.999


def test_other_kinds_of_target_are_refused() -> None:
    with pytest.raises(Incompatible, match="values"):
        Regression(FeatureSpec(4), {"kind": Categories(3)})
