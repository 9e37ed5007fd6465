"""The registry: finds plugins, names what they offer, builds it, and says what fits what. Imports no torch.

A name is imported when it is first used: to list what is installed takes none of what builds it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pretask_registry.discovery import Plugin, Problem
    from pretask_registry.fit import Row, build_matrix, exact_fit, explain_misfit, find_closest, static_fit
    from pretask_registry.options import Option, fill_options, read_options
    from pretask_registry.registry import Registered, Registry
    from pretask_registry.resolve import build, import_implementation, read_component_options, resolve_options
    from pretask_registry.trial import explain_trial

HOME = {
    name: module
    for module, names in {
        "discovery": ("Plugin", "Problem"),
        "fit": ("Row", "build_matrix", "exact_fit", "explain_misfit", "find_closest", "static_fit"),
        "options": ("Option", "fill_options", "read_options"),
        "registry": ("Registered", "Registry"),
        "resolve": ("build", "import_implementation", "read_component_options", "resolve_options"),
        "trial": ("explain_trial",),
    }.items()
    for name in names
}

__all__ = [
    "Option",
    "Plugin",
    "Problem",
    "Registered",
    "Registry",
    "Row",
    "build",
    "build_matrix",
    "exact_fit",
    "explain_misfit",
    "explain_trial",
    "fill_options",
    "find_closest",
    "import_implementation",
    "read_component_options",
    "read_options",
    "resolve_options",
    "static_fit",
]


def __getattr__(name: str) -> Any:
    if name in HOME:
        return getattr(import_module(f"pretask_registry.{HOME[name]}"), name)
    raise AttributeError(f"module 'pretask_registry' has no attribute {name!r}")
