"""Code: which source text a result comes from, as a hash of every module that its parts use.

A version says what somebody promises; an editable install, or a file, may have changed under it. So a stored record or
checkpoint is used only where the hashes agree. Hashes are of the syntax tree without comments and docstrings: a changed
sentence changes nothing. Followed are the imports of a part's own distribution and of core, those inside functions too.
Imports that are computed at run time cannot be seen; declarations are left out, since the cell holds what they say.
"""

import ast
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from hashlib import sha256
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from pretask_registry import Registered

CORE = "pretask"
TRAINING = ("pretask.training", "pretask.composition")  # of core, what trains
SCORING = ("pretask.pretext_score", "pretask.extraction")  # of core, what measures
HASH_DIGITS = 32  # of a hash
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

STATEMENTS = (ast.stmt, ast.excepthandler, ast.match_case)
Code = Mapping[str, str]  # hashes by the full name of a module


def hash_code(parts: Iterable[Registered], core: Iterable[str] = TRAINING) -> dict[str, str]:
    """Return the hash of every module that parts use in their own distributions and in core.

    Args:
        parts: Components that are implemented somewhere.
        core: Modules of core that are used whatever the parts are.
    """
    found = set().union(*(modules_used(name, frozenset({CORE})) for name in core))
    for part in parts:
        module = part.component.implementation.partition(":")[0]
        found |= modules_used(module, own_packages(module, part.plugin.distribution))
    return {name: hash_file(path) for name in sorted(found) if (path := find_source(name)) is not None}


def changed_modules(before: Code, now: Code) -> list[str]:
    """Return the modules that were changed, added or taken out, by name."""
    if before == now:
        return []
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))


def list_changes(modules: list[str]) -> str:
    """Return names of modules in one line, at most six.

    >>> list_changes(["a", "b"])
    'a, b changed'
    """
    more = f" and {len(modules) - 6} more" if len(modules) > 6 else ""
    return f"{', '.join(modules[:6])}{more} changed"


def code_key(code: Code) -> str:
    """Return one hash of all."""
    return sha256("\n".join(f"{name} {code[name]}" for name in sorted(code)).encode()).hexdigest()


def own_packages(module: str, distributed_as: str) -> frozenset[str]:
    """Return the top-level names of modules whose changes count: those of core and of the module's distribution."""
    top = module.partition(".")[0]
    try:
        files = distribution(distributed_as).files or []
    except (PackageNotFoundError, ValueError):
        files = []
    installed = {file.parts[0].removesuffix(".py") for file in files if file.suffix == ".py"}
    return frozenset({CORE, top} | (installed if top in installed else set()) | importable_beside(top))


def importable_beside(top: str) -> set[str]:
    """Return the names of what can be imported from the folder that a module lies in, unless it is site-packages."""
    path = find_source(top)
    if path is None:
        return set()
    folder = path.parent.parent if path.name == "__init__.py" else path.parent
    if folder in {Path(sysconfig.get_path(scheme)).resolve() for scheme in ("purelib", "platlib", "stdlib")}:
        return set()
    return {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}


def modules_used(module: str, packages: frozenset[str]) -> frozenset[str]:
    """Return a module and all of these packages that it imports, and that these import in turn."""
    found, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name not in found and find_source(name) is not None:
            found.add(name)
            waiting += find_imports(name, packages)
    return frozenset(found)


@cache
def find_imports(module: str, packages: frozenset[str]) -> tuple[str, ...]:
    """Return the modules of these packages that one imports, by name; none that it needs for annotations alone."""
    path = find_source(module)
    if path is None:
        return ()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    named = read_imports(read_source(path), package)
    own = [(module, name) for module, name in named if module.partition(".")[0] in packages]
    return tuple(dict.fromkeys(defining_module(module, name) if name else module for module, name in own))


@cache
def read_imports(source: bytes, package: str) -> tuple[tuple[str, str], ...]:
    """Return what a source in a package imports: pairs of a module and a name in it; see `imported_names`."""
    return tuple(pair for node in import_statements(ast.parse(source)) for pair in imported_names(node, package))


def import_statements(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield every import inside a tree but those under `if TYPE_CHECKING`; expressions, which have none, are passed."""
    for statement in nested_statements(tree):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            yield statement
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from (found for other in statement.orelse for found in import_statements(ast.Module([other], [])))
        else:
            yield from import_statements(statement)


def nested_statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the statements, handlers of exceptions and cases that a node has directly below it."""
    for _, value in ast.iter_fields(node):
        if isinstance(value, list) and value and isinstance(value[0], STATEMENTS):
            yield from value


def imported_names(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, str]]:
    """Yield what an import names: pairs of a module and a name in it, empty where the module itself is meant."""
    if isinstance(node, ast.Import):
        yield from ((alias.name, "") for alias in node.names)
        return
    above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
    module = ".".join([*above, *([node.module] if node.module else [])])
    yield from ((module, alias.name) for alias in node.names)


def defining_module(module: str, name: str) -> str:
    """Return the module that a name which is imported from another one really comes from.

    >>> defining_module("pretask", "Draws")
    'pretask.draws'
    """
    if find_source(f"{module}.{name}") is not None:
        return f"{module}.{name}"
    if find_source(module) is None or Path(str(find_source(module))).name != "__init__.py":
        return module
    found = getattr(import_module(module), name, None)
    home = getattr(found, "__module__", None)
    return home if isinstance(home, str) and home.partition(".")[0] == module.partition(".")[0] else module


def find_source(module: str) -> Path | None:
    """Return the file of a module's source; None where there is none, as of what is built in or compiled."""
    known = sys.modules.get(module)
    file = getattr(known, "__file__", None) if known is not None else find_origin(module)
    return Path(file).resolve() if file and file.endswith(".py") else None


@cache
def find_origin(module: str) -> str | None:
    """Return where a module that is not imported yet would come from."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec is not None else None


def hash_file(path: Path) -> str:
    """Return the hash of a file's syntax, without its comments, docstrings and layout."""
    return hash_source(read_source(path))


@cache
def read_source(path: Path) -> bytes:
    """Return a file as it is when this process first asks, which is the code that it runs."""
    return path.read_bytes()


@cache
def hash_source(source: bytes) -> str:
    """Return the hash of the meaning of a source: tens of milliseconds for a long one, so each is read once."""
    return sha256(syntax_text(ast.parse(source)).encode()).hexdigest()[:HASH_DIGITS]


def syntax_text(node: object) -> str:
    """Return a text of a syntax tree, the same under every version of Python: what is empty is left out.

    >>> commented, as_plain = "def f(x):\\n    'Why.'\\n    return x  # so", "def f(x): return (x)"
    >>> syntax_text(ast.parse(commented)) == syntax_text(ast.parse(as_plain))
    True
    """
    if isinstance(node, list):
        return f"[{','.join(map(syntax_text, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
        fields["body"] = node.body[1:]
    parts = [
        f"{name}={syntax_text(value)}"
        for name, value in fields.items()
        if value not in (None, [], "") or name == "value"
    ]
    return f"{type(node).__name__}({','.join(parts)})"
