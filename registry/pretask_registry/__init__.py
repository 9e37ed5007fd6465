"""The registry: finds plugins, names what they offer, builds it, and says what fits what. Imports no torch."""

from pretask_registry.discovery import Plugin, Problem
from pretask_registry.fit import Row, closest, exact_fit, matrix, static_fit, why
from pretask_registry.options import Option, read_options, settle
from pretask_registry.registry import Registered, Registry
from pretask_registry.resolve import build, implementation, options_of, resolved_options

__all__ = [
    "Option",
    "Plugin",
    "Problem",
    "Registered",
    "Registry",
    "Row",
    "build",
    "closest",
    "exact_fit",
    "implementation",
    "matrix",
    "options_of",
    "read_options",
    "resolved_options",
    "settle",
    "static_fit",
    "why",
]
