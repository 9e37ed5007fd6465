"""Promises of GloVe: counts as a loop counts them, the paper's loss in expectation, and the released code's updates."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from pretask import (
    Batch,
    Draws,
    Features,
    FeatureSpec,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    PretaskError,
    Recipe,
    Target,
    Vocabulary,
)
from pretask.composition import Task, compose
from pretask.pretext_score import held_out_loss, trivial_losses
from pretask.training import train
from pretask_plugins.data.text.toy_grammar import ToyGrammar
from pretask_plugins.methods.glove import PAIRS_IN_A_BATCH, RATE, places
from pretask_plugins.methods.glove.counting import count_cooccurrences
from pretask_plugins.methods.glove.neighbors import (
    count_passed,
    draw_neighbors,
    search_passed,
    sum_inverse_distances,
)
from pretask_plugins.methods.glove.objective import Glove, weigh_count
from pretask_plugins.methods.glove.split import Cooccurrence, PairWithNeighbor
from pretask_plugins.models.text.two_vectors import TwoVectors

SIZE = 12
SPECIAL = (("pad", 0), ("end", 1))
RNG = np.random.default_rng(0)


def text(length: int, size: int = SIZE) -> Observed:
    return Observed("text", (length,), "int64", 0, Vocabulary(size, SPECIAL))


def make_rows(many: int = 200, length: int = 9) -> torch.Tensor:
    """Rows of words that prefer their neighbors in number, with padding at the end of some."""
    steps = torch.from_numpy(RNG.geometric(0.3, (many, length)))
    rows = 2 + steps.cumsum(1) % (SIZE - 2)
    rows[::3, 6:] = 0
    return rows


def loop_counts(rows: torch.Tensor, window: int) -> Counter[tuple[int, int]]:
    """X by a loop over all pairs of places, both ways."""
    counts: Counter[tuple[int, int]] = Counter()
    for row in rows.tolist():
        words = [word for word in row if word > 1]
        for place, word in enumerate(words):
            for other in range(max(place - window, 0), min(place + window + 1, len(words))):
                if other != place:
                    counts[word, words[other]] += 1 / abs(other - place)  # type: ignore[assignment]
    return counts


def fitted(rows: torch.Tensor, **options: object) -> PairWithNeighbor:
    split = PairWithNeighbor(**{"min_count": 1, "window": 3, **options})  # type: ignore[arg-type]
    return split.fit(text(rows.shape[1]), [Batch(rows, present=rows > 0)])


ROWS = make_rows()
SPLIT = fitted(ROWS)
COUNTS = loop_counts(ROWS, 3)


@pytest.mark.parametrize(("max_pairs", "max_cells"), [(1 << 20, 1 << 20), (50, 1 << 20), (50, 7)])
def test_counts_are_those_of_a_loop_however_little_memory_there_is(max_pairs: int, max_cells: int) -> None:
    words = [(part, part > 1) for part in ROWS.split(17)]  # padding is at the end
    cells = count_cooccurrences(words, SIZE, 3, max_pairs=max_pairs, max_cells=max_cells)
    found = dict(zip(cells.keys.tolist(), cells.counts().tolist(), strict=False))  # but for the one behind all others
    expected = {first * SIZE + second: often for (first, second), often in COUNTS.items() if first <= second}
    assert sorted(found) == sorted(expected)
    assert list(found) == sorted(found)
    for key, often in expected.items():
        assert found[key] == pytest.approx(often, rel=1e-6)
    rows = [sum(often for (word, _), often in COUNTS.items() if word == number) for number in range(SIZE)]
    assert cells.sum_rows().tolist() == pytest.approx(rows, rel=1e-6)


@pytest.mark.parametrize("bits", [4, 22])
def test_cells_are_found_where_a_search_finds_them_however_few_slots_there_are(
    bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(places, "MIN_BITS", 1)
    monkeypatch.setattr(places, "MAX_BITS", bits)
    monkeypatch.setattr(places, "CELLS_AT_ONCE", 7)
    generator = torch.Generator().manual_seed(1)
    found = torch.randint(1 << 40, (501,), generator=generator).unique()
    counts = torch.rand(len(found), generator=generator).log()
    keys = torch.cat([found, torch.tensor([1 << 41])])
    table = places.build_table(keys, torch.cat([counts, torch.zeros(1)]))
    assert len(table) == 2 ** min(bits, 11)
    hashed = places.hash_keys(found, len(table))
    for slot in hashed.unique():
        assert counts[table[slot]] == counts[hashed == slot].max()
    wanted = torch.cat([found, torch.randint(1 << 40, (300,), generator=generator)]).view(-1, 1)
    assert torch.equal(places.find_places(keys, table, wanted), torch.searchsorted(keys, wanted))


@pytest.mark.parametrize("window", [1, 2, 5, 10, 64, 1000, 1 << 16, 1 << 20])
def test_sums_are_passed_where_a_search_says_so_up_to_the_last_bit(window: int) -> None:
    sums = sum_inverse_distances(window, torch.device("cpu"))
    far = torch.tensor(torch.inf)
    near = [sums, sums.nextafter(far), sums[1:].nextafter(-far), torch.linspace(0, float(sums[-1]), 5001)]
    drawn = torch.cat(near)[None]
    assert torch.equal(count_passed(sums, drawn), search_passed(sums, drawn))


def test_pairs_are_drawn_as_often_as_they_count() -> None:
    many, window = 40_000, 3
    present = (torch.arange(6) < 5).expand(many, 6)
    neighbor, mass = draw_neighbors(Draws(torch.arange(many)), present, window)
    found = np.zeros((6, 6))
    for place in range(6):
        np.add.at(found, (place, neighbor[:, place].numpy()), mass[:, place].double().numpy() / many)
    expected = np.array(
        [
            [
                1 / abs(one - other) if 0 < abs(one - other) <= window and max(one, other) < 5 else 0
                for other in range(6)
            ]
            for one in range(6)
        ]
    )
    assert not found[expected == 0].any()
    assert np.abs(found - expected).max() < 0.05  # 5 standard errors


def test_the_weight_is_that_of_the_paper() -> None:
    assert weigh_count(torch.tensor([0.0, 100.0, 1000.0]), 100, 0.75).tolist() == [0, 1, 1]
    counts = torch.linspace(0, 120, 500)
    assert bool((weigh_count(counts, 100, 0.75).diff() >= 0).all())
    assert weigh_count(torch.tensor([10.0, 50.0]), 100, 0.75).tolist() == pytest.approx([0.1778, 0.5946], abs=5e-5)


def glove_task(split: PairWithNeighbor, width: int, **recipe: object) -> Task:
    settings = {"optimizer": "adagrad", "lr": 0.05, "weight_decay": 0.0, "warmup": 0.0, "schedule": "constant"}
    wanted = Recipe(**{**settings, "channels_last": False, **recipe})  # type: ignore[arg-type]
    return compose(text(9), split, lambda *specs: TwoVectors(*specs, width=width), Glove, wanted)


def paper_loss(table: np.ndarray, x_max: float = 100.0, alpha: float = 0.75) -> float:
    """J by a loop over all cells of X."""
    total = 0.0
    for (first, second), often in COUNTS.items():
        one, other = table[first], table[SIZE + second]
        difference = one[:-1] @ other[:-1] + one[-1] + other[-1] - math.log(often)
        total += min(1.0, (often / x_max) ** alpha) * difference**2
    return total


def test_the_expected_loss_is_that_of_the_paper_over_the_sum_of_counts() -> None:
    task = glove_task(SPLIT, 4)
    many = Batch(ROWS.repeat(60, 1), present=ROWS.repeat(60, 1) > 0)
    many = Batch(many.data, torch.arange(len(many)), many.present)
    with torch.no_grad():
        found = float(task.loss(many, Draws(many.index)).total)
    expected = paper_loss(task.model.table.detach().double().numpy()) / sum(COUNTS.values())
    assert found == pytest.approx(expected, rel=0.01)  # 4 standard errors


def test_updates_are_those_of_a_plain_reference() -> None:
    """AdaGrad from 1 on the gradient of J / 2 times the rate, as the released code has it, over all cells, in numpy."""
    task = glove_task(SPLIT, 5)
    cells = np.array([(*pair, often) for pair, often in COUNTS.items()])
    first, second = cells[:, 0].astype(int), cells[:, 1].astype(int)
    table = task.model.table.detach().double().numpy().copy()
    squares = np.ones_like(table)
    pairs = torch.from_numpy(np.stack([first, second]))[None]
    spec = InputSpec("text", (len(cells),), views=2, vocabulary=Vocabulary(SIZE, SPECIAL))
    objective = Glove(task.model.features(spec), {"count": Cooccurrence(grid=(len(cells),), sees="present")})
    count = torch.from_numpy(cells[:, 2]).float()[None]
    target = Target(count.log(), count)
    total = float(count.sum())
    accumulator = (2 / (RATE * total)) ** 2
    optimizer = Recipe(optimizer="adagrad", lr=1.0, weight_decay=0.0, initial_accumulator=accumulator)
    step = optimizer.make_optimizer(task.model.parameters())
    for _ in range(30):
        one, other = table[first], table[SIZE + second]
        difference = (one[:, :-1] * other[:, :-1]).sum(1) + one[:, -1] + other[:, -1] - np.log(cells[:, 2])
        pull = (np.minimum(1, (cells[:, 2] / 100) ** 0.75) * difference)[:, None]
        gradient = np.zeros_like(table)
        np.add.at(gradient, first, pull * np.concatenate([other[:, :-1], np.ones((len(cells), 1))], 1))
        np.add.at(gradient, SIZE + second, pull * np.concatenate([one[:, :-1], np.ones((len(cells), 1))], 1))
        squares += (RATE * gradient) ** 2
        table -= RATE * gradient / np.sqrt(squares)
        step.zero_grad()
        loss = objective(task.model(Inputs(pairs)), {"count": target}, Draws(torch.arange(1))).total
        assert float(loss.detach()) * total == pytest.approx((pull[:, 0] * difference).sum(), rel=1e-4)
        loss.backward()
        step.step()
    assert np.abs(task.model.table.detach().numpy() - table).max() < 1e-4
    sums = task.model(Inputs(torch.arange(SIZE)[None, None])).streams["present"][0, 0].detach().numpy()
    assert np.abs(sums - (table[:SIZE] + table[SIZE:])[:, :-1]).max() < 2e-4


def test_logarithms_of_the_rank_of_the_vectors_are_learned_to_the_last() -> None:
    size, rank = 10, 3
    generator = torch.Generator().manual_seed(1)
    one, other = (torch.randn(size, rank, generator=generator) for _ in range(2))
    logarithm = one @ other.T
    words = torch.cartesian_prod(torch.arange(size), torch.arange(size)).T[None]  # (1, 2, size^2)
    spec = InputSpec("text", (size * size,), views=2, vocabulary=Vocabulary(size, SPECIAL))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = TwoVectors(spec, spec, width=rank + 1)
    objective = Glove(model.features(spec), {"count": Cooccurrence(grid=(size * size,), sees="present")}, alpha=0.0)
    target = Target(logarithm.reshape(1, -1), logarithm.reshape(1, -1).exp())
    optimizer = Recipe(optimizer="adam", lr=0.03, weight_decay=0.0).make_optimizer(model.parameters())
    losses = []
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.03 * (1 - step / 300)
        optimizer.zero_grad()
        loss = objective(model(Inputs(words)), {"count": target}, Draws(torch.arange(1))).total
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 1e-5 * losses[0]


def test_words_that_occur_seldom_are_left_out_and_the_others_close_up() -> None:
    rows = torch.tensor([[2, 5, 3, 1, 2, 3, 0, 0], [3, 2, 3, 2, 1, 0, 0, 0]])
    split = fitted(rows, min_count=2)
    inputs, targets = split(Batch(rows, present=rows != 0), Draws(torch.arange(2)))
    assert inputs.present is not None
    assert inputs.data[0, 0, :4].tolist() == [2, 3, 2, 3]
    assert inputs.present[:, 0].sum(1).tolist() == [4, 4]
    assert targets["count"].weight is not None
    assert torch.equal(targets["count"].weight > 0, inputs.present[:, 0])
    strange = torch.tensor([[2, 2, 2, 2, 2, 2, 2, 2]])
    assert split.cells is not None
    near_itself = bool(split.cells.look_up(torch.tensor(2), torch.tensor(2))[1])
    seen = split(Batch(strange), Draws(torch.arange(1)))[1]["count"].weight
    assert bool(seen.any()) == near_itself  # type: ignore[union-attr]


@pytest.mark.slow
def test_what_is_learned_beats_the_product_of_frequencies() -> None:
    data = ToyGrammar(size=256, test_size=64)
    samples, held_out = data("train"), data("test")
    split = PairWithNeighbor(min_count=1).fit(samples.observed, samples.batches(512, torch.device("cpu")))
    recipe = Recipe(optimizer="adagrad", lr=0.05, batch=128, samples=128 * 40, weight_decay=0.0)
    task = compose(samples.observed, split, lambda *specs: TwoVectors(*specs, width=16), Glove, recipe)
    train(task, samples)
    score, trivial = held_out_loss(task, held_out), trivial_losses(task, samples, held_out)
    assert score["count"] < trivial["independent"]["count"] < 0.5 * trivial["constant"]["count"]


def test_accumulators_begin_at_one_pair() -> None:
    """M, the pairs of a batch by their weight: 2 (1 + 1/2 + … + 1/10), but for the ends of a row."""
    present = torch.ones(1, 128, dtype=torch.bool)
    _, mass = draw_neighbors(Draws(torch.arange(1)), present, 10)
    assert 256 * float(mass.sum()) == pytest.approx(PAIRS_IN_A_BATCH, rel=0.02)


def test_what_cannot_be_counted_or_multiplied_is_refused() -> None:
    with pytest.raises(PretaskError, match="at least 2 different words that occur 5 times"):
        PairWithNeighbor().fit(text(3), [Batch(torch.tensor([[2, 3, 4]]))])
    with pytest.raises(PretaskError, match="co-occurrences of its words"):
        PairWithNeighbor()(Batch(torch.tensor([[2, 3]])), Draws(torch.arange(1)))
    with pytest.raises(Incompatible, match="fitted to"):
        SPLIT.spec(text(4, 9))
    with pytest.raises(Incompatible, match="features of 2 views"):
        Glove(FeatureSpec(4, (9,), 1, ("present",)), {"count": Cooccurrence(grid=(9,), sees="present")})
    with pytest.raises(Incompatible, match="sees at most 'present'"):
        Glove(FeatureSpec(4, (9,), 2, ("all",)), {"count": Cooccurrence(grid=(9,), sees="present")})


def test_a_features_last_number_is_its_bias() -> None:
    vectors = torch.randn(2, 2, 5, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    objective = Glove(FeatureSpec(4, (5,), 2, ("present",)), {"count": Cooccurrence(grid=(5,), sees="present")})
    products = objective.predict(Features({"present": vectors}, {}))["count"]
    one, other = vectors.unbind(1)
    plain = (one[..., :3] * other[..., :3]).sum(-1) + one[..., 3] + other[..., 3]
    assert torch.allclose(products, plain)
    ours, theirs = (torch.autograd.grad(value.square().sum(), vectors)[0] for value in (products, plain))
    assert torch.allclose(ours, theirs)
