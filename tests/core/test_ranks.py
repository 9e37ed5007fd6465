"""Several ranks learn what one process learns, whatever is asked of a step."""

import sys
from pathlib import Path

import pytest
import torch
from processes import run_ranks
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent))

import rank_cases
from rank_cases import CASES, Seldom, learn
from tiny import OBSERVED, Halves

Weights = dict[str, dict[str, Tensor]]


@pytest.fixture(scope="module")
def of_two_ranks(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    """What two ranks learn in each case."""
    file = tmp_path_factory.mktemp("ranks") / "weights.pt"
    run_ranks(2, rank_cases.__file__, str(file))
    found: Weights = torch.load(file)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_two_ranks_learn_what_one_process_learns_of_two_parts(name: str, of_two_ranks: Weights) -> None:
    alone, together = learn(CASES[name], ranks=2), of_two_ranks[name]
    assert alone.keys() == together.keys()
    # Where each rank accumulates, sums are taken in another order.
    atol = 1e-6 if CASES[name].recipe.accumulate > 1 else 0.0
    assert all(torch.allclose(weight, together[key], rtol=0.0, atol=atol) for key, weight in alone.items())


@pytest.mark.slow
def test_weights_that_one_rank_uses_alone_do_learn(of_two_ranks: Weights) -> None:
    scale = {key: weight for key, weight in of_two_ranks["seldom used weights"].items() if key.startswith("scale")}
    torch.manual_seed(0)
    view = Halves().spec(OBSERVED)[0]
    assert len(scale) == 2
    assert not any(torch.equal(weight, Seldom(view, view).state_dict()[key]) for key, weight in scale.items())
