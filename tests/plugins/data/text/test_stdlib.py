"""Promises of the standard library's documentation as data."""

import ast
import inspect
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pretask_plugins.data.text import stdlib
from pretask_plugins.data.text.stdlib import GROUP, GROUPS, Stdlib, read_documents

FEW = ("textwrap", "datetime", "shutil", "threading", "smtplib", "argparse", "logging", "inspect", "typing", "optparse")


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of its own, and a library of few modules."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRETASK_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(stdlib, "GROUP", {module: group for module, group in GROUP.items() if module in FEW})
        yield


SMALL = Stdlib(length=16, vocab_size=300)


def test_texts_are_what_python_itself_calls_documentation() -> None:
    texts = {document.text: document.group for part in ("train", "test") for document in read_documents(part)}
    assert texts[inspect.cleandoc(shutil.copytree.__doc__ or "")] == "files"
    assert texts[inspect.cleandoc(threading.Barrier.__doc__ or "")] == "concurrency"
    assert len(texts) > 500


def test_no_text_is_in_both_parts_and_a_tenth_is_for_testing() -> None:
    train, test = ({document.text for document in read_documents(part)} for part in ("train", "test"))
    assert not train & test
    assert 0.06 < len(test) / (len(train) + len(test)) < 0.14


def test_every_group_has_rows_to_train_and_to_test_on() -> None:
    for part in ("train", "test"):
        labels = SMALL(part).labels["class"]
        assert labels.names == tuple(GROUPS)
        assert int(labels.value.bincount(minlength=len(GROUPS)).min()) > 0


def test_a_packed_row_holds_texts_of_its_group_only() -> None:
    rows = SMALL("test")
    group = read_documents("test")
    for number, name in enumerate(GROUPS):
        stream = SMALL.decode(rows.data[rows.labels["class"].value == number].flatten())
        assert "".join(document.text for document in group if document.group == name).startswith(stream)


def test_a_separate_row_holds_one_text() -> None:
    data = Stdlib(length=200, vocab_size=300, packed=False)
    rows = data("test")
    assert len(rows) == len(read_documents("test"))
    ordered = sorted(read_documents("test"), key=lambda document: tuple(GROUPS).index(document.group))
    short = [(number, document) for number, document in enumerate(ordered) if len(document.text) < 190]
    assert len(short) > 20
    assert all(data.decode(rows.data[number]) == document.text for number, document in short)


def test_groups_share_no_module_and_every_module_was_known_once() -> None:
    named = [module for modules in GROUPS.values() for module in modules.split()]
    assert len(named) == len(set(named)) == len(GROUP)


def test_short_strings_and_code_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text('"""Too short."""\nx = "this is no documentation at all"\ndef f():\n    """Say what it does."""\n')
    assert list(stdlib.read_docstrings(path)) == ["Say what it does."]
    assert ast.get_docstring(ast.parse(path.read_text())) == "Too short."


@pytest.mark.slow
def test_the_whole_library_has_enough_of_every_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdlib, "GROUP", {m: group for group, modules in GROUPS.items() for m in modules.split()})
    texts = list(stdlib.find_documents())
    assert len(texts) > 3000
    assert min(sum(document.group == group for document in texts) for group in GROUPS) > 100
