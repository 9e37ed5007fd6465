"""Texts of strangers are shown and never obeyed, whatever they are."""

import doctest
import os

import pretask.printable
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pretask.printable import escape_invisible
from pretask_bench.records import store

Names = st.binary(min_size=1, max_size=60).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))


@given(st.text() | st.binary().map(os.fsdecode))
def test_what_is_shown_is_printable_and_printable_texts_are_shown_as_they_are(text: str) -> None:
    shown = escape_invisible(text)
    assert shown.isprintable()
    shown.encode()
    assert (shown == text) == text.isprintable()


@settings(max_examples=60, deadline=None)
@given(name=Names)
def test_a_file_of_any_name_among_records_is_refused_with_one_printable_line(
    name: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("named")
    (folder / os.fsdecode(name + b".json")).write_text("{}")
    records, refused = store.read_all([folder / os.fsdecode(name + b".json")])
    assert records == []
    ((_, reason),) = refused
    assert reason.isprintable()


def test_the_examples_are_true() -> None:
    assert doctest.testmod(pretask.printable).failed == 0
