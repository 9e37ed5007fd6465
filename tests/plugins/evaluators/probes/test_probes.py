"""Linear and knn: chance at chance, signal found, nothing chosen on test, nothing changed in the encoder."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pretask import Budget, Choice, Draws, Items, PretaskError, Samples
from pretask_plugins.evaluators.probes.knn import NearestNeighbors, find_neighbors, vote
from pretask_plugins.evaluators.probes.linear import LinearProbe
from pretask_plugins.evaluators.probes.logistic import GRID, fit_grid
from pretask_plugins.evaluators.probes.ridge import RidgeProbe
from pretask_plugins.evaluators.probes.validation_split import (
    LabeledFeatures,
    LayerChoice,
    ProbeData,
    balanced_accuracy,
    build_probe_data,
    split_stratified,
)
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent))

from planted import Planted, samples, task

PROBES = (LinearProbe(), NearestNeighbors(), RidgeProbe())


def measure(probe: object, data: object, shift: float = 0.0) -> dict[str, object]:
    found: dict[str, object] = {}
    for name, value in probe(task(shift), data, Budget()):  # type: ignore[operator]
        found[f"{name}.items" if isinstance(value, Items) else name] = value
    return found


@pytest.mark.parametrize("probe", PROBES, ids=["linear", "knn", "ridge"])
def test_a_planted_signal_is_found_in_the_layer_that_has_it(probe: object) -> None:
    found = measure(probe, Planted(signal=8.0))
    assert float(found["accuracy"]) > 0.99  # type: ignore[arg-type]
    assert float(found["layer2.accuracy"]) > 0.99  # type: ignore[arg-type]
    assert float(found["layer1.accuracy"]) < 0.5  # type: ignore[arg-type]


def assert_at_chance(found: dict[str, object], data: Planted) -> None:
    correct = round(float(found["accuracy"]) * data.test)  # type: ignore[arg-type]
    low, high = stats.binom.interval(0.999, data.test, 1 / data.classes)
    assert low <= correct <= high


@pytest.mark.parametrize("probe", PROBES, ids=["linear", "knn", "ridge"])
def test_noise_scores_at_chance(probe: object) -> None:
    data = Planted(signal=0.0)
    assert_at_chance(measure(probe, data), data)


@pytest.mark.parametrize("probe", PROBES, ids=["linear", "knn", "ridge"])
def test_shuffled_labels_score_at_chance(probe: object) -> None:
    data = Planted(signal=8.0)

    def shuffled(part: str) -> Samples:
        made = data(part)
        label = made.labels["class"].value
        order = Draws(torch.arange(1)).permutation(part, len(label))[0]
        return samples(made.data.view(-1, 16), label[order], 4, f"shuffled {part}")

    assert_at_chance(measure(probe, shuffled), data)


@pytest.mark.parametrize("probe", PROBES, ids=["linear", "knn", "ridge"])
def test_poisoned_test_rows_change_no_answer_to_the_others(probe: object) -> None:
    data = Planted(signal=2.0)

    def poisoned(part: str) -> Samples:
        made = data(part)
        if part == "train":
            return made
        pixels = made.data.view(-1, 16).clone()
        pixels[200:] = 1e3
        return samples(pixels, made.labels["class"].value, 4, "poisoned")

    clean, dirty = (measure(probe, samples)["accuracy.items"].correct[:200] for samples in (data, poisoned))  # type: ignore[attr-defined]
    assert torch.equal(clean, dirty)


@pytest.mark.parametrize("probe", PROBES, ids=["linear", "knn", "ridge"])
def test_items_agree_with_the_accuracy(probe: object) -> None:
    found = measure(probe, Planted(signal=2.0))
    correct = found["accuracy.items"].correct  # type: ignore[attr-defined]
    assert float(correct.float().mean()) == pytest.approx(float(found["accuracy"]))  # type: ignore[arg-type]


@pytest.mark.parametrize("probe", PROBES, ids=["linear", "knn", "ridge"])
def test_the_encoder_is_the_same_after_as_before(probe: object) -> None:
    made = task()
    made.model.train()
    before = {name: value.clone() for name, value in made.model.state_dict().items()}
    list(probe(made, Planted(), Budget()))  # type: ignore[operator]
    assert made.model.training
    assert all(torch.equal(value, before[name]) for name, value in made.model.state_dict().items())


def test_a_blind_guess_reaches_the_largest_class() -> None:
    data = Planted()
    found = measure(LinearProbe(), data)
    largest = data("train").labels["class"].value.bincount().argmax()
    expected = (data("test").labels["class"].value == largest).float().mean()
    assert float(found["majority"]) == pytest.approx(float(expected))  # type: ignore[arg-type]


def test_data_without_labels_is_refused() -> None:
    with pytest.raises(PretaskError, match="labeled data"):
        measure(LinearProbe(), lambda part: replace(Planted()(part), labels={}))


def test_other_labels_than_there_are_are_refused() -> None:
    with pytest.raises(PretaskError, match="labels called 'colour'; got class"):
        measure(LinearProbe(label="colour"), Planted())


def test_test_data_without_the_labels_is_refused() -> None:
    def halved(part: str) -> Samples:
        made = Planted()(part)
        return made if part == "train" else replace(made, labels={})

    with pytest.raises(PretaskError, match="labels called 'class'; got none"):
        measure(LinearProbe(), halved)


def test_data_of_one_class_is_refused() -> None:
    with pytest.raises(PretaskError, match="at least two classes; got 1"):
        measure(LinearProbe(), Planted(classes=1))


@pytest.mark.parametrize(
    "options", [{"k": ()}, {"k": (0, 5)}, {"temperature": (0.0,)}, {"val_fraction": 0.0}, {"val_fraction": 1.0}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(PretaskError, match=f"knn.{next(iter(options))} needs"):
        measure(NearestNeighbors(**options), Planted())


@pytest.mark.parametrize("probe", PROBES, ids=["linear", "knn", "ridge"])
def test_samples_without_a_label_are_left_out(probe: object) -> None:
    data = Planted(signal=8.0)

    def partly(part: str) -> Samples:
        made = data(part)
        label = made.labels["class"].value.clone()
        label[::2] = -1
        return samples(made.data.view(-1, 16), label, 4, f"partly {part}")

    found = measure(probe, partly)
    assert len(found["accuracy.items"].correct) == data.test // 2  # type: ignore[attr-defined]
    assert float(found["accuracy"]) > 0.98  # type: ignore[arg-type]


def test_the_headline_is_the_layer_that_held_out_data_chose_and_is_said() -> None:
    found = measure(LinearProbe(), Planted(signal=2.0))
    assert found["layer"] == Choice("layer2")
    assert found["accuracy"] == found["layer2.accuracy"]
    assert float(found["gradient_norm"]) < 0.1  # type: ignore[arg-type]


@pytest.mark.parametrize("probe", PROBES, ids=["linear", "knn", "ridge"])
def test_what_is_held_out_was_not_learned_from(probe: Any) -> None:
    given = build_probe_data("test", task(), Planted(signal=0.0, train=32), Budget(), "", 0.5)
    choice = probe.choose(given, "layer2.mean")
    choice = choice if isinstance(choice, LayerChoice) else choice[0]
    share = choice.val_accuracy if isinstance(choice, LayerChoice) else choice
    assert share < 0.8  # noise; what was learned from reaches 1


def test_the_final_line_is_fitted_to_all_of_the_training_part() -> None:
    given = build_probe_data("test", task(), Planted(signal=1.0, train=80), Budget(), "", 0.5)
    prediction, _ = LinearProbe().refit(given, "layer2.mean", LayerChoice(20, 0.0))
    every = torch.ones_like(given.validation)
    scores = [
        fit_grid(given.train.features["layer2.mean"][part], given.train.labels[part], 4, GRID[20:21]).predict(
            given.test.features["layer2.mean"]
        )[0]
        for part in (every, ~given.validation)
    ]
    agreement = [float((prediction == answer).double().mean()) for answer in scores]
    assert agreement[0] > 0.99 > 0.95 > agreement[1]


def test_the_number_of_neighbours_that_serves_held_out_data_is_chosen() -> None:
    given = build_probe_data("test", task(), Planted(signal=8.0), Budget(), "", 0.1)
    assert (
        NearestNeighbors(k=(600, 3), temperature=(10.0,)).choose(given, "layer2.mean")[1] == 3
    )  # 600 are all there are


def test_of_regularisers_that_are_all_right_the_one_least_surprised_is_chosen() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 2
    features = torch.randn(400, 2, generator=generator) * 0.1 + 4.0 * labels[:, None]
    part = LabeledFeatures({"layer1.mean": features}, labels)
    choice = LinearProbe().choose(ProbeData(part, part, 2, torch.arange(400) % 10 == 0), "layer1.mean")
    assert choice.val_accuracy == 1.0
    assert choice.regularizer > 22  # all of the grid is right here, and the strong ones are unsure


def test_every_training_sample_is_its_own_nearest_neighbour() -> None:
    given = build_probe_data("test", task(), Planted(signal=0.0, train=64), Budget(), "", 0.5)
    same = replace(given, test=given.train)  # what was held out to choose on answers too
    assert torch.equal(NearestNeighbors().predict(same, "layer2.mean", 1, 0.07), given.train.labels)


def test_a_class_with_one_sample_is_refused_by_name() -> None:
    data = Planted(train=20)

    def lonely(part: str) -> Samples:
        made = data(part)
        label = made.labels["class"].value.clamp(max=1).clone()
        label[0] = 3
        return samples(made.data.view(-1, 16), label, 4, part)

    with pytest.raises(PretaskError, match="one of d"):
        measure(LinearProbe(), lonely)


def test_every_class_is_held_out_in_proportion_and_never_whole() -> None:
    labels = torch.tensor([0] * 100 + [1] * 50 + [2] * 2)
    validation = split_stratified(labels, 3, 0.1, seed=1)
    assert torch.bincount(labels[validation], minlength=3).tolist() == [10, 5, 1]
    assert not torch.equal(validation, split_stratified(labels, 3, 0.1, seed=2))
    few = torch.tensor([0, 0, 1, 1])
    assert few[split_stratified(few, 2, 0.9, seed=1)].tolist() == [0, 1]


def test_the_seed_of_the_budget_says_which_samples_are_held_out() -> None:
    one, two, again = (
        build_probe_data("test", task(), Planted(), Budget(seed=seed), "", 0.1).validation for seed in (1, 2, 1)
    )
    assert torch.equal(one, again)
    assert not torch.equal(one, two)
    assert torch.equal(one, split_stratified(Planted()("train").labels["class"].value, 4, 0.1, seed=1))


def test_balanced_accuracy_is_the_mean_over_classes() -> None:
    prediction, labels = torch.tensor([0, 0, 0, 0, 1]), torch.tensor([0, 0, 0, 1, 1])
    assert balanced_accuracy(prediction, labels, 3) == pytest.approx((1 + 0.5) / 2)


def test_neighbours_vote_as_a_double_loop_says() -> None:
    draws = Draws(torch.arange(40))
    known, labels = draws.normal("known", 5), draws.integers("class", 0, 3)
    queries = Draws(torch.arange(15)).normal("query", 5)
    expected = []
    for query in queries:
        cosine = torch.nn.functional.cosine_similarity(query[None], known)
        score = torch.zeros(3)
        for place in cosine.argsort(descending=True)[:7]:
            score[labels[place]] += (cosine[place] / 0.07).exp()
        expected.append(int(score.argmax()))
    assert vote(*find_neighbors(known, labels, queries, 7), 7, 0.07, 3).tolist() == expected


def test_a_low_temperature_leaves_the_nearest_neighbour_alone_to_decide() -> None:
    draws = Draws(torch.arange(60))
    near = find_neighbors(draws.normal("known", 5), draws.integers("class", 0, 3), draws.normal("query", 5), 20)
    assert torch.equal(vote(*near, 20, 1e-4, 3), near[1][:, 0])


def test_the_length_of_a_feature_does_not_matter_to_neighbours() -> None:
    draws = Draws(torch.arange(60))
    known, labels, query = draws.normal("known", 5), draws.integers("class", 0, 3), draws.normal("query", 5)
    scaled = find_neighbors(known * draws.uniform("length", 1, low=0.1, high=9), labels, query * 3, 9)
    assert torch.equal(find_neighbors(known, labels, query, 9)[1], scaled[1])
