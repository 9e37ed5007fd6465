"""Promises of ELMo: two targets on two streams, each blind on its own side; context-free below, contextual above."""

from collections.abc import Mapping
from functools import partial

import pytest
import torch
from pretask import (
    Batch,
    Categories,
    Draws,
    Features,
    FeatureSpec,
    Incompatible,
    Observed,
    Recipe,
    Target,
    Vocabulary,
)
from pretask.composition import Task, compose
from pretask.pretext_score import held_out_loss, trivial_losses
from pretask.training import train
from pretask_plugins.data.text.toy_grammar import ToyGrammar
from pretask_plugins.methods.elmo.split import BothWays, has_label
from pretask_plugins.models.text.lstm import BiLstm
from pretask_plugins.models.text.transformer import Transformer
from pretask_plugins.objectives.cross_entropy import CrossEntropy
from pretask_plugins.objectives.shared_softmax import SharedSoftmax, draw_noise, log_drawn

SIZE = 11
TEXT = Observed("text", (6,), "int64", 4, Vocabulary(SIZE, (("pad", 0),)))
ROW = torch.tensor([[3, 1, 4, 1, 5, 9]])


def small(seed: int = 0) -> Task:
    return compose(TEXT, BothWays(), lambda *specs: BiLstm(*specs, width=8, dropout=0.0), CrossEntropy, seed=seed)


def predicted(task: Task, row: torch.Tensor) -> Mapping[str, torch.Tensor]:
    with torch.no_grad():
        return task.predict(Batch(row), Draws(torch.arange(len(row))))


def test_every_position_has_a_label_its_two_neighbours_where_it_has_them() -> None:
    present = torch.tensor([[True] * 4 + [False] * 2])
    _, targets = BothWays()(Batch(ROW, present=present), Draws(torch.arange(1)))
    asks = {
        name: [
            (place, int(target.value[0, place]))
            for place in range(6)
            if target.weight is not None and target.weight[0, place]
        ]
        for name, target in targets.items()
    }
    assert asks == {"next": [(0, 1), (1, 4), (2, 1)], "previous": [(1, 3), (2, 1), (3, 4)]}
    assert int(has_label(Batch(ROW), 1).sum()) == int(has_label(Batch(ROW), -1).sum()) == 5


@pytest.mark.parametrize("changed", range(6))
def test_each_direction_is_blind_to_its_answer_and_to_all_beyond(changed: int) -> None:
    task, other = small(), ROW.clone()
    other[0, changed] = 7
    before, after = predicted(task, ROW), predicted(task, other)
    moved = {name: (before[name] != after[name]).any(-1)[0].tolist() for name in before}
    assert moved == {
        "next": [place >= changed for place in range(6)],
        "previous": [place <= changed for place in range(6)],
    }


def test_a_word_has_one_vector_below_and_another_above_in_every_sentence() -> None:
    task = small()
    rows = torch.tensor([[3, 1, 4, 2, 5, 9], [8, 8, 4, 6, 7, 6]])
    with torch.no_grad():
        layers = task.encode(Batch(rows), layers=True).layers
    words = [layer.streams["all"][:, 0, 2] for layer in layers]  # the same word in two sentences
    assert torch.equal(*words[0])
    for contextual in words[1:]:
        assert float(torch.cosine_similarity(*contextual, dim=0)) < 0.999


def test_the_encoder_hands_both_directions_on_side_by_side() -> None:
    task = small()
    features = task.encode(Batch(ROW))
    past, future, both = (features.streams[name] for name in ("past", "future", "all"))
    assert torch.equal(both, past + future)  # each leaves the other's half empty
    assert bool((past[..., :8] != 0).all())
    assert bool((future[..., 8:] != 0).all())


def test_models_that_see_too_much_or_only_one_side_are_refused() -> None:
    for causal in (True, False):
        model = partial(Transformer, width=8, depth=1, heads=2, causal=causal)
        with pytest.raises(Incompatible, match="sees at most"):
            compose(TEXT, BothWays(), model, CrossEntropy)


def test_the_bigram_prediction_looks_left_for_the_next_word_and_right_for_the_previous() -> None:
    cycle = torch.tensor([[1, 2, 3, 4, 1, 2]])  # every word tells both neighbours
    split = BothWays().fit(TEXT, [])
    prediction = split.trivial_predictors([Batch(cycle.repeat(500, 1))])["bigram"](Batch(cycle), Draws(torch.arange(1)))
    assert prediction["next"].argmax(-1)[0, :5].tolist() == [2, 3, 4, 1, 2]
    assert prediction["previous"].argmax(-1)[0, 1:].tolist() == [1, 2, 3, 4, 1]


def test_rows_of_one_token_and_pictures_are_refused() -> None:
    with pytest.raises(Incompatible, match="at least 2 tokens"):
        BothWays().spec(Observed("text", (1,), "int64", vocabulary=Vocabulary(5)))
    with pytest.raises(Incompatible, match="without a vocabulary"):
        BothWays().spec(Observed("image", (3, 8, 8)))


def test_a_model_that_reads_as_a_chain_ends_between_the_bigram_and_the_entropy() -> None:
    data = ToyGrammar(size=512, test_size=256, grammar="chain", words=8, length=8)
    samples, held_out = data("train"), data("test")
    split = BothWays().fit(samples.observed, [])
    recipe = Recipe(optimizer="adam", lr=0.02, batch=64, samples=64 * 120, weight_decay=0.0)
    task = compose(samples.observed, split, lambda *specs: BiLstm(*specs, width=16, depth=1), CrossEntropy, recipe)
    train(task, samples)
    score = held_out_loss(task, held_out)["next"]
    unigram_score = trivial_losses(task, samples, held_out)["unigram"]["next"]
    assert data.entropy("all") - 0.03 < score < unigram_score - 0.3


CLASSES = 20
STREAMS = FeatureSpec(8, (5,), 1, ("past", "future"))
TARGETS = {
    "next": Categories(CLASSES, grid=(5,), sees="past"),
    "previous": Categories(CLASSES, grid=(5,), sees="future"),
}


def score_noise(count: int, training: bool = True, batch: int = 16) -> tuple[SharedSoftmax, torch.Tensor]:
    """A softmax with many different weights, and its loss on the same random features and labels."""
    softmax = SharedSoftmax(STREAMS, TARGETS, sampled=count).train(training)
    draws = Draws(torch.arange(batch))
    softmax.heads["shared"].weight.data = Draws(torch.arange(CLASSES)).normal("weights", 8)
    softmax.heads["shared"].bias.data.zero_()
    vectors = {sight: draws.normal(sight, 1, 5, 8) for sight in ("past", "future")}
    features = Features(vectors, {sight: value[:, :, 0] for sight, value in vectors.items()}, (5,))
    labels = {name: Target(draws.integers(name, 0, CLASSES, 5)) for name in TARGETS}
    return softmax, softmax(features, labels, draws).total


def test_a_softmax_of_enough_noise_is_that_of_all_classes_and_a_few_are_one_of_few() -> None:
    (_, whole), (_, many), (_, few) = score_noise(0), score_noise(5_000), score_noise(4)
    assert many.item() == pytest.approx(whole.item(), rel=1e-5)
    assert few.item() < whole.item()
    assert score_noise(4, training=False)[1].item() == pytest.approx(whole.item(), rel=1e-5)


def test_both_directions_share_one_matrix_and_noise_reaches_all_classes() -> None:
    softmax, loss = score_noise(8)
    assert [tuple(weight.shape) for weight in softmax.parameters()] == [(CLASSES, 8), (CLASSES,)]
    loss.backward()
    assert bool(softmax.heads["shared"].weight.grad.abs().sum(1).all())


def test_noise_is_drawn_as_often_as_its_correction_says() -> None:
    count, rows = 6, 20_000
    noise = draw_noise(Draws(torch.arange(rows)), "next", count, CLASSES)
    drawn = torch.stack([(noise == number).any(1).double().mean() for number in range(CLASSES)])
    wanted = log_drawn(torch.arange(CLASSES), CLASSES, count).exp()
    assert torch.allclose(drawn.float(), wanted, atol=4 * 0.5 / rows**0.5)  # 4 standard errors
    assert bool((noise.diff() >= 0).all())


def test_directions_of_different_vocabularies_are_sent_to_the_objective_with_two_heads() -> None:
    targets = TARGETS | {"previous": Categories(3, grid=(5,), sees="future")}
    with pytest.raises(Incompatible, match="cross-entropy"):
        SharedSoftmax(STREAMS, targets)
