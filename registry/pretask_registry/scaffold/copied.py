"""Copied: a package that begins as a copy of something built in, and works as that does before anything is changed.

What the component needs of its own folder is copied, with imports rewritten; `pretask_plugins.shared` and what belongs
to other components stay where they are, and other components are named by id. A task brings all of its method's folder.
"""

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pretask import Component, PretaskError, Unknown

from pretask_registry.citations import FILE, read_entries
from pretask_registry.discovery import OURS
from pretask_registry.registry import Registered, Registry
from pretask_registry.scaffold.declarations import format_declaration
from pretask_registry.scaffold.kinds import ORDER
from pretask_registry.scaffold.package import Names, Written, check_names, collect_words, render, render_common, write
from pretask_registry.scaffold.trial import format_trial

SHARED = "shared"  # the folder of the built-in plugins that third parties may import as well
SEEDS = ("branch", "uniform", "normal", "integers", "bernoulli", "permutation", "choice", "bits")  # methods of Draws
KINDS_OF_DATA = ("InputSpec", "Observed", "get_path")  # calls whose first word is a modality, and no component
PART_SETTINGS = ("data", "split", "objective", "model")  # of a preset: names of components


@dataclass(frozen=True)
class Copy:
    """What is copied, and what it is called there.

    Args:
        origin: What was asked for.
        components: The declarations, with names and places in the new package.
        modules: By their names in pretask_plugins, the modules of the new package.
        renamed: New names of components by kind and old name.
    """

    origin: Registered
    components: tuple[Component, ...]
    modules: Mapping[str, str]
    renamed: Mapping[tuple[str, str], str]


def copy_built_in(
    registry: Registry,
    origin: str,
    name: str,
    kind: str | None = None,
    folder: Path | None = None,
    taken: Collection[str] = (),
) -> Written:
    """Write an installable package that begins as a copy of a built-in component, or of a method with its task.

    Args:
        registry: What is installed.
        origin: Name or id of what is copied.
        name: Of the new component and its namespace; other components of a method are called NAME-OLD.
        kind: Where several kinds have the name; else a task comes before its split.
        folder: Where it goes, and must not be yet; `pretask-NAME` here if left out.
        taken: Namespaces that are in use.

    Raises:
        Unknown: Nothing built in is called so, or the name is none or taken.
        PretaskError: The folder exists, or cannot be written.
    """
    names = check_names(name, taken)
    copy = plan_copy(registry, find_origin(registry, origin, kind), names)
    main = next(component for component in copy.components if component.name == names.name)
    run = f"pretask {format_trial(registry, copy.origin, names.name)}"
    words = {
        **collect_words(names, main.summary, run),
        "source": main.source or "pretask's own",
        "lead": read_lead(copy.origin),
        "origin": f"{copy.origin.id} ({copy.origin.plugin.release}, Apache-2.0)",
        "declarations": "\n".join(map(format_declaration, copy.components)),
    }
    readme = {**words, "lead": f"Begun as a copy of {words['origin']}."}
    contents = {
        **render_common(readme),
        f"src/{names.package}/__init__.py": render("declare/copied.py", words),
        **{f"src/{names.package}/{new.rpartition('.')[2]}.py": text for new, text in rewrite_modules(copy)},
        **{f"src/{names.package}/{file}": text for file, text in [*read_suites(copy, names), *read_references(copy)]},
    }
    return Written(write(folder or Path(names.distribution), contents), names, run)


def find_origin(registry: Registry, name: str, kind: str | None) -> Registered:
    """Find what is to be copied: of several kinds that have the name, a task first.

    Raises:
        Unknown: Nothing is called so, or it is not built in.
    """
    errors = []
    for candidate in (kind,) if kind else ORDER:
        try:
            found = registry.find(candidate, name)
        except PretaskError as error:
            errors.append(error)
            continue
        if found.namespace != OURS:
            raise Unknown(f"--from copies what is built in; {found.id} is of {found.plugin.release}. Copy its source.")
        return found
    raise next((error for error in errors if "mean" in str(error)), errors[0])


def plan_copy(registry: Registry, origin: Registered, names: Names) -> Copy:
    """Settle which components and modules are copied, and what they are called in the new package."""
    siblings = origin.plugin.components if origin.kind == "task" else (origin.component,)
    renamed = {
        (component.kind, component.name): names.name
        if component.name == origin.name
        else f"{names.name}-{component.name}"
        for component in siblings
    }
    modules = name_modules(registry, origin, siblings, names)
    copied = tuple(rehome(component, names, modules, renamed) for component in siblings)
    return Copy(origin, copied, modules, renamed)


def name_modules(registry: Registry, origin: Registered, siblings: Iterable[Component], names: Names) -> dict[str, str]:
    """Return what every module that is copied will be called; two of one name keep their folder's before it."""
    waiting = [place_of(component) for component in siblings if component.kind not in ("task", "suite")]
    found: list[str] = []
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.append(module)
            waiting += [other for other in list_imports(module) if belongs(registry, origin, other)]
    leaves = [module.rpartition(".")[2] for module in found]
    return {
        module: f"{names.package}.{leaf if leaves.count(leaf) == 1 else '_'.join(module.split('.')[-2:])}"
        for module, leaf in zip(found, leaves, strict=True)
    }


def place_of(component: Component) -> str:
    """Return the module that implements a component."""
    return component.implementation.partition(":")[0]


def belongs(registry: Registry, origin: Registered, module: str) -> bool:
    """Return whether a module is copied with a component: what is shared, or another plugin's, is imported instead."""
    if module.split(".")[1:2] == [SHARED]:
        return False
    owners = [plugin for plugin in registry.plugins if module.startswith(f"{plugin.module}.")]
    owner = max(owners, key=lambda plugin: len(plugin.module), default=None)
    return owner is None or owner.module == origin.plugin.module


def list_imports(module: str) -> Iterator[str]:
    """List the modules of the same distribution that a module imports, wherever it does."""
    top = module.partition(".")[0]
    for node in ast.walk(ast.parse(read_source(module))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{top}."):
            package = str(node.module)
            inside = [f"{package}.{alias.name}" for alias in node.names]
            yield from (name if is_module(package, name) else package for name in inside)


def is_module(package: str, name: str) -> bool:
    """Return whether a name in a package is a module, and not something that a module defines."""
    spec = find_spec(package)
    return spec is not None and spec.submodule_search_locations is not None and find_spec(name) is not None


def read_source(module: str) -> str:
    """Read the source of a module, without importing it."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise PretaskError("pretask new --from", f"the source of {module}", "none", "Reinstall pretask.")
    return Path(spec.origin).read_text(encoding="utf-8")


def rehome(
    component: Component, names: Names, modules: Mapping[str, str], renamed: Mapping[tuple[str, str], str]
) -> Component:
    """Return a declaration with names and places of the new package, and other components by id."""
    module, _, attribute = component.implementation.partition(":")
    new = replace(component, name=renamed[component.kind, component.name], version=1)
    if component.kind == "suite":
        return replace(new, implementation=f"{names.package}:{attribute}")
    if component.kind != "task":
        return replace(new, implementation=f"{modules[module]}:{attribute}")

    def refer(kind: str, name: str) -> str:
        return f"{names.name}/{renamed[kind, name]}" if (kind, name) in renamed else f"{OURS}/{name}"

    traits: dict[str, Any] = dict(component.traits)
    traits["parts"] = {kind: refer(kind, name) for kind, name in traits["parts"].items()}
    traits["presets"] = {
        preset: {key: refer(key, value) if key in PART_SETTINGS else value for key, value in settings.items()}
        for preset, settings in traits["presets"].items()
    }
    return replace(new, traits=traits)


def read_lead(origin: Registered) -> str:
    """Return how the new light module's docstring begins: as that of a method, else with summary and source."""
    if origin.kind == "task":
        return ast.get_docstring(ast.parse(read_source(origin.plugin.module))) or origin.component.summary
    return f"{origin.component.summary}\n\nSource: {origin.component.source or 'our own'}"


def rewrite_modules(copy: Copy) -> Iterator[tuple[str, str]]:
    """Yield the new name and source of every module: imports of each other, and the names that errors say."""
    packages = {module.rpartition(".")[0]: new.rpartition(".")[0] for module, new in copy.modules.items()}
    places = {**packages, **copy.modules}  # `from package import module` names the package
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, places))})\b(?!\.)")
    called = {old: new for (_, old), new in copy.renamed.items()}
    for module, new in copy.modules.items():
        source = rename_in_calls(read_source(module), called)
        yield new, pattern.sub(lambda found: places[found[1]], source)


def rename_in_calls(source: str, called: Mapping[str, str]) -> str:
    """Return a source in which errors and caches say the new names; seeds of Draws and modalities stay.

    >>> rename_in_calls('check("cut", a); draws.integers("cut", 0, 4); x["cut"]', {"cut": "mine"})
    'check("mine", a); draws.integers("cut", 0, 4); x["cut"]'
    """
    lines = source.splitlines(keepends=True)
    found = [node for node in list_named(ast.parse(source)) if node.value in called]
    for node in sorted(found, key=lambda node: (node.lineno, node.col_offset), reverse=True):
        line = lines[node.lineno - 1].encode()
        text = line[node.col_offset : node.end_col_offset].decode().replace(str(node.value), called[str(node.value)])
        lines[node.lineno - 1] = (line[: node.col_offset] + text.encode() + line[node.end_col_offset :]).decode()
    return "".join(lines)


def list_named(tree: ast.AST) -> Iterator[ast.Constant]:
    """List the words of a source that may say a component's name: who complains, and whose cache it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and name_call(node) not in (*SEEDS, *KINDS_OF_DATA):
            words = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "who")]
        elif isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["who"]:
            words = [node.value]
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            words = [value for key, value in pairs if isinstance(key, ast.Constant) and key.value == "data"]
        else:
            continue
        yield from (word for word in words if isinstance(word, ast.Constant) and isinstance(word.value, str))


def name_call(node: ast.Call) -> str:
    """Return the name of the function or method that is called."""
    return ast.unparse(node.func).rpartition(".")[2]


def read_suites(copy: Copy, names: Names) -> Iterator[tuple[str, str]]:
    """Yield the files of copied suites."""
    if copy.origin.kind == "suite":
        module, _, file = copy.origin.component.implementation.partition(":")
        yield file, files(module).joinpath(file).read_text(encoding="utf-8")


def read_references(copy: Copy) -> Iterator[tuple[str, str]]:
    """Yield the file of BibTeX entries that the copied components cite, where they cite any."""
    known = read_entries(copy.origin.plugin.module.partition(".")[0])
    keys = [key for component in copy.components for key in component.cites]
    if keys:
        yield FILE, "\n\n".join(known[key] for key in dict.fromkeys(keys)) + "\n"
