"""What is named without being used costs nothing: no torch until something needs it."""

import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pretask
import pytest

HEAVY = ("torch", "numpy", "timm", "torchvision", "torchaudio", "transformers", "decord", "accelerate", "sklearn")
LOADED = f"sorted(set({HEAVY!r}) & set(sys.modules))"
PROJECT = Path(__file__).parents[2] / "pyproject.toml"
ENTRIES = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["entry-points"]["pretask.plugins.v1"]


@pytest.mark.parametrize(
    "module", ["pretask", "pretask.declare", "pretask.specs", "pretask.recipe", "pretask_registry"]
)
def test_importing_imports_no_torch(module: str) -> None:
    program = f"import sys, {module}; print({LOADED})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["pretask.cache", "pretask_bench.results.index", "pretask_bench.board.site"])
def test_records_are_read_without_torch(module: str) -> None:
    program = f"import sys, {module}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_names_of_specs_declarations_and_errors_import_no_torch_and_the_first_heavy_one_does() -> None:
    light = sorted(set(pretask.__all__) - set(pretask.HOME))
    program = f"""
import sys, pretask
seen = [getattr(pretask, name) for name in {light}]
before = sorted(set({HEAVY!r}) & set(sys.modules))
pretask.Batch
print(len(seen), before, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{len(light)} [] True"
    assert len(light) > 15


@pytest.mark.parametrize("module", sorted(ENTRIES.values()))
def test_what_a_plugin_offers_is_told_without_torch(module: str) -> None:
    offered = "m.pretask_components() if hasattr(m, 'pretask_components') else m.pretask_trackers()"
    program = f"import sys, {module} as m; n = len(list({offered})); print(n > 0, {LOADED})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True []"


def test_every_name_that_waits_is_exported_and_lives_where_it_is_said_to() -> None:
    assert set(pretask.HOME) <= set(pretask.__all__)
    for name, home in pretask.HOME.items():
        assert getattr(pretask, name) is getattr(import_module(f"pretask.{home}"), name)
    assert list(pretask.__all__) == sorted(set(pretask.__all__))


def test_every_exported_name_is_there_and_none_is_hidden_by_a_module() -> None:
    for name in pretask.__all__:
        assert not isinstance(getattr(pretask, name), type(sys)), name


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Splitter'"):
        pretask.Splitter  # noqa: B018
