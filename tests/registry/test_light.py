"""Finding, listing and fitting plugins imports nothing heavy."""

import json
import os
import subprocess
import sys
from importlib import import_module
from typing import Any

import pretask_registry

HEAVY = ("torch", "numpy", "pydantic", "rich", "timm", "sklearn")
SCRIPT = f"""
import json, sys
from pretask_registry import Registry, build_matrix
registry = Registry.load()
found = [component.id for component in registry.components("split")]
rows = list(build_matrix(registry))
print(json.dumps([found, len(rows), [name for name in {HEAVY} if name in sys.modules]]))
"""


def test_loading_plugins_and_filtering_their_matrix_imports_no_torch(shelf: Any) -> None:
    declared = 'split("one", "acme_heavy:A", modality="image", targets=["values"])'
    parts = 'model("two", "acme_heavy:B", modality="image")\nobjective("three", "acme_heavy:C", targets="values")'
    shelf.offer("acme", f"{declared}\n{parts}")
    (shelf.folder / "acme_heavy.py").write_text("import torch")
    environment = {**os.environ, "PYTHONPATH": str(shelf.folder)}
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert not ran.returncode, ran.stderr
    found, rows, heavy = json.loads(ran.stdout)
    assert "acme/one@1" in found
    assert rows >= 1
    assert heavy == []


def test_every_name_that_waits_is_exported_and_lives_where_it_is_said_to() -> None:
    assert set(pretask_registry.HOME) == set(pretask_registry.__all__)
    for name, home in pretask_registry.HOME.items():
        assert getattr(pretask_registry, name) is getattr(import_module(f"pretask_registry.{home}"), name)
