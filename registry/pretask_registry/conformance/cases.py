"""Cases: what a check is given, one for each way in which a component is tried.

A case is a component with its declared `small` options, on tiny data of one modality, with a seed. What is built, is
built when a check first asks for it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pretask import Component

from pretask_registry.conformance.check import PLUGIN
from pretask_registry.discovery import Plugin
from pretask_registry.registry import Registered, Registry
from pretask_registry.resolve import build, import_implementation


@dataclass(frozen=True)
class PluginCase:
    """One entry point.

    Args:
        registry: Where it was found.
        plugin: What it is.
        seed: Of whatever is drawn.
    """

    registry: Registry
    plugin: Plugin
    seed: int = 0

    kind = PLUGIN
    where = ""

    @property
    def id(self) -> str:
        """The name of the entry point."""
        return self.plugin.name

    @property
    def component(self) -> Component:
        """None: a stand-in without traits, so that checks can be chosen alike."""
        return Component(PLUGIN, self.plugin.name)


@dataclass(frozen=True)
class Case:
    """One component on data of one modality.

    Args:
        registry: Where it was found, and where other parts to try it with are.
        registered: The component.
        where: The modality, or for objectives the kind of target; empty where there is none.
        seed: Of whatever is drawn.
    """

    registry: Registry
    registered: Registered
    where: str = ""
    seed: int = 0

    @cached_property
    def memory(self) -> dict[str, Any]:
        """What checks of this case found out, for the checks after them."""
        return {}

    @property
    def kind(self) -> str:
        """The component's own."""
        return self.registered.kind

    @property
    def id(self) -> str:
        """The component's own."""
        return self.registered.id

    @property
    def component(self) -> Component:
        """The declaration."""
        return self.registered.component

    @cached_property
    def implementation(self) -> Any:
        """The class or function that the declaration names, imported."""
        return import_implementation(self.registered)

    @cached_property
    def built(self) -> Any:
        """The component with its small options; of a model or objective, what makes one out of specs."""
        return build(self.registered, self.component.small)
