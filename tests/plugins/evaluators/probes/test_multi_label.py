"""Multi-label: every class against the rest, by average precision, with what is unknown left out."""

import numpy as np
import pytest
import torch
from pretask import Budget, Items, Labels, Observed, PretaskError, Samples
from pretask.composition import compose
from pretask_plugins.evaluators.probes.multi_label import MultiLabelProbe, Probe, average_precision, find_labels
from pretask_plugins.models.mlp import Mlp
from pretask_plugins.objectives.vae.elbo import Elbo
from pretask_plugins.shared.edges import edges_of_positions
from pretask_plugins.splits.whole import Whole
from sklearn.metrics import average_precision_score

NAMES = ("first", "second")


def planted(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features of which two directions say two classes; a sample may be of both."""
    draw = torch.Generator().manual_seed(seed)
    features = torch.randn(count, 6, generator=draw)
    return features, (features[:, :2] > 0).long()


def probe(unknown: int = 0) -> Probe:
    features, known = planted(200, 0)
    held_out, truth = planted(100, 1)
    known[:unknown, 1] = -1
    return Probe({"layer1.mean": features}, {"layer1.mean": held_out}, known, truth, [0, 1], 0.1, 0)


def numbers(made: Probe) -> dict[str, float]:
    return {name: value for name, value in made.measure() if isinstance(value, float)}


def test_two_planted_classes_are_told_and_their_shares_are_what_chance_gives() -> None:
    found = numbers(probe())
    assert found["mAP"] > 0.98
    assert found["frequency_mAP"] == pytest.approx(float((planted(100, 1)[1] == 1).double().mean()), abs=1e-6)
    assert found["answers.accuracy"] > 0.9


def test_what_is_unknown_is_left_out_of_its_class_alone() -> None:
    some, none = probe(unknown=50), probe()
    poisoned = probe(unknown=50)
    poisoned.features["layer1.mean"][:50, 2:] = 0  # whatever these samples are
    assert len(some.labeled(1)) == 150
    assert len(some.labeled(0)) == 200
    same = [made.fit("layer1.mean", 1, made.labeled(1), 3).weights for made in (some, poisoned)]
    assert torch.equal(*same)
    assert torch.equal(
        some.fit("layer1.mean", 0, some.labeled(0), 3).weights, none.fit("layer1.mean", 0, none.labeled(0), 3).weights
    )


def test_items_are_the_known_answers() -> None:
    items = [value for _, value in probe().measure() if isinstance(value, Items)]
    assert [len(item.correct) for item in items] == [200]


def test_the_average_precision_is_the_librarys() -> None:
    draw = np.random.default_rng(0)
    scores, truth = draw.normal(size=50), draw.integers(0, 2, 50)
    found = average_precision(torch.tensor(scores), torch.tensor(truth))
    assert found == pytest.approx(average_precision_score(truth, scores))
    by_hand = average_precision(torch.tensor([0.9, 0.8, 0.7]), torch.tensor([1, 0, 1]))
    assert by_hand == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_data_of_one_class_for_a_sample_are_refused() -> None:
    labels = {"class": Labels(torch.tensor([0, 1]), NAMES)}
    samples = Samples(Observed("image", (1, 8, 8), "uint8", 2), torch.zeros(2, 1, 8, 8, dtype=torch.uint8), labels)
    with pytest.raises(PretaskError, match="labels of several classes for a sample"):
        find_labels(samples, "")


def test_a_test_part_without_the_labels_is_refused_by_name() -> None:
    observed, images = Observed("image", (1, 8, 8), "uint8", 2), torch.zeros(2, 1, 8, 8, dtype=torch.uint8)
    labels = {"objects": Labels(torch.tensor([[0, 1], [1, 0]]), NAMES, multiple=True)}
    parts = {"train": Samples(observed, images, labels), "test": Samples(observed, images)}
    with pytest.raises(PretaskError, match="labels of several classes called 'objects'"):
        list(MultiLabelProbe()(compose(observed, Whole(), Mlp, Elbo), parts.__getitem__, Budget()))


def test_classes_of_whole_samples_are_no_labels_of_positions() -> None:
    rows = torch.zeros(2, 2, dtype=torch.long)
    labels = {
        "objects": Labels(torch.tensor([[0, 1], [1, 0]]), NAMES, multiple=True),
        "tag": Labels(torch.tensor([[0, 1], [1, -1]]), NAMES),
    }
    found = edges_of_positions(Samples(Observed("text", (2,), "int64", 2), rows, labels))
    assert {name: len(edges) for name, edges in found.items()} == {"tag": 3}
