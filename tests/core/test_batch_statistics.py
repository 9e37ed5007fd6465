"""Batch normalization over ranks: what two processes learn of half of each batch is what one learns of all of it."""

import copy
import sys
from pathlib import Path

import pytest
import torch
from pretask.batch_statistics import share_batch_statistics
from processes import run_ranks
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))

import normalized


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (4, 3, 5, 2)])
def test_a_rank_beside_one_with_the_same_samples_sees_the_batch_twice(
    shape: tuple[int, ...], momentum: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values, **_: values.mul_(2))
    kinds = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}
    generator = torch.Generator().manual_seed(0)
    whole = kinds[len(shape)](3, momentum=momentum).double()
    nn.init.normal_(whole.weight, generator=generator)
    shared, parts = copy.deepcopy(whole), list[Tensor]()
    values, factor = torch.randn(2, *shape, generator=generator).double() + 100
    with share_batch_statistics([shared], ranks=2):
        for _ in range(2):
            part = values.clone().requires_grad_()
            ((shared(part) * factor).square().sum()).backward()
            parts.append(part)
    every = values.repeat(2, *(1 for _ in shape[1:])).requires_grad_()
    for _ in range(2):
        (whole(every) * torch.cat([factor, factor])).square().sum().backward()
    assert parts[0].grad is not None
    assert every.grad is not None
    assert torch.allclose(2 * parts[0].grad, every.grad[: len(values)], atol=1e-6, rtol=1e-6)
    assert torch.allclose(shared.running_mean, whole.running_mean)
    assert torch.allclose(shared.running_var, whole.running_var)
    assert torch.equal(shared.num_batches_tracked, whole.num_batches_tracked)
    assert torch.allclose(shared.eval()(values), whole.eval()(values))


def test_one_process_keeps_the_networks_own_normalization() -> None:
    module = nn.BatchNorm1d(2)
    with share_batch_statistics([module], ranks=1):
        assert "forward" not in vars(module)
    with share_batch_statistics([nn.Sequential(module)], ranks=2):
        assert "forward" in vars(module)
    assert "forward" not in vars(module)


@pytest.mark.exhaustive
def test_two_ranks_learn_what_one_learns_where_the_batch_is_normalized(tmp_path: Path) -> None:
    alone = normalized.learn()
    run_ranks(2, normalized.__file__, str(tmp_path / "together.pt"))
    together = torch.load(tmp_path / "together.pt")
    assert together.keys() == alone.keys()
    assert float(alone["loss"]) < 0.6
    for name, value in alone.items():
        assert torch.allclose(together[name].double(), value.double(), atol=2e-4), name


@pytest.mark.exhaustive
def test_without_sharing_two_ranks_learn_something_else(tmp_path: Path) -> None:
    run_ranks(2, "-c", UNSHARED, str(tmp_path / "together.pt"), folder=Path(__file__).parent)
    together, alone = torch.load(tmp_path / "together.pt"), normalized.learn()
    assert max(float((together[name].double() - value.double()).abs().max()) for name, value in alone.items()) > 2e-3


UNSHARED = """
from contextlib import nullcontext
import pretask.training
pretask.training.share_batch_statistics = lambda *_: nullcontext()
import runpy
runpy.run_path("normalized.py", run_name="__main__")
"""
