"""Promote: make a package of one file that was tried with `pretask run --plugin`.

The file becomes a module of the package, without its declarations; these move into a light module that is written anew.
"""

import ast
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path

from pretask import Component, PretaskError

from pretask_registry.discovery import LOCAL, Plugin
from pretask_registry.plugin_file import COMPONENTS, module_name
from pretask_registry.scaffold.declarations import format_declaration
from pretask_registry.scaffold.package import Names, Written, check_names, collect_words, render, render_common, write

HOOK = "pretask_components"


def promote(
    file: Path, plugin: Plugin, name: str = "", folder: Path | None = None, taken: Collection[str] = ()
) -> Written:
    """Write an installable package that offers what a file offered, under a namespace of its own.

    Args:
        file: What was given by --plugin.
        plugin: What it declares, as it was loaded.
        name: Of the package and namespace; that of the file if left out.
        folder: Where it goes, and must not be yet; `pretask-NAME` here if left out.
        taken: Namespaces that are in use.

    Raises:
        Unknown: The name is none, or taken.
        PretaskError: The folder exists, or the file needs others beside it.
    """
    names = check_names(name or file.stem.lower().replace("_", "-"), taken)
    source = file.read_text(encoding="utf-8")
    check_alone(file, source)
    module = module_name(file)
    moved = [rehome(component, module, names, plugin.components) for component in plugin.components]
    first = next((component for component in moved if component.kind == "task"), moved[0])
    run = f"pretask run {format_trial(first)}"
    words = {
        **collect_words(names, first.summary, run),
        "source": first.source,
        "declarations": "\n".join(map(format_declaration, moved)),
    }
    contents = {
        **render_common(words),
        f"src/{names.package}/__init__.py": render("declare/promoted.py", words),
        f"src/{names.package}/{module}.py": remove_declarations(source),
    }
    return Written(write(folder or Path(names.distribution), contents), names, run)


def format_trial(component: Component) -> str:
    """Return the arguments of `pretask run` that try a component, as far as a file tells them."""
    if component.kind != "task":
        return f"--{component.kind} {component.name}"
    preset = next(iter(component.traits["presets"]), None)
    return component.name if preset is None else f"{component.name} --preset {preset}"


def check_alone(file: Path, source: str) -> None:
    """Raise PretaskError where a file imports another that lies beside it, or has hooks that would be lost."""
    tree = ast.parse(source)
    beside = sorted({name for name in iterate_imports(tree) if (file.parent / f"{name}.py").exists()})
    if beside:
        got = " and ".join(f"{name}.py" for name in beside)
        raise PretaskError(
            f"a package of {file.name}", "the file alone", f"imports of {got}", "Join them into one file."
        )
    hooks = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("pretask_")]
    if set(hooks) - {HOOK}:
        got = ", ".join(hooks)
        raise PretaskError(
            f"a package of {file.name}", f"no hook but {HOOK}", got, "Take it out, and add it afterwards."
        )


def iterate_imports(tree: ast.AST) -> Iterator[str]:
    """Yield the top-level names of all modules that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def rehome(component: Component, module: str, names: Names, siblings: Collection[Component]) -> Component:
    """Return a component with its implementation in the package, and a task with its parts in the new namespace."""
    if component.implementation.partition(":")[0] == module:
        return replace(component, implementation=f"{names.package}.{component.implementation}")
    if component.kind != "task":
        return component
    own = {(sibling.kind, sibling.name) for sibling in siblings}
    parts = {
        part: f"{names.name}/{strip_version(value)}"
        if (part, strip_version(value)) in own and "/" not in value.removeprefix(f"{LOCAL}/")
        else value
        for part, value in component.traits["parts"].items()
    }
    return replace(component, traits={**component.traits, "parts": parts})


def strip_version(reference: str) -> str:
    """Return a name without its namespace and version, as far as they are of a file."""
    return reference.removeprefix(f"{LOCAL}/").partition("@")[0]


def remove_declarations(source: str) -> str:
    """Return a file without its hook and its list of components."""
    lines = source.splitlines(keepends=True)
    for node in reversed(ast.parse(source).body):
        if is_declaration(node):
            decorators = getattr(node, "decorator_list", [])
            first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
            del lines[first - 1 : node.end_lineno]
    return "".join(lines).rstrip() + "\n"


def is_declaration(node: ast.stmt) -> bool:
    """Return whether a statement defines the hook or the list of components."""
    if isinstance(node, ast.FunctionDef):
        return node.name == HOOK
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return any(isinstance(target, ast.Name) and target.id == COMPONENTS for target in targets)
