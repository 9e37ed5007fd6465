"""A shelf: a folder that holds installed distributions as pip leaves them, metadata and modules, and nothing else."""

import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from pretask_registry import Registry

CURRENT = "pretask.plugins.v1"
HEAD = "from pretask import hookimpl, split, model, objective, evaluator, data, task, suite, Component\n"


class Shelf:
    """Where distributions lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(
        self,
        distribution: str,
        entries: Mapping[str, str],
        sources: Mapping[str, str],
        *,
        version: str = "1.0",
        group: str = CURRENT,
        folder: Path | None = None,
    ) -> None:
        """Install a distribution: its entry points by name, and its modules by name."""
        folder = folder or self.folder
        info = folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = [f"[{group}]", *(f"{name} = {module}" for name, module in entries.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for module, source in sources.items():
            (folder / f"{module}.py").write_text(HEAD + textwrap.dedent(source))

    def offer(self, namespace: str, declarations: str, *, version: str = "1.0", module: str = "") -> None:
        """Install pretask-NAMESPACE with one entry point that yields these declarations."""
        module = module or f"plugin_{namespace}"
        self.add(f"pretask-{namespace}", {namespace: module}, {module: components(declarations)}, version=version)

    def load(self) -> Registry:
        """What is found on the shelf."""
        return Registry.load([str(self.folder)])


def components(declarations: str) -> str:
    """The source of a hook that yields declarations, one a line."""
    lines = textwrap.dedent(declarations).strip().splitlines()
    return "@hookimpl\ndef pretask_components():\n" + "\n".join(f"    yield {line}" for line in lines)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delenv("PRETASK_BLOCK", raising=False)
    before = set(sys.modules)
    yield Shelf(folder)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
