"""Few-label: balanced subsets, nested and drawn by the seed, sizes that exist, intervals that are Student's."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pretask import Budget, Draws, PretaskError
from pretask_plugins.evaluators.probes.few_label import (
    DEFAULT_REGULARIZER,
    FewLabels,
    available_sizes,
    draw_labels,
    half_width,
)
from pretask_plugins.evaluators.probes.logistic import GRID, fit_grid
from pretask_plugins.evaluators.probes.moments import Rows, compute_moments
from pretask_plugins.evaluators.probes.validation_split import LabeledFeatures, LabeledRows, ProbeData, build_probe_data
from scipy import stats

sys.path.insert(0, str(Path(__file__).parent))

from planted import Planted, task


def measure(data: Any, evaluator: FewLabels | None = None, seed: int = 0) -> dict[str, float]:
    return dict((evaluator or FewLabels())(task(), data, Budget(seed=seed)))


def test_forty_labels_of_each_class_find_what_one_does_not() -> None:
    found = measure(Planted(signal=8.0), FewLabels(per_class=(1, 40), label_fraction=(), draws=1))
    assert found["layer"] == 2.0
    assert found["1.accuracy"] < 0.8 < 0.99 < found["40.accuracy"]


def test_noise_scores_at_chance_with_any_number_of_labels() -> None:
    data = Planted(signal=0.0)
    found = measure(data, FewLabels(per_class=(1, 10, 100), label_fraction=(0.01,), draws=1))
    low, high = stats.binom.interval(0.999, data.test, 1 / data.classes)
    for size in ("1", "10", "100", "1%"):
        assert low <= round(found[f"{size}.accuracy"] * data.test) <= high


def test_the_interval_adds_students_over_the_draws_and_that_over_test_samples_as_squares() -> None:
    data = Planted(signal=2.5)
    every = measure(data, FewLabels(per_class=(2,), label_fraction=(), draws=3))
    probe = build_probe_data("test", task(), data, Budget(), "", 0.2)
    std = compute_moments(probe.train.features["layer2.mean"]).std
    counts = torch.full((4,), 2)
    accuracies = [FewLabels().measure(probe, "layer2.mean", std, counts, 0, draw)[0] for draw in range(3)]
    mean, total = sum(accuracies) / 3, data.test + 4
    share = (mean * data.test + 2) / total
    student, items = stats.t.ppf(0.975, 2) * stats.sem(accuracies), 1.96 * (share * (1 - share) / total) ** 0.5
    half = (student**2 + items**2) ** 0.5
    assert len(set(accuracies)) > 1
    ends = (max(0.0, mean - half), mean, min(1.0, mean + half))
    assert (every["2.low"], every["2.accuracy"], every["2.high"]) == pytest.approx(ends, abs=1e-4)


def test_draws_that_agree_and_a_perfect_score_leave_an_interval_over_test_samples() -> None:
    assert half_width([0.5, 0.5], 96) == pytest.approx(1.96 * 0.05, rel=1e-3)
    assert half_width([1.0, 1.0, 1.0], 512) > 3 / 512 / 2  # the rule of three has 3 of 512


def test_one_draw_has_no_interval() -> None:
    assert set(measure(Planted(), FewLabels(per_class=(1,), label_fraction=(), draws=1))) == {
        "1.accuracy",
        "1.balanced_accuracy",
        "majority",
        "layer",
    }


def test_a_size_that_a_class_cannot_supply_is_left_out() -> None:
    labels = torch.tensor([0] * 40 + [1] * 300 + [3] * 6)
    probe = ProbeData(LabeledFeatures({}, labels), LabeledFeatures({}, labels), 4, labels == 0)
    sizes = available_sizes(probe, (1, 5, 10, 100), (0.01, 0.1))
    assert {name: counts.tolist() for name, counts in sizes.items()} == {
        "1": [1, 1, 0, 1],
        "5": [5, 5, 0, 5],
        "10%": [4, 30, 0, 1],
    }
    with pytest.raises(PretaskError, match="classes that supply a size"):
        measure(Planted(train=20), FewLabels(per_class=(100,), label_fraction=()))


def test_subsets_are_balanced_nested_and_another_one_for_every_draw_and_seed() -> None:
    labels = Draws(torch.arange(500)).integers("class", 0, 4)
    small, large = (draw_labels(labels, torch.full((4,), size), 0, 0) for size in (5, 20))
    assert torch.bincount(labels[large]).tolist() == [20] * 4
    assert set(small.tolist()) < set(large.tolist())
    others = [draw_labels(labels, torch.full((4,), 5), seed, draw) for seed, draw in ((0, 1), (1, 0), (1, 1))]
    assert len({tuple(subset.tolist()) for subset in (small, *others)}) == 4


def test_below_five_samples_of_a_class_the_regulariser_is_the_fixed_one() -> None:
    features, labels = Draws(torch.arange(20)).normal("x", 16), torch.arange(20) % 4
    ones = torch.ones(16)
    few, enough = (LabeledRows(Rows(features, torch.arange(count)), labels[:count]) for count in (16, 20))
    assert GRID[DEFAULT_REGULARIZER] == pytest.approx(1.0)
    assert FewLabels().choose_regularizer_index(few, 4, ones, 0) == DEFAULT_REGULARIZER
    assert (
        FewLabels().choose_regularizer_index(enough, 4, ones, 0) != DEFAULT_REGULARIZER
    )  # noise: the strongest or the weakest serves best


def test_features_are_divided_by_the_deviation_of_the_whole_training_part() -> None:
    draws = Draws(torch.arange(30))
    features, labels = draws.normal("x", 5) * 3 + 1, torch.arange(30) % 3
    wide = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    for count in (4, 30):  # by the Gram matrix and by the covariance
        given = fit_grid(features[:count], labels[:count], 3, GRID[20:30], std=wide, dtype=torch.float64)
        assert torch.equal(given.basis.std, wide.double())
        scaled = fit_grid(
            features[:count] / wide, labels[:count], 3, GRID[20:30], std=torch.ones(5), dtype=torch.float64
        )
        assert torch.allclose(given.loss, scaled.loss, rtol=1e-4)


def test_what_deviates_much_over_the_training_part_weighs_little() -> None:
    probe = build_probe_data("test", task(), Planted(signal=12.0), Budget(), "", 0.2)
    loud = torch.tensor([1.0] * 4 + [100.0] * 12)  # the twelve features that are noise
    for count in (3, 6):  # with the fixed regulariser and with a chosen one
        counts = torch.full((4,), count)
        even, scaled = (FewLabels().measure(probe, "layer2.mean", std, counts, 0, 0)[0] for std in (1 / loud, loud))
        assert even < 0.8 < 0.99 < scaled


@pytest.mark.parametrize("options", [{"per_class": (0,)}, {"label_fraction": (2.0,)}, {"draws": 0}, {"layer": -1}])
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(PretaskError, match=f"few-label needs few-label.{next(iter(options))} "):
        FewLabels(**options)


def test_a_layer_that_does_not_exist_is_refused_and_another_one_can_be_asked_for() -> None:
    with pytest.raises(PretaskError, match="one of 1, 2, the layers that offer the pooling mean; got 3"):
        measure(Planted(train=40), FewLabels(layer=3))
    found = measure(Planted(signal=12.0), FewLabels(per_class=(4,), label_fraction=(), draws=1, layer=1))
    assert found["layer"] == 1.0
    assert found["4.accuracy"] < 0.5
