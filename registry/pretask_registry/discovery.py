"""Discovery: which plugins are installed, and what is wrong with those that do not work.

Our own loop, because pluggy's lets one ImportError abort every plugin. Here each failure becomes a row with its cause
and its fix, and the others load. What follows from metadata alone (another API, a block list, a namespace claimed
twice) is known before anything is imported.
"""

import inspect
import os
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.metadata import Distribution, EntryPoint, distributions
from itertools import islice
from types import ModuleType
from typing import Any, Literal

from pluggy import HookimplOpts, PluginManager
from pretask import Component
from pretask.printable import escape_invisible
from pretask.stopping import is_users

from pretask_registry import hookspecs
from pretask_registry.hookspecs import HOOKS
from pretask_registry.names import WORDS, hint
from pretask_registry.quiet import keep_surroundings, redirect_stdout_to_stderr
from pretask_registry.validate import find_declaration_fault

GROUPS = "pretask.plugins"
GROUP = f"{GROUPS}.v1"  # the major version of the API is part of the name
BLOCK = "PRETASK_BLOCK"
OURS = "pretask"  # the namespace and the distribution of what is built in
LOCAL = "local"  # the namespace of files that are plugins for one process only; see files.py
SLOW = 3.0  # seconds that a light module may take
MAX_ANSWERS = 10_000  # that a plugin may give to a hook: a generator may have no end
MAX_MESSAGE_CHARACTERS = 400
MODULE = re.compile(r"[^\W\d]\w*([.][^\W\d]\w*)*")


@dataclass(frozen=True)
class Problem:
    """Why a plugin, or a part of it, does not work, and what to do.

    Args:
        cause: What was found.
        fix: One sentence.
        error: What was raised, if anything was; for a traceback.
    """

    cause: str
    fix: str
    error: BaseException | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("cause", "fix"):  # which may hold texts of strangers
            object.__setattr__(self, name, escape_invisible(getattr(self, name)))


@dataclass(frozen=True)
class Plugin:
    """One entry point, with what it declares and what is wrong with it.

    Args:
        name: Of the entry point: the namespace, or the namespace, a dot and anything.
        module: What it names.
        distribution: Which installed distribution it belongs to.
        version: Of the distribution.
        group: The entry-point group, which holds the API's major version.
        state: `ok`; `partly`, where something in it does not work; `broken` or `blocked`, where nothing is loaded.
        components: What it declares, sound or not unique.
        problems: What is wrong; none where the state is ok.
        content: Hash of what it holds, where it is a single file and so has no version.
    """

    name: str
    module: str
    distribution: str
    version: str
    group: str = GROUP
    state: Literal["ok", "partly", "broken", "blocked"] = "ok"
    components: tuple[Component, ...] = ()
    problems: tuple[Problem, ...] = ()
    content: str = ""

    @property
    def namespace(self) -> str:
        """What comes before the slash in the ids of its components."""
        return self.name.partition(".")[0]

    @property
    def release(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}"

    @property
    def is_file(self) -> bool:
        """Whether it is a file that was given by --plugin, and not installed."""
        return not self.group

    @property
    def declared(self) -> list[str]:
        """Kind and full id of its components."""
        return [
            f"{component.kind} {self.namespace}/{component.name}@{component.version}" for component in self.components
        ]

    def refuse(self, cause: str, fix: str, error: BaseException | None = None) -> "Plugin":
        """Return the same plugin, broken."""
        return replace(self, state="broken", components=(), problems=(Problem(cause, fix, error),))

    def add_problems(self, problems: Iterable[Problem]) -> "Plugin":
        """Return the same plugin with further problems."""
        together = (*self.problems, *problems)
        return replace(self, state="partly" if together and self.state == "ok" else self.state, problems=together)


def discover(path: list[str] | None = None) -> tuple[tuple[Plugin, ...], PluginManager]:
    """Find all plugins, load them as far as they can be, and return the manager through which their hooks are called.

    Args:
        path: Folders with the metadata of distributions; sys.path where it is None.
    """
    manager = ModuleManager("pretask")
    manager.add_hookspecs(hookspecs)
    sifted = refuse_unloadable(iterate_installed(path), read_blocked_names())
    loaded = [load(plugin, manager) if plugin.state == "ok" else plugin for plugin in sifted]
    return tuple(report_duplicates(loaded)), manager


def iterate_installed(path: list[str] | None) -> Iterator[Plugin]:
    """Yield the entry points of every distribution that offers plugins, none counted twice, by name."""
    where: dict[str, Any] = {} if path is None else {"path": path}
    offering = {
        normalize_name(distribution.metadata["Name"]): distribution
        for distribution in distributions(**where)
        if has_plugins(distribution)
    }
    for name in sorted(offering):
        # The first on the path hides the others, as it does when modules are imported.
        yield from list_plugins(next(iter(distributions(name=name, **where)), offering[name]))


def normalize_name(name: str) -> str:
    """Return a distribution's name as installers compare it: Pretask_Acme is pretask-acme."""
    return re.sub(r"[-_.]+", "-", name).lower()


def has_plugins(distribution: Distribution) -> bool:
    """Return whether a distribution has plugins, whatever their API; leftovers without metadata have none."""
    try:
        text = distribution.read_text("entry_points.txt") or ""
        return GROUPS in text and "Name" in distribution.metadata
    except (UnicodeDecodeError, TypeError):  # no text; no METADATA beside it
        return False


def list_plugins(distribution: Distribution) -> list[Plugin]:
    """Return the entry points of one distribution, by name; of another API only those that this one lacks."""
    name, version = distribution.metadata["Name"], distribution.metadata["Version"] or "without a version"
    try:
        entry_points = [
            entry_point for entry_point in distribution.entry_points if entry_point.group.startswith(GROUPS)
        ]
    except Exception as error:
        broken = Plugin(name, "", name, version)
        return [broken.refuse(f"entry_points.txt cannot be read: {describe_error(error)}", f"Reinstall {name}.", error)]
    current = {entry_point.name for entry_point in entry_points if entry_point.group == GROUP}
    wanted = [
        entry_point for entry_point in entry_points if entry_point.group == GROUP or entry_point.name not in current
    ]
    return sorted((describe_entry_point(point, name, version) for point in wanted), key=lambda plugin: plugin.name)


def describe_entry_point(point: EntryPoint, distribution: str, version: str) -> Plugin:
    """Return the plugin of an entry point, before anything of it is looked at but its names."""
    texts = (point.name, point.value, distribution, version, point.group)
    name, module, distribution, version, group = map(escape_invisible, texts)
    return Plugin(name, module, distribution, version, group)


def read_blocked_names() -> frozenset[str]:
    """List the namespaces and entry points that the environment blocks."""
    return frozenset(name.strip() for name in os.environ.get(BLOCK, "").split(",") if name.strip())


def refuse_unloadable(plugins: Iterable[Plugin], blocked: frozenset[str]) -> list[Plugin]:
    """Return the plugins, with those refused that must not be imported."""
    sifted = [refuse_foreign(block(plugin, blocked)) for plugin in plugins]
    owners: dict[str, set[str]] = defaultdict(set)
    for plugin in sifted:
        if plugin.state == "ok":
            owners[plugin.namespace].add(plugin.distribution)
    return [refuse_shared(plugin, owners[plugin.namespace]) for plugin in sifted]


def block(plugin: Plugin, blocked: frozenset[str]) -> Plugin:
    """Block the plugin where its entry point or namespace is listed."""
    for name in sorted({plugin.name, plugin.namespace} & blocked):
        problem = Problem(f"{name!r} is listed in {BLOCK}", f"Take it out of {BLOCK} to use it.")
        return replace(plugin, state="blocked", problems=(problem,))
    return plugin


def refuse_foreign(plugin: Plugin) -> Plugin:
    """Refuse the plugin where its API or its namespace is none of ours."""
    if plugin.state != "ok":
        return plugin
    if plugin.group != GROUP:
        cause = f"it is written for {plugin.group}, this pretask has {GROUP}"
        return plugin.refuse(cause, f"Install a version of {plugin.distribution} and of pretask that go together.")
    if not WORDS.fullmatch(plugin.namespace):
        cause = f"its namespace {plugin.namespace!r} is not lower-case words with hyphens"
        return plugin.refuse(cause, f"Rename the entry point of {plugin.distribution}.")
    if not MODULE.fullmatch(plugin.module):
        cause = f"its entry point is {plugin.module!r}, which is no module"
        module = re.split(r"[^\w.]", plugin.module)[0]
        fix = f"Let it name the module alone: {plugin.name} = {module!r}." if module else "Let it name a module."
        return plugin.refuse(cause, fix)
    if plugin.namespace == LOCAL:
        cause = f"the namespace {LOCAL!r} is kept for files that are given by --plugin"
        return plugin.refuse(cause, f"Rename the entry point of {plugin.distribution}.")
    if plugin.namespace == OURS and normalize_name(plugin.distribution) != OURS:
        cause = f"the namespace {OURS!r} belongs to what is built in"
        return plugin.refuse(cause, f"Rename the entry point of {plugin.distribution}.")
    return plugin


def refuse_shared(plugin: Plugin, owners: set[str]) -> Plugin:
    """Refuse the plugin where other distributions claim its namespace too."""
    if plugin.state != "ok" or len(owners) == 1:
        return plugin
    cause = f"the namespace {plugin.namespace!r} is claimed by {' and '.join(sorted(owners))}"
    return plugin.refuse(cause, "Uninstall all but one of them.")


class ModuleManager(PluginManager):
    """pluggy's manager of plugins that are modules, of which it would ask constants and classes for marks as well."""

    def parse_hookimpl_opts(self, plugin: Any, name: str) -> HookimplOpts | None:
        """Return how a function is marked as a hook; only functions can be."""
        if isinstance(plugin, ModuleType) and not inspect.isroutine(vars(plugin).get(name)):
            return None
        return super().parse_hookimpl_opts(plugin, name)


def load(plugin: Plugin, manager: PluginManager) -> Plugin:
    """Import a plugin and take its declarations; whatever it raises becomes its problem."""
    began = time.monotonic()
    try:
        with keep_surroundings() as changed:
            module = import_quietly(plugin.module)
        known = next(
            (name for name, other in manager.list_name_plugin() if module is other or name == plugin.name), None
        )
        if known is not None:
            cause = f"{plugin.module} or the name {plugin.name!r} is taken by the entry point {known!r}"
            return plugin.refuse(cause, f"Take one of the two out of {plugin.distribution}.")
        manager.register(module, plugin.name)
        declared = declare(manager, plugin)
    except BaseException as error:  # SystemExit too: a plugin that gives up must not end the program
        if is_users(error):
            skip = f"{BLOCK}={plugin.name} goes without it"
            print(f"stopped while {plugin.name} ({plugin.release}) was imported; {skip}", file=sys.stderr)
            raise
        return plugin.refuse(describe_error(error), suggest_fix(plugin, error), error)
    problems = [
        *report_slowness(plugin, time.monotonic() - began),
        *report_changes(plugin, changed),
        *find_hook_problems(module, manager),
    ]
    return check_declarations(plugin, declared, problems)


def declare(manager: PluginManager, plugin: Plugin) -> list[Any]:
    """Return what a plugin declares; raises what its hook raises."""
    with keep_surroundings():
        return [
            component
            for answer in call_hook(manager, plugin.name, "pretask_components")
            for component in take_all(answer, "pretask_components")
        ]


def take_all(answer: Iterable[Any], hook: str) -> tuple[Any, ...]:
    """Return all that a hook gives; raises ValueError where it has no end."""
    taken = tuple(islice(answer, MAX_ANSWERS + 1))
    if len(taken) > MAX_ANSWERS:
        raise ValueError(f"{hook} gave more than {MAX_ANSWERS} things; its generator may have no end")
    return taken


def report_changes(plugin: Plugin, changed: list[str]) -> Iterator[Problem]:
    """Yield a problem where a module changed the process around it; most of it has been put back."""
    if changed:
        fix = f"Let {plugin.module} change nothing where it is imported; it was put back as far as it can be."
        yield Problem(f"its import changed {' and '.join(changed)}", fix)


def report_slowness(plugin: Plugin, seconds: float) -> Iterator[Problem]:
    """Yield a problem where a module took so long that it cannot be light."""
    if seconds > SLOW:
        fix = f"Let {plugin.module} import nothing heavy: what implements a component is imported on first use."
        yield Problem(f"it took {seconds:.1f} seconds to import, and every command waits for it.", fix)


def check_declarations(plugin: Plugin, declared: list[Any], problems: list[Problem]) -> Plugin:
    """Return the loaded plugin, with the sound ones of its declarations and with problems for the others."""
    faults = {index: text for index, thing in enumerate(declared) if (text := find_declaration_fault(thing))}
    sound = tuple(thing for index, thing in enumerate(declared) if index not in faults)
    fix = f"Correct pretask_components in {plugin.module}: use pretask.split, pretask.model and so on."
    problems += [Problem(text, fix) for text in faults.values()]
    return replace(plugin, components=sound).add_problems(problems)


def find_hook_problems(module: ModuleType, manager: PluginManager) -> Iterator[Problem]:
    """Yield hooks that would never be called: misspelled, or not marked; and a module without any."""
    marked = {name: marks for name in vars(module) if (marks := manager.parse_hookimpl_opts(module, name)) is not None}
    for name, value in vars(module).items():
        hook = (marked[name]["specname"] if name in marked else None) or name
        if name not in marked and not (name.startswith("pretask_") and callable(value)):
            continue
        if hook not in HOOKS:
            otherwise = f"The hooks are {', '.join(HOOKS)}."
            yield Problem(f"{name} in {module.__name__} is no hook", hint(hook, HOOKS, otherwise))
        elif name not in marked:
            yield Problem(f"{name} in {module.__name__} is never called", "Mark it with @pretask.hookimpl.")
    if not marked and not any(name.startswith("pretask_") for name in vars(module)):
        yield Problem(f"{module.__name__} has no hook", f"Give it one of {', '.join(HOOKS)}.")


def report_duplicates(plugins: list[Plugin]) -> list[Plugin]:
    """Add a problem to the plugins wherever a component is declared twice in a namespace."""
    owners: dict[str, list[str]] = defaultdict(list)
    for plugin in plugins:
        for declared in plugin.declared:
            owners[declared].append(plugin.name)
    return [plugin.add_problems(find_duplicates(plugin, owners)) for plugin in plugins]


def find_duplicates(plugin: Plugin, owners: Mapping[str, list[str]]) -> Iterator[Problem]:
    """Yield a problem for every component of the plugin that is declared elsewhere too, or twice here."""
    for declared in dict.fromkeys(plugin.declared):
        if len(owners[declared]) > 1:
            cause = f"{declared} is declared {len(owners[declared])} times, by {' and '.join(owners[declared])}"
            yield Problem(cause, "Rename one, or give it another version.")


def call_hook(manager: PluginManager, name: str, hook: str, **arguments: Any) -> list[Any]:
    """Return what one plugin answers to a hook, generators drained: one answer, or none where it has no such hook."""
    others = [other for plugin_name, other in manager.list_name_plugin() if plugin_name != name]
    with redirect_stdout_to_stderr():
        answers = manager.subset_hook_caller(hook, others)(**arguments)
        return [take_all(answer, hook) if isinstance(answer, Iterator) else answer for answer in answers]


def import_quietly(module: str) -> ModuleType:
    """Import a module; what it prints goes to stderr, since stdout is for data."""
    with redirect_stdout_to_stderr():
        return import_module(module)


def describe_error(error: BaseException) -> str:
    """Format the type and message of an error, on one line; a message that cannot be read is left out."""
    try:
        message = " ".join(str(error).split())
    except BaseException as other:
        if is_users(other):
            raise
        message = "its message cannot be read"
    shown = escape_invisible(message)
    shown = f"{shown[:MAX_MESSAGE_CHARACTERS]}…" if len(shown) > MAX_MESSAGE_CHARACTERS else shown
    return f"{type(error).__name__}: {shown}" if shown else type(error).__name__


def suggest_fix(plugin: Plugin, error: BaseException) -> str:
    """Return what to do about a plugin that cannot be loaded."""
    skip = f"or set {BLOCK}={plugin.name} to go without"
    if isinstance(error, ModuleNotFoundError) and error.name and not plugin.module.startswith(error.name):
        return f"Install what provides the module {error.name!r}, {skip}."
    return f"Reinstall or mend {plugin.distribution}, {skip}."
