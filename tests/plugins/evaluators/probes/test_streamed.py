"""Features that would not fit twice: the same minima, no tensor of their size."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pretask import Budget, Draws
from pretask_plugins.evaluators.probes import basis, logistic, moments
from pretask_plugins.evaluators.probes.basis import RotatedColumns, StreamedColumns, build_columns, fit_basis
from pretask_plugins.evaluators.probes.few_label import FewLabels
from pretask_plugins.evaluators.probes.linear import LinearProbe
from pretask_plugins.evaluators.probes.logistic import GRID, fit_grid
from pretask_plugins.evaluators.probes.moments import Rows
from pretask_plugins.evaluators.probes.rank import Rank
from pretask_plugins.evaluators.probes.ridge import RidgeProbe
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

sys.path.insert(0, str(Path(__file__).parent))

from planted import Planted, task


def stream(monkeypatch: pytest.MonkeyPatch, piece: int) -> None:
    """Nothing may be held, and pieces are small."""
    monkeypatch.setattr(basis, "MAX_COPY_BYTES", 0)
    monkeypatch.setattr(moments, "CHUNK_ROWS", piece)
    monkeypatch.setattr(logistic, "CHUNK_ROWS", piece)


def features_of(count: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    draws = Draws(torch.arange(count), seed=6)
    label = draws.integers("class", 0, 3)
    centres = Draws(torch.arange(3)).normal("centre", width)
    return (draws.normal("noise", width) + 0.4 * centres[label]) * torch.linspace(0.1, 9, width) + 5, label


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_streamed_fit_has_the_minima_of_the_one_in_memory(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    features, labels = features_of(300, 10)
    index = torch.arange(0, 300, 2)
    validation = fit_grid(Rows(features, index), labels[index], 3, GRID[8:44:5], dtype=dtype)
    stream(monkeypatch, 64)
    streamed = fit_grid(Rows(features, index), labels[index], 3, GRID[8:44:5], dtype=dtype)
    assert torch.allclose(validation.loss, streamed.loss, rtol=2e-3 if dtype == torch.bfloat16 else 3e-4)
    same = (validation.predict(features) == streamed.predict(features)).double().mean()
    assert float(same) > 0.99
    assert torch.allclose(validation.nats(features, labels), streamed.nats(features, labels), rtol=0.01)


def test_loss_and_gradient_of_streamed_features_are_those_of_rotated_ones() -> None:
    features, labels = features_of(300, 10)
    rotate_weights = fit_basis(features, torch.float64)
    weights = Draws(torch.arange(2)).normal("w", 3, 11).double()
    rows = Rows(features)
    validation, streamed = (
        logistic.Regression(columns, labels, 3, rotate_weights.variance).loss_and_gradient(weights)
        for columns in (RotatedColumns((rotate_weights(rows),)), StreamedColumns(rows, rotate_weights, torch.float64))
    )
    assert torch.allclose(validation[0], streamed[0], atol=1e-12)
    assert torch.allclose(validation[1], streamed[1], atol=1e-12)


def test_what_is_held_in_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    features, _ = features_of(100, 4)
    rotate_weights = fit_basis(features)
    monkeypatch.setattr(basis, "MAX_COPY_BYTES", 100 * 5 * 4)
    assert isinstance(build_columns(Rows(features), rotate_weights, torch.float32), RotatedColumns)
    monkeypatch.setattr(basis, "MAX_COPY_BYTES", 100 * 5 * 4 - 1)
    assert isinstance(build_columns(Rows(features), rotate_weights, torch.float32), StreamedColumns)


class Largest(TorchDispatchMode):
    """Remembers the most bytes that any tensor made inside has."""

    def __init__(self, known: set[int]) -> None:
        super().__init__()
        self.known, self.size = known, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor) and leaf.untyped_storage().data_ptr() not in self.known:
                self.size = max(self.size, leaf.untyped_storage().nbytes())
        return made


def test_no_tensor_as_large_as_a_quarter_of_the_features_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = features_of(2000, 16)
    known = {features.untyped_storage().data_ptr()}
    index = torch.arange(0, 2000, 2)
    with Largest(known) as validation:
        fit_grid(features, labels, 3, (0.1, 1.0))
    stream(monkeypatch, 128)
    with Largest(known) as streamed:
        for rows in (Rows(features), Rows(features, index)):
            solution = fit_grid(rows, labels if rows.index is None else labels[index], 3, (0.1, 1.0))
        solution.nats(features, labels)
        solution.predict(features)
    assert validation.size >= features.nbytes
    assert streamed.size <= features.nbytes / 4


@pytest.mark.parametrize("evaluator", [LinearProbe(), RidgeProbe(), Rank(), FewLabels((20,), (), 1)])
def test_evaluators_measure_the_same_of_features_that_stay_in_their_files(
    evaluator: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Planted(signal=3.0, train=200)

    def numbers() -> dict[str, float]:
        found = evaluator(task(), data, Budget(cache=str(tmp_path)))
        return {name: value for name, value in found if isinstance(value, float) and name != "gradient_norm"}

    validation = numbers()
    stream(monkeypatch, 50)
    assert numbers() == pytest.approx(validation, abs=0.01)  # four of 400 test samples
