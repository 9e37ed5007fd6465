"""The lowest scores are found without sorting, and of equal ones the first."""

import pytest
import torch
from pretask import Draws
from pretask_plugins.shared.ranks import are_lowest


@pytest.mark.parametrize("length", [1, 8, 512])
@pytest.mark.parametrize("steps", [1 << 24, 5])  # of a uniform number; of 5 there are many that are equal
def test_the_lowest_are_the_first_of_a_stable_order(length: int, steps: int) -> None:
    score = (Draws(torch.arange(32)).uniform("score", length) * steps).floor() / steps
    counts = torch.randint(1, length + 1, (32, 1), generator=torch.Generator().manual_seed(0))
    rank = score.argsort(dim=1, stable=True).argsort(1)
    assert torch.equal(are_lowest(score, counts), rank < counts)
    assert torch.equal(are_lowest(score, int(counts[0])), rank < counts[0])
