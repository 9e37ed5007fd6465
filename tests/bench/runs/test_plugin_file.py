"""`--plugin FILE`: an experiment in one file is run and recorded by its full ids, and becomes a package."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plugin_files import plugin_file
from pretask_bench.cli.main import invoke, load_registry
from pretask_registry.plugin_file import import_file

Capture = pytest.CaptureFixture[str]
SOURCE = """
import pretask
from pretask import Categories, Inputs, InputSpec, Target


class Rotation:
    def spec(self, images, /):
        return self.whole_spec(images), {"turn": Categories(2)}

    def whole_spec(self, images, /):
        return InputSpec("image", images.shape)

    def __call__(self, batch, draws, /):
        turn = draws.integers("turn", 0, 2)
        flipped = batch.data.flip(2).where(turn[:, None, None, None] == 1, batch.data)
        return Inputs(flipped[:, None] / 255), {"turn": Target(turn)}

    def whole(self, batch, /):
        return Inputs(batch.data[:, None] / 255)


components = [
    pretask.split("flip", Rotation, modality="image", targets={"categories"}),
    pretask.task(
        "flip",
        split="local/flip",
        objective="pretask/cross-entropy",
        model="pretask/convnet",
        presets={"small": {"data": "digits", "model.width": 4, "model.depth": 1, "recipe.batch": 32}},
    ),
]
"""
RUN = ["--preset", "small", "--samples", "64", "--evaluate", "knn", "--set", "knn.k=1", "--baselines", "random-init"]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    with plugin_file(tmp_path, "experiment", SOURCE) as path:
        yield path


def run(file: Path, capsys: Capture) -> Any:
    assert invoke(["run", "flip", "--plugin", str(file), *RUN, "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)
    return record


def test_a_run_of_a_file_is_recorded_by_full_ids_and_a_changed_file_is_run_anew(file: Path, capsys: Capture) -> None:
    first, again = run(file, capsys), run(file, capsys)
    assert (first["cell"]["task"], first["cell"]["split"]["id"]) == ("local/flip@1", "local/flip@1")
    assert again["file"] == first["file"]  # already recorded
    file.write_text(SOURCE.replace("flip(2)", "flip(3)"))
    load_registry.cache_clear()  # as another process would
    changed = run(file, capsys)
    assert changed["cell"]["split"]["id"] == "local/flip@1"
    assert changed["file"] != first["file"]
    assert changed["weights"] != first["weights"]


def test_a_file_that_is_changed_within_a_second_is_run_as_it_is_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "sketch.py"
    for value in (1, 2):
        path.write_text(f"value = {value}\n")
        os.utime(path, (1e9, 1e9))
        assert import_file(path, "sketch").value == value


@pytest.mark.parametrize("before", [True, False])
def test_every_verb_that_looks_at_components_takes_a_file_before_or_after_it(
    file: Path, before: bool, capsys: Capture
) -> None:
    for verb in (["list"], ["show", "flip"], ["compat", "--split", "local/flip"], ["plugins", "local"]):
        option = ["--plugin", str(file)]
        assert invoke([*option, *verb] if before else [*verb, *option]) == 0
        assert "flip" in capsys.readouterr().out.replace("local.experiment", "flip")
    assert invoke(["list", "--json"]) == 0
    assert "local/flip" not in capsys.readouterr().out


def test_a_file_that_does_not_load_is_an_error_with_its_line(file: Path, capsys: Capture) -> None:
    file.write_text("import pretask\nnames = undefined\n")
    assert invoke(["list", "--plugin", str(file)]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "NameError: name 'undefined' is not defined (experiment.py, line 2)" in captured.err
    assert captured.err.count("\n") == 1


def test_a_file_that_does_not_exist_is_a_usage_error(file: Path, capsys: Capture) -> None:
    assert invoke(["run", "flip", "--plugin", "nowhere.py"]) == 2
    assert "nowhere.py" in capsys.readouterr().err


def test_a_file_is_promoted_to_a_package_with_what_to_type_next(file: Path, capsys: Capture) -> None:
    assert invoke(["new", "flips", "--from-file", str(file)]) == 0
    captured = capsys.readouterr()
    assert "pretask-flips/src/pretask_flips/experiment.py" in captured.out.splitlines()
    assert [line.strip() for line in captured.err.splitlines() if line.startswith("    ")] == [
        "pip install -e pretask-flips",
        "pretask check flips",
        "pretask run flip --preset small",
        "pretask results runs/records",
    ]
    assert "local" not in Path("pretask-flips/src/pretask_flips/__init__.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["new"], "needs a name"),
        (["new", "pretask"], "taken"),
        (["new", "mine", "--kind", "spilt"], "spilt"),
        (["new", "mine", "--from-file", "experiment.py", "--kind", "split"], "leave --kind"),
    ],
)
def test_what_cannot_be_made_is_told(arguments: list[str], told: str, file: Path, capsys: Capture) -> None:
    assert invoke(arguments) == 2
    assert told in capsys.readouterr().err
    assert not list(file.parent.glob("pretask-*"))
