"""Promises of commands that read thousands of records: Python collects garbage afterwards as it did before."""

import gc
import weakref

import pytest
from pretask_bench.cli.collection import uncollected


class Cycle:
    """An object that only a collection of garbage frees."""

    def __init__(self) -> None:
        self.own = self


def test_garbage_is_collected_only_afterwards_also_where_the_command_fails() -> None:
    found: list[weakref.ref[Cycle]] = []

    @uncollected()
    def fail() -> None:
        assert not gc.isenabled()
        found.append(weakref.ref(Cycle()))
        raise ValueError("no such record")

    with pytest.raises(ValueError, match="no such record"):
        fail()
    assert gc.isenabled()
    assert gc.get_count()[0] < 700  # nothing is due at once
    assert found[0]() is not None
    gc.collect()
    assert found[0]() is None
