"""Promises of commands that read thousands of records: Python collects garbage afterwards as it did before."""

import gc

import pytest
from pretask_bench.cli.collection import SELDOM, collected_seldom


def test_collection_is_seldom_inside_and_as_it_was_afterwards_also_where_the_command_fails() -> None:
    before = gc.get_threshold()

    @collected_seldom()
    def fail() -> None:
        assert gc.get_threshold() == SELDOM
        raise ValueError("no such record")

    with pytest.raises(ValueError, match="no such record"):
        fail()
    assert gc.get_threshold() == before
