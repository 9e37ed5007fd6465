"""What is named without being used costs nothing: no torch until something needs it."""

import subprocess
import sys

import pretask
import pytest

HEAVY = ("torch", "numpy", "timm", "torchvision", "torchaudio", "transformers", "decord", "accelerate", "sklearn")


@pytest.mark.parametrize(
    "module", ["pretask", "pretask.declare", "pretask.specs", "pretask.recipe", "pretask_registry"]
)
def test_importing_imports_no_torch(module: str) -> None:
    program = f"import sys, {module}; print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_exported_name_is_there_and_none_is_hidden_by_a_module() -> None:
    for name in pretask.__all__:
        assert not isinstance(getattr(pretask, name), type(sys)), name


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Splitter'"):
        pretask.Splitter  # noqa: B018
