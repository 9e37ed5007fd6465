"""A plugin file as `--plugin` takes it, in a folder that is the working directory and has a cache of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def plugin_file(folder: Path, name: str, source: str) -> Iterator[Path]:
    """Write NAME.py inside a folder; afterwards forget the module that it was imported as."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PRETASK_CACHE", str(folder / "cache"))
        patch.setattr(sys, "path", [*sys.path])
        path = folder / f"{name}.py"
        path.write_text(source)
        yield path
        sys.modules.pop(name, None)
