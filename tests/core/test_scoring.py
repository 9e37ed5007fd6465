"""Scoring: one weighted mean, the same gradient on one rank and on many."""

from itertools import product
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import torch
from pretask import build_loss, weighted_mean
from processes import SERVER, start_server
from torch import distributed as dist


def test_the_mean_is_what_a_loop_says() -> None:
    value = torch.arange(24.0).view(2, 3, 4).sin()
    weight = (torch.arange(24.0).view(2, 3, 4) * 7 % 5) / 2
    total = counted = 0.0
    for b, i, j in product(range(2), range(3), range(4)):
        total += float(value[b, i, j]) * float(weight[b, i, j])
        counted += float(weight[b, i, j])
    mean, summed = weighted_mean(value, weight)
    assert float(mean) == pytest.approx(total / counted)
    assert float(summed) == counted


def test_without_weights_it_is_the_mean() -> None:
    value = torch.arange(6.0).view(2, 3)
    mean, counted = weighted_mean(value)
    assert torch.equal(mean, value.mean())
    assert float(counted) == 6


def test_each_value_is_moved_by_its_share_of_the_weight() -> None:
    value, weight = torch.tensor([3.0, -1.0, 8.0], requires_grad=True), torch.tensor([1.0, 0.0, 3.0])
    (gradient,) = torch.autograd.grad(weighted_mean(value, weight)[0], value)
    assert torch.equal(gradient, torch.tensor([0.25, 0.0, 0.75]))


def test_weights_of_another_size_give_the_same_mean() -> None:
    value, weight = torch.tensor([1.0, 4.0, 9.0]), torch.tensor([1.0, 2.0, 0.5])
    for scale in (1e-20, 1e-3, 1e20):
        assert float(weighted_mean(value, scale * weight)[0]) == pytest.approx(float(weighted_mean(value, weight)[0]))


def test_nothing_asked_is_no_loss_and_no_gradient() -> None:
    value = torch.ones(3, requires_grad=True)
    mean, counted = weighted_mean(value, torch.zeros(3))
    (gradient,) = torch.autograd.grad(mean, value)
    assert (float(mean.detach()), float(counted)) == (0, 0)
    assert torch.equal(gradient, torch.zeros(3))


def test_half_precision_is_summed_in_single() -> None:
    value = torch.full((5000,), 1.001, dtype=torch.bfloat16)
    for weight in (None, torch.ones(5000, dtype=torch.bfloat16)):
        mean, counted = weighted_mean(value, weight)
        assert mean.dtype is torch.float32
        assert (float(mean), float(counted)) == (float(value[0]), 5000)  # bfloat16 cannot count beyond 256


def test_a_loss_adds_its_terms_by_importance_and_only_reports_the_rest() -> None:
    one, two = (weighted_mean(torch.tensor([number], requires_grad=True)) for number in (2.0, 3.0))
    loss = build_loss({"a": one, "b": two}, {"b.accuracy": two}, {"b": 0.5})
    assert float(loss.total.detach()) == 3.5
    assert {name: float(value) for name, value in loss.parts.items()} == {"a": 2, "b": 3, "b.accuracy": 3}
    assert {name: float(value) for name, value in loss.weights.items()} == {"a": 1, "b": 1, "b.accuracy": 1}
    assert loss.total.requires_grad
    assert not any(value.requires_grad for value in (*loss.parts.values(), *loss.weights.values()))


VALUES = torch.tensor([1.0, -2.0, 3.0, 0.5, 4.0, 2.0])
# Three on the first rank and a half on the second; none on the second; none at all.
WEIGHTS = torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0, 0.5], [1.0, 0.0, 2.0, 0.0, 0.0, 0.0], [0.0] * 6])


def squares(values: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The weighted mean of squares of scaled values, its gradient by the scale, and the sum of weights."""
    scale = torch.ones((), requires_grad=True)
    mean, counted = weighted_mean((scale * values) ** 2, weights)
    (gradient,) = torch.autograd.grad(mean, scale)
    return mean.detach(), gradient, counted


def on_rank(rank: int, file: str, answers: "Queue[Any]") -> None:
    """Every case on half of the values; mean and gradient averaged over ranks, as data-parallel training does."""
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    part = slice(3 * rank, 3 * rank + 3)
    for weights in WEIGHTS:
        mean, gradient, counted = squares(VALUES[part], weights[part])
        both = torch.stack([mean, gradient]) / 2
        dist.all_reduce(both)
        answers.put((rank, [*both.tolist(), float(counted)]))
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_with_different_weights_have_the_gradient_of_the_one_mean(tmp_path: Path) -> None:
    start_server()
    answers = SERVER.Queue()
    ranks = [SERVER.Process(target=on_rank, args=(rank, str(tmp_path / "meet"), answers)) for rank in (0, 1)]
    for process in ranks:
        process.start()
    found = [answers.get(timeout=300) for _ in range(6)]
    for process in ranks:
        process.join(60)
    for rank in (0, 1):
        own = [figures for sender, figures in found if sender == rank]
        for weights, figures in zip(WEIGHTS, own, strict=True):
            mean, gradient, _ = squares(VALUES, weights)  # here is one rank only
            counted = float(weights[3 * rank : 3 * rank + 3].sum())
            assert figures == pytest.approx([float(mean), float(gradient), counted])
