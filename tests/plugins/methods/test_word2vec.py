"""Promises of word2vec: pairs, noise and thinning as the paper counts them, and vectors that factor what it says."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from pretask import (
    Batch,
    Categories,
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
from pretask_plugins.data.text.toy_grammar import TAGS, ToyGrammar
from pretask_plugins.methods.word2vec.cbow import Cbow
from pretask_plugins.methods.word2vec.counted import keep_probability
from pretask_plugins.methods.word2vec.noise import SEVERAL, build_table, draw_by_mass, draw_words
from pretask_plugins.methods.word2vec.split import SkipGram, draw_contexts
from pretask_plugins.models.text.bag_of_words import BagOfWords
from pretask_plugins.models.text.embedding import Embedding
from pretask_plugins.models.text.lstm import Lstm
from pretask_plugins.objectives import negative_sampling
from pretask_plugins.objectives.negative_sampling import NegativeSampling
from pretask_plugins.shared.token_rows import close_gaps
from scipy import stats

SIZE = 8
SPECIAL = (("pad", 0), ("end", 1))


def text(length: int, size: int = SIZE) -> Observed:
    return Observed("text", (length,), "int64", 0, Vocabulary(size, SPECIAL))


def fitted(rows: torch.Tensor, **options: object) -> SkipGram:
    split = SkipGram(**{"min_count": 1, "subsample": 0.0, **options})  # type: ignore[arg-type]
    return split.fit(text(rows.shape[1]), [Batch(rows, present=rows != 0)])


def loop_pairs(row: list[int], window: int) -> Counter[tuple[int, int]]:
    """Places of centre and context, by a loop over all windows, as often as they are expected."""
    pairs: Counter[tuple[int, int]] = Counter()
    for reach in range(1, window + 1):
        for centre in range(len(row)):
            for context in range(max(centre - reach, 0), min(centre + reach + 1, len(row))):
                if context != centre:
                    pairs[centre, context] += 1 / window  # type: ignore[assignment]
    return pairs


def test_pairs_are_as_frequent_as_a_loop_over_all_windows_says() -> None:
    many, words, window = 20_000, 5, 3
    present = (torch.arange(7) < words).expand(many, 7)
    at, weight = draw_contexts(Draws(torch.arange(many)), present, window)
    found = np.zeros((7, 7))
    for centre in range(7):
        np.add.at(found, (centre, at[:, centre, 0].numpy()), weight[:, centre].double().numpy() / many)
    expected = np.zeros((7, 7))
    for pair, often in loop_pairs(list(range(words)), window).items():
        expected[pair] = often
    assert np.abs(found - expected).max() < 0.05  # 5 standard errors
    assert not found[expected == 0].any()  # neither itself, nor beyond the window or the words


def test_several_contexts_have_the_mean_of_one() -> None:
    many, words, window, count = 10_000, 5, 3, 4
    present = (torch.arange(6) < words).expand(many, 6)
    at, weight = draw_contexts(Draws(torch.arange(many)), present, window, count)
    one, _ = draw_contexts(Draws(torch.arange(many)), present, window)
    assert at.shape == (many, 6, count)
    found = np.zeros((6, 6))
    for centre in range(6):
        share = weight[:, centre, None].double().expand(-1, count) / count / many
        np.add.at(found, (centre, at[:, centre].numpy()), share.numpy())
    expected = np.zeros((6, 6))
    for pair, often in loop_pairs(list(range(words)), window).items():
        expected[pair] = often
    assert np.abs(found - expected).max() < 0.05  # 5 standard errors
    assert one.shape == (many, 6, 1)
    split = fitted(torch.tensor([[2, 3, 4, 5]]), contexts=2, negatives=3)
    _, targets = split(Batch(torch.tensor([[2, 3, 4, 5]])), Draws(torch.arange(1)))
    assert targets["context"].probability[0, 0].tolist() == [0.5, 0.5, 0, 0, 0]  # type: ignore[index]


def test_noise_is_drawn_by_counts_to_the_power_of_three_quarters() -> None:
    rows = torch.tensor([[2] * 32 + [3] * 16 + [4] * 8 + [5] * 4 + [6] * 2 + [1] * 2])
    split = fitted(rows)
    many = Batch(rows[:, :40].repeat(300, 1))
    _, targets = split(many, Draws(many.index))
    target = targets["context"]
    assert target.probability is not None
    assert target.probability[0, 0].tolist() == [1, 0, 0, 0, 0, 0]
    found = torch.bincount(target.value[..., 1:].flatten(), minlength=SIZE)
    mass = np.array([32, 16, 8, 4, 2]) ** 0.75
    assert found[[0, 1, 7]].sum() == 0
    assert stats.chisquare(found[2:7].numpy(), mass / mass.sum() * int(found.sum())).pvalue > 1e-3
    assert draw_by_mass(torch.tensor([0.0, 2.0, 4.0]).double(), torch.tensor([[[0.49, 0.51]]])).tolist() == [[[1, 2]]]


def test_words_of_noise_looked_up_in_a_table_are_those_that_are_searched() -> None:
    mass = torch.rand(300, generator=torch.Generator().manual_seed(0)).double()
    mass[::7], mass[5] = 0, 1e-9
    edges = mass.cumsum(0)
    table = build_table(edges)
    every = torch.arange(0, 1 << 24, 61, dtype=torch.float32) / (1 << 24)
    at_borders = ((torch.arange(1, len(table)) / len(table))[:, None] + torch.tensor([-(2.0**-24), 0])).float()
    for uniform in (every, at_borders):
        assert torch.equal(draw_words(edges, table, uniform), draw_by_mass(edges, uniform))
    assert 0 < int((table == SEVERAL).sum()) < len(edges)


def test_frequent_words_are_thinned_by_the_formula_before_windows_are_laid() -> None:
    assert keep_probability(torch.tensor([1e-3, 1e-4, 4e-3]), 1e-3).tolist() == pytest.approx([1, 1, 0.75])
    rows = torch.tensor([[2, 2, 2, 2, 2, 2, 2, 2, 3, 4]])
    split, many = fitted(rows, subsample=0.1), Batch(rows.repeat(4000, 1))
    inputs, _ = split(many, Draws(many.index))
    assert inputs.present is not None
    left = int(((inputs.data == 2) & inputs.present).sum())
    low, high = stats.binom.interval(0.999, 8 * 4000, (math.sqrt(8) + 1) / 8)
    assert low <= left <= high
    words, present = close_gaps(rows, torch.tensor([[False] * 7 + [True] * 3]))
    assert words[0, :3].tolist() == [2, 3, 4]
    assert present.sum() == 3


def test_the_formula_of_the_paper_keeps_fewer_words() -> None:
    frequency = torch.tensor([1e-3, 4e-3, 1e-1])
    assert keep_probability(frequency, 1e-3, "paper").tolist() == pytest.approx([1, 0.5, 0.1])
    rows = torch.tensor([[2, 2, 2, 2, 2, 2, 2, 2, 3, 4]])
    keep = fitted(rows, subsample=0.1, formula="paper").tables_on(torch.device("cpu"))[0]
    assert keep[2:5].tolist() == pytest.approx([math.sqrt(1 / 8), 1, 1])


def test_cbow_shows_the_window_without_the_word_itself() -> None:
    rows = torch.tensor([[2, 3, 4, 5, 6, 0]])
    many = Batch(rows.repeat(3000, 1), torch.arange(3000), rows.repeat(3000, 1) > 0)
    split = Cbow(window=2, min_count=1, subsample=0.0).fit(text(6), [many])
    inputs, targets = split(many, Draws(many.index))
    assert inputs.present is not None
    assert not bool(inputs.data[~inputs.present].any())
    steps = (1, 2, -1, -2)
    for view, step in enumerate(steps):
        for place in range(5):
            shown, is_near = inputs.data[:, view, place], inputs.present[:, view, place]
            inside = 0 <= place + step < 5
            assert bool((shown[is_near] == rows[0, (place + step) % 6]).all())
            rate = (1.0 if abs(step) == 1 else 0.5) if inside else 0.0  # half of the windows reach two words
            assert float(is_near.float().mean()) == pytest.approx(rate, abs=0.04)  # 4 standard errors
    assert torch.equal(targets["word"].value[..., 0], many.data)
    assert torch.equal(targets["word"].weight > 0, inputs.present.any(1))  # type: ignore[operator]


def test_the_bag_is_the_mean_of_the_vectors_that_are_present() -> None:
    spec = InputSpec("text", (3,), views=4, vocabulary=Vocabulary(SIZE, SPECIAL))
    model = BagOfWords(spec, replace(spec, views=1), width=5)
    data = 2 + Draws(torch.arange(2)).integers("word", 0, 6, 4, 3)
    present = Draws(torch.arange(2)).bernoulli("is present", 0.6, 4, 3)
    table = model.embedding.weight
    found = model(Inputs(data, present)).streams["present"][:, 0]
    weight = present[..., None].float()
    plain = (torch.nn.functional.embedding(data, table) * weight).sum(1) / weight.sum(1).clamp(min=1)
    assert torch.allclose(found, plain, atol=1e-6)
    ours, theirs = (torch.autograd.grad(value.square().sum(), table)[0] for value in (found, plain))
    assert torch.allclose(ours, theirs, atol=1e-6)
    row = torch.tensor([[[2, 3, 4]]])
    assert torch.equal(model(Inputs(row)).streams["present"][0, 0], table[row[0, 0]])


def test_many_candidates_are_scored_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    objective = NegativeSampling(
        FeatureSpec(6, (4,), 1, ("present",)), {"context": Categories(SIZE, grid=(4,), sees="present")}, negatives=0
    )
    draws = Draws(torch.arange(5))
    vectors = draws.normal("vector", 1, 4, 6).requires_grad_()
    value = draws.integers("word", 0, SIZE, 4, 3)
    target = Target(value, draws.uniform("weight", 4), torch.tensor([0.5, 0.5, 0.0]).expand(value.shape))
    found = []
    for most in (negative_sampling.MAX_LOOKED_UP, 0):
        monkeypatch.setattr(negative_sampling, "MAX_LOOKED_UP", most)
        loss = objective(Features({"present": vectors}, {}), {"context": target}, draws)
        gradients = torch.autograd.grad(loss.total, [vectors, *objective.parameters()])
        found.append((loss.total, *loss.parts.values(), *gradients))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_rare_and_special_words_are_no_words_here() -> None:
    rows = torch.tensor([[2, 5, 3, 1, 2, 3, 0, 0], [3, 2, 3, 2, 1, 0, 0, 0]])
    split = fitted(rows, min_count=2)
    batch = Batch(rows, present=rows != 0)
    inputs, targets = split(batch, Draws(batch.index))
    assert inputs.present is not None
    assert [row[kept].tolist() for row, kept in zip(inputs.data[:, 0], inputs.present[:, 0], strict=True)] == [
        [2, 3, 2, 3],
        [3, 2, 3, 2],
    ]
    has_label = targets["context"].weight
    assert has_label is not None
    assert torch.equal(has_label > 0, inputs.present[:, 0])
    assert set(targets["context"].value[has_label > 0].flatten().tolist()) <= {2, 3}


@pytest.mark.parametrize("size", [1, 5])
def test_a_row_is_split_the_same_in_any_batch(size: int) -> None:
    rows = 2 + Draws(torch.arange(10)).integers("word", 0, 6, 9)
    split = fitted(rows, subsample=0.1)
    inputs, targets = split(Batch(rows), Draws(torch.arange(10), seed=1))
    for begin in range(0, 10, size):
        part = torch.arange(begin, begin + size)
        some, answers = split(Batch(rows[part], part), Draws(part, seed=1))
        assert torch.equal(some.data, inputs.data[part])
        assert torch.equal(answers["context"].value, targets["context"].value[part])


def pair_task(split: SkipGram, observed: Observed, width: int, samples: int, lr: float, batch: int = 256) -> Task:
    recipe = Recipe(
        optimizer="adam", lr=lr, batch=batch, samples=samples, weight_decay=0.0, schedule="linear", warmup=0.0
    )
    return compose(
        observed,
        split,
        lambda *specs: Embedding(*specs, width=width),
        lambda *specs: NegativeSampling(*specs, negatives=0),
        recipe,
    )


@pytest.mark.slow
def test_products_become_the_shifted_pointwise_mutual_information() -> None:
    """Levy and Goldberg 2014, with noise by plain frequencies, from counts of a loop."""
    rows = 2 + Draws(torch.arange(64)).integers("word", 0, 4, 8)
    rows[:, 1::2] = torch.where(rows[:, 1::2] > 3, rows[:, ::2], rows[:, 1::2])  # words that go together
    split = fitted(rows, window=2, noise_exponent=1.0, negatives=2)
    task = pair_task(split, text(8), SIZE, 256 * 300, 0.05)
    optimizer = task.recipe.make_optimizer([*task.model.parameters(), *task.objective.parameters()])
    many = rows.repeat(4, 1)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = task.recipe.rate(step)
        optimizer.zero_grad()
        task.loss(Batch(many), Draws(torch.arange(256), epoch=step)).total.backward()
        optimizer.step()
    joint = np.zeros((SIZE, SIZE))
    for row in rows.tolist():
        for (centre, context), often in loop_pairs(row, 2).items():
            joint[row[centre], row[context]] += often
    joint = joint[2:6, 2:6] / joint.sum()
    noise = torch.bincount(rows.flatten(), minlength=SIZE)[2:6].double().numpy()
    best = np.log(joint / joint.sum(1, keepdims=True) / (noise / noise.sum()) / 2)
    with torch.no_grad():
        products = (task.model.embedding.weight @ task.objective.tables["context"].weight.T)[2:6, 2:6].numpy()
    assert np.ptp(best) > 0.8
    assert np.abs(products - best).max() < 0.1


def test_the_vector_of_a_word_is_the_same_in_any_sentence() -> None:
    rows = torch.tensor([[2, 3, 4, 5], [6, 5, 4, 2]])
    task = pair_task(fitted(rows), text(4), 6, 256, 0.01)
    vectors = task.encode(Batch(rows)).streams["present"][:, 0, 2]
    assert torch.equal(vectors[0], vectors[1])


@pytest.mark.slow
def test_words_of_one_class_become_neighbours_and_guesses_beat_frequencies() -> None:
    data = ToyGrammar(size=1024, test_size=256)
    samples, held_out = data("train"), data("test")
    split = SkipGram(min_count=1, subsample=0.01).fit(samples.observed, samples.batches(512, torch.device("cpu")))
    task = pair_task(split, samples.observed, 16, 128 * 250, 0.03, 128)
    train(task, samples)
    score, trivial = held_out_loss(task, held_out), trivial_losses(task, samples, held_out)
    assert trivial["blind"]["context"] == pytest.approx(6 * math.log(2), abs=1e-4)
    assert score["context"] < trivial["frequency"]["context"] - 0.15 < trivial["blind"]["context"]
    assert score["context.ranking_accuracy"] > 0.7
    tags = samples.labels["tag"].value
    count = torch.zeros(samples.observed.vocabulary.size, len(TAGS))  # type: ignore[union-attr]
    count.index_put_((samples.data[tags >= 0].long(), tags[tags >= 0]), torch.ones(1), accumulate=True)
    words = (count.sum(1) > 0).nonzero()[:, 0]
    kind = count[words].argmax(1)
    vectors = torch.nn.functional.normalize(task.model.embedding.weight.detach()[words], dim=1)
    nearest = (vectors @ vectors.T).fill_diagonal_(-2).argmax(1)
    same = float((kind[nearest] == kind).float().mean())
    share = torch.bincount(kind) / len(kind)
    assert same > float((share**2).sum()) + 0.2


def test_answers_without_candidates_are_told_from_noise_of_all_classes() -> None:
    objective = NegativeSampling(FeatureSpec(4), {"kind": Categories(3)}, negatives=6)
    answer = Target(torch.arange(3).repeat(2000))
    with torch.no_grad():
        objective.tables["kind"].weight.copy_(torch.eye(3, 4) * 2)
    vectors = torch.eye(3, 4).repeat(2000, 1)[:, None]  # (B, V, D)
    features = Features({"all": vectors[:, :, None]}, {"all": vectors})
    drawn = objective(features, {"kind": answer}, Draws(torch.arange(6000)))
    expected = objective.score(objective.predict(features), {"kind": answer})
    closed = math.log1p(math.exp(-2)) + 6 * (math.log1p(math.exp(2)) + 2 * math.log(2)) / 3
    assert expected.total.item() == pytest.approx(closed, rel=1e-5)
    assert drawn.total.item() == pytest.approx(closed, abs=0.06)  # 3.5 standard errors
    assert float(expected.parts["kind.ranking_accuracy"]) == 1.0
    with pytest.raises(Incompatible, match="noise among the candidates"):
        NegativeSampling(FeatureSpec(4), {"kind": Categories(3)}, negatives=0).score(
            {"kind": torch.zeros(3, 3)}, {"kind": Target(torch.arange(3))}
        )


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(PretaskError, match="at least 2 different words that occur 5 times"):
        SkipGram().fit(text(3), [Batch(torch.tensor([[2, 3, 4]]))])
    with pytest.raises(PretaskError, match="counts of its words"):
        SkipGram()(Batch(torch.tensor([[2, 3]])), Draws(torch.arange(1)))
    with pytest.raises(Incompatible, match=r"split\.window"):
        SkipGram(window=0).spec(text(4))
    with pytest.raises(Incompatible, match="fitted to"):
        fitted(torch.tensor([[2, 3]])).spec(text(4, 9))
    with pytest.raises(Incompatible, match="sees at most 'present'"):
        compose(text(4), SkipGram(), lambda *specs: Lstm(*specs, width=4), NegativeSampling)
