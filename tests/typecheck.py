"""Checks annotations while tests run: types, and the shapes of arrays with the names of their axes.

Whatever is imported from the project's packages afterwards has its functions, methods and dataclasses decorated with
`checked`. jaxtyping's own hook does the same, but binds and checks all arguments twice, also of functions that name no
shape: it takes nearly half of the time of all tests. Functions within functions are not decorated, since they are made
anew with every call.
"""

import ast
import dataclasses
import inspect
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType
from typing import Any

from beartype import BeartypeConf, beartype
from beartype.door import die_if_unbearable
from jaxtyping import config, jaxtyped

PACKAGES = ("pretask", "pretask_plugins", "pretask_bench")
RULES = BeartypeConf(
    is_pep484_tower=True, violation_type=TypeError, violation_door_type=TypeError
)  # int passes as float (PEP 484)
NAME = "_checked_in_tests"  # of `checked` in every module
Function = ast.FunctionDef | ast.AsyncFunctionDef


def checked(decorated: Any) -> Any:
    """Return a function, or a class with its __init__, that checks its annotations when called."""
    if inspect.isclass(decorated):
        if dataclasses.is_dataclass(decorated) and "__init__" in vars(decorated):
            decorated.__init__ = checked(decorated.__init__)  # type: ignore[misc]
        return decorated
    if not inspect.isfunction(decorated):
        return decorated
    resolve_strings(decorated)
    if not names_shapes(decorated):
        return beartype(conf=RULES)(decorated)
    if any("{" in repr(annotation) for annotation in decorated.__annotations__.values()):  # a length is computed
        return jaxtyped(decorated, typechecker=beartype(conf=RULES))
    return check_generator(decorated) if inspect.isgeneratorfunction(decorated) else check_in_context(decorated)


def resolve_strings(function: Callable[..., Any]) -> None:
    """Replace the annotations that are strings by what they mean; by Any where only type checkers know it."""
    for name, annotation in function.__annotations__.items():
        if isinstance(annotation, str):
            try:
                function.__annotations__[name] = eval(annotation, function.__globals__)
            except NameError:
                function.__annotations__[name] = Any


def names_shapes(function: Callable[..., Any]) -> bool:
    """Return whether an annotation is one of jaxtyping's, itself or within another."""
    return any("jaxtyping" in repr(annotation) for annotation in function.__annotations__.values())


def check_in_context(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let an axis of one name have one length in all arguments of a call and in what it returns."""
    typed = beartype(conf=RULES)(function)

    @wraps(function)
    def in_context(*positional: Any, **named: Any) -> Any:
        if config.jaxtyping_disable:
            return function(*positional, **named)
        with jaxtyped("context"):
            return typed(*positional, **named)

    return in_context


def check_generator(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check the arguments at the call: a generator runs in between the calls of others, whose axes are not its own."""
    signature = inspect.signature(function)
    hints = {name: hint for name, hint in function.__annotations__.items() if name != "return"}

    @wraps(function)
    def checked_first(*positional: Any, **named: Any) -> Any:
        if config.jaxtyping_disable:
            return function(*positional, **named)
        given = signature.bind(*positional, **named).arguments
        with jaxtyped("context"):
            for name, argument in given.items():
                die_if_unbearable(argument, hints.get(name, Any), conf=RULES)
        return function(*positional, **named)

    return checked_first


class Decorate(ast.NodeTransformer):
    """Adds the decorator to every function of a module or class, nearest to it, and to every class, outermost."""

    def visit_Module(self, node: ast.Module) -> ast.Module:
        self.generic_visit(node)
        imports = ast.parse(f"from typecheck import checked as {NAME}").body
        node.body[count_preamble(node.body) : 0] = imports
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        self.generic_visit(node)
        node.decorator_list.insert(0, ast.copy_location(ast.Name(NAME, ast.Load()), node))
        return node

    def visit_FunctionDef(self, node: Function) -> Function:
        node.decorator_list.append(ast.copy_location(ast.Name(NAME, ast.Load()), node))
        return node

    visit_AsyncFunctionDef = visit_FunctionDef


def count_preamble(body: Sequence[ast.stmt]) -> int:
    """Return how many statements must stay first: the docstring and imports from the future."""
    count = 0
    for statement in body:
        docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if not docstring and not future:
            break
        count += 1
    return count


class Loader(SourceFileLoader):
    """Compiles a module with its decorators, every time."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile."""
        tree = Decorate().visit(ast.parse(self.get_data(self.path), self.path))
        return compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)


class Finder(MetaPathFinder):
    """Finds the modules of the project's packages before Python does."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Return where a module is and how it is loaded; None leaves it to Python."""
        if name.partition(".")[0] not in PACKAGES:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and isinstance(spec.loader, SourceFileLoader):
            spec.loader = Loader(spec.loader.name, spec.loader.path)
        return spec


def install() -> None:
    """Check whatever is imported of the project from now on."""
    loaded = [name for name in sys.modules if name.partition(".")[0] in PACKAGES]
    assert not loaded, f"imported before their annotations could be checked: {loaded}"
    sys.meta_path.insert(0, Finder())
