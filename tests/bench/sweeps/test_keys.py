"""Keys of stages: the same for ever, those of a run's own record, and changed by exactly what a stage depends on."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pretask_bench.records.cell import cell_key
from pretask_bench.records.code import code_key
from pretask_bench.results.groups import SEEDLESS
from pretask_bench.runs.plan import make_plan
from pretask_bench.runs.prepare import prepare_run
from pretask_bench.sweeps.keys import Describer, StageKeys, find_once, stage_keys
from pretask_registry import Registry

GOLDEN = StageKeys(
    pretrain="913057d7047b19a60b24c3e9a019523416b9277c201a65d6175cf78fd422a3f2",
    features="592d5e48ae18e210314e10ca392866fb329a571d61bac6bf76b4009db06d21c7",
    evaluate="d9e146e97ef687086a4d0c87e4dbe84de098a2b3c26863092c888c2423fa9f51",
)
REFERENCES = ("random-init", "raw-input")


@pytest.fixture
def cell(facts: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = facts["cell"]
    return fields


def keys_of(cell: dict[str, Any], training: str = "1", code: str = "2", references: Any = REFERENCES) -> StageKeys:
    return stage_keys(cell, training, code, references)


def test_the_keys_of_stages_are_the_golden_ones(cell: dict[str, Any]) -> None:
    assert keys_of(cell) == GOLDEN


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"split": {"id": "pretask/relative-position@1", "options": {"patch": 25}}}, 3),
        ({"seed": 1}, 3),
        ({"recipe": {"lr": 0.2}}, 3),
        ({"fitted_with": "e" * 64}, 3),
        ({"hold_out": 0.1}, 3),
        ({"evaluated_on": {"id": "a/b@1", "options": {}, "fingerprints": {"train": "f" * 32}}}, 2),
        ({"evaluators": {"pretask/knn@1": {}}}, 1),
    ],
)
def test_a_key_holds_all_that_comes_before_its_stage_and_nothing_after(
    change: dict[str, Any], changed: int, cell: dict[str, Any]
) -> None:
    assert count_changed(keys_of(cell), keys_of({**cell, **change})) == changed


def test_code_and_references_are_parts_of_the_stages_that_they_belong_to(cell: dict[str, Any]) -> None:
    keys = keys_of(cell)
    assert count_changed(keys, keys_of(cell, training="3")) == 3
    assert count_changed(keys, keys_of(cell, code="3")) == 1
    assert count_changed(keys, keys_of(cell, references=("random-init",))) == 1
    assert keys == keys_of(cell, references=REFERENCES[::-1])


def count_changed(before: StageKeys, now: StageKeys) -> int:
    """How many stages have another key; those that come first keep theirs."""
    same = [getattr(before, stage) == getattr(now, stage) for stage in ("pretrain", "features", "evaluate")]
    assert same == sorted(same, reverse=True)
    return same.count(False)


def test_a_planned_cell_is_found_by_the_key_and_the_code_of_its_record(tmp_path: Path) -> None:
    sizes = {"size": 16, "test_size": 8, "image_size": 16}
    plan = make_plan(
        find_once(Registry.load()),
        "vae",
        preset="small",
        parts={"data": "shapes", "on": "shapes"},
        settings={f"{part}.{name}": size for part in ("data", "on") for name, size in sizes.items()} | {"on.size": 24},
        evaluators=("ridge", "knn"),
        seed=3,
    )
    prepared = prepare_run(plan, torch.device("cpu"))
    assert prepared.cell.evaluated_on is not None
    described = Describer(REFERENCES).describe(plan)
    assert described is not None
    assert described.key == cell_key(prepared.cell, without=SEEDLESS)
    assert described.code == prepared.code
    assert described.keys == stage_keys(
        described.fields, code_key(prepared.training_code), described.code_key, REFERENCES
    )
