"""The kit as a pytest test: one parameter for each component, so that a failure is named."""

from collections.abc import Callable, Collection
from typing import Any

from pretask_registry.conformance.cases import Case, PluginCase
from pretask_registry.conformance.kit import find, run_cases
from pretask_registry.conformance.outcomes import Outcome, format_blocked, format_count, format_outcome, has_succeeded
from pretask_registry.registry import Registry


def conformance(
    name: str, *, require_all: bool = False, seed: int = 0, without: Collection[str] = ()
) -> Callable[..., None]:
    """Make a test of all that a namespace or plugin offers: `test_conformance = conformance("acme")`.

    Args:
        name: Of the namespace, entry point or component.
        require_all: Whether a skipped check fails.
        seed: Of whatever is drawn.
        without: Names of checks that are left out, such as one of large networks, which another job may run.

    Raises:
        PretaskError: Nothing is called so, or it does not load.
    """
    import pytest

    from pretask_registry.conformance.kinds import iterate_cases  # needs torch

    registry = Registry.load()
    plugins, components = find(registry, name)
    groups: dict[str, list[PluginCase | Case]] = {
        f"plugin {plugin.name}": [PluginCase(registry, plugin, seed)]
        for plugin in registry.plugins
        if plugin.name in plugins
    }
    groups |= {
        f"{registered.kind} {registered.id}": list(iterate_cases(registry, registered, seed))
        for registered in components
    }

    @pytest.mark.parametrize("part", list(groups))
    def test_conformance(part: str, capsys: Any) -> None:
        outcomes = list(run_cases(registry, groups[part], set(), without))
        with capsys.disabled():
            print(f"\n{part}: {format_count(outcomes)}", end="")
        if not has_succeeded(outcomes, require_all):
            pytest.fail(
                "\n".join([*map(format_outcome, filter(is_reported, outcomes)), *format_blocked(outcomes)]),
                pytrace=False,
            )

    function: Callable[..., None] = test_conformance
    return function


def is_reported(outcome: Outcome) -> bool:
    """Return whether an outcome is shown by itself where something failed."""
    return outcome.state in ("failed", "skipped") and not outcome.is_blocked
