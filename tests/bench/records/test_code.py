"""Code: a stored answer is used only where the code that gave it is the code that would run now."""

import ast
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from pretask_bench.records import code
from pretask_bench.records.code import changed_modules, code_key, hash_code, hash_file, own_packages, syntax_text
from pretask_bench.records.store import read_all
from pretask_bench.runs.context import RunContext
from pretask_bench.runs.plan import make_plan
from pretask_bench.runs.run import run
from pretask_registry import Registry

SPLIT = """
    '''Which half?'''
    from pretask import Categories, Draws, InputSpec, Inputs, Target
    from acme_parts.brightness import halves  # where the work is done

    class Halves:
        def spec(self, images, /):
            return self.whole_spec(images), {"half": Categories(2)}
        def whole_spec(self, images, /):
            return InputSpec("image", (images.shape[0], images.shape[1] // 2, images.shape[2]))
        def __call__(self, batch, draws, /):
            half = draws.integers("half", 0, 2)
            return Inputs(halves(batch, half)), {"half": Target(half)}
        def whole(self, batch, /):
            return Inputs(batch.data[:, None].chunk(2, 3)[0] / 255)
"""
BRIGHTNESS = """
    def halves(batch, half):
        upper, lower = batch.data[:, None].chunk(2, 3)
        return upper.where(half[:, None, None, None, None] == 0, lower) / 255
"""
DECLARED = """
    from pretask import hookimpl
    import pretask
    @hookimpl
    def pretask_components():
        yield pretask.split("halves", "acme_parts.split:Halves", modality="image", targets={"categories"})
"""


def parsed(source: str) -> str:
    return syntax_text(ast.parse(textwrap.dedent(source)))


@pytest.mark.parametrize(
    "other",
    [
        "def f(x):\n    return x + 1",
        "def f(x):  # more\n\n    '''One more.'''\n    return (x +\n            1)",
        'def f(x):\n    """Another sentence."""\n    return x + 1',
    ],
)
def test_comments_docstrings_and_layout_do_not_count(other: str) -> None:
    assert parsed(other) == parsed("def f(x):\n    'One more.'\n    return x + 1")


@pytest.mark.parametrize(
    "other", ["def f(x):\n    return x + 2", "def f(x):\n    return x - 1", "def f(x, y=None):\n    return x + 1"]
)
def test_what_is_computed_counts(other: str) -> None:
    assert parsed(other) != parsed("def f(x):\n    return x + 1")


def test_a_text_that_is_no_docstring_counts() -> None:
    assert parsed("x = 'one'") != parsed("x = 'two'")


class Acme:
    """A distribution that is installed for editing: modules in a folder that is on the path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        info = folder / "pretask_acme-1.0.dist-info"
        (folder / "acme_parts").mkdir(parents=True)
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pretask-acme\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[pretask.plugins.v1]\nacme = acme_plugin\n")
        self.write("acme_plugin", DECLARED)
        self.write("acme_parts/__init__", "")
        self.write("acme_parts/split", SPLIT)
        self.write("acme_parts/brightness", BRIGHTNESS)

    def write(self, module: str, source: str) -> None:
        (self.folder / f"{module}.py").write_text(textwrap.dedent(source))

    def edit(self, module: str, old: str, new: str) -> None:
        path = self.folder / f"{module}.py"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def fresh(self) -> Registry:
        """The registry of a process that has not imported anything of it yet."""
        for name in [name for name in sys.modules if name.startswith("acme_")]:
            del sys.modules[name]
        for cached in (code.read_source, code.find_imports, code.find_origin):
            cached.cache_clear()
        return Registry.load([str(self.folder), *sys.path])


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Acme]:
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Acme(tmp_path / "site")
    yield made
    made.fresh()


def hashes(registry: Registry) -> dict[str, str]:
    return hash_code([registry.find("split", "acme/halves")])


def test_modules_of_the_same_distribution_and_of_core_are_followed_and_no_others(acme: Acme) -> None:
    found = hashes(acme.fresh())
    assert {"acme_parts.split", "acme_parts.brightness", "pretask.draws", "pretask.training"} <= found.keys()
    assert {name.partition(".")[0] for name in found} == {"acme_parts", "pretask"}
    assert "acme_plugin" not in found


def test_a_change_anywhere_among_them_is_named_by_its_module(acme: Acme) -> None:
    before = hashes(acme.fresh())
    acme.edit("acme_parts/brightness", "/ 255", "/ 256")
    after = hashes(acme.fresh())
    assert changed_modules(before, after) == ["acme_parts.brightness"]
    assert code_key(before) != code_key(after)


def test_a_changed_comment_is_no_change(acme: Acme) -> None:
    before = hashes(acme.fresh())
    acme.edit("acme_parts/split", "# where the work is done", "# elsewhere")
    acme.edit("acme_parts/split", "'''Which half?'''", "'''Upper or lower?'''")
    assert hashes(acme.fresh()) == before


def test_what_is_imported_for_annotations_alone_is_left_out(acme: Acme) -> None:
    acme.write("acme_parts/types", "Half = int\n")
    source = (acme.folder / "acme_parts/split.py").read_text()
    guarded = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from acme_parts.types import Half\n"
    (acme.folder / "acme_parts/split.py").write_text(guarded + source)
    assert "acme_parts.types" not in hashes(acme.fresh())


def test_imports_in_functions_and_relative_ones_count(acme: Acme) -> None:
    acme.write("acme_parts/late", "from . import later\n")
    acme.write("acme_parts/later", "LATER = 1\n")
    acme.edit("acme_parts/brightness", "upper, lower =", "from .late import later\n    upper, lower =")
    assert {"acme_parts.late", "acme_parts.later"} <= hashes(acme.fresh()).keys()


def test_a_built_in_belongs_to_all_packages_of_its_distribution() -> None:
    assert {"pretask", "pretask_plugins"} <= own_packages("pretask_plugins.models.mlp", "pretask")
    assert "torch" not in own_packages("pretask_plugins.models.mlp", "pretask")


Train = Callable[..., list[str]]


@pytest.fixture
def train(acme: Acme, tmp_path: Path) -> Train:
    """Run the task of the distribution as a new process would; what was said comes back."""

    def start(again: bool = False) -> list[str]:
        printed: list[str] = []
        registry = acme.fresh()
        parts = {"split": "acme/halves", "objective": "cross-entropy", "model": "mlp", "data": "digits"}
        settings = {"recipe.batch": 16, "recipe.samples": 160}
        plan = make_plan(registry, parts=parts, settings=settings, evaluators=["ridge"])
        context = RunContext(tmp_path / "out", torch.device("cpu"), again=again, say=printed.append, references=())
        run(registry, plan, context)
        return printed

    return start


def test_an_edited_plugin_of_the_same_version_trains_anew_and_says_which_module_changed(
    acme: Acme, train: Train, tmp_path: Path
) -> None:
    train()
    assert any("already recorded" in line for line in train())
    acme.edit("acme_parts/brightness", "/ 255", "/ 100")
    printed = train()
    assert any("recorded with other code" in line and "acme_parts.brightness changed" in line for line in printed)
    first, second = read_all([tmp_path / "out" / "records"])[0]
    assert first.cell == second.cell
    assert first.weights != second.weights
    assert changed_modules(first.code, second.code) == ["acme_parts.brightness"]


def test_again_does_not_take_a_checkpoint_of_other_code_for_its_own(acme: Acme, train: Train, tmp_path: Path) -> None:
    train()
    acme.edit("acme_parts/brightness", "/ 255", "/ 100")
    printed = train(again=True)
    assert any("checkpoints of other code are left alone" in line for line in printed)
    first, second = read_all([tmp_path / "out" / "records"])[0]
    assert first.weights != second.weights


def test_the_older_checkpoint_is_still_there_for_the_older_code(acme: Acme, train: Train, tmp_path: Path) -> None:
    train()
    acme.edit("acme_parts/brightness", "/ 255", "/ 100")
    train()
    acme.edit("acme_parts/brightness", "/ 100", "/ 255")
    assert any("already recorded" in line for line in train())


def test_a_file_is_hashed_once_in_a_process(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("x = 1\n")
    before = hash_file(path)
    path.write_text("x = 2\n")
    assert hash_file(path) == before  # what runs is what was imported
