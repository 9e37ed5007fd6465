"""Features of any scale: the unit of a feature, its offset and one broken row say nothing about its worth."""

from typing import Any

import pytest
import torch
from pretask import Draws
from pretask_plugins.evaluators.probes.basis import fit_basis
from pretask_plugins.evaluators.probes.knn import find_neighbors
from pretask_plugins.evaluators.probes.logistic import GRID, fit_grid
from pretask_plugins.evaluators.probes.moments import Rows, compute_moments, gram, normalize_rows
from pretask_plugins.evaluators.probes.rank import compute_statistics
from pretask_plugins.evaluators.probes.ridge import compute_sums, solve

WIDTH = 8
SCALES = {
    "1e-38": torch.tensor(1e-38),
    "1e-20": torch.tensor(1e-20),
    "1e-7": torch.tensor(1e-7),
    "1e12": torch.tensor(1e12),
    "1e18": torch.tensor(1e18),
    "1e37": torch.tensor(1e37),
    "mixed": 10.0 ** torch.tensor([-30, 18, -7, 0, 12, -20, 5, -1]),
}


def blobs(count: int = 200) -> tuple[torch.Tensor, torch.Tensor]:
    """Two classes, 1.5 deviations apart along every feature, with means other than 0."""
    draws = Draws(torch.arange(count), seed=1)
    label = draws.integers("class", 0, 2)
    return draws.normal("noise", WIDTH) + 1.5 * label[:, None] + 2, label


def accuracy(features: torch.Tensor, labels: torch.Tensor, **options: Any) -> torch.Tensor:
    return (fit_grid(features, labels, 2, GRID[16:33:4], **options).predict(features) == labels).double().mean(1)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("count", [200, 6])  # also fewer samples than features
def test_a_change_of_units_changes_neither_objective_nor_answers(scale: str, count: int) -> None:
    features, labels = (some[:count] for some in blobs())
    plain, other = (fit_grid(some, labels, 2, GRID[16:33:4]) for some in (features, features * SCALES[scale]))
    assert torch.allclose(plain.loss, other.loss, rtol=1e-4)
    assert torch.equal(plain.predict(features), other.predict(features * SCALES[scale]))


@pytest.mark.parametrize("scale", SCALES)
def test_a_change_of_units_changes_no_answer_of_ridge(scale: str) -> None:
    features, labels = blobs()
    plain, other = (
        solve(compute_sums(some, labels, 2), GRID).predict(some) for some in (features, features * SCALES[scale])
    )
    assert float((plain == other).double().mean()) > 0.999  # rounding of float32 features alone


@pytest.mark.parametrize("scale", [1e-38, 1e-20, 1e-7, 1e18, 1e37])
def test_a_change_of_units_changes_neither_rank_nor_neighbours(scale: float) -> None:
    features, labels = blobs()
    plain, other = (compute_statistics(Rows(some)) for some in (features, features * scale))
    assert other == pytest.approx(plain, rel=1e-5)
    assert other["constant_features"] == 0
    near, far = (find_neighbors(some[:100], labels[:100], some[100:], 1)[1] for some in (features, features * scale))
    assert torch.equal(near, far)


@pytest.mark.parametrize(("factor", "count"), [(1e4, 200), (-1e5, 200), (1e4, 6)])
def test_one_row_of_another_magnitude_takes_no_direction_from_the_others(factor: float, count: int) -> None:
    features = blobs()[0][:count].clone()
    rank = len(fit_basis(features).variance)
    features[3] *= factor
    assert len(fit_basis(features).variance) == rank == min(count - 1, WIDTH)


def test_one_row_of_another_magnitude_leaves_the_others_their_accuracy() -> None:
    features, labels = blobs()
    features[3] *= 1e4
    found = (fit_grid(features, labels, 2).predict(features) == labels).double().mean(1).max()
    assert float(found) >= 0.95  # scikit-learn's with the same grid: 0.96; without the outlier: 1


@pytest.mark.parametrize("value", [1e18, 3e38])
def test_one_row_beyond_all_measure_ends_in_numbers(value: float) -> None:
    features, labels = blobs()
    features[3] = value
    solution = fit_grid(features, labels, 2)
    assert bool(solution.weights.isfinite().all() and solution.loss.isfinite().all())
    assert bool(solve(compute_sums(features, labels, 2), GRID).predict(features).isfinite().all())
    assert all(map(torch.isfinite, map(torch.tensor, compute_statistics(Rows(features)).values())))


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e18, 3e38, 1e-30])
def test_a_constant_feature_weighs_nothing_whatever_its_value_is_elsewhere(constant: float) -> None:
    features, labels = blobs()
    padded = torch.cat([features, torch.full((len(features), 1), constant)], 1)
    elsewhere = torch.cat([features, torch.full((len(features), 1), 5.0)], 1)
    plain, more = (fit_grid(some, labels, 2, GRID[16:33:4]) for some in (features, padded))
    assert torch.allclose(plain.loss, more.loss, rtol=1e-4)
    assert torch.equal(plain.predict(features), more.predict(elsewhere))
    lines = solve(compute_sums(padded, labels, 2), GRID)
    assert torch.equal(lines.predict(elsewhere), solve(compute_sums(features, labels, 2), GRID).predict(features))


def test_what_a_feature_deviates_by_is_held_against_its_own_mean() -> None:
    noise = blobs()[0] - 2
    rounding = 1e-8 * (1 + 1e-8 * noise[:, :1].double())
    features = torch.cat([1e-8 + 1e-11 * noise[:, :3].double(), rounding], 1)
    assert compute_moments(features).varies.tolist() == [True, True, True, False]


def test_features_that_repeat_add_no_direction() -> None:
    features, labels = blobs()
    twice = torch.cat([features, 3e9 * features], 1)
    assert len(fit_basis(twice).variance) == WIDTH
    assert torch.equal(accuracy(features, labels)[-1], accuracy(twice, labels)[-1])


@pytest.mark.parametrize("width", [1, 8])
def test_two_samples_are_told_apart(width: int) -> None:
    features = torch.tensor([[1e-9], [3e-9]]).expand(2, width)
    solution = fit_grid(features, torch.tensor([0, 1]), 2)
    assert solution.predict(features)[-1].tolist() == [0, 1]
    assert bool(solution.loss.isfinite().all())


@pytest.mark.parametrize("width", [1, 7, 8, 30])
def test_a_gram_matrix_is_the_product_that_it_stands_for(width: int) -> None:
    rows = Draws(torch.arange(20)).normal("value", width).double()
    assert torch.allclose(gram(rows), rows.T @ rows, atol=1e-12)


def test_rows_of_any_length_have_length_one_and_zeros_stay() -> None:
    rows = torch.tensor([[3.0, -4.0]]) * torch.tensor([[1e-38], [1.0], [5e37], [0.0]])
    expected = torch.tensor([[0.6, -0.8]] * 3 + [[0.0, 0.0]])
    assert torch.allclose(normalize_rows(rows), expected)
