"""Logical lines of what a stranger writes: statements, without imports, docstrings, and what `pretask new` gives.

python tests/logical_lines.py tests/third_party/pretask-byol
"""

import ast
import sys
from pathlib import Path

# What every template has: declarations are data, and these methods of the protocols are filled in, not invented.
GIVEN = {"pretask_components", "spec", "whole_spec", "whole", "features", "rewritten_targets"}
HEADERS = {"__init__", "forward", "predict", "__call__", "after_step"}  # whose bodies are the stranger's own
GIVEN_LINES = {"super().__init__()"}


def count_logical_lines(project: Path) -> int:
    """Count the statements of a distribution that are its own."""
    return sum(count_own(ast.parse(path.read_text()).body) for path in sorted((project / "src").rglob("*.py")))


def count_own(body: list[ast.stmt]) -> int:
    """Count statements and those inside them; a compound statement is one line and its body."""
    return sum(count_statement(node) for node in body if not is_given(node))


def count_statement(node: ast.stmt) -> int:
    """Count a statement: 1 and what is in its bodies, or these alone where the template has its first line."""
    bodies = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
    own = not (isinstance(node, ast.ClassDef) or (isinstance(node, ast.FunctionDef) and node.name in HEADERS))
    return own + sum(count_own(inner) for inner in bodies)


def is_given(node: ast.stmt) -> bool:
    """Return whether a statement is an import, a docstring, or a function of the scaffold."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return True
    return (isinstance(node, ast.FunctionDef) and node.name in GIVEN) or ast.unparse(node) in GIVEN_LINES


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(count_logical_lines(Path(name)), name)
