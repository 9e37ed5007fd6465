"""Promises of sampling, against distributions that are made by hand."""

import itertools

import pytest
import torch
from pretask import Draws, PretaskError
from pretask.language.sampling import GREEDY, Sampling


def random_scores(count: int = 50, size: int = 7) -> torch.Tensor:
    return 2 * Draws(torch.arange(count)).normal("score", size)


def by_force_top(share: list[float], count: int) -> list[float]:
    kept = sorted(range(len(share)), key=lambda token: -share[token])[:count]
    return [share[token] / sum(share[other] for other in kept) if token in kept else 0.0 for token in range(len(share))]


def by_force_nucleus(share: list[float], mass: float) -> list[float]:
    """Among all sets of tokens with the mass: the fewest tokens, and of those the likeliest."""
    tokens = range(len(share))
    sets = [kept for size in range(1, len(share) + 1) for kept in itertools.combinations(tokens, size)]
    enough = [kept for kept in sets if sum(share[token] for token in kept) >= mass]
    best = min(enough, key=lambda kept: (len(kept), -sum(share[token] for token in kept)))
    return [share[token] / sum(share[other] for other in best) if token in best else 0.0 for token in tokens]


def assert_same(found: torch.Tensor, wanted: list[list[float]]) -> None:
    torch.testing.assert_close(found.exp().double(), torch.tensor(wanted, dtype=torch.float64), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("count", [1, 3, 7, 100])
def test_top_k_is_the_likeliest_k_renormalised(count: int) -> None:
    scores = random_scores()
    wanted = [by_force_top(row, count) for row in scores.softmax(-1).double().tolist()]
    assert_same(Sampling(top_k=count).distribution(scores), wanted)


@pytest.mark.parametrize("mass", [0.1, 0.5, 0.9, 0.999])
def test_the_nucleus_is_the_smallest_set_that_has_the_mass(mass: float) -> None:
    scores = random_scores()
    wanted = [by_force_nucleus(row, mass) for row in scores.softmax(-1).double().tolist()]
    assert_same(Sampling(top_p=mass).distribution(scores), wanted)


def test_the_token_that_crosses_the_mass_is_kept() -> None:
    found = Sampling(top_p=0.6).distribution(torch.tensor([[0.5, 0.3, 0.2]]).log())
    assert found.isfinite().tolist() == [[True, True, False]]


def test_a_temperature_raises_probabilities_to_its_inverse() -> None:
    share = random_scores().softmax(-1).double()
    power = share**2 / (share**2).sum(-1, keepdim=True)
    assert_same(Sampling(temperature=0.5).distribution(share.log().float()), power.tolist())


def test_greedy_one_token_and_a_low_temperature_all_take_the_likeliest() -> None:
    scores, unit = random_scores(), Draws(torch.arange(50)).uniform("unit")
    for way in (GREEDY, Sampling(top_k=1), Sampling(temperature=1e-4), Sampling(top_p=1e-6)):
        assert torch.equal(way(scores, unit), scores.argmax(-1))


def test_tokens_come_as_often_as_they_are_likely() -> None:
    share = torch.tensor([0.5, 0.0, 0.2, 0.3])
    tokens = Sampling()(share.log().expand(40_000, -1), Draws(torch.arange(40_000)).uniform("unit"))
    count = torch.bincount(tokens, minlength=4).double()
    assert count[1] == 0
    expected = 40_000 * share.double()
    assert float(((count - expected).square() / expected)[share > 0].sum()) < 13.8  # 99.9 %, 2 degrees of freedom


@pytest.mark.parametrize("numbers", [{"temperature": -1.0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.1}])
def test_numbers_out_of_range_are_refused(numbers: dict[str, float]) -> None:
    with pytest.raises(PretaskError, match=f"{next(iter(numbers))} = "):
        Sampling(**numbers)  # type: ignore[arg-type]
