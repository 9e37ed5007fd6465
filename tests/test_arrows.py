"""The arrows of the house: plugins -> core <- registry <- benchmarks, and no plugin imports another one."""

import ast
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from pretask import Component

HOUSE = Path(__file__).parents[1]
ROOTS = {
    "pretask": "core/pretask",
    "pretask_registry": "registry/pretask_registry",
    "pretask_plugins": "plugins/pretask_plugins",
    "pretask_bench": "benchmarks/pretask_bench",
}
MAY_IMPORT = {
    "pretask": {"pretask"},
    "pretask_registry": {"pretask", "pretask_registry"},
    "pretask_plugins": {"pretask", "pretask_plugins"},
    "pretask_bench": {"pretask", "pretask_registry", "pretask_bench"},
}
# "module:attribute" of a component, "module:file.toml" of a suite, and "module" for import_module.
NAMED = re.compile(r"(pretask\w*(?:\.\w+)+)(?::[\w./-]+)?")
ENTRIES = tomllib.loads((HOUSE / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]


def modules_named_in(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, and every one of ours that it names in a string."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := NAMED.fullmatch(node.value)):
            yield found[1]


def entry(module: str) -> str:
    """The plugin that a module belongs to: its folder, which has an entry point of its own."""
    parts = module.split(".")
    return ".".join(parts[:3] if parts[1:2] == ["methods"] else parts[:2])


def wrong_arrows(package: str, path: Path, module: str) -> list[str]:
    """Imports of a file that the house does not allow."""
    wrong = []
    for named in modules_named_in(path):
        root = named.split(".")[0]
        if root in ROOTS and root not in MAY_IMPORT[package]:
            wrong.append(f"{path} -> {named}")
        if package == root == "pretask_plugins" and entry(named) not in (entry(module), "pretask_plugins"):
            wrong.append(f"{path} -> {named}")
    return wrong


def files() -> Iterator[tuple[str, Path, str]]:
    """Package, path and module of every source file."""
    for package, root in ROOTS.items():
        for path in sorted((HOUSE / root).rglob("*.py")):
            inner = path.relative_to(HOUSE / root).with_suffix("").as_posix().replace("/", ".")
            yield package, path, f"{package}.{inner}".removesuffix(".__init__")


def test_no_import_goes_against_an_arrow() -> None:
    found = list(files())
    assert len(found) > 40
    assert [wrong for package, path, module in found for wrong in wrong_arrows(package, path, module)] == []


@pytest.mark.parametrize(
    ("package", "module", "line"),
    [
        ("pretask", "pretask.train", "from pretask_registry import Registry"),
        ("pretask", "pretask.train", "def f():\n    import pretask_plugins.models"),
        ("pretask_registry", "pretask_registry.fit", "import pretask_bench.records"),
        ("pretask_registry", "pretask_registry.fit", "x = 'pretask_plugins.models.timm:Timm'"),
        ("pretask_plugins", "pretask_plugins.methods.vae.split", "from pretask_registry import build"),
        ("pretask_plugins", "pretask_plugins.methods.vae", "from pretask_plugins.models.timm import Timm"),
        ("pretask_plugins", "pretask_plugins.methods.vae", "from pretask_plugins.methods import exemplar"),
        ("pretask_plugins", "pretask_plugins.methods.vae", "x = 'pretask_plugins.methods.exemplar.split:Cut'"),
        ("pretask_plugins", "pretask_plugins.methods.vae", "import pretask_plugins.data.folder"),
        ("pretask_plugins", "pretask_plugins.models.timm", "from pretask_plugins.objectives.heads import perceptron"),
        ("pretask_plugins", "pretask_plugins.models", "from pretask_plugins import splits"),
        ("pretask_plugins", "pretask_plugins.splits.laws", "from pretask_plugins.methods.vae.split import Whole"),
        ("pretask_plugins", "pretask_plugins.splits", "x = 'pretask_bench.suites:quick.toml'"),
        ("pretask_plugins", "pretask_plugins.splits", "x = 'pretask_registry.canned:observed'"),
        ("pretask_bench", "pretask_bench.run", "from pretask_plugins.models import timm"),
        ("pretask_bench", "pretask_bench.run", "def f():\n    import_module('pretask_plugins.models.timm')"),
        ("pretask_registry", "pretask_registry.fit", "if TYPE_CHECKING:\n    from pretask_bench.run import run"),
    ],
)
def test_every_wrong_arrow_is_found(package: str, module: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text(line)
    assert wrong_arrows(package, path, module)


@pytest.mark.parametrize(
    ("package", "module", "line"),
    [
        ("pretask_plugins", "pretask_plugins.methods.vae.objective", "from pretask import Draws"),
        ("pretask_plugins", "pretask_plugins.methods.vae.objective", "from pretask_plugins.methods.vae.split import A"),
        ("pretask_plugins", "pretask_plugins.methods.vae", "x = 'pretask_plugins.methods.vae.split:Whole'"),
        ("pretask_plugins", "pretask_plugins.models.timm", "from pretask_plugins.models.convnet import as_tokens"),
        ("pretask_bench", "pretask_bench.run", "from pretask_registry import Registry\nfrom pretask import Task"),
        ("pretask_registry", "pretask_registry.fit", "x = 'pretask.plugins.v1'\nfrom pretask.compose import check"),
        ("pretask", "pretask.train", "x = 'the plugins are in pretask_plugins.models'"),
    ],
)
def test_arrows_that_are_right_are_left_alone(package: str, module: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text(line)
    assert wrong_arrows(package, path, module) == []


def strays(declared: list[Component], plugin: str) -> list[str]:
    """Implementations that lie outside of the plugin that declares them."""
    named = [each.implementation for each in declared if each.kind != "task"]
    return [each for each in named if not f"{each.split(':')[0]}.".startswith(f"{plugin}.")]


@pytest.mark.parametrize("plugin", ENTRIES["pretask.plugins.v1"].values())
def test_what_a_plugin_declares_is_its_own(plugin: str) -> None:
    assert plugin == entry(plugin)
    assert strays(list(import_module(plugin).pretask_components()), plugin) == []


@pytest.mark.parametrize("place", ["pretask_plugins.models.timm", "pretask_plugins.splits_of_mine.laws", "torch.nn"])
def test_an_implementation_elsewhere_is_found(place: str) -> None:
    own, stray = (Component("split", "cut", f"{module}:Cut") for module in ("pretask_plugins.splits.laws", place))
    assert strays([own, stray], "pretask_plugins.splits") == [f"{place}:Cut"]
