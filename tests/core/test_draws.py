"""Draws: uniform, independent, and a function of seed, epoch, sample and name alone.

The seeds are fixed, so nothing is flaky; each test says what fault it would have found.
"""

import subprocess
import sys

import numpy as np
import pytest
import torch
from pretask import Draws
from pretask.draws import mix, mix_int, name_key, signed
from scipy import stats

MANY = torch.arange(20_000)
GOLDEN_BITS = [-5698746667079466286, 8281228067952653005, -6548161462347542496]
GOLDEN_INTEGERS = [142, 830, 529]
RARE = 1e-4  # a right generator fails a test about once in 10,000 seeds


def test_uniform_numbers_are_uniform() -> None:
    # 20,000 numbers: Kolmogorov-Smirnov at 1e-4 finds a distribution function that is off by 0.017 nine times in ten.
    sample = Draws(MANY).uniform("u").numpy()
    assert stats.kstest(sample, "uniform").pvalue > RARE
    assert sample.min() >= 0
    assert sample.max() < 1


def test_normal_numbers_are_normal_out_to_the_tails() -> None:
    sample = Draws(MANY).normal("n", 5).flatten().numpy()
    assert stats.kstest(sample, "norm").pvalue > RARE
    assert stats.kurtosis(sample) == pytest.approx(0, abs=4 * np.sqrt(24 / len(sample)))
    assert np.isfinite(sample).all()


@pytest.mark.parametrize("count", [2, 3, 7, 8, 100, 313])
def test_integers_are_uniform_over_any_range(count: int) -> None:
    # A class of twice its share among 100 moves chi-square by 200; its 1e-4 quantile is 158.
    sample = Draws(MANY).integers("i", 5, 5 + count)
    assert int(sample.min()) == 5
    assert int(sample.max()) == 4 + count
    assert stats.chisquare((sample - 5).bincount(minlength=count).numpy()).pvalue > RARE


def test_bounds_of_integers_may_differ_from_sample_to_sample() -> None:
    high = torch.arange(1, 20_001)
    sample = Draws(MANY).integers("i", 0, high[:, None], 3)
    assert bool((sample < high[:, None]).all())
    assert float((sample / high[:, None])[1000:].mean()) == pytest.approx(0.5, abs=0.006)  # 5 standard errors


def test_bernoulli_draws_have_their_probability() -> None:
    right = int(Draws(MANY).bernoulli("b", 0.15).sum())
    assert stats.binomtest(right, len(MANY), 0.15).pvalue > RARE


def test_every_order_is_equally_likely() -> None:
    order = Draws(MANY).permutation("p", 4)
    assert torch.equal(order.sort(1).values, torch.arange(4).expand(len(MANY), 4))
    code = (order * torch.tensor([64, 16, 4, 1])).sum(1).unique(return_counts=True)[1]
    assert len(code) == 24
    assert stats.chisquare(code.numpy()).pvalue > RARE


def test_a_choice_has_no_repeats_and_prefers_none() -> None:
    chosen = Draws(MANY).choice("c", 6, 2)
    assert bool((chosen[:, 0] != chosen[:, 1]).all())
    assert stats.chisquare(chosen.flatten().bincount(minlength=6).numpy()).pvalue > RARE


def independent(one: torch.Tensor, two: torch.Tensor) -> bool:
    """Whether pairs fill an 8 x 8 table evenly: correlation of 0.04 would be found nine times in ten."""
    cell = (one * 8).long() * 8 + (two * 8).long()
    return bool(stats.chisquare(cell.bincount(minlength=64).numpy()).pvalue > RARE)


PAIRS = {
    "names": (Draws(MANY).uniform("ab"), Draws(MANY).uniform("ba")),
    "long and short names": (Draws(MANY).uniform("a"), Draws(MANY).uniform("aa")),
    "seeds": (Draws(MANY, 0).uniform("a"), Draws(MANY, 1).uniform("a")),
    "epochs": (Draws(MANY, 0, 0).uniform("a"), Draws(MANY, 0, 1).uniform("a")),
    "seed and epoch": (Draws(MANY, 1, 0).uniform("a"), Draws(MANY, 0, 1).uniform("a")),
    "branches": (Draws(MANY).branch("x").uniform("a"), Draws(MANY).branch("y").uniform("a")),
    "branch and trunk": (Draws(MANY).branch("x").uniform("a"), Draws(MANY).uniform("a")),
    "neighbours": (Draws(MANY).uniform("a"), Draws(MANY + 1).uniform("a")),
    "places": (Draws(MANY).uniform("a", 2)[:, 0], Draws(MANY).uniform("a", 2)[:, 1]),
    "sample and place": (Draws(MANY + 1).uniform("a", 2)[:, 0], Draws(MANY).uniform("a", 2)[:, 1]),
    "sample and epoch": (Draws(MANY + 1, 0, 0).uniform("a"), Draws(MANY, 0, 1).uniform("a")),
    "large numbers": (Draws(MANY + 2**40).uniform("a"), Draws(MANY).uniform("a")),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_draws_of_different_keys_are_independent(pair: str) -> None:
    assert independent(*PAIRS[pair])


def test_nested_branches_depend_on_their_order() -> None:
    one, two = (Draws(MANY).branch(a).branch(b).uniform("u") for a, b in (("x", "y"), ("y", "x")))
    assert not torch.equal(one, two)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_samples_numbers_do_not_depend_on_the_batch(size: int) -> None:
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    whole = Draws(torch.arange(64), 5, 2).normal("n", 3)
    for index in order.split(size):
        assert torch.equal(Draws(index, 5, 2).normal("n", 3), whole[index])


def test_two_ranks_draw_what_one_would() -> None:
    index = torch.arange(40)
    both = torch.cat([Draws(index[rank::2], 1, 3).permutation("p", 5) for rank in (0, 1)])
    assert torch.equal(both, Draws(torch.cat([index[::2], index[1::2]]), 1, 3).permutation("p", 5))


def test_numbers_and_tensors_of_seed_and_epoch_are_the_same_key() -> None:
    expected = Draws(MANY, 7, 3).bits("b", 2)
    for seed, epoch in ((torch.tensor(7), torch.tensor(3)), (7, torch.full((len(MANY),), 3)), (torch.tensor(7), 3)):
        assert torch.equal(Draws(MANY, seed, epoch).bits("b", 2), expected)


def test_every_sample_may_be_in_an_epoch_of_its_own() -> None:
    mixed = Draws(torch.arange(6), 0, torch.tensor([0, 0, 1, 1, 2, 2])).uniform("u")
    for epoch in range(3):
        assert torch.equal(
            mixed[2 * epoch : 2 * epoch + 2], Draws(torch.arange(6), 0, epoch).uniform("u")[2 * epoch :][:2]
        )


def test_the_mixer_is_that_of_splitmix64() -> None:
    with np.errstate(over="ignore"):
        word = np.arange(1, 2000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        expected = word.copy()
        expected = (expected ^ (expected >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        expected = (expected ^ (expected >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        expected ^= expected >> np.uint64(31)
    assert np.array_equal(mix(torch.from_numpy(word.view(np.int64))).numpy().view(np.uint64), expected)
    assert [mix_int(int(each)) for each in word[:50]] == [int(each) for each in expected[:50]]


def test_the_numbers_are_the_ones_of_version_one() -> None:
    draws = Draws(torch.arange(3), seed=42, epoch=1)
    assert draws.bits("golden", 1)[:, 0].tolist() == GOLDEN_BITS
    assert draws.branch("split").integers("golden", 0, 1000).tolist() == GOLDEN_INTEGERS


def test_ambient_randomness_is_untouched() -> None:
    before = torch.get_rng_state()
    draws = Draws(torch.arange(4))
    draws.uniform("a"), draws.normal("b", 2), draws.permutation("c", 3), draws.integers("d", 0, 9)
    assert torch.equal(before, torch.get_rng_state())


def test_names_have_keys_of_their_own() -> None:
    names = [f"{a}{b}" for a in "abcdefghij" for b in ("", "x", "xx", "é", " ")]
    assert len({name_key(name) for name in names}) == len(names)


def test_signed_words_keep_their_bits() -> None:
    assert signed(2**64 - 1) == -1
    assert signed(2**63 - 1) == 2**63 - 1


def test_numbers_are_made_on_the_device_of_the_samples() -> None:
    draws = Draws(torch.arange(4, device="meta"), seed=1)
    for made in (draws.normal("n", 3), draws.permutation("p", 5), draws.integers("i", 0, 9), draws.bernoulli("b", 0.5)):
        assert made.is_meta


@pytest.mark.slow
def test_compiled_draws_equal_eager_ones_and_one_graph_serves_all_epochs() -> None:
    program = """
import torch
from pretask import Draws
def all_kinds(index, seed, epoch):
    draws = Draws(index, seed, epoch)
    return (draws.integers("i", 0, 9, 2), draws.permutation("p", 5), draws.choice("c", 6, 2), draws.bits("b", 3),
            draws.bernoulli("o", 0.3), draws.uniform("u", 3), draws.branch("x").normal("n", 4))
torch._dynamo.config.error_on_recompile = True
compiled = torch.compile(all_kinds, fullgraph=True)
index = torch.arange(64)
for epoch in range(3):
    plain, fast = (of(index, torch.tensor(7), torch.tensor(epoch)) for of in (all_kinds, compiled))
    assert all(torch.equal(one, two) for one, two in zip(plain[:5], fast[:5]))
    assert all(torch.allclose(one, two, atol=1e-6) for one, two in zip(plain[5:], fast[5:]))
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
