"""Registry: what is installed, found by name, and called through its hooks."""

import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from pluggy import PluginManager
from pretask import Component, PretaskError, Unknown
from pretask.stopping import is_users

from pretask_registry.discovery import Plugin, call_hook, describe_error, discover, report_duplicates
from pretask_registry.names import Reference, check_kind, find_nearest, parse
from pretask_registry.plugin_file import load_file

PLUGIN_PROBLEM = 3  # exit code
MAX_LISTED_NAMES = 12  # names that an error still lists
UNLOADED = ("broken", "blocked")


@dataclass(frozen=True)
class Registered:
    """A component with the namespace that it belongs to and the plugin that offers it.

    >>> Registered(Component("split", "jigsaw", version=2), "acme", Plugin("acme", "acme", "pretask-acme", "1.0")).id
    'acme/jigsaw@2'
    """

    component: Component
    namespace: str
    plugin: Plugin

    @property
    def kind(self) -> str:
        """The kind of the component."""
        return self.component.kind

    @property
    def name(self) -> str:
        """Of the component, without its namespace."""
        return self.component.name

    @cached_property
    def id(self) -> str:
        """The full id, as records hold it."""
        return f"{self.unversioned_id}@{self.component.version}"

    @cached_property
    def unversioned_id(self) -> str:
        """The id without its version."""
        return f"{self.namespace}/{self.name}"

    def matches_reference(self, reference: Reference) -> bool:
        """Return whether what somebody typed may mean this component."""
        return reference.matches(self.namespace, self.name, self.component.version)


@dataclass(frozen=True)
class Registry:
    """Everything that the installed plugins offer.

    Args:
        plugins: Every entry point, whether it works or not.
        manager: Knows the hooks of those that work.
        dropped: Plugins and hooks that raised, and are not called again.
        memory: What checks of the kit found out about all of it, for the checks after them.
    """

    plugins: tuple[Plugin, ...]
    manager: PluginManager
    dropped: set[tuple[str, str]] = field(default_factory=set)
    memory: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def load(cls, path: list[str] | None = None, files: Iterable[Path] = ()) -> "Registry":
        """Find and load all plugins; those that do not work are kept as rows with their problems.

        Args:
            path: Folders with the metadata of distributions; sys.path where it is None.
            files: Python files that are plugins for this process, under the namespace `local`.
        """
        plugins, manager = discover(path)
        local = report_duplicates([load_file(file, manager) for file in files])
        return cls((*plugins, *local), manager)

    def components(self, kind: str | None = None) -> list[Registered]:
        """List what resolves, of one kind or of all, by kind and id.

        Raises:
            Unknown: There is no such kind.
        """
        unique = [registered for registered, count in self.list_declared(kind) if count == 1]
        return sorted(
            unique, key=lambda registered: (registered.kind, registered.unversioned_id, registered.component.version)
        )

    def current(self, kind: str) -> list[Registered]:
        """List the highest version of every component of a kind, by id."""
        return list({registered.unversioned_id: registered for registered in self.components(kind)}.values())

    def list_declared(self, kind: str | None = None) -> list[tuple[Registered, int]]:
        """List everything that plugins declare, and how often its id is taken within its kind."""
        if kind is not None:
            check_kind(kind)
        return [(registered, count) for registered, count in self._declared if kind in (None, registered.kind)]

    @cached_property
    def _declared(self) -> list[tuple[Registered, int]]:
        """Everything that plugins declare, which stays as it was when they were loaded."""
        every = [
            Registered(component, plugin.namespace, plugin)
            for plugin in self.plugins
            for component in plugin.components
        ]
        count = Counter((registered.kind, registered.id) for registered in every)
        return [(registered, count[registered.kind, registered.id]) for registered in every]

    def find(self, kind: str, name: str) -> Registered:
        """Find the component of that kind: by name where it is unique, by `namespace/name`, or by `namespace/name@2`.

        Without a version, the highest.

        Raises:
            Unknown: Nothing is called so, or things in several namespaces are.
            PretaskError: It belongs to a plugin that does not work (exit code 3).
        """
        reference = parse(name)
        matching = [registered for registered in self.components(kind) if registered.matches_reference(reference)]
        if not matching:
            raise self.not_found_error(kind, reference)
        if len({registered.namespace for registered in matching}) > 1:
            ids = ", ".join(registered.id for registered in matching)
            raise Unknown(f"{kind.capitalize()} {name!r} may be any of {ids}. Write one of them in full.")
        return matching[-1]

    def shortest_name(self, registered: Registered) -> str:
        """Return the shortest name by which `find` finds the highest version of this component."""
        spaces = {other.namespace for other in self.components(registered.kind) if other.name == registered.name}
        return registered.name if len(spaces) == 1 else registered.unversioned_id

    def call(self, hook: str, **arguments: Any) -> list[tuple[Plugin, Any]]:
        """Call a hook on every plugin, and return the answers; report one that raises on stderr, and go on."""
        return [
            (plugin, answer)
            for plugin in self.plugins
            if plugin.state not in UNLOADED and (plugin.name, hook) not in self.dropped
            for answer in self.call_plugin(plugin, hook, arguments)
        ]

    def call_plugin(self, plugin: Plugin, hook: str, arguments: Mapping[str, Any]) -> list[Any]:
        """Return what one plugin answers: one answer or none."""
        try:
            return call_hook(self.manager, plugin.name, hook, **arguments)
        except BaseException as error:
            if is_users(error):
                raise
            self.dropped.add((plugin.name, hook))
            print(
                f"{plugin.name} ({plugin.release}) failed in {hook}, left out: {describe_error(error)}", file=sys.stderr
            )
            return []

    def not_found_error(self, kind: str, reference: Reference) -> PretaskError:
        """Make the error for a name that does not resolve."""
        duplicates = [
            registered
            for registered, count in self.list_declared(kind)
            if count > 1 and registered.matches_reference(reference)
        ]
        if duplicates:
            return self.not_unique_error(duplicates)
        similar = self.find_similar(kind, reference)
        broken = [
            plugin for plugin in self.plugins if plugin.namespace == reference.namespace and plugin.state in UNLOADED
        ]
        if broken and similar is None:
            return self.not_loaded_error(kind, reference, broken[0])
        return Unknown(f"No {kind} {reference.text!r}. {self.suggest(kind, reference, similar)}{self.mention_broken()}")

    def not_unique_error(self, duplicates: list[Registered]) -> PretaskError:
        """Make the error for a component that is declared more than once in its namespace."""
        owners = " and ".join(f"{registered.plugin.name} ({registered.plugin.release})" for registered in duplicates)
        return PretaskError(
            f"{duplicates[0].kind} {duplicates[0].id}",
            "one declaration",
            f"{len(duplicates)}, by {owners}",
            f"Details: pretask plugins {duplicates[0].namespace}",
            exit_code=PLUGIN_PROBLEM,
        )

    def not_loaded_error(self, kind: str, reference: Reference, plugin: Plugin) -> PretaskError:
        """Make the error for a name in a namespace whose plugin is installed but not loaded."""
        others = [other for other in self.plugins if other is not plugin]
        working = [other for other in others if other.state not in UNLOADED]
        working_text = (
            f"The other {len(working)}" if len(working) == len(others) else f"{len(working)} of the other {len(others)}"
        )
        return PretaskError(
            f"{kind} {reference.text!r}",
            f"the namespace {plugin.namespace!r}, which is installed but {plugin.state} ({plugin.release})",
            plugin.problems[0].cause,
            f"{working_text} plugins work. Details: pretask plugins {plugin.namespace}",
            exit_code=PLUGIN_PROBLEM,
        )

    def find_similar(self, kind: str, reference: Reference) -> Registered | None:
        """Find the component whose name is most like a wrong one: in its namespace where it has one, else anywhere."""
        candidates = [
            registered for registered in self.current(kind) if reference.namespace in (None, registered.namespace)
        ]
        near = find_nearest(reference.name, (registered.name for registered in candidates))
        return next((registered for registered in candidates if registered.name == near), None)

    def suggest(self, kind: str, reference: Reference, similar: Registered | None) -> str:
        """Return what a wrong name may have meant, as one sentence."""
        elsewhere = [registered for registered in self.components() if registered.matches_reference(reference)]
        if elsewhere:
            return f"{elsewhere[0].id} is a component of the kind {elsewhere[0].kind}."
        if similar is None and reference.namespace is not None:
            similar = self.find_similar(kind, Reference(reference.text, None, reference.name, None))
        if similar is not None:
            return f"Did you mean {self.format_like(reference, similar)!r} ({similar.plugin.release})?"
        names = [self.shortest_name(registered) for registered in self.current(kind)]
        return f"There are: {', '.join(names)}." if 0 < len(names) <= MAX_LISTED_NAMES else f"See: pretask list {kind}."

    def format_like(self, reference: Reference, registered: Registered) -> str:
        """Format a component as somebody would write it who wrote such a reference."""
        if reference.version is not None:
            return registered.id
        return registered.unversioned_id if reference.namespace is not None else self.shortest_name(registered)

    def mention_broken(self) -> str:
        """Return a further sentence, where the name may be that of a plugin that does not work."""
        broken = [plugin.name for plugin in self.plugins if plugin.state == "broken"]
        return f" Not loaded, since broken: {', '.join(broken)}; see pretask plugins." if broken else ""
