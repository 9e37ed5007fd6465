"""Promises of the pointer; methods.md section 12."""

import math

import pytest
import torch
from pretask import (
    Categories,
    Draws,
    Features,
    FeatureSpec,
    Incompatible,
    PretaskError,
    Reference,
    Target,
    TargetSpecs,
)
from pretask_plugins.objectives.pointer import Pointer
from pretask_plugins.shared.pointing import attend, copy_labels

VIEWS, SIDE, CLASSES, WIDTH = 3, 3, 5, 6
FEATURES = FeatureSpec(WIDTH, (SIDE, SIDE), VIEWS, ("present",))
TARGETS: TargetSpecs = {"colour": Reference(CLASSES, grid=(SIDE, SIDE), views=VIEWS)}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def labels(batch: int) -> torch.Tensor:
    return torch.randint(CLASSES, (batch, VIEWS, SIDE, SIDE), generator=torch.Generator().manual_seed(1))


def last_view_weight(batch: int) -> torch.Tensor:
    weight = torch.zeros(batch, VIEWS, SIDE, SIDE)
    weight[:, -1] = 1
    return weight


def features(batch: int) -> Features:
    tokens = random(batch, VIEWS, SIDE**2, WIDTH)
    return Features({"present": tokens}, {"present": tokens.mean(2)}, (SIDE, SIDE))


def identities(order: torch.Tensor) -> torch.Tensor:
    """One-hot vectors of points that lie in the given order, far enough apart to be unmistakable."""
    return 10 * torch.nn.functional.one_hot(order, 9).float()


def brute_force(vectors: torch.Tensor, target: Target) -> float:
    """Mean nats of the asked labels, position by position."""
    vectors, label = vectors.flatten(1, -2), target.value.flatten(1)
    weight = target.weight.flatten(1)  # type: ignore[union-attr]
    nats = []
    for sample in range(len(vectors)):
        given = (weight[sample] == 0).nonzero()[:, 0].tolist()
        for query in (weight[sample] > 0).nonzero()[:, 0].tolist():
            scores = [math.exp(float(vectors[sample, query] @ vectors[sample, reference])) for reference in given]
            right = sum(
                score
                for score, reference in zip(scores, given, strict=True)
                if label[sample, reference] == label[sample, query]
            )
            nats.append(-math.log(right / sum(scores) + 1e-6))
    return sum(nats) / len(nats)


@pytest.mark.parametrize("query_views", [0, 1])
def test_the_loss_is_what_a_loop_over_positions_finds(query_views: int) -> None:
    target = Target(labels(4), last_view_weight(4))
    pointer = Pointer(FEATURES, TARGETS, width=0, query_views=query_views)
    loss = pointer(features(4), {"colour": target}, Draws(torch.arange(4)))
    expected = brute_force(features(4).streams["present"].view(4, VIEWS, SIDE, SIDE, WIDTH), target)
    assert float(loss.total) == pytest.approx(expected, rel=1e-5)


def test_any_pattern_of_given_and_asked_positions_is_scored() -> None:
    weight = (random(3, VIEWS, SIDE, SIDE, seed=4) > 0).float()
    target = Target(labels(3), weight)
    loss = Pointer(FEATURES, TARGETS, width=0)(features(3), {"colour": target}, Draws(torch.arange(3)))
    expected = brute_force(features(3).streams["present"].view(3, VIEWS, SIDE, SIDE, WIDTH), target)
    assert float(loss.total) == pytest.approx(expected, rel=1e-5)


def test_rows_of_the_affinity_add_up_to_one_and_asked_positions_are_never_pointed_at() -> None:
    given = random(2, 9, seed=2) > 0
    affinity = attend(random(2, 4, WIDTH), random(2, 9, WIDTH), given)
    assert torch.allclose(affinity.sum(2), torch.ones(2, 4))
    assert float(affinity.transpose(1, 2)[~given].abs().max()) == 0


def test_perfect_vectors_copy_every_label_and_lose_nothing() -> None:
    order = torch.stack([torch.randperm(9, generator=torch.Generator().manual_seed(seed)) for seed in range(2)])
    vectors = torch.stack([identities(torch.arange(9)).expand(2, -1, -1), identities(order)], 1)
    first = torch.randint(CLASSES, (2, 9), generator=torch.Generator().manual_seed(3))
    label = torch.stack([first, first.gather(1, order)], 1)
    given = torch.tensor([True, False])[None, :, None].expand_as(label)
    probability = copy_labels(vectors, label, given, CLASSES, query_views=1)
    assert torch.equal(probability[:, 0].argmax(-1), label[:, 1])
    nats = -(probability[:, 0].gather(-1, label[:, 1, :, None]) + 1e-6).log()
    assert float(nats.max()) < 1e-4
    double = -probability[:, 0].log_softmax(-1).gather(-1, label[:, 1, :, None])  # what the port scores
    assert float(double.min()) == pytest.approx(math.log(1 + (CLASSES - 1) / math.e), abs=1e-4)


def test_vectors_that_are_all_alike_give_the_histogram_of_given_labels() -> None:
    target = Target(labels(3), last_view_weight(3))
    given = target.weight == 0  # type: ignore[union-attr]
    probability = copy_labels(
        torch.zeros(3, VIEWS, 9, 2), target.value.flatten(2), given.flatten(2), CLASSES, query_views=1
    )
    for sample in range(3):
        histogram = torch.bincount(target.value[sample, :-1].flatten(), minlength=CLASSES) / (2 * 9)
        assert torch.allclose(probability[sample, 0], histogram.expand(9, -1), atol=1e-6)


def test_temperature_only_sharpens() -> None:
    scores = []
    for temperature in (10.0, 1.0, 0.1):
        pointer = Pointer(FEATURES, TARGETS, width=0, temperature=temperature)
        vectors = pointer.predict(features(2))["colour"].flatten(2, 3)
        affinity = attend(vectors[:, 2], vectors[:, :2].flatten(1, 2), torch.ones(2, 18, dtype=torch.bool))
        scores.append(affinity)
    assert torch.equal(scores[0].argmax(2), scores[2].argmax(2))
    assert bool((scores[0].amax(2) < scores[1].amax(2)).all() & (scores[1].amax(2) < scores[2].amax(2)).all())


def test_length_does_not_count_where_vectors_are_normalised() -> None:
    pointer = Pointer(FEATURES, TARGETS, width=0, normalize=True)
    target = {"colour": Target(labels(2), last_view_weight(2))}
    tokens = features(2).streams["present"]
    longer = Features({"present": tokens * 7}, {"present": tokens.mean(2)}, (SIDE, SIDE))
    one, other = (pointer(vectors, target, Draws(torch.arange(2))).total for vectors in (features(2), longer))
    assert float(one) == pytest.approx(float(other), rel=1e-5)


def test_features_on_another_grid_are_resampled_before_they_are_compared() -> None:
    fine = FeatureSpec(WIDTH, (6, 6), VIEWS, ("present",))
    pointer = Pointer(fine, TARGETS, width=4)
    tokens = random(2, VIEWS, 36, WIDTH)
    vectors = pointer.predict(Features({"present": tokens}, {"present": tokens.mean(2)}, (6, 6)))["colour"]
    assert vectors.shape == (2, VIEWS, SIDE, SIDE, 4)


def test_the_vectors_of_single_positions_are_those_that_are_compared() -> None:
    pointer = Pointer(FEATURES, TARGETS, width=4)
    shown = features(2)
    compared = pointer.predict(shown)["colour"].flatten(2, 3)
    assert torch.allclose(pointer.embed(shown.streams["present"][:, 1]), compared[:, 1], atol=1e-6)
    with pytest.raises(PretaskError, match="6 numbers for each position; got 5"):
        pointer.embed(torch.zeros(2, 5))


def test_targets_without_views_are_pointed_at_within_a_sample() -> None:
    targets: TargetSpecs = {"word": Reference(4, grid=(6,))}
    pointer = Pointer(FeatureSpec(8, (6,), 1, ("all",)), targets, width=0)
    tokens = identities(torch.tensor([[0, 1, 2, 0, 1, 2]]))[:, None, :, :8]
    label = torch.tensor([[3, 1, 0, 3, 1, 0]])
    weight = torch.tensor([[0.0, 0, 0, 1, 1, 1]])
    loss = pointer(
        Features({"all": tokens}, {"all": tokens.mean(2)}, (6,)),
        {"word": Target(label, weight)},
        Draws(torch.arange(1)),
    )
    assert float(loss.parts["word.accuracy"]) == 1
    assert float(loss.total) < 1e-4


def test_what_has_no_positions_or_nothing_to_point_at_is_refused() -> None:
    with pytest.raises(Incompatible, match=r"more views than objective\.query_views = 3"):
        Pointer(FEATURES, TARGETS, query_views=3)
    with pytest.raises(Incompatible, match="a target with positions"):
        Pointer(FEATURES, {"colour": Reference(4)})
    with pytest.raises(Incompatible, match="targets of the kind reference"):
        Pointer(FEATURES, {"class": Categories(4)})
    with pytest.raises(Incompatible, match="one answer each"):
        Pointer(FeatureSpec(WIDTH, (2, SIDE, SIDE)), TARGETS)


def test_a_gradient_reaches_the_map_that_is_thrown_away() -> None:
    pointer = Pointer(FEATURES, TARGETS, width=4)
    pointer(features(2), {"colour": Target(labels(2), last_view_weight(2))}, Draws(torch.arange(2))).total.backward()
    assert all(
        parameter.grad is not None and bool(parameter.grad.any())
        for name, parameter in pointer.named_parameters()
        if "bias" not in name
    )


def test_a_batch_without_content_is_pointed_at_where_it_is() -> None:
    vectors, label = random(2, VIEWS, 4, WIDTH).to("meta"), torch.zeros(2, VIEWS, 4, dtype=torch.int64, device="meta")
    assert copy_labels(vectors, label, label == 0, CLASSES, 1).device.type == "meta"


def test_chance_is_the_value_of_a_guess_that_gives_every_class_the_same() -> None:
    assert Pointer(FEATURES, TARGETS).chance == {"colour": math.log(CLASSES), "colour.accuracy": 1 / CLASSES}
