"""Planning: what is done is found, what is to run says why, and what is shared is counted."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pretask_bench.records.store import write
from pretask_bench.sweeps import keys
from pretask_bench.sweeps.calibration import calibrate
from pretask_bench.sweeps.ledger import EndedCell
from pretask_bench.sweeps.past import Estimate
from pretask_bench.sweeps.planning import PlannedCell
from pretask_bench.sweeps.summary import (
    count_extractions,
    count_trainings,
    describe,
    find_varying,
    title_of,
    total_cost,
)
from pretask_registry import Registry
from sweep_cells import make_planner, plan_cells, record_cells, record_of


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.load()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))


def states(cells: list[PlannedCell]) -> list[tuple[str, str]]:
    return [(cell.state, cell.why) for cell in cells]


AXES: Mapping[str, Any] = {"recipe.lr": [0.1, 0.2], "evaluate": ["knn", "ridge"]}


def test_what_is_recorded_is_done_and_one_new_evaluator_or_seed_says_why_it_runs(
    registry: Registry, tmp_path: Path
) -> None:
    cells = plan_cells(registry, tmp_path, axes=AXES)
    assert states(cells) == [("to run", "not recorded")] * 4
    assert (count_trainings(cells), count_extractions(cells)) == (2, (2, 4))
    record_cells(tmp_path, cells)
    again = plan_cells(registry, tmp_path, axes=AXES)
    assert [cell.state for cell in again] == ["done"] * 4
    assert [cell.record is not None and cell.record.is_file() for cell in again] == [True] * 4
    more = plan_cells(registry, tmp_path, axes={**AXES, "evaluate": ["knn", "ridge", "linear"]})
    new = [("to run", "not measured; its training is recorded")] * 2
    assert [(cell.state, cell.why) for cell in more if cell.state != "done"] == new
    assert count_trainings(more) == 0
    assert count_trainings(plan_cells(registry, tmp_path, axes=AXES, seeds=[0, 1])) == 2


def test_one_changed_option_is_named_and_touches_its_cells_alone(registry: Registry, tmp_path: Path) -> None:
    record_cells(tmp_path, plan_cells(registry, tmp_path, axes=AXES))
    changed = plan_cells(registry, tmp_path, axes={**AXES, "recipe.lr": [0.1, 0.3]})
    assert [cell.state for cell in changed] == ["done", "done", "to run", "to run"]
    assert {cell.why for cell in changed[2:]} <= {
        f"not recorded; others have recipe.lr {rate} instead of 0.3" for rate in (0.1, 0.2)
    }


def test_an_edited_file_of_a_component_touches_exactly_the_cells_that_use_it(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_cells(tmp_path, plan_cells(registry, tmp_path, axes=AXES))
    hash_code = keys.hash_code

    def edit(parts: Any, core: Any) -> dict[str, str]:
        found = hash_code(parts, core)
        edited = "pretask_plugins.evaluators.probes.ridge"
        return {**found, edited: "0" * 32} if edited in found else found

    monkeypatch.setattr(keys, "hash_code", edit)
    found = plan_cells(registry, tmp_path, axes=AXES)
    assert (
        states([found[1], found[3]])
        == [("to run", "recorded with other code: pretask_plugins.evaluators.probes.ridge changed")] * 2
    )
    assert [found[0].state, found[2].state] == ["done", "done"]
    assert count_trainings(found) == 0


def test_what_cannot_be_run_says_so_before_anything_is_trained(registry: Registry, tmp_path: Path) -> None:
    axes = {"split": ["whole", "next-token"], "model.hidden": [[8], [0], [8]], "evaluate": ["knn"]}
    drop = [{"reason": "too small", "when": {"model.hidden": [[8]], "split": "whole"}}]
    cells = plan_cells(registry, tmp_path, axes=axes, drop=drop)
    assert [cell.state for cell in cells] == ["dropped", "refused", "refused", "refused"]
    assert cells[0].why == "too small"
    assert "model.hidden" in cells[1].why
    assert "next-token does not fit image data" in cells[2].why


def test_the_same_cell_under_two_names_runs_once(registry: Registry, tmp_path: Path) -> None:
    grid = [{"fixed": {"objective.latent_dim": 2}}, {"fixed": {"objective.latent_dim": "2"}}]
    cells = plan_cells(registry, tmp_path, grid=grid)
    assert states(cells) == [("to run", "not recorded"), ("dropped", "the same cell as 1")]


def test_a_cell_without_record_says_how_it_ended_before(registry: Registry, tmp_path: Path) -> None:
    planner = make_planner(registry, tmp_path, axes=AXES)
    first, second, third, _ = planner.plan()
    assert first.described is not None
    assert second.described is not None
    planner.ledger.write(first.described.keys.evaluate, EndedCell(refused="no positions"))
    planner.ledger.write(second.described.keys.evaluate, EndedCell(failed="ValueError: nan", attempts=2))
    write(tmp_path / "records", record_of(third, results=record_of(third).model_dump(mode="json")["results"][:1]))
    found = plan_cells(registry, tmp_path, axes=AXES)
    assert states(found)[:3] == [
        ("refused", "no positions"),
        ("to run", "failed before: ValueError: nan"),
        ("to run", "recorded without all of random-init, raw-input"),
    ]
    assert found[1].attempts == 2
    assert replace(planner, again=True).plan()[0].state == "to run"


def test_records_of_the_same_parts_say_how_long_cells_take_and_a_shared_training_counts_once(
    registry: Registry, tmp_path: Path
) -> None:
    record_cells(tmp_path, plan_cells(registry, tmp_path, axes={"evaluate": ["knn"]}))
    planner = make_planner(registry, tmp_path, axes={"recipe.lr": [0.5], "evaluate": ["knn", "ridge"]})
    cells = planner.plan()
    estimates = {cell.number: planner.past.estimate(cell.described) for cell in cells}
    assert estimates == {1: Estimate(8.0, 1.5, 1 << 30), 2: Estimate(8.0, None, None)}
    assert total_cost(cells, estimates).seconds == 9.5
    assert describe(cells, estimates, 2) == [
        "2 cells: 2 to run",
        "1 trainings for 2 cells, 1 extractions of features for 2",
        "about 0:00:05 with 2 at once, without 1 cell of which no record tells (--calibrate), at most 1 GiB each",
    ]


def test_titles_hold_what_varies(registry: Registry, tmp_path: Path) -> None:
    cells = plan_cells(registry, tmp_path, axes=AXES, seeds=2)
    varying = find_varying(cells)
    assert varying == ["recipe.lr", "evaluate", "seed"]
    assert title_of(cells[5], varying) == "6 recipe.lr=0.2 knn seed=1"
    assert len({title_of(cell, varying) for cell in cells}) == 8


def test_a_few_steps_say_how_long_a_training_takes_that_no_record_tells_of(registry: Registry, tmp_path: Path) -> None:
    axes = {"evaluate": ["knn", "ridge"], "model.hidden": [[8], [9]]}
    fixed = {"recipe.batch": 16, "recipe.samples": 1600}
    cells = plan_cells(registry, tmp_path, axes=axes, fixed=fixed)
    said: list[str] = []
    found = calibrate(registry, cells, {}, 2, torch.device("cpu"), said.append)
    assert len(said) == 2, "once for each training, whatever measures it"
    assert all(0 < (found[cell.number].pretrain or 0) < 600 for cell in cells)
    assert all((found[cell.number].memory or 0) > 0 for cell in cells)
    known = {cell.number: Estimate(1.0, 2.0, 3) for cell in cells}
    assert calibrate(registry, cells, known, 2, torch.device("cpu"), said.append) == known
    assert len(said) == 2
