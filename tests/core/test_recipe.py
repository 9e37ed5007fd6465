"""The recipe: schedule, optimizer groups and refusals."""

import math
from typing import Any

import pytest
import torch
from pretask import Batch, Draws, PretaskError, Recipe, Unknown
from pretask.accelerator import step_plainly_where_sparse
from pretask.augment import augment_batch
from torch import nn


def test_the_rate_rises_in_a_line_and_falls_as_half_a_cosine() -> None:
    recipe = Recipe(lr=2.0, batch=1, samples=100, warmup=0.1)
    rates = [recipe.rate(step) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert rates[55] == pytest.approx(1.0)
    assert rates[99] == pytest.approx(1 - math.cos(math.pi / 90))


def test_other_schedules_are_what_they_are_called() -> None:
    straight, flat = (
        Recipe(lr=1.0, batch=1, samples=10, warmup=0.0, schedule=schedule) for schedule in ("linear", "constant")
    )
    assert [straight.rate(step) for step in range(10)] == pytest.approx([1 - step / 10 for step in range(10)])
    assert {flat.rate(step) for step in range(10)} == {1.0}


def test_warmup_stable_decay_rises_stays_and_falls_in_a_line() -> None:
    """Hu 2024, section 4.2, with a line as f: it would be 0 after the last step."""
    recipe = Recipe(lr=2.0, batch=1, samples=20, warmup=0.1, schedule="warmup-stable-decay", decay=0.2)
    expected = [1.0, 2.0, *[2.0] * 14, 2.0, 1.5, 1.0, 0.5]
    assert [recipe.rate(step) for step in range(20)] == pytest.approx(expected)
    assert recipe.stable_steps == 16
    assert Recipe().stable_steps is None


def test_a_record_has_a_field_that_came_later_only_where_it_does_something() -> None:
    assert "decay" not in Recipe().as_fields()
    assert Recipe(schedule="warmup-stable-decay").as_fields()["decay"] == 0.1


def test_biases_and_gains_do_not_decay() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    groups = Recipe(weight_decay=0.5).make_optimizer(model.parameters()).param_groups
    assert [(group["weight_decay"], len(group["params"])) for group in groups] == [(0.5, 1), (0.0, 3)]


def test_frozen_parameters_are_not_optimised() -> None:
    model = nn.Linear(3, 2)
    model.weight.requires_grad_(False)
    (group,) = Recipe().make_optimizer(model.parameters()).param_groups
    assert group["params"] == [model.bias]


def test_a_budget_of_none_has_no_step_and_any_other_one_or_more() -> None:
    assert [Recipe(samples=samples, batch=4).steps for samples in (0, 1, 4, 9)] == [0, 1, 1, 2]
    with pytest.raises(PretaskError, match=r"needs recipe\.samples of 0 or more; got -1"):
        Recipe(samples=-1)


@pytest.mark.parametrize("field", ["batch", "accumulate"])
def test_budgets_below_one_are_refused(field: str) -> None:
    with pytest.raises(PretaskError, match=f"needs recipe.{field} of 1 or more; got 0"):
        Recipe(**{field: 0})


def test_half_of_all_images_are_mirrored_and_the_others_untouched() -> None:
    data = torch.arange(12, dtype=torch.uint8).view(1, 1, 3, 4).expand(1000, -1, -1, -1)
    batch = Batch(data)
    result = augment_batch(batch, ("flip",), Draws(batch.index)).data
    mirrored = (result == data.flip(-1)).flatten(1).all(1)
    assert torch.equal((result == data).flatten(1).all(1), ~mirrored)
    assert int(mirrored.sum()) == pytest.approx(500, abs=55)  # 3.5 standard deviations


def test_unknown_augmentations_are_answered_with_the_known_ones() -> None:
    batch = Batch(torch.zeros(1, 1, 2, 2))
    with pytest.raises(Unknown, match="There are: flip"):
        augment_batch(batch, ("flop",), Draws(batch.index))


@pytest.mark.parametrize(
    ("option", "value", "needs"),
    [
        ("lr", math.nan, "of 0 or more"),
        ("lr", -1.0, "of 0 or more"),
        ("lr", math.inf, "of 0 or more"),
        ("weight_decay", -0.1, "of 0 or more"),
        ("weight_decay", math.nan, "of 0 or more"),
        ("clip", -1.0, "of 0 or more"),
        ("clip", math.inf, "of 0 or more"),
        ("momentum", 1.0, "from 0 to below 1"),
        ("momentum", -0.1, "from 0 to below 1"),
        ("betas", (2.0, 3.0), "from 0 to below 1"),
        ("betas", (0.9, 1.0), "from 0 to below 1"),
        ("betas", (math.nan, 0.9), "from 0 to below 1"),
        ("warmup", math.nan, "from 0 to 1"),
        ("warmup", 1.5, "from 0 to 1"),
    ],
)
def test_numbers_with_which_nothing_is_learned_are_refused_by_their_range(option: str, value: Any, needs: str) -> None:
    with pytest.raises(PretaskError, match=rf"a recipe needs recipe\.{option} {needs}; got .* it is .* if left out"):
        Recipe(**{option: value})


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "adagrad"])
def test_a_fused_step_is_the_plain_one_up_to_rounding(name: Any) -> None:
    weights = []
    for fused in (None, True):
        torch.manual_seed(0)
        layer = nn.Linear(7, 5)
        optimizer = Recipe(optimizer=name, lr=0.01, weight_decay=0.1).make_optimizer(layer.parameters())
        assert all(group["fused"] for group in optimizer.param_groups)
        for group in optimizer.param_groups:
            group["fused"] = fused
        for step in range(5):
            optimizer.zero_grad()
            (layer(torch.ones(3, 7) * step).square().sum()).backward()
            optimizer.step()
        weights.append(layer.weight.detach())
    torch.testing.assert_close(*weights, rtol=1e-5, atol=1e-6)


def test_gradients_of_a_few_rows_are_stepped_without_a_fused_kernel() -> None:
    table = nn.Embedding(9, 4, sparse=True)
    optimizer = Recipe(optimizer="sgd", weight_decay=0.0).make_optimizer(table.parameters())
    before = table.weight.detach().clone()
    table(torch.tensor([2])).sum().backward()
    step_plainly_where_sparse(optimizer)
    optimizer.step()
    assert (table.weight != before).any(1).nonzero().flatten().tolist() == [2]
