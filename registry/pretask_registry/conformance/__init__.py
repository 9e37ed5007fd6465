"""The conformance kit: what every component promises, as checks without pytest.

    from pretask_registry.conformance import conformance
    test_conformance = conformance("acme")

A plugin's own checks come from its hook pretask_checks(kind): functions of a case, which raise Failure, Skip or
Inapplicable. What a plugin knows to fail it says in its light module: EXPECTED_FAILURES = {"split cut": {"compiles":
"the reason"}}.
"""

from pretask_registry.conformance.check import Check, Failure, Inapplicable, Skip, check, require
from pretask_registry.conformance.kit import run, update_golden
from pretask_registry.conformance.outcomes import (
    Outcome,
    as_json,
    as_junit,
    format_blocked,
    format_count,
    format_outcome,
    has_succeeded,
)
from pretask_registry.conformance.pytest_function import conformance

__all__ = [
    "Check",
    "Failure",
    "Inapplicable",
    "Outcome",
    "Skip",
    "as_json",
    "as_junit",
    "check",
    "conformance",
    "format_blocked",
    "format_count",
    "format_outcome",
    "has_succeeded",
    "require",
    "run",
    "update_golden",
]
