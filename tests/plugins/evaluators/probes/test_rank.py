"""Rank: numbers with a closed form, collapse that is planted, and no labels needed."""

import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pretask import Budget, Draws, PretaskError
from pretask_plugins.evaluators.probes import moments
from pretask_plugins.evaluators.probes.moments import Rows
from pretask_plugins.evaluators.probes.rank import Rank, compute_statistics, draw_subset, is_collapsed, rankme

sys.path.insert(0, str(Path(__file__).parent))

from planted import Planted, task


def noise(count: int, width: int) -> torch.Tensor:
    return Draws(torch.arange(count), seed=2).normal("x", width)


def test_rankme_is_the_papers_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "CHUNK_ROWS", 64)
    features = noise(200, 12) * torch.linspace(0.1, 5, 12) + 1
    values = np.linalg.svd(features.double().numpy(), compute_uv=False)
    share = values / values.sum() + 1e-7
    found = compute_statistics(Rows(features))
    assert found["rankme"] == pytest.approx(math.exp(-(share * np.log(share)).sum()), rel=1e-4)
    variance = np.linalg.eigvalsh(np.cov(features.double().numpy().T))
    assert found["effective_dimension"] == pytest.approx(variance.sum() ** 2 / (variance**2).sum(), rel=1e-6)


def test_r_orthogonal_directions_of_equal_length_have_rank_r() -> None:
    features = torch.eye(5).repeat(8, 1) @ noise(5, 30).T.svd().U.T * 3  # 5 directions in 30 numbers
    found = compute_statistics(Rows(features))
    assert found["rankme"] == pytest.approx(5, rel=1e-3)
    assert found["effective_dimension"] == pytest.approx(4, rel=1e-3)  # the mean takes one away
    assert found["width"] == 30


def test_the_mean_cosine_is_that_of_a_double_loop() -> None:
    features = noise(30, 4) + 0.5
    pairs = [
        float(torch.cosine_similarity(features[one], features[two], dim=0))
        for one in range(30)
        for two in range(30)
        if one != two
    ]
    assert compute_statistics(Rows(features))["mean_cosine"] == pytest.approx(sum(pairs) / len(pairs), abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "warned"),
    [("healthy", False), ("offset", False), ("constant", True), ("almost", True), ("line", True), ("zero", True)],
)
def test_collapse_is_told_from_features_that_vary(kind: str, warned: bool) -> None:
    features = {
        "healthy": noise(100, 16).relu(),
        "offset": noise(100, 16) + 10,
        "constant": torch.full((100, 16), 3.0),
        "almost": 3 + 1e-4 * noise(100, 16),
        "line": noise(100, 1) * torch.ones(16),
        "zero": torch.zeros(100, 16),
    }[kind]
    found = compute_statistics(Rows(features))
    assert is_collapsed(found) == warned
    assert all(math.isfinite(value) for value in found.values())


def test_the_share_of_constant_features_is_counted() -> None:
    features = torch.cat([noise(50, 3), torch.full((50, 1), 1e6), torch.zeros(50, 4)], 1)
    assert compute_statistics(Rows(features))["constant_features"] == 5 / 8


def test_a_layer_of_one_number_has_collapsed_only_where_it_is_constant() -> None:
    assert not is_collapsed(compute_statistics(Rows(noise(50, 1))))
    assert is_collapsed(compute_statistics(Rows(torch.ones(50, 1))))


def test_every_layer_is_measured_without_labels_and_the_output_first() -> None:
    data = Planted()
    found = dict(Rank()(task(), lambda part: replace(data(part), labels={}), Budget()))
    assert next(iter(found)) == "rankme"
    assert found["rankme"] == found["layer2.rankme"] > 10
    assert found["collapsed"] == 0
    assert found["layer1.width"] == 16
    with pytest.raises(PretaskError, match="at least 2 samples; got 1"):
        list(Rank()(task(), Planted(train=1), Budget()))
    with pytest.raises(PretaskError, match=r"rank\.train_size needs"):
        Rank(train_size=1)


def test_no_more_samples_than_asked_are_looked_at_and_the_seed_draws_them() -> None:
    one, two = (draw_subset(100, 30, seed) for seed in (0, 1))
    assert one is not None
    assert two is not None
    assert len(one.unique()) == 30  # type: ignore[no-untyped-call]
    assert not torch.equal(one, two)
    assert draw_subset(100, 0, 0) is None is draw_subset(30, 30, 0)
    few = dict(Rank(train_size=4)(task(), Planted(), Budget()))
    assert few["rankme"] <= 4
    assert rankme(torch.zeros(3)) == 0
