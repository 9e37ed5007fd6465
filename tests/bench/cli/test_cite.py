"""What is to be cited: every entry once, with who uses it; what has none is named."""

from dataclasses import replace
from pathlib import Path

import pytest
from pretask.declare import KINDS
from pretask_bench.cli.main import invoke
from pretask_bench.records.record import build_record
from pretask_bench.records.store import write
from pretask_registry import Registry
from pretask_registry.citations import collect_citations, read_entries
from pretask_registry.registry import Registered

REGISTRY = Registry.load()
BUILT_IN = [found for kind in KINDS for found in REGISTRY.current(kind) if found.namespace == "pretask"]
UNPUBLISHED = "Hu 2021, after LeCun"  # a lecture
PLACES = ("booktitle", "journal", "eprint", "doi", "publisher", "institution")


def test_every_source_of_a_built_in_has_an_entry_and_every_entry_is_used() -> None:
    citation = collect_citations(BUILT_IN)
    assert [line for line in citation.missing if UNPUBLISHED not in line] == []
    assert citation.entries.keys() == read_entries("pretask_plugins").keys()


def test_an_entry_has_whom_what_when_and_where_to_find_it() -> None:
    for key, entry in read_entries("pretask_plugins").items():
        for field in ("author", "title", "year"):
            assert f"  {field} = {{" in entry, key
        assert any(f"  {place} = {{" in entry for place in PLACES), key
        assert entry.count("{") == entry.count("}"), key
        assert entry.partition("year = {")[2][:4] in key


def cite(registered: Registered, *cites: str) -> Registered:
    return replace(registered, component=replace(registered.component, cites=cites))


def test_a_plugin_may_give_whole_entries_and_a_key_without_entry_is_named() -> None:
    one = REGISTRY.find("model", "pretask/convnet@1")
    own = "@misc{own2026, title = {Ours}}"
    citation = collect_citations([cite(one, own, "he2016deep"), cite(one, own), cite(one, "nobody2000")])
    assert list(citation.entries) == ["own2026", "he2016deep"]
    assert citation.entries["own2026"] == own
    assert citation.used_by["own2026"] == ("model pretask/convnet@1",)
    assert citation.missing == ("model pretask/convnet@1: no entry nobody2000 in its references.bib",)


def test_a_task_is_cited_with_its_parts_and_each_entry_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["cite", "relative-position"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("@inproceedings{doersch2015unsupervised,") == 1
    assert "% task pretask/relative-position@1, split pretask/relative-position@2\n" in printed
    assert "{good1952rational," in printed


def test_a_record_is_cited_with_all_that_its_cell_names(
    tmp_path: Path, facts: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, build_record(facts))
    assert invoke(["cite", str(path)]) == 0
    printed = capsys.readouterr().out
    for key in ("doersch2015unsupervised", "good1952rational", "he2016deep", "kornblith2019better"):
        assert f"{{{key}," in printed


def test_a_suite_is_cited_with_its_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["cite", "quick"]) == 0
    assert "{kingma2014auto," in capsys.readouterr().out


def test_what_nobody_knows_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["cite", "colourisation-of-nothing"]) == 2
    assert "No task, suite or other component 'colourisation-of-nothing'" in capsys.readouterr().err
