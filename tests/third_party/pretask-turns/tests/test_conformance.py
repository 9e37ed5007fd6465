"""Every component of pretask-turns keeps what its kind promises."""

from pretask_registry.testing import conformance

test_conformance = conformance("turns")
