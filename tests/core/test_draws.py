"""Draws: uniform, independent, and a function of seed, epoch, sample and name alone.

The seeds are fixed, so nothing is flaky. What the checks would find, and how often, is tested too: see FAULTS.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pretask import Draws, PretaskError, draw_kernels
from pretask.draw_kernels import mix
from pretask.draws import mix_int, name_key
from processes import run_python
from scipy import stats  # type: ignore[import-untyped]
from torch import Tensor

MANY = torch.arange(20_000)
FEW = torch.arange(64)
RARE = 1e-4  # a right generator fails a check about once in 10,000 seeds
WORD = 2**64


def looks_uniform(sample: Tensor) -> bool:
    return bool(stats.kstest(sample.flatten().numpy(), "uniform").pvalue > RARE)


def looks_normal(sample: Tensor) -> bool:
    """Kolmogorov-Smirnov, and four moments within four standard errors of theirs."""
    flat = sample.flatten().double().numpy()
    moments = [(flat**power).mean() for power in (1, 2, 3, 4)]
    truth, spread = (0, 1, 0, 3), (1, 2, 15, 96)  # variance of the k-th power of a standard normal number
    near = all(abs(m - t) < 4 * math.sqrt(s / len(flat)) for m, t, s in zip(moments, truth, spread, strict=True))
    return near and bool(stats.kstest(flat, "norm").pvalue > RARE)


def looks_even(classes: Tensor, count: int) -> bool:
    counts = classes.flatten().bincount(minlength=count)
    return len(counts) == count and bool(stats.chisquare(counts.numpy()).pvalue > RARE)


def independent(one: Tensor, two: Tensor) -> bool:
    """Uncorrelated, and evenly spread over an 8 x 8 table."""
    cell = (one * 8).long() * 8 + (two * 8).long()
    return looks_even(cell, 64) and bool(stats.pearsonr(one.numpy(), two.numpy()).pvalue > RARE)


def code_of(order: Tensor) -> Tensor:
    """A number in 0 … count! - 1 for every order, by counting what is smaller and comes later."""
    count = order.shape[1]
    smaller = torch.stack([(order[:, i:] < order[:, i : i + 1]).sum(1) for i in range(count)], 1)
    return (smaller * torch.tensor([math.factorial(count - 1 - i) for i in range(count)])).sum(1)


def test_uniform_numbers_are_uniform() -> None:
    sample = Draws(MANY).uniform("u")
    assert looks_uniform(sample)
    assert 0 <= float(sample.min()) < float(sample.max()) < 1


@pytest.mark.parametrize("axis", ["seed", "epoch", "name"])
def test_the_numbers_of_one_sample_are_uniform_over_seeds_epochs_and_names(axis: str) -> None:
    same = torch.full_like(MANY, 17)
    if axis == "name":
        sample = torch.cat([Draws(same[:1]).uniform(f"n{number}") for number in range(1000)])
    else:
        sample = (Draws(same, MANY) if axis == "seed" else Draws(same, 0, MANY)).uniform("u")
    assert looks_uniform(sample)
    assert independent(sample[:-1], sample[1:])


def test_every_bit_of_a_word_is_fair_and_free_of_its_neighbour() -> None:
    words = Draws(MANY).bits("b", 1)[:, 0]
    bits = (words[:, None] >> torch.arange(64)) & 1
    bound = 5 * math.sqrt(0.25 * len(MANY))  # standard errors; a right generator fails once in 30,000 seeds
    assert float((bits.sum(0) - len(MANY) / 2).abs().max()) < bound
    assert float(((bits ^ bits.roll(1, 1)).sum(0) - len(MANY) / 2).abs().max()) < bound


def test_normal_numbers_are_normal_out_to_the_tails() -> None:
    sample = Draws(MANY).normal("n", 5)
    assert looks_normal(sample)
    assert int((sample.abs() > 3.29).sum()) == pytest.approx(100, abs=40)  # 4 standard errors
    assert independent(share_below(sample[:, 0]), share_below(sample[:, 1]))


def share_below(sample: Tensor) -> Tensor:
    """The normal distribution function, which makes normal numbers uniform."""
    return torch.from_numpy(stats.norm.cdf(sample.double().numpy()))


@pytest.mark.parametrize("count", [2, 3, 7, 8, 100, 313])
def test_integers_are_uniform_over_any_range(count: int) -> None:
    sample = Draws(MANY).integers("i", -5, count - 5)
    assert int(sample.min()) == -5
    assert int(sample.max()) == count - 6
    assert looks_even(sample + 5, count)


def test_bounds_of_integers_may_differ_from_sample_to_sample() -> None:
    high = torch.arange(1, 20_001)
    sample = Draws(MANY).integers("i", 0, high[:, None], 3)
    assert bool((sample < high[:, None]).all())
    assert float((sample / high[:, None])[1000:].mean()) == pytest.approx(0.5, abs=0.006)  # 5 standard errors


@pytest.mark.parametrize("probability", [0.15, 0.5, 0.8])
def test_bernoulli_draws_have_their_probability(probability: float) -> None:
    right = int(Draws(MANY).bernoulli("b", probability).sum())
    assert stats.binomtest(right, len(MANY), probability).pvalue > RARE


def test_a_probability_may_differ_from_sample_to_sample() -> None:
    probability = torch.tensor([0.0, 0.3, 1.0]).repeat(4000)
    drawn = Draws(torch.arange(12_000)).bernoulli("b", probability).view(4000, 3).float().mean(0)
    assert drawn[[0, 2]].tolist() == [0, 1]
    assert float(drawn[1]) == pytest.approx(0.3, abs=0.029)  # 4 standard errors


@pytest.mark.parametrize("count", [3, 4])
def test_every_order_is_equally_likely(count: int) -> None:
    order = Draws(MANY).permutation("p", count)
    assert torch.equal(order.sort(1).values, torch.arange(count).expand(len(MANY), count))
    assert looks_even(code_of(order), math.factorial(count))


def test_a_choice_has_no_repeats_and_prefers_no_pair() -> None:
    chosen = Draws(MANY).choice("c", 6, 2)
    assert bool((chosen[:, 0] != chosen[:, 1]).all())
    pair = chosen[:, 0] * 5 + chosen[:, 1] - (chosen[:, 1] > chosen[:, 0]).long()
    assert looks_even(pair, 30)


PAIRS = {
    "names": (Draws(MANY).uniform("ab"), Draws(MANY).uniform("ba")),
    "long and short names": (Draws(MANY).uniform("a"), Draws(MANY).uniform("aa")),
    "a name and no name": (Draws(MANY).uniform(""), Draws(MANY).uniform("\0")),
    "consecutive names": (Draws(MANY).uniform("x1"), Draws(MANY).uniform("x2")),
    "seeds": (Draws(MANY, 0).uniform("a"), Draws(MANY, 1).uniform("a")),
    "opposite seeds": (Draws(MANY, -1).uniform("a"), Draws(MANY, 1).uniform("a")),
    "epochs": (Draws(MANY, 0, 0).uniform("a"), Draws(MANY, 0, 1).uniform("a")),
    "seed and epoch": (Draws(MANY, 1, 0).uniform("a"), Draws(MANY, 0, 1).uniform("a")),
    "branches": (Draws(MANY).branch("x").uniform("a"), Draws(MANY).branch("y").uniform("a")),
    "branch and trunk": (Draws(MANY).branch("x").uniform("a"), Draws(MANY).uniform("a")),
    "nameless branch and trunk": (Draws(MANY).branch("").uniform("a"), Draws(MANY).uniform("a")),
    "branch and name": (Draws(MANY).branch("x").uniform("a"), Draws(MANY).branch("a").uniform("x")),
    "branch of a branch": (Draws(MANY).branch("x").branch("y").uniform("a"), Draws(MANY).branch("xy").uniform("a")),
    "order of branches": tuple(Draws(MANY).branch(a).branch(b).uniform("u") for a, b in (("x", "y"), ("y", "x"))),
    "neighbours": (Draws(MANY).uniform("a"), Draws(MANY + 1).uniform("a")),
    "places": (Draws(MANY).uniform("a", 2)[:, 0], Draws(MANY).uniform("a", 2)[:, 1]),
    "sample and place": (Draws(MANY + 1).uniform("a", 2)[:, 0], Draws(MANY).uniform("a", 2)[:, 1]),
    "sample and seed": (Draws(MANY + 1, 0).uniform("a"), Draws(MANY, 1).uniform("a")),
    "sample and epoch": (Draws(MANY + 1, 0, 0).uniform("a"), Draws(MANY, 0, 1).uniform("a")),
    "large numbers": (Draws(MANY + 2**40).uniform("a"), Draws(MANY).uniform("a")),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_draws_of_different_keys_are_independent(pair: str) -> None:
    assert independent(*PAIRS[pair])


def mixed(draws: Draws, share: float, planted: Tensor, honest: Tensor) -> Tensor:
    """The honest draw, but for a share of samples what was planted."""
    return torch.where(draws.bernoulli("fault", share), planted, honest)


# What the checks above are worth: a fault of this size is found nine times in ten.
FAULTS: dict[str, Callable[[Draws], bool]] = {
    "a distribution function off by 0.02": lambda d: looks_uniform(mixed(d, 0.08, d.uniform("u") / 2, d.uniform("u"))),
    "a standard deviation off by 1.5 %": lambda d: looks_normal(1.015 * d.normal("n", 5)),
    "a mean off by 0.018": lambda d: looks_normal(0.018 + d.normal("n", 5)),
    "no tails beyond 2.8": lambda d: looks_normal(d.normal("n", 5).clamp(-2.8, 2.8)),
    "one class of 100 more likely by three quarters": lambda d: looks_even(
        mixed(d, 0.0075, 0 * MANY, d.integers("i", 0, 100)), 100
    ),
    "one class of 7 more likely by an eighth": lambda d: looks_even(
        mixed(d, 0.0208, 0 * MANY, d.integers("i", 0, 7)), 7
    ),
    "one order of 24 more likely by a third": lambda d: looks_even(
        mixed(d, 0.0145, 0 * MANY, code_of(d.permutation("p", 4))), 24
    ),
    "a correlation of 0.04": lambda d: independent(d.uniform("u"), mixed(d, 0.04, d.uniform("u"), d.uniform("v"))),
    "equal eighths without correlation": lambda d: independent(
        d.uniform("u"), mixed(d, 0.06, ((d.uniform("u") * 8).long() * 3 % 8 + d.uniform("w")) / 8, d.uniform("v"))
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_the_stated_size_is_found_nine_times_in_ten(fault: str) -> None:
    missed = sum(FAULTS[fault](Draws(MANY, seed)) for seed in range(20))
    assert missed <= 2


@pytest.mark.parametrize("size", [1, 7, 64])
def test_a_samples_numbers_do_not_depend_on_the_batch(size: int) -> None:
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    whole = Draws(FEW, 5, 2).normal("n", 3)
    for index in order.tensor_split(list(range(size, 64, size))):
        assert torch.equal(Draws(index, 5, 2).normal("n", 3), whole[index])


def test_two_ranks_draw_what_one_would() -> None:
    index = torch.arange(40)
    both = torch.cat([Draws(index[rank::2], 1, 3).permutation("p", 5) for rank in (0, 1)])
    assert torch.equal(both, Draws(torch.cat([index[::2], index[1::2]]), 1, 3).permutation("p", 5))


def test_more_numbers_begin_with_the_same_ones() -> None:
    assert torch.equal(Draws(FEW).bits("b", 9)[:, :4], Draws(FEW).bits("b", 4))


@pytest.mark.parametrize("number", [0, 7, -1, 2**40 + 3, 2**63 - 1])
def test_numbers_and_tensors_of_seed_and_epoch_are_the_same_key(number: int) -> None:
    expected = Draws(FEW, number, number).bits("b", 2)
    several: list[int | Tensor] = [number, torch.tensor(number), torch.full((64,), number)]
    for seed in several:
        for epoch in several:
            assert torch.equal(Draws(FEW, seed, epoch).bits("b", 2), expected)


def test_keys_in_short_integers_are_the_same_keys() -> None:
    short = Draws(FEW.int(), torch.tensor(3, dtype=torch.int32), torch.ones(64, dtype=torch.uint8))
    assert torch.equal(short.bits("b", 2), Draws(FEW, 3, 1).bits("b", 2))


def test_a_seed_beyond_63_bits_serves_epochs_of_either_form() -> None:
    seed = WORD - 5
    assert torch.equal(Draws(FEW, seed, torch.tensor(1)).bits("b", 2), Draws(FEW, seed, 1).bits("b", 2))


def test_every_sample_may_be_in_an_epoch_of_its_own() -> None:
    own = torch.tensor([0, 0, 1, 1, 2, 2])
    drawn = Draws(torch.arange(6), 0, own).uniform("u")
    by_epoch = torch.stack([Draws(torch.arange(6), 0, epoch).uniform("u") for epoch in range(3)])
    assert torch.equal(drawn, by_epoch[own, torch.arange(6)])


def finalise(word: int) -> int:
    """SplitMix64's finaliser, from the paper."""
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB % WORD
    return word ^ word >> 31


def written_out(seed: int, epoch: int, branches: str, name: str, index: int, count: int) -> list[int]:
    """The words of one sample, as DESIGN has them, with integers of any size."""
    gamma = 0x9E3779B97F4A7C15

    def key(text: str) -> int:
        word = len(text)
        for letter in text:
            word = finalise((word + gamma) % WORD ^ ord(letter))
        return word

    path = 0
    for branch in branches:
        path = finalise(path ^ key(branch))
    salt = finalise(path ^ key(name))
    run = finalise((finalise((seed + salt) % WORD) + epoch) % WORD)
    sample = finalise(finalise((index + gamma) % WORD) ^ run)
    return [finalise((sample + place * gamma) % WORD) for place in range(1, count + 1)]


def test_words_are_those_of_the_written_out_arithmetic() -> None:
    index = torch.tensor([0, 1, 77, 2**50])
    words = Draws(index, 2**62 + 1, 3).branch("a").branch("b").bits("côté", 5)
    for row, number in zip(words.tolist(), index.tolist(), strict=True):
        assert [word % WORD for word in row] == written_out(2**62 + 1, 3, "ab", "côté", number, 5)


def test_the_mixer_is_that_of_splitmix64() -> None:
    # The first outputs of Vigna's splitmix64.c from the state 1234567.
    state = [(1234567 + place * 0x9E3779B97F4A7C15) % WORD for place in (1, 2, 3)]
    assert [mix_int(word) for word in state] == [6457827717110365317, 3203168211198807973, 9817491932198370423]
    with np.errstate(over="ignore"):
        word = np.arange(1, 2000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        expected = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        expected = (expected ^ (expected >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        expected ^= expected >> np.uint64(31)
    assert np.array_equal(mix(torch.from_numpy(word.view(np.int64))).numpy().view(np.uint64), expected)


# Records hold numbers that were drawn so: whoever changes one of these changes every result of every seed.
DRAWS = Draws(torch.arange(3), seed=42, epoch=1)
GOLDEN: dict[str, tuple[Tensor, list[Any]]] = {
    "bits": (DRAWS.bits("golden", 1)[:, 0], [-5698746667079466286, 8281228067952653005, -6548161462347542496]),
    "branch": (DRAWS.branch("split").integers("golden", 0, 1000), [142, 830, 529]),
    "uniform": (DRAWS.uniform("golden"), [0.6910703, 0.4489263, 0.6450234]),
    "between": (DRAWS.uniform("golden", low=-2.0, high=3.0), [1.4553516, 0.2446313, 1.2251170]),
    "bernoulli": (DRAWS.bernoulli("golden", 0.5, 2), [[False, True], [True, True], [False, True]]),
    "permutation": (DRAWS.permutation("golden", 5), [[0, 4, 3, 2, 1], [4, 2, 3, 1, 0], [0, 4, 2, 3, 1]]),
    "choice": (DRAWS.choice("golden", 9, 2), [[5, 0], [7, 4], [8, 0]]),
    "normal": (DRAWS.normal("golden"), [0.5506819, -0.0473267, -0.5444606]),
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_the_numbers_are_the_ones_of_version_one(kind: str) -> None:
    drawn, golden = GOLDEN[kind]
    torch.testing.assert_close(drawn, torch.tensor(golden, dtype=drawn.dtype), rtol=0, atol=1e-6)


def test_rows_of_normal_numbers_are_those_of_all() -> None:
    for shape in ((), (5,), (9000, 2)):  # the last one in several blocks
        rows = Draws(FEW).integers("row", 0, 6, 2)
        whole = Draws(FEW).normal("n", 6, *shape)
        expected = torch.stack([whole[sample, of_sample] for sample, of_sample in enumerate(rows)])
        assert torch.equal(Draws(FEW).normal("n", 6, *shape, rows=rows), expected)
    key = (FEW, 7, None, None, (6, 5), rows)
    torch.library.opcheck(draw_kernels.normal, key, test_utils=("test_schema", "test_faketensor"))


def test_ambient_randomness_is_untouched() -> None:
    before = torch.get_rng_state()
    draws = Draws(torch.arange(4))
    draws.uniform("a"), draws.normal("b", 2), draws.permutation("c", 3), draws.integers("d", 0, 9)
    assert torch.equal(before, torch.get_rng_state())


def test_names_have_keys_of_their_own() -> None:
    names = ["", *(f"{a}{b}" for a in "abcdefghij" for b in ("", "x", "xx", "é", " ", "\0"))]
    assert len({name_key(name) for name in names}) == len(names)


@pytest.fixture(params=[0, WORD - 1], ids=["all bits 0", "all bits 1"])
def planted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Make all random words the same; True where every bit is set."""
    word = np.uint64(request.param)
    monkeypatch.setattr(draw_kernels, "mix_in_place", lambda words: words.fill(word))
    return bool(request.param)


RANGES = [(0.0, 1.0), (0.9, 1.0), (0.0, 0.1), (1.0, 9.0), (-3.0, 0.0), (-2.0, -1.0), (0.05, 0.1), (100.0, 101.0)]


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_uniform_numbers_reach_low_and_never_high(low: float, high: float, planted: bool) -> None:
    drawn = float(Draws(FEW).uniform("u", low=low, high=high)[0])
    assert drawn < high
    if planted:
        assert drawn == pytest.approx(high, rel=3e-7, abs=3e-7)  # two steps of single precision
    else:
        assert drawn == pytest.approx(low, rel=1e-7)


@pytest.mark.parametrize("high", [1, 3, 100, 2**31, 2**32])
def test_integers_reach_both_ends_and_never_high(high: int, planted: bool) -> None:
    assert int(Draws(FEW).integers("i", 0, high)[0]) == (high - 1 if planted else 0)
    assert int(Draws(FEW).integers("i", 0, torch.tensor(high))[0]) == (high - 1 if planted else 0)


def test_extreme_words_give_finite_normal_numbers_and_sure_events(planted: bool) -> None:
    assert abs(float(Draws(FEW).normal("n")[0])) < 6.7
    probability = float(planted)
    assert bool((Draws(FEW).bernoulli("b", probability) == planted).all())
    assert bool((Draws(FEW).bernoulli("b", torch.tensor(probability)) == planted).all())


ROWS = torch.tensor([3, 4, 2])  # of 4 rows, a sample gets those that are left over when its number is divided so

KINDS: dict[str, Callable[[Draws, tuple[int, ...]], Tensor]] = {
    "bits": lambda draws, shape: draws.bits("k", math.prod(shape)),
    "uniform": lambda draws, shape: draws.uniform("k", *shape, high=127.3),
    "uniform between": lambda draws, shape: draws.uniform("k", *shape, low=-2.0, high=3.7),
    "normal": lambda draws, shape: draws.normal("k", *shape),
    "normal in some rows": lambda draws, shape: draws.normal("k", 4, *shape, rows=draws.index[:, None] % ROWS),
    "integers": lambda draws, shape: draws.integers("k", -4, 2**31, *shape),
    "integers below a tensor": lambda draws, shape: draws.integers(
        "k", 3, draws.index.view(5, *ones(shape)) + 9, *shape
    ),
    "events": lambda draws, shape: draws.bernoulli("k", 0.3, *shape),
    "events of a tensor": lambda draws, shape: draws.bernoulli("k", draws.index.view(5, *ones(shape)) / 9, *shape),
}


def ones(shape: tuple[int, ...]) -> list[int]:
    return [1] * len(shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(), (7,), (2, 3), (0,), (40_000,)], ids=str)  # the last one in several blocks
def test_what_a_cpu_draws_is_what_other_devices_draw(kind: str, shape: tuple[int, ...], monkeypatch: Any) -> None:
    index, epochs = torch.tensor([0, 5, 2**50, 77, 12]), torch.arange(5)
    keys: list[tuple[int | Tensor, int | Tensor]] = [
        (3, 2),
        (3, epochs),
        (torch.tensor(3), 2),
        (torch.tensor(3), epochs),
    ]
    on_cpu = [KINDS[kind](Draws(index, *key), shape) for key in keys]
    for name in ("hashed_index", "bits", "uniform", "normal", "integers", "integers_between", "bernoulli", "event"):
        elsewhere = {"hashed_index": "hash_index", "event": "draw_bernoulli"}.get(name, f"draw_{name}")
        monkeypatch.setattr(draw_kernels, name, getattr(draw_kernels, elsewhere))
    for drawn, key in zip(on_cpu, keys, strict=True):
        other = KINDS[kind](Draws(index, *key), shape)
        assert drawn.dtype == other.dtype
        assert torch.equal(drawn, other)


@pytest.mark.parametrize(("low", "high"), [(3, 3), (3, 2), (0, 2**32 + 1)])
def test_a_range_that_cannot_be_drawn_from_is_refused(low: int, high: int) -> None:
    with pytest.raises(PretaskError, match=rf"the draw 'corner' needs a range .*got \[{low}, {high}\)"):
        Draws(FEW).integers("corner", low, high)


def test_more_than_there_are_cannot_be_chosen() -> None:
    with pytest.raises(PretaskError, match="the draw 'shown' needs at most 3 of 3; got 5"):
        Draws(FEW).choice("shown", 3, 5)


def test_no_samples_and_no_numbers_are_fine() -> None:
    assert Draws(FEW[:0]).normal("n", 2, 3).shape == (0, 2, 3)
    assert Draws(FEW).uniform("u", 0).shape == (64, 0)


def test_numbers_are_made_on_the_device_of_the_samples() -> None:
    for seed in (1, torch.tensor(1)):
        draws = Draws(torch.arange(4, device="meta"), seed)
        made = (draws.normal("n", 3), draws.permutation("p", 3), draws.integers("i", 0, 9, 3))
        also = (draws.bernoulli("b", 0.5, 3), draws.uniform("u", 3, low=1, high=2), draws.choice("c", 5, 3))
        assert all(tensor.is_meta and tensor.shape == (4, 3) for tensor in (*made, *also))


COMPILED = """
import torch
from pretask import Draws
def all_kinds(index, seed, epoch):
    draws = Draws(index, seed, epoch)
    return (draws.integers("i", 0, 9, 2), draws.permutation("p", 5), draws.choice("c", 6, 2), draws.bits("b", 3),
            draws.bernoulli("o", 0.3), draws.uniform("u", 3), draws.uniform("v", low=2, high=3),
            draws.branch("x").normal("n", 4), draws.normal("m", 3, 2, rows=index[:, None] % 3))
torch._dynamo.config.error_on_recompile = True
compiled = torch.compile(all_kinds, fullgraph=True)
index = torch.arange(64)
for epoch in range(3):
    plain, fast = (of(index, torch.tensor(7), torch.tensor(epoch)) for of in (all_kinds, compiled))
    assert all(torch.equal(one, two) for one, two in zip(plain[:5], fast[:5]))
    assert all(torch.allclose(one, two, rtol=0, atol=1e-6) for one, two in zip(plain[5:], fast[5:]))
"""


@pytest.mark.exhaustive
def test_compiled_draws_equal_eager_ones_and_one_graph_serves_all_epochs() -> None:
    # In a process of its own: the import hook that checks shapes in tests does not trace.
    run_python("-c", COMPILED)
