"""Accumulation: the gradient of a step is that of its whole batch, in however many parts and on however many ranks."""

from functools import lru_cache
from pathlib import Path

import pytest
import torch
import whole_gradient
from pretask import Draws
from pretask.scoring import sum_weights
from pretask_registry.conformance.material import make_batch
from processes import run_ranks
from torch import Tensor

TASKS = whole_gradient.TASKS
# Sums of other order: float32 has 2^-24, float64 2^-53.
TOLERANCES = {torch.float32: 1e-5, torch.float64: 1e-10}
PARTS = {torch.float32: (8,), torch.float64: (2, 4, 8)}  # of a step; in float32 the most, which round most often


@lru_cache(maxsize=64)
def whole(name: str, dtype: torch.dtype) -> Tensor:
    return whole_gradient.gradient(name, 1, dtype)


def relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("name", TASKS)
def test_the_gradient_of_a_step_does_not_depend_on_its_parts(name: str, dtype: torch.dtype) -> None:
    for parts in PARTS[dtype]:
        found = whole_gradient.gradient(name, parts, dtype)
        assert relative(found, whole(name, dtype)) < TOLERANCES[dtype]


@pytest.mark.slow
def test_the_gradient_of_a_step_does_not_depend_on_the_number_of_ranks(tmp_path: Path) -> None:
    file = tmp_path / "gradients.pt"
    run_ranks(2, whole_gradient.__file__, str(file))
    found = torch.load(file)
    assert found.keys() == set(TASKS)
    for name in TASKS:
        assert relative(found[name], whole(name, torch.float64)) < TOLERANCES[torch.float64]


def test_parts_of_a_step_do_weigh_differently() -> None:
    differing = {name for name in TASKS if weighs_unevenly(name)}
    assert {"pretask/masked-lm@1", "pretask/causal-lm@1", "pretask/masked-speech@1"} <= differing


def weighs_unevenly(name: str) -> bool:
    """Whether the quarters of a step weigh differently, so that the mean of their means would be another number."""
    task, samples = whole_gradient.prepared(name, torch.float32)
    batches = [make_batch(samples, task.split, 8, start) for start in (0, 8, 16, 24)]
    sums = [sum_weights(task.objective, task.apply_split(batch, Draws(batch.index))[1]) for batch in batches]
    return any(total != sums[0] for total in sums)
