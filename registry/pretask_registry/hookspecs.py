"""The six hooks of pretask: all that a plugin can do, on one screen.

A plugin implements any of them in the light module that its entry point names, marked with `pretask.hookimpl`. It may
leave out parameters that it does not need.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pluggy import HookspecMarker
from pretask import Component

if TYPE_CHECKING:
    from click import Group
    from pretask.events import Event

hookspec = HookspecMarker("pretask")


@hookspec
def pretask_components() -> Iterable[Component]:  # type: ignore[empty-body]
    """Declare data, splits, models, objectives, evaluators, tasks and suites."""


@hookspec
def pretask_commands(cli: "Group") -> None:
    """Add commands to `pretask`."""


@hookspec
def pretask_run_event(run: str, event: "Event") -> None:
    """Be told that something happened in a run, whose name is `run`; pretask.events lists what can happen."""


@hookspec
def pretask_trackers() -> Mapping[str, str]:  # type: ignore[empty-body]
    """Offer trackers for --track: by name, "module:attribute" of a function from a folder to an events.Tracker."""


@hookspec
def pretask_record(record: Mapping[str, Any]) -> None:
    """Be told of a finished record, after it was written."""


@hookspec
def pretask_checks(kind: str) -> Iterable[Callable[..., None]]:  # type: ignore[empty-body]
    """Add checks to the conformance kit, for components of the given kind."""


HOOKS = tuple(name for name in globals() if name.startswith("pretask_"))
