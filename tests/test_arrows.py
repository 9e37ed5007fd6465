"""The arrows of the house: plugins -> core <- registry <- benchmarks, and no plugin imports another one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

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
DECLARED = re.compile(r"^(pretask\w*)((?:\.\w+)+):\w+$")


def modules_named_in(path: Path) -> Iterator[str]:
    """Every module of ours that a file imports, anywhere in it, or names as an implementation."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and (found := DECLARED.match(node.value)):
            yield found[1] + found[2]


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
        ("pretask_bench", "pretask_bench.run", "from pretask_plugins.models import timm"),
    ],
)
def test_every_wrong_arrow_is_found(package: str, module: str, line: str, tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text(line)
    assert wrong_arrows(package, path, module)


def test_arrows_that_are_right_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text("from pretask import Draws\nfrom pretask_plugins.methods.vae.split import Whole\n")
    assert not wrong_arrows("pretask_plugins", path, "pretask_plugins.methods.vae.objective")
