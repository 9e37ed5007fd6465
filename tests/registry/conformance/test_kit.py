"""The kit's frame: what is chosen, counted, expected, kept and told, on a plugin whose checks take no time."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pretask_bench.cli import main as cli
from pretask_registry import Registry
from pretask_registry.conformance import Outcome, format_count, has_succeeded, run, update_golden
from pretask_registry.conformance.guides import write_tables
from pretask_registry.conformance.kit import built_in_checks
from pretask_registry.conformance.remedies import REMEDIES

GUIDES = (Path(__file__).parents[3] / "docs" / "guides.md").read_text(encoding="utf-8")
GUIDED = ["split", "objective", "model", "evaluator", "data", "task", "suite"]
SUITE = 'yield suite("tiny", "acme_box:tiny.toml", summary="Nothing at all.")'


def box(shelf: Any, lines: str = SUITE, more: str = "") -> Registry:
    """A plugin `acme` that is a package with a file."""
    folder: Path = shelf.folder / "acme_box"
    folder.mkdir()
    (folder / "tiny.toml").write_text("summary = 'tiny'\n")
    source = f"from pretask import hookimpl, suite, split\n@hookimpl\ndef pretask_components():\n    {lines}\n{more}\n"
    (folder / "__init__.py").write_text(source)
    shelf.add("pretask-acme", {"acme": "acme_box"}, {})
    loaded: Registry = shelf.load()
    return loaded


def by_check(registry: Registry, name: str = "acme", **given: Any) -> dict[str, Outcome]:
    return {outcome.check: outcome for outcome in run(registry, name, **given)}


def use(monkeypatch: pytest.MonkeyPatch, registry: Registry) -> None:
    monkeypatch.setattr("pretask_bench.cli.check.registry", lambda: registry)


def exit_code(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert isinstance(left.value.code, int)
    return left.value.code


def test_a_sound_plugin_passes_and_the_count_says_so(shelf: Any) -> None:
    found = list(run(box(shelf), "acme"))
    assert [outcome.check for outcome in found] == [
        "loads",
        "light-import",
        "says-what-it-is",
        "file-can-be-read",
        "output-is-golden",
    ]
    assert format_count(found) == "4 of 5 ran, 1 skipped, 0 expected failures"
    assert has_succeeded(found)
    assert not has_succeeded(found, require_all=True)


def test_a_heavy_light_module_is_caught(shelf: Any) -> None:
    outcome = by_check(box(shelf, more="import torch"))["light-import"]
    assert outcome.state == "failed"
    assert "it imports torch" in outcome.message


def test_a_misspelt_hook_is_caught(shelf: Any) -> None:
    outcome = by_check(box(shelf, more="@hookimpl\ndef pretask_component():\n    pass"), only=["loads"])["loads"]
    assert outcome.state == "failed"
    assert "pretask_component in acme_box is no hook" in outcome.message


def test_changed_output_under_an_unchanged_version_fails_with_the_way_out(shelf: Any) -> None:
    registry = box(shelf)
    assert update_golden(registry, "acme") == 1
    assert update_golden(registry, "acme") == 0  # what is kept is not written again
    assert by_check(registry, only=["output-is-golden"])["output-is-golden"].state == "passed"
    (shelf.folder / "acme_box" / "tiny.toml").write_text("summary = 'another'\n")
    assert update_golden(registry, "acme") == 0
    outcome = by_check(registry, only=["output-is-golden"])["output-is-golden"]
    assert outcome.state == "failed"
    assert "Bump to @2 (version=2)" in outcome.message
    assert outcome.reproduce == "pretask check acme/tiny@1 --kind suite --only output-is-golden"


def test_an_expected_failure_counts_as_one_and_tells_its_reason(shelf: Any) -> None:
    lines = 'yield suite("tiny", "acme_box:missing.toml", summary="Nothing at all.")'
    registry = box(shelf, lines, 'EXPECTED_FAILURES = {"suite tiny": {"file-can-be-read": "it is not written yet"}}')
    found = list(run(registry, "acme", kind="suite"))
    assert "1 expected failure: file-can-be-read: it is not written yet" in format_count(found)
    assert [outcome.state for outcome in found].count("expected") == 1
    assert has_succeeded([outcome for outcome in found if outcome.check != "output-is-golden"], require_all=True)


def test_an_expected_failure_that_passes_fails(shelf: Any) -> None:
    registry = box(shelf, more='EXPECTED_FAILURES = {"suite tiny": {"file-can-be-read": "it is not written yet"}}')
    outcome = by_check(registry, kind="suite")["file-can-be-read"]
    assert outcome.state == "failed"
    assert "It passes now" in outcome.message


def test_plugins_add_checks_of_their_own(shelf: Any) -> None:
    more = (
        "def is_short(case):\n    'A suite has a short name.'\n"
        "    from pretask_registry.conformance import require\n    require(len(case.component.name) < 3, 'too long')\n"
        "@hookimpl\ndef pretask_checks(kind):\n    return [is_short] if kind == 'suite' else []\n"
    )
    outcome = by_check(box(shelf, more=more), only=["is-short"])["is-short"]
    assert (outcome.state, outcome.message) == ("failed", "too long")
    assert outcome.reproduce.endswith("--only is-short")


IDLE = """
def idle(case):
    'Suites are asked for nothing.'
    from pretask_registry.conformance import Inapplicable
    raise Inapplicable("It is a suite.")
@hookimpl
def pretask_checks(kind):
    return [idle] if kind == "suite" else []
"""


def test_a_check_that_asks_nothing_is_counted_apart_and_no_failure_where_all_is_required(shelf: Any) -> None:
    found = list(run(box(shelf, more=IDLE), "acme", only=["idle"]))
    assert [(outcome.state, outcome.message) for outcome in found] == [("inapplicable", "It is a suite.")]
    assert format_count(found) == "0 of 1 ran, 0 skipped, 1 inapplicable, 0 expected failures"
    assert has_succeeded(found, require_all=True)


def test_a_check_that_raises_anything_is_a_failure_and_the_others_go_on(shelf: Any) -> None:
    more = "@hookimpl\ndef pretask_checks(kind):\n    return [leave] if kind == 'suite' else []\n"
    more += "def leave(case):\n    'Nobody leaves.'\n    raise SystemExit(0)\n"
    found = by_check(box(shelf, more=more), kind="suite")
    assert found["leave"].message == "Nobody leaves. Instead: SystemExit: 0 (acme_box/__init__.py, line 10)"
    assert found["file-can-be-read"].state == "passed"


RAISES = """
def compute(case):
    raise TypeError(f"no axis {case.id}\\n\\n  a page of a library's own text")
def first(case):
    'Axes are right.'
    compute(case)
def second(case):
    'Sizes are right.'
    compute(case)
def other(case):
    'Names are right.'
    raise TypeError("no name")
@hookimpl
def pretask_checks(kind):
    return [first, second, other] if kind == "suite" else []
"""


def test_one_fault_that_fails_two_checks_is_one_failure_and_another_fault_is_another(shelf: Any) -> None:
    found = by_check(box(shelf, more=RAISES), kind="suite")
    assert [found[name].state for name in ("first", "second", "other")] == ["failed", "skipped", "failed"]
    assert found["second"].message.startswith("Not tried, because of what failed first: TypeError: no axis")
    assert format_count(list(found.values())).endswith("2 FAILED")


def test_a_fault_is_not_hidden_behind_one_that_is_expected(shelf: Any) -> None:
    more = f'{RAISES}EXPECTED_FAILURES = {{"suite tiny": {{"first": "it is known"}}}}\n'
    found = by_check(box(shelf, more=more), kind="suite")
    assert [found[name].state for name in ("first", "second")] == ["expected", "failed"]


def test_a_failure_says_our_sentence_the_place_and_the_remedy_and_the_rest_under_v(
    shelf: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(REMEDIES, "first", "An axis is forgotten: count them.")
    monkeypatch.setattr("pretask_registry.conformance.remedies.RAISING", ("first",))
    use(monkeypatch, box(shelf, more=RAISES))
    arguments = ["check", "acme", "--kind", "suite", "--only", "first"]
    assert exit_code(arguments) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[1].strip() == "Axes are right. Instead: TypeError: no axis acme/tiny@1 (acme_box/__init__.py, line 7)"
    assert said[2].strip() == "Often: An axis is forgotten: count them."
    assert said[3].strip() == "pretask check acme/tiny@1 --kind suite --only first -v"
    assert "library's own text" not in "".join(said)
    assert exit_code([*arguments, "-v"]) == 1
    assert "a page of a library's own text" in capsys.readouterr().out


def test_every_remedy_is_for_a_check_that_there_is_and_the_guides_say_the_same() -> None:
    pairs = [(kind, check.name) for check in built_in_checks() for kind in check.kinds]
    known = {name for kind, check in pairs for name in (check, f"{kind} {check}")}
    assert set(REMEDIES) <= known
    assert write_tables(GUIDES) == GUIDES, "python -m pretask_registry.conformance.guides docs/guides.md"
    assert re.findall(r"checks: (\w+)", GUIDES) == ["plugin", *GUIDED]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["acme", "--kind", "suite"], 0),
        (["acme/tiny@1", "--only", "file-can-be-read", "--require-all"], 0),
        (["acme", "--kind", "suite", "--require-all"], 1),
        (["acme", "--only", "no-such-check"], 2),
        (["nobody"], 2),
    ],
)
def test_the_exit_code_says_what_came(
    shelf: Any, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, box(shelf))
    assert exit_code(["check", *arguments]) == code
    said = capsys.readouterr()
    assert "ran," in said.out or "See" in said.err


def test_a_plugin_that_does_not_load_gives_exit_code_3(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, box(shelf, more="raise SystemExit(7)"))
    assert exit_code(["check", "acme"]) == 3


def test_json_and_junit_hold_every_outcome(
    shelf: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, box(shelf))
    assert cli.invoke(["check", "acme", "--kind", "suite", "--json", "--junit", str(tmp_path / "out.xml")]) == 0
    facts = json.loads(capsys.readouterr().out)
    suite = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert len(facts["outcomes"]) == len(suite) == 3
    assert (suite.get("failures"), suite.get("skipped")) == ("0", "1")


def test_every_check_has_a_name_of_its_own_within_its_kind_and_a_promise() -> None:
    checks = built_in_checks()
    pairs = [(check.name, kind) for check in checks for kind in check.kinds]
    assert len(set(pairs)) == len(pairs)
    assert all(check.promise.endswith(".") or len(check.promise) > 40 for check in checks)
