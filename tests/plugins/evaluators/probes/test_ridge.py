"""Ridge and moments: the closed form of scikit-learn's, from sums that never see all features at once."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pretask import Budget, Draws
from pretask_plugins.evaluators.probes import moments as chunks
from pretask_plugins.evaluators.probes.logistic import GRID
from pretask_plugins.evaluators.probes.moments import Rows, compute_moments, sum_classes
from pretask_plugins.evaluators.probes.ridge import RidgeProbe, compute_sums, solve
from pretask_plugins.evaluators.probes.validation_split import build_probe_data
from sklearn.linear_model import Ridge, RidgeClassifier

sys.path.insert(0, str(Path(__file__).parent))

from planted import Planted, task


def blobs(count: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Three classes whose features have means and deviations far apart."""
    draws = Draws(torch.arange(count), seed=4)
    label = draws.integers("class", 0, 3)
    centres = Draws(torch.arange(3)).normal("centre", width)
    scale = torch.linspace(0.01, 30, width)
    return (centres[label] + draws.normal("noise", width)) * scale + 10 * scale, label


@pytest.mark.parametrize("width", [6, 90])
def test_weights_are_those_of_scikit_learn_for_every_regulariser(width: int) -> None:
    features, labels = blobs(60, width)
    known = compute_sums(features, labels, 3)
    lines = solve(known, GRID)
    even = ((features.double() - known.moments.mean) / known.moments.std).numpy()
    for place in (10, 24, 40):
        alpha = 1 / GRID[place]
        theirs = Ridge(alpha=alpha).fit(even, np.eye(3)[labels])
        scores = lines.scores(features, place).numpy()
        assert np.allclose(scores, theirs.predict(even), atol=1e-6)
        prediction = RidgeClassifier(alpha=alpha).fit(even, labels.numpy()).predict(even)
        assert np.array_equal(lines.predict(features)[place].numpy(), prediction)


def test_sums_of_two_parts_are_the_sums_of_all() -> None:
    features, labels = blobs(50, 6)
    parts = [
        compute_sums(Rows(features, at), labels[at], 3)
        for at in (torch.arange(0, 50, 3), torch.arange(50)[torch.arange(50) % 3 > 0])
    ]
    merge, every = parts[0].merge(parts[1]), compute_sums(features, labels, 3)
    assert torch.allclose(merge.products, every.products, atol=1e-9)
    assert torch.allclose(merge.moments.scatter, every.moments.scatter, rtol=1e-9, atol=1e-9)
    assert torch.allclose(merge.moments.mean, every.moments.mean)


@pytest.mark.parametrize("size", [1, 7, 50])
def test_moments_are_numpys_whatever_the_piece(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "CHUNK_ROWS", size)
    features, labels = blobs(50, 6)
    features[:, 0] += 1e4  # where a sum of squares in float32 would have lost the variance
    index = torch.arange(1, 50)
    found, exact = compute_moments(Rows(features, index)), features[1:].double().numpy()
    assert np.allclose(found.mean.numpy(), exact.mean(0), rtol=1e-12)
    assert np.allclose((found.scatter / found.count).numpy(), np.cov(exact.T, bias=True), rtol=1e-9, atol=1e-9)
    assert np.allclose(found.spread.numpy(), exact.std(0), rtol=1e-9)
    by_class = sum_classes(Rows(features, index), labels[1:], 3, found.mean)
    expected = [(exact[labels[1:].numpy() == label] - exact.mean(0)).sum(0) for label in range(3)]
    assert np.allclose(by_class.numpy(), expected, atol=1e-6)


def test_the_regulariser_is_the_best_one_on_what_is_held_out() -> None:
    probe = build_probe_data("test", task(), Planted(signal=2.0, train=60), Budget(), "", 0.5)
    choice, every = RidgeProbe().choose(probe, "layer2.mean")
    features, labels = probe.train.features["layer2.mean"], probe.train.labels
    lines = solve(compute_sums(features[~probe.validation], labels[~probe.validation], 4), GRID)
    correct = (lines.predict(features[probe.validation]) == labels[probe.validation]).double().mean(1)
    assert choice.val_accuracy == float(correct.max()) == float(correct[choice.regularizer])
    error = [float(lines.squared_error(features[probe.validation], labels[probe.validation])[at]) for at in range(45)]
    assert error[choice.regularizer] == min(e for e, r in zip(error, correct, strict=True) if r == correct.max())
    assert torch.allclose(every.moments.mean, features.double().mean(0))


def test_constant_features_do_no_harm() -> None:
    features, labels = blobs(60, 6)
    padded = torch.cat([features, torch.full((60, 2), 7.0)], 1)
    plain, more = (solve(compute_sums(inputs, labels, 3), GRID).predict(inputs) for inputs in (features, padded))
    assert torch.equal(plain, more)
