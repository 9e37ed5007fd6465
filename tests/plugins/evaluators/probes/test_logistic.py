"""The solver: the objective of scikit-learn's, for every regulariser, on data of every kind."""

import math

import numpy as np
import pytest
import torch
from pretask import Draws
from pretask_plugins.evaluators.probes.basis import RotatedColumns, fit_basis
from pretask_plugins.evaluators.probes.logistic import (
    GRID,
    CurvaturePairs,
    Regression,
    Solution,
    SolverState,
    bound_gap,
    choose_lower,
    compute_descent,
    extrapolate,
    fit_grid,
    minimize,
)
from pretask_plugins.evaluators.probes.products import multiply
from scipy.special import logsumexp, softmax
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import Tensor


def blobs(kind: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Training and test features with classes: separable, overlapping, with wrong labels, or wider than long."""
    spread, width, count = {
        "separable": (12, 8, 300),
        "overlapping": (1, 8, 400),
        "noisy": (3, 8, 400),
        "wide": (1, 90, 60),
    }[kind]
    draws = Draws(torch.arange(count + 2000), seed=3)
    label = draws.integers("class", 0, 3)
    centres = Draws(torch.arange(3)).normal("centre", width) * spread / math.sqrt(width)
    scale = torch.linspace(0.3, 3, width)
    features = (centres[label] + draws.normal("noise", width)) * scale + 1
    if kind == "noisy":
        label = torch.where(draws.bernoulli("wrong", 0.2), draws.integers("any", 0, 3), label)
    return features[:count], label[:count], features[count:], label[count:]


def samples(kind: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Training features with classes: blobs, blobs of which a few directions hold all but 1e-8 of the variance, more
    rectified directions than the data have, or handwritten digits."""
    if kind == "digits":
        pixels, label = load_digits(return_X_y=True)
        return torch.from_numpy(pixels[:300]).float(), torch.from_numpy(label[:300])
    if kind not in ("correlated", "rectified"):
        return blobs(kind)[:2]
    features, label, _, _ = blobs("overlapping")
    directions = Draws(torch.arange(8), seed=9).normal("direction", 24)
    if kind == "rectified":
        return (features @ directions).relu(), label
    return (features * torch.arange(1, 9) ** -4.0) @ directions[:, :8], label


def standardized(solution: Solution, features: torch.Tensor) -> np.ndarray:
    return solution.basis.standardize(features).numpy()


def objective(solution: Solution, features: torch.Tensor, labels: torch.Tensor, place: int, c: float) -> float:
    """Mean nats plus penalty, by numpy in double precision."""
    weights = solution.weights[place].double().numpy()
    rotated = solution.basis(features).double().numpy()
    logits = (weights @ rotated).T
    nats = logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels.numpy()]
    return float(nats.mean() + (weights[:, :-1] ** 2).sum() / (2 * c * len(labels)))


def lowest(even: np.ndarray, labels: np.ndarray, c: float) -> tuple[float, float]:
    """Nats and objective at the minimum, by scikit-learn in double precision, proven by the gradient that it leaves."""
    fit = LogisticRegression(C=c, solver="newton-cg", tol=1e-10, max_iter=5000).fit(even, labels)
    logits, strength = fit.decision_function(even), 1 / (c * len(labels))
    nats = float((logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]).mean())
    total = nats + strength * float((fit.coef_**2).sum()) / 2
    excess = softmax(logits, axis=1) - (labels[:, None] == fit.classes_)
    gradient = excess.T @ even / len(labels) + strength * fit.coef_
    assert float((gradient**2).sum()) / (2 * strength) < 1e-5 * total
    return nats, total


ALL_KINDS = ["separable", "overlapping", "noisy", "wide", "correlated", "rectified", "digits"]


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_objective_is_within_a_thousandth_of_the_lowest(kind: str, dtype: torch.dtype) -> None:
    features, labels = samples(kind)
    solution = fit_grid(features, labels, int(labels.max()) + 1, dtype=dtype)
    even = standardized(solution, features)
    for place in range(8, 45, 4):
        nats, least = lowest(even, labels.numpy(), GRID[place])
        if nats <= 0.01:
            break
        assert objective(solution, features, labels, place, GRID[place]) <= 1.001 * least, GRID[place]


@pytest.mark.parametrize("kind", ["separable", "overlapping", "noisy", "wide"])
def test_the_best_of_the_grid_is_as_accurate_as_scikit_learns(kind: str) -> None:
    features, labels, others, scores = blobs(kind)
    solution, places = fit_grid(features, labels, 3), [8, 16, 22, 28, 36]
    even, test = (standardized(solution, some) for some in (features, others))
    fits = [LogisticRegression(C=GRID[place], tol=1e-6, max_iter=5000).fit(even, labels.numpy()) for place in places]
    best = max(fit.score(test, scores.numpy()) for fit in fits)
    accuracy = (solution.predict(others)[places] == scores).double().mean(1).max()
    assert float(accuracy) >= best - 0.002  # four of 2,000 items: at the same objective, not worse


@pytest.mark.parametrize("kind", ["overlapping", "correlated", "rectified"])
@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_what_is_left_is_within_the_tolerance_and_the_gap(kind: str, tolerance: float) -> None:
    features, labels = samples(kind)
    solution = fit_grid(features, labels, 3, dtype=torch.float64, tolerance=tolerance)
    exact = fit_grid(features, labels, 3, dtype=torch.float64, tolerance=1e-10)
    left = solution.loss - exact.loss
    assert bool((solution.gap <= tolerance * solution.loss).all())
    assert bool((left <= 5 * tolerance * solution.loss).all())  # an estimate: curvature is known of steps alone
    assert float((left <= 2 * solution.gap + 1e-9).double().mean()) > 0.9


def test_the_gap_is_no_larger_than_strong_convexity_allows() -> None:
    features, labels, _, _ = blobs("overlapping")
    basis = fit_basis(features, torch.float64)
    start = SolverState.at_class_frequencies(Regression(RotatedColumns((basis(features),)), labels, 3, basis.variance))
    strengths = torch.tensor([10.0, 1.0, 0.1, 0.01]).double()
    state = start.warm_start(strengths)
    least = minimize(state, 1e-12)[0].loss
    for some in (state, minimize(state, 1e-1)[0], minimize(state, 1e-3)[0]):
        assert bool((some.loss - least <= bound_gap(some) + 1e-12).all())
    assert float((start.warm_start(strengths).loss - least)[0] / bound_gap(state)[0]) > 0.8  # tight where strong


def test_the_gradient_is_that_of_the_loss() -> None:
    features, labels, _, _ = blobs("overlapping")
    basis = fit_basis(features, torch.float64)
    problem = Regression(RotatedColumns((basis(features),)), labels, 3, basis.variance)
    weights = Draws(torch.arange(2)).normal("w", 3, len(problem.is_penalized)).double().requires_grad_()
    logits = torch.einsum("gcr,rn->gnc", weights, problem.columns.values[0])
    nats = (
        torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.repeat(2), reduction="none").view(2, -1).mean(1)
    )
    (expected,) = torch.autograd.grad(nats.sum(), weights)
    loss, gradient = problem.loss_and_gradient(weights.detach())
    assert torch.allclose(loss, nats.detach(), atol=1e-12)
    assert torch.allclose(gradient, expected, atol=1e-12)


def test_where_no_member_moves_there_is_nothing_to_compute() -> None:
    features, labels, _, _ = blobs("overlapping")
    basis = fit_basis(features)
    problem = Regression(RotatedColumns((basis(features),)), labels, 3, basis.variance)
    loss, gradient = problem.loss_and_gradient(torch.zeros(0, 3, len(problem.is_penalized)))
    assert loss.shape == (0,)
    assert gradient.shape == (0, 3, len(problem.is_penalized))


def test_two_precisions_agree() -> None:
    features, labels, _, _ = blobs("overlapping")
    single, double = (fit_grid(features, labels, 3, dtype=dtype) for dtype in (torch.float32, torch.float64))
    assert torch.allclose(single.loss, double.loss, rtol=1e-3)


def test_products_in_bfloat16_cost_at_most_two_thousandths_of_the_objective() -> None:
    features, labels, _, _ = blobs("overlapping")
    coarse = fit_grid(features, labels, 3, dtype=torch.bfloat16)
    fine = fit_grid(features, labels, 3, dtype=torch.float64, tolerance=1e-7)
    assert coarse.weights.dtype == torch.float32
    for place in range(0, 45, 6):
        lowest = objective(fine, features, labels, place, GRID[place])
        assert lowest * (1 - 1e-5) <= objective(coarse, features, labels, place, GRID[place]) <= 1.002 * lowest


def test_the_basis_is_uncorrelated_and_of_the_variance_it_says() -> None:
    features, _, _, _ = blobs("overlapping")
    basis = fit_basis(features, torch.float64)
    rotated = basis(features)[:-1]
    assert torch.allclose(rotated @ rotated.T / len(features), torch.diag(basis.variance), atol=1e-8)
    assert float(basis.variance.sum()) == pytest.approx(features.shape[1])


def test_a_basis_of_more_features_than_samples_keeps_every_distance() -> None:
    features, _, _, _ = blobs("wide")
    basis = fit_basis(features, torch.float64)
    rotated = basis(features)[:-1]
    even = (features.double() - basis.mean) / basis.std
    assert len(basis.variance) == len(features) - 1  # the mean takes one away
    assert torch.allclose(torch.cdist(rotated.T, rotated.T), torch.cdist(even, even), atol=1e-6)
    assert torch.allclose(basis.rotation.T @ basis.rotation, torch.eye(len(basis.variance)).double(), atol=1e-9)


def test_two_classes_need_half_the_strength_of_a_single_row_of_weights() -> None:
    features, labels, _, _ = blobs("noisy")
    labels = (labels > 0).long()
    solution = fit_grid(features, labels, 2, (0.1,), dtype=torch.float64, tolerance=1e-10)
    even = standardized(solution, features)
    theirs = LogisticRegression(C=0.2, tol=1e-10, max_iter=5000).fit(even, labels.numpy())
    logits = solution.weights[0] @ solution.basis(features)
    assert np.allclose((logits[1] - logits[0]).numpy(), theirs.decision_function(even), atol=1e-3)


def test_a_grid_solved_as_one_path_has_the_minima_of_each_alone() -> None:
    features, labels, _, _ = blobs("overlapping")
    places = [10, 20, 30]
    path = fit_grid(features, labels, 3, dtype=torch.float64, tolerance=1e-8).loss[places]
    alone = [
        fit_grid(features, labels, 3, (GRID[place],), dtype=torch.float64, tolerance=1e-8).loss for place in places
    ]
    assert torch.allclose(path, torch.cat(alone), rtol=1e-6)


def halfway() -> SolverState:
    """A state after a few steps at one regularization."""
    features, labels, _, _ = blobs("overlapping")
    basis = fit_basis(features, torch.float64)
    start = SolverState.at_class_frequencies(Regression(RotatedColumns((basis(features),)), labels, 3, basis.variance))
    return minimize(start.warm_start(torch.tensor([0.1]).double()), 1e-3)[0]


def test_a_pair_carried_to_another_regularization_is_the_change_of_its_gradient() -> None:
    state = halfway()
    pairs = state.warm_start(torch.tensor([0.1, 0.03]).double()).pairs
    s, y = pairs.s[:, -1], pairs.y[:, -1]
    for index, regularization in enumerate((0.1, 0.03)):
        there = state.warm_start(torch.tensor([regularization]).double())
        before = there.weights - s[index]
        gradient = state.regression.loss_and_gradient(before)[1] + there.penalty * before
        assert torch.allclose(there.gradient - gradient, y[index], atol=1e-12)


def descend_by_two_loops(gradient: Tensor, pairs: list[tuple[Tensor, Tensor]], diagonal: Tensor) -> Tensor:
    """The recursion of Liu and Nocedal 1989 for one problem, of whose pairs those without curvature are left out."""
    pairs = [(s, y) for s, y in pairs if (s * y).sum() > 0]
    vector, coefficients = gradient, []
    for s, y in reversed(pairs):
        coefficients.append((s * vector).sum() / (s * y).sum())
        vector = vector - coefficients[-1] * y
    vector = vector * diagonal
    for (s, y), coefficient in zip(pairs, reversed(coefficients), strict=True):
        vector = vector + (coefficient - (y * vector).sum() / (s * y).sum()) * s
    return -vector


def test_the_compact_form_is_the_two_loops_also_with_a_pair_that_has_no_curvature() -> None:
    state = halfway().warm_start(torch.tensor([0.05, 0.025]).double())
    s, y = state.pairs.s.clone(), state.pairs.y.clone()
    y[1, 0] = 0.0  # as of a problem that had converged
    state.pairs = CurvaturePairs(s, y)
    preconditioner = 1 / (state.regression.hessian_diagonal + state.penalty)
    direction, slope, _ = compute_descent(state, preconditioner)
    for problem in range(2):
        newest_s, newest_y = s[problem, -1], y[problem, -1]
        scale = (newest_s * newest_y).sum() / (newest_y * preconditioner[problem] * newest_y).sum()
        pairs = [*zip(s[problem], y[problem], strict=True)]
        expected = descend_by_two_loops(state.gradient[problem], pairs, scale * preconditioner[problem])
        assert torch.allclose(direction[problem], expected, rtol=1e-8, atol=1e-12)
        assert torch.isclose(slope[problem], (state.gradient[problem] * expected).sum(), rtol=1e-8)


def test_the_lower_of_two_states_is_taken_problem_by_problem() -> None:
    state = halfway().warm_start(torch.tensor([0.05, 0.025]).double())
    active = torch.tensor([True, True])
    extrapolated = extrapolate(state, 0.3 * state.weights[-1], active)
    lower = choose_lower(state, extrapolated)
    assert bool((state.loss != extrapolated.loss).all())
    assert torch.equal(lower.loss, torch.minimum(state.loss, extrapolated.loss))
    assert torch.allclose(lower.data_loss, state.regression.loss_and_gradient(lower.weights)[0])
    assert torch.allclose(lower.pairs.s[:, -1], extrapolated.weights - state.weights)  # the pair is kept in both cases


def test_the_path_is_extrapolated_once_more_for_every_problem_that_has_not_converged() -> None:
    state = halfway().warm_start(torch.tensor([0.05, 0.025, 0.0125]).double())
    change = state.weights[-1] * 0.01
    moved = extrapolate(state, change, torch.tensor([True, False, True])).weights - state.weights
    assert torch.allclose(moved, torch.stack([change, 0 * change, 3 * change]))


def test_a_problem_that_had_converged_before_it_began_reads_no_data() -> None:
    state = halfway()
    after = state.warm_start(torch.tensor([0.1]).double())
    state.regression.loss_and_gradient = None  # type: ignore[method-assign, assignment]  # it would be called
    assert torch.equal(minimize(after, 1e-2, state.weights[-1])[0].weights, after.weights)


@pytest.mark.parametrize("rows", [0, 1, 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products_of_a_few_rows_are_those_of_torch(rows: int, dtype: torch.dtype) -> None:
    draws = Draws(torch.arange(rows), seed=1)
    left, right = draws.normal("left", 33).to(dtype), Draws(torch.arange(33), seed=2).normal("right", 70).to(dtype)
    for given in (right, right.T.contiguous().T):
        found = multiply(left, given)
        assert found.dtype == dtype
        assert torch.allclose(found.double(), left.double() @ right.double(), rtol=1e-5, atol=1e-5)


def test_constant_features_do_no_harm() -> None:
    features, labels, _, _ = blobs("overlapping")
    padded = torch.cat([features, torch.full((len(features), 2), 7.0)], 1)
    assert torch.allclose(fit_grid(features, labels, 3).loss, fit_grid(padded, labels, 3).loss, rtol=1e-3)


def test_where_all_features_are_constant_the_largest_class_is_guessed() -> None:
    labels = torch.tensor([0, 1, 1, 2])
    solution = fit_grid(torch.ones(4, 3), labels, 3)
    assert (solution.predict(torch.ones(5, 3)) == 1).all()
    assert solution.gradient.isfinite().all()
    assert torch.allclose(solution.nats(torch.ones(4, 3), labels), torch.full((45,), 1.0397).double(), atol=1e-3)


def test_strong_regularisation_leaves_the_share_of_every_class() -> None:
    features, labels, _, _ = blobs("overlapping")
    solution = fit_grid(features, labels, 3, (1e-9,), dtype=torch.float64)
    logits = solution.weights[0] @ solution.basis(features)
    share = torch.bincount(labels) / len(labels)
    assert torch.allclose(logits.softmax(0).mean(1), share.double(), atol=1e-4)


def test_weak_regularisation_separates_what_can_be_separated() -> None:
    features, labels, _, _ = blobs("separable")
    assert bool((fit_grid(features, labels, 3).predict(features)[-1] == labels).all())


def test_the_grid_has_45_values_a_quarter_of_a_decade_apart() -> None:
    assert len(GRID) == 45
    assert (GRID[0], GRID[-1]) == pytest.approx((1e-6, 1e5))
    assert np.allclose(np.divide(GRID[1:], GRID[:-1]), 10**0.25)
