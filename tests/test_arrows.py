"""The arrows of the house: plugins -> core <- registry <- benchmarks; among plugins they go by kind.

Within a kind imports are free, and every kind may use what is shared. A method may use splits, objectives and models;
nothing imports a method, not even another one.
"""

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
FRONT_DOOR = ("pretask.front_door", "pretask_bench.verbs")  # the one name that core knows of the harness
SHARED = "shared"
MAY_USE = {
    "methods": {"splits", "objectives", "models"},
}  # of other kinds, beside what is shared
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


def kind_of(module: str) -> str:
    """The kind that a module of the plugins belongs to; of a method its folder, which is a kind of its own."""
    parts = module.split(".")
    return ".".join(parts[1:3] if parts[1:2] == ["methods"] else parts[1:2])


def may_use(user: str, used: str) -> bool:
    """Whether plugins of one kind may import those of another; `methods` alone and "" are packages without code."""
    return used in {user, SHARED, "methods", ""} or used in MAY_USE.get(user.split(".")[0], ())


def wrong_arrows(package: str, path: Path, module: str) -> list[str]:
    """Imports of a file that the house does not allow."""
    wrong = []
    for named in modules_named_in(path):
        root = named.split(".")[0]
        if root in ROOTS and root not in MAY_IMPORT[package] and (module, named) != FRONT_DOOR:
            wrong.append(f"{path} -> {named}")
        if package == root == "pretask_plugins" and not may_use(kind_of(module), kind_of(named)):
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
        ("pretask", "pretask.training", "from pretask_registry import Registry"),
        ("pretask", "pretask.training", "x = 'pretask_bench.verbs'"),
        ("pretask", "pretask.front_door", "x = 'pretask_bench.runs.run'"),
        ("pretask", "pretask.training", "def f():\n    import pretask_plugins.models.image"),
        ("pretask_registry", "pretask_registry.fit", "import pretask_bench.records.record"),
        ("pretask_registry", "pretask_registry.fit", "x = 'pretask_plugins.models.image.timm:Timm'"),
        ("pretask_plugins", "pretask_plugins.methods.vae.split", "from pretask_registry import build"),
        ("pretask_plugins", "pretask_plugins.shared.heads", "from pretask_plugins.models.mlp import Mlp"),
        ("pretask_plugins", "pretask_plugins.methods.vae", "from pretask_plugins.methods import exemplar"),
        ("pretask_plugins", "pretask_plugins.methods.vae", "x = 'pretask_plugins.methods.exemplar.split:Cut'"),
        ("pretask_plugins", "pretask_plugins.methods.vae", "import pretask_plugins.data.image.folder"),
        ("pretask_plugins", "pretask_plugins.objectives.vae.elbo", "import pretask_plugins.evaluators.density.density"),
        ("pretask_plugins", "pretask_plugins.evaluators.probes", "from pretask_plugins.data.image import digits"),
        ("pretask_plugins", "pretask_plugins.evaluators.density", "from pretask_plugins.objectives.vae import elbo"),
        ("pretask_plugins", "pretask_plugins.models.image", "from pretask_plugins import splits"),
        (
            "pretask_plugins",
            "pretask_plugins.splits.mask_generators",
            "from pretask_plugins.methods.vae.split import Whole",
        ),
        ("pretask_plugins", "pretask_plugins.splits", "x = 'pretask_bench.runs.suites:quick.toml'"),
        ("pretask_plugins", "pretask_plugins.splits", "x = 'pretask_registry.canned:observed'"),
        ("pretask_bench", "pretask_bench.runs.run", "from pretask_plugins.models.image import timm"),
        ("pretask_bench", "pretask_bench.runs.run", "def f():\n    import_module('pretask_plugins.models.image.timm')"),
        ("pretask_registry", "pretask_registry.fit", "if TYPE_CHECKING:\n    from pretask_bench.runs.run import run"),
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
        ("pretask_plugins", "pretask_plugins.methods.vae", "from pretask_plugins.models.image.timm import Timm"),
        (
            "pretask_plugins",
            "pretask_plugins.objectives.vae.elbo",
            "from pretask_plugins.shared.heads import perceptron",
        ),
        (
            "pretask_plugins",
            "pretask_plugins.models.image.timm",
            "from pretask_plugins.models.image.convnet import as_tokens",
        ),
        ("pretask_bench", "pretask_bench.runs.run", "from pretask_registry import Registry\nfrom pretask import Task"),
        ("pretask_registry", "pretask_registry.fit", "x = 'pretask.plugins.v1'\nfrom pretask.composition import check"),
        ("pretask", "pretask.training", "x = 'the plugins are in pretask_plugins.models.image'"),
    ],
)
def test_arrows_that_are_right_are_left_alone(package: str, module: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text(line)
    assert wrong_arrows(package, path, module) == []


def strays(declared: list[Component], plugin: str) -> list[str]:
    """Implementations that lie outside of the plugin that declares them."""
    named = [component.implementation for component in declared if component.kind != "task"]
    return [
        implementation for implementation in named if not f"{implementation.split(':')[0]}.".startswith(f"{plugin}.")
    ]


@pytest.mark.parametrize("plugin", ENTRIES["pretask.plugins.v1"].values())
def test_what_a_plugin_declares_is_its_own(plugin: str) -> None:
    module = import_module(plugin)
    declared = list(module.pretask_components()) if hasattr(module, "pretask_components") else []
    assert strays(declared, plugin) == []


@pytest.mark.parametrize(
    "place", ["pretask_plugins.models.image.timm", "pretask_plugins.splits_of_mine.laws", "torch.nn"]
)
def test_an_implementation_elsewhere_is_found(place: str) -> None:
    own, stray = (
        Component("split", "cut", f"{module}:Cut") for module in ("pretask_plugins.splits.mask_generators", place)
    )
    assert strays([own, stray], "pretask_plugins.splits") == [f"{place}:Cut"]
