"""Every component of pretask-turns keeps what its kind promises."""

from pretask_registry.conformance import conformance

test_conformance = conformance("turns")
