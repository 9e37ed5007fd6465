"""Scoring: one weighted mean, the same gradient on one rank and on many."""

import multiprocessing
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
import torch
from pretask import build_loss, weighted_mean
from torch import distributed as dist


def test_the_mean_is_what_a_loop_says() -> None:
    value, weight = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [0.5, 2.0]])
    total = sum(float(v) * float(w) for v, w in zip(value.flatten(), weight.flatten(), strict=True))
    mean, counted = weighted_mean(value, weight)
    assert float(mean) == pytest.approx(total / 3.5)
    assert float(counted) == 3.5


def test_without_weights_it_is_the_mean() -> None:
    value = torch.arange(6.0).view(2, 3)
    assert torch.equal(weighted_mean(value)[0], value.mean())


def test_nothing_asked_is_no_loss_and_no_gradient() -> None:
    value = torch.ones(3, requires_grad=True)
    mean, _ = weighted_mean(value, torch.zeros(3))
    mean.backward()
    assert float(mean.detach()) == 0
    assert value.grad is not None
    assert torch.equal(value.grad, torch.zeros(3))


def test_half_precision_is_summed_in_single() -> None:
    value = torch.full((5000,), 1.001, dtype=torch.bfloat16)
    assert weighted_mean(value)[0].dtype is torch.float32
    assert float(weighted_mean(value)[0]) == float(value[0])


def test_a_loss_adds_its_terms_by_importance_and_only_reports_the_rest() -> None:
    one, two = (weighted_mean(torch.tensor([number], requires_grad=True)) for number in (2.0, 3.0))
    loss = build_loss({"a": one, "b": two}, {"b.accuracy": two}, {"b": 0.5})
    assert float(loss.total.detach()) == 3.5
    assert {name: float(value) for name, value in loss.parts.items()} == {"a": 2, "b": 3, "b.accuracy": 3}
    assert not any(value.requires_grad for value in loss.parts.values())


VALUES = torch.tensor([1.0, -2.0, 3.0, 0.5, 4.0, 2.0])
WEIGHTS = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0, 0.5])  # three on the first rank, a half on the second


def on_rank(rank: int, file: str, answers: "Queue[Any]") -> None:
    """The gradient of a scale of all values, averaged over two ranks as data-parallel training does."""
    dist.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    scale = torch.ones((), requires_grad=True)
    part = slice(3 * rank, 3 * rank + 3)
    mean, _ = weighted_mean((scale * VALUES[part]) ** 2, WEIGHTS[part])
    mean.backward()
    assert scale.grad is not None
    dist.all_reduce(scale.grad)
    if rank == 0:
        answers.put(float(scale.grad) / 2)
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_with_different_weights_have_the_gradient_of_the_one_mean(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    ranks = [context.Process(target=on_rank, args=(rank, str(tmp_path / "meet"), answers)) for rank in (0, 1)]
    for each in ranks:
        each.start()
    for each in ranks:
        each.join(120)
    scale = torch.ones((), requires_grad=True)
    mean = ((scale * VALUES) ** 2 * WEIGHTS).sum() / WEIGHTS.sum()
    mean.backward()
    assert scale.grad is not None
    assert answers.get(timeout=5) == pytest.approx(float(scale.grad))
