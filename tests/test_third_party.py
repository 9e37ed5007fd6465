"""A real distribution of somebody else: built, installed beside the wheel, checked, run, recorded, and gone again."""

import json
from collections.abc import Iterator
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from clean_room import HOUSE, Room, wheel_of
from pretask import Recipe, Task
from pretask.composition import compose
from pretask.training import train
from pretask_plugins.models.image.convnet import Convnet
from pretask_registry.canned import make_canned_samples
from torch import Tensor

PROJECT = HOUSE / "tests" / "third_party" / "pretask-turns"
TASKS = ("rotation", "self-teaching")
TINY = "--preset small --samples 640 --evaluate knn --baselines random-init --out runs"


TRAIN = """
import shutil
import pretask
import torch
from pretask_plugins.data.image.folder import Folder

options = Folder.write_example(__import__("pathlib").Path("photos"))
run = pretask.run(
    "turns/rotation", preset="small", data="folder", samples=32, evaluate=(), baselines=(), out="encoders",
    device="cpu", pictures=False, **{f"data.{name}": value for name, value in options.items()},
    **{"model.width": 4, "model.depth": 1, "recipe.batch": 16},
)
images = torch.randint(0, 256, (3, 3, 40, 30), dtype=torch.uint8)
torch.save((images, run.encoder(images)), "encoded.pt")
shutil.rmtree("photos")
shutil.move(run.folder, "encoder")
"""
LOAD = """
import pretask
import torch

images, features = torch.load("../encoded.pt")
assert torch.equal(pretask.load("../encoder")(images), features)
"""


class Installed(NamedTuple):
    room: Room
    before: dict[str, Any]


def trace(room: Room) -> dict[str, Any]:
    """All that an installed distribution leaves: files, plugins, components."""
    site = next((room.home / "lib").glob("python*")) / "site-packages"
    return {
        "files": sorted(str(path) for path in site.rglob("*") if "__pycache__" not in path.parts),
        "plugins": room.shell("pretask plugins --json"),
        "components": room.shell("pretask list --json"),
    }


@pytest.fixture(scope="module")
def turns(clean_room: Room, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    before = trace(clean_room)
    clean_room.shell(f"pip install -q {wheel_of(PROJECT, tmp_path_factory.mktemp('turns'), clean_room)}")
    yield Installed(clean_room, before)
    clean_room.shell("pip uninstall -q -y pretask-turns", code=None)


@pytest.mark.exhaustive
def test_the_wheel_of_a_third_party_is_listed_beside_ours(turns: Installed) -> None:
    listed = {component["id"]: component["plugin"] for component in json.loads(turns.room.shell("pretask list --json"))}
    mine = {name: plugin for name, plugin in listed.items() if plugin == "pretask-turns 0.3.0"}
    assert set(mine) == {
        "turns/rotation@1",
        "turns/hide-squares@1",
        "turns/momentum-teacher@1",
        "turns/self-teaching@1",
    }
    assert set(listed) - set(mine) == {component["id"] for component in json.loads(turns.before["components"])}
    rows = json.loads(turns.room.shell("pretask plugins turns --json"))
    assert [row["state"] for row in rows] == ["ok", "ok"]


@pytest.mark.exhaustive
def test_a_new_kind_of_target_is_refused_by_our_objectives_with_the_one_that_fits(turns: Installed) -> None:
    parts = "--split turns/hide-squares --objective cross-entropy --model convnet"
    told = turns.room.shell(f"pretask compat --why {parts} 2>&1", code=4)
    assert "the targets are shown, the objective scores only categories" in told
    assert "--objective momentum-teacher" in told


@pytest.mark.exhaustive
def test_every_component_of_a_third_party_passes_the_conformance_kit(turns: Installed) -> None:
    said = turns.room.shell("pretask check turns")
    assert " ran" in said


@pytest.mark.exhaustive
def test_the_tasks_of_a_third_party_are_run_and_recorded_with_full_ids_and_release(turns: Installed) -> None:
    calls = "; ".join(f"invoke('run turns/{task} {TINY}'.split())" for task in TASKS)  # one process, to load torch once
    turns.room.shell(f'python -c "from pretask_bench.cli.main import invoke; {calls}"')
    records = [json.loads(file.read_text()) for file in (turns.room.work / "runs" / "records").glob("*.json")]
    assert {record["cell"]["task"] for record in records} == {f"turns/{task}@1" for task in TASKS}
    for record in records:
        assert record["status"] == "complete"
        assert record["cell"]["model"]["id"] == "pretask/convnet@1"
        assert record["provenance"]["versions"]["pretask-turns"] == "0.3.0"
        assert {row["encoder"] for row in record["results"]} == {"trained", "random-init"}
    table = turns.room.shell("pretask results runs/records")
    assert all(f"{task} (convnet)" in table for task in TASKS)


@pytest.fixture(scope="module")
def encoder(turns: Installed) -> Path:
    """The folder of a trained encoder whose split is a third party's; its data is gone, and it lies elsewhere."""
    (turns.room.work / "photos").mkdir()
    (turns.room.work / "train.py").write_text(TRAIN)
    turns.room.shell("python train.py")
    return turns.room.work / "encoder"


@pytest.mark.exhaustive
def test_an_encoder_of_a_third_party_loads_in_a_fresh_process_elsewhere_without_its_data(
    turns: Installed, encoder: Path
) -> None:
    elsewhere = turns.room.work / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "load.py").write_text(LOAD)
    turns.room.shell("python load.py", folder=elsewhere)
    assert not (turns.room.work / "photos").exists()


@pytest.mark.exhaustive
def test_another_version_of_the_distribution_is_named_with_the_one_that_is_needed(
    turns: Installed, encoder: Path
) -> None:
    (declared,) = turns.room.home.rglob("pretask_turns/__init__.py")
    (metadata,) = turns.room.home.rglob("pretask_turns-0.3.0.dist-info/METADATA")
    before = {path: path.read_text() for path in (declared, metadata)}
    try:
        later = before[declared].replace('targets={"categories"},', 'targets={"categories"}, version=2,')
        declared.write_text(later.replace('split="turns/rotation"', 'split="turns/rotation@2"'))
        metadata.write_text(before[metadata].replace("Version: 0.3.0", "Version: 0.4.0"))
        told = turns.room.shell(f"pretask export {encoder} --to torch 2>&1", code=1)
    finally:
        for path, text in before.items():
            path.write_text(text)
    assert "pretask.load needs the split turns/rotation@1 of pretask-turns 0.3.0; got none that works here (" in told
    assert "Install it: pip install pretask-turns==0.3.0" in told


@pytest.mark.exhaustive
def test_uninstalling_leaves_no_trace(turns: Installed) -> None:
    turns.room.shell("pip uninstall -q -y pretask-turns")
    assert trace(turns.room) == turns.before


@pytest.mark.exhaustive
def test_without_its_distribution_an_encoder_names_it(turns: Installed, encoder: Path) -> None:
    turns.room.shell("pip uninstall -q -y pretask-turns", code=None)
    told = turns.room.shell(f"pretask export {encoder} --to torch 2>&1", code=1)
    assert "pretask.load needs the split turns/rotation@1 of pretask-turns 0.3.0; got none that works here (" in told
    assert "Install it: pip install pretask-turns==0.3.0" in told


@pytest.fixture
def teaching(monkeypatch: pytest.MonkeyPatch) -> Task:
    """A student and its teacher on canned images."""
    monkeypatch.syspath_prepend(str(PROJECT / "src"))
    from pretask_turns.momentum.objective import MomentumTeacher
    from pretask_turns.momentum.split import HideSquares

    recipe = Recipe(batch=16, samples=16 * 6, lr=0.01, warmup=0.0)
    model, objective = partial(Convnet, width=4, depth=1), partial(MomentumTeacher, momentum=0.9)
    return compose(make_canned_samples("image").observed, HideSquares(), model, objective, recipe)


def weights(task: Task) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in task.objective.teacher.named_parameters()}


def test_a_teacher_begins_as_the_student_and_follows_it_as_a_moving_average(teaching: Task) -> None:
    student = dict(teaching.model.named_parameters())
    start = weights(teaching)
    assert all(torch.equal(start[name], value) for name, value in student.items())
    with torch.no_grad():
        for value in student.values():
            value.add_(1)
    teaching.objective.after_step(teaching.model, 0.0)  # keeps 0.9 of itself
    for name, value in weights(teaching).items():
        torch.testing.assert_close(value, 0.9 * start[name] + 0.1 * student[name].detach())


def test_no_gradient_reaches_the_teacher_and_training_moves_it(teaching: Task) -> None:
    start = weights(teaching)
    train(teaching, make_canned_samples("image"))
    assert all(parameter.grad is None for parameter in teaching.objective.teacher.parameters())
    assert any(not torch.equal(start[name], value) for name, value in weights(teaching).items())


def test_a_run_that_was_killed_goes_on_with_its_teacher_as_if_it_had_not_been(
    teaching: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = make_canned_samples("image")
    killed, resumed = deepcopy(teaching), deepcopy(teaching)
    train(teaching, samples)
    follow = type(teaching.objective).after_step

    def until_half(objective: Any, model: Any, progress: float) -> None:
        if progress > 0.5:
            raise ConnectionAbortedError
        follow(objective, model, progress)

    monkeypatch.setattr(type(teaching.objective), "after_step", until_half)
    with pytest.raises(ConnectionAbortedError):
        train(killed, samples, folder=tmp_path, checkpoint_seconds=0.0)
    monkeypatch.setattr(type(teaching.objective), "after_step", follow)
    train(resumed, samples, folder=tmp_path)
    whole = weights(teaching)
    assert all(torch.equal(value, whole[name]) for name, value in weights(resumed).items())
    assert any(not torch.equal(value, whole[name]) for name, value in weights(killed).items())
