"""The registry: finds plugins, names what they offer, builds it, and says what fits what. Imports no torch."""

from pretask_registry.discovery import Plugin, Problem
from pretask_registry.fit import Row, build_matrix, exact_fit, explain_misfit, find_closest, static_fit
from pretask_registry.options import Option, fill_options, read_options
from pretask_registry.registry import Registered, Registry
from pretask_registry.resolve import build, import_implementation, read_component_options, resolve_options
from pretask_registry.trial import explain_trial

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
