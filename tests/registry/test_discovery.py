"""Discovery: whatever one plugin does wrong is a row with its cause and fix, and the others work."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pretask_registry import Plugin, Registry

GOOD = 'model("plain", "good_impl:Plain", modality="image")'


def row(registry: Registry, name: str) -> Plugin:
    (plugin,) = [plugin for plugin in registry.plugins if plugin.name == name]
    return plugin


def cause(registry: Registry, name: str) -> str:
    (problem,) = row(registry, name).problems
    assert problem.fix.endswith((".", "?"))
    return problem.cause


def ids(registry: Registry) -> list[str]:
    return [component.id for component in registry.components()]


@pytest.fixture
def broken(shelf: Any) -> Callable[[str], Registry]:
    """A registry of one good plugin and, before it in every order, one with the given source."""

    def make(source: str) -> Registry:
        shelf.offer("good", GOOD)
        shelf.add("pretask-acme", {"acme.main": "plugin_acme"}, {"plugin_acme": source})
        registry: Registry = shelf.load()
        assert "good/plain@1" in ids(registry)
        assert row(registry, "good").state == "ok"
        return registry

    return make


def test_a_sound_plugin_is_loaded_with_its_components_and_its_release(shelf: Any) -> None:
    shelf.offer("good", GOOD, version="0.3.0")
    plugin = row(shelf.load(), "good")
    assert (plugin.state, plugin.problems, plugin.release) == ("ok", (), "pretask-good 0.3.0")
    assert [component.name for component in plugin.components] == ["plain"]


def test_one_distribution_may_have_several_entry_points_in_its_namespace(shelf: Any) -> None:
    one, two = (
        f'@hookimpl\ndef pretask_components():\n    yield split("{name}", "m:A", modality="image", targets=[])'
        for name in ("one", "two")
    )
    shelf.add("pretask-acme", {"acme": "acme_one", "acme.two": "acme_two"}, {"acme_one": one, "acme_two": two})
    assert ids(shelf.load()) == ["acme/one@1", "acme/two@1"]


def test_a_missing_import_is_told_with_what_to_install(broken: Callable[[str], Registry]) -> None:
    registry = broken("import flash_attention_of_nobody")
    assert cause(registry, "acme.main") == "ModuleNotFoundError: No module named 'flash_attention_of_nobody'"
    assert "Install what provides the module 'flash_attention_of_nobody'" in row(registry, "acme.main").problems[0].fix
    assert row(registry, "acme.main").state == "broken"


def test_a_plugin_whose_own_module_is_gone_is_to_be_reinstalled(shelf: Any) -> None:
    shelf.add("pretask-acme", {"acme": "module_of_nobody.part"}, {})
    assert "Reinstall or mend pretask-acme" in row(shelf.load(), "acme").problems[0].fix


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("class Odd(BaseException): pass\nraise Odd('two\\nlines')", "Odd: two lines"),
    ],
)
def test_whatever_is_raised_at_import_becomes_a_row(
    broken: Callable[[str], Registry], source: str, message: str
) -> None:
    registry = broken(source)
    assert cause(registry, "acme.main").startswith(message)
    assert isinstance(row(registry, "acme.main").problems[0].error, BaseException)


def test_ctrl_c_while_a_plugin_loads_is_not_swallowed(shelf: Any) -> None:
    shelf.add("pretask-acme", {"acme": "plugin_acme"}, {"plugin_acme": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        shelf.load()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("raise ValueError('no colours')", "ValueError: no colours"),
        ("yield model('half', 'm:A', modality='image'); raise SystemExit", "SystemExit"),
        ("return 7", "TypeError: 'int' object is not iterable"),
    ],
)
def test_a_plugin_that_raises_while_it_declares_is_broken_as_a_whole(
    broken: Callable[[str], Registry], body: str, message: str
) -> None:
    registry = broken(f"@hookimpl\ndef pretask_components():\n    {body}")
    assert cause(registry, "acme.main") == message
    assert ids(registry) == ["good/plain@1"]


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ("'jigsaw'", "'jigsaw' is no component"),
        ("model('Big_Net', 'm:A', modality='image')", "'Big_Net' is not named in lower-case words with hyphens"),
        ("model('net', 'm.A', modality='image')", "not 'module:attribute'"),
        ("model('net', 'm:A', modality='image', version=0)", "the version 0"),
        ("model('net', 'm:A', modality='image', streams='pst')", "says 'pst', which is no sight"),
        ("Component('spilt', 'net', 'm:A')", "no known kind"),
        ("Component('model', 'net', 'm:A')", "does not declare modality and streams"),
        ("split('net', 'm:A', modality={'image', 'audio'}, targets={'image': ['values']})", "declares targets for"),
        ("suite('quick', 'no-file')", "not 'module:file.toml'"),
    ],
)
def test_a_wrong_declaration_is_told_and_the_right_ones_beside_it_count(
    broken: Callable[[str], Registry], declaration: str, message: str
) -> None:
    right = "data('sound', 'm:A', modality='image')"
    registry = broken(f"@hookimpl\ndef pretask_components():\n    yield {declaration}\n    yield {right}")
    assert message in cause(registry, "acme.main")
    assert row(registry, "acme.main").state == "partly"
    assert ids(registry) == ["acme/sound@1", "good/plain@1"]


def test_another_api_is_told_from_metadata_and_not_imported(shelf: Any) -> None:
    shelf.offer("good", GOOD)
    shelf.add("pretask-acme", {"acme": "plugin_acme"}, {"plugin_acme": "raise ValueError"}, group="pretask.plugins.v2")
    registry = shelf.load()
    assert cause(registry, "acme") == "it is written for pretask.plugins.v2, this pretask has pretask.plugins.v1"
    assert "plugin_acme" not in sys.modules
    assert ids(registry) == ["good/plain@1"]


def test_a_plugin_for_two_apis_is_loaded_for_this_one(shelf: Any) -> None:
    shelf.offer("acme", GOOD)
    info = next(shelf.folder.glob("pretask_acme*"))
    with (info / "entry_points.txt").open("a") as file:
        file.write("[pretask.plugins.v2]\nacme = plugin_acme_two\n")
    (plugin,) = shelf.load().plugins
    assert plugin.state == "ok"


def test_a_namespace_of_two_distributions_names_both_and_imports_neither(shelf: Any) -> None:
    shelf.offer("good", GOOD)
    shelf.add("pretask-acme", {"acme": "acme_one"}, {"acme_one": "raise ValueError"})
    shelf.add("other-acme", {"acme.more": "acme_two"}, {"acme_two": "raise ValueError"})
    registry = shelf.load()
    message = "the namespace 'acme' is claimed by other-acme and pretask-acme"
    assert (cause(registry, "acme"), cause(registry, "acme.more")) == (message, message)
    assert not {"acme_one", "acme_two"} & set(sys.modules)
    assert ids(registry) == ["good/plain@1"]


def test_an_entry_point_with_no_lawful_namespace_is_refused(shelf: Any) -> None:
    shelf.add("pretask-acme", {"Acme_Inc.main": "plugin_acme"}, {"plugin_acme": "raise ValueError"})
    assert "'Acme_Inc' is not lower-case words" in cause(shelf.load(), "Acme_Inc.main")


@pytest.mark.parametrize(
    ("source", "message", "fix"),
    [
        ("@hookimpl\ndef pretask_componets(): return []", "is no hook", "Did you mean 'pretask_components'?"),
        ("def pretask_run_events(): pass", "is no hook", "Did you mean 'pretask_run_event'?"),
        ("@hookimpl\ndef components(): return []", "components in plugin_acme is no hook", "'pretask_components'"),
        ("def pretask_components(): return []", "is never called", "Mark it with @pretask.hookimpl."),
        ("", "has no hook", "pretask_commands"),
    ],
)
def test_a_hook_that_would_never_be_called_is_told(
    broken: Callable[[str], Registry], source: str, message: str, fix: str
) -> None:
    registry = broken(source)
    assert message in cause(registry, "acme.main")
    assert fix in row(registry, "acme.main").problems[0].fix
    assert row(registry, "acme.main").state == "partly"


def test_a_hook_may_have_another_name_in_the_module_where_it_says_so(broken: Callable[[str], Registry]) -> None:
    registry = broken(
        "@hookimpl(specname='pretask_components')\ndef ours(): return [data('d', 'm:A', modality='text')]"
    )
    assert row(registry, "acme.main").problems == ()
    assert "acme/d@1" in ids(registry)


def test_a_hook_with_a_parameter_that_it_is_not_given_is_told(broken: Callable[[str], Registry]) -> None:
    registry = broken("@hookimpl\ndef pretask_commands(group): pass")
    assert "{'group'} are declared in the hookimpl but can not be found" in cause(registry, "acme.main")


@pytest.mark.parametrize("listed", ["acme", "acme.main", " other, acme.main ,"])
def test_what_is_blocked_is_not_imported(
    broken: Callable[[str], Registry], monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    monkeypatch.setenv("PRETASK_BLOCK", listed)
    registry = broken("raise ValueError")
    assert row(registry, "acme.main").state == "blocked"
    assert "listed in PRETASK_BLOCK" in cause(registry, "acme.main")
    assert "plugin_acme" not in sys.modules


def test_blocking_one_of_two_claimants_frees_the_namespace(shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.offer("acme", GOOD)
    shelf.add("other-acme", {"acme.more": "acme_two"}, {"acme_two": ""})
    monkeypatch.setenv("PRETASK_BLOCK", "acme.more")
    assert ids(shelf.load()) == ["acme/plain@1"]


def test_a_component_declared_twice_names_both_entry_points_and_resolves_to_neither(shelf: Any) -> None:
    source = f"@hookimpl\ndef pretask_components():\n    yield {GOOD}\n    yield {{}}"
    one, two = (source.format(f'model("{name}", "m:A", modality="image")') for name in ("one", "two"))
    shelf.add("pretask-acme", {"acme.a": "acme_a", "acme.b": "acme_b"}, {"acme_a": one, "acme_b": two})
    registry = shelf.load()
    message = "model acme/plain@1 is declared 2 times, by acme.a and acme.b"
    assert (cause(registry, "acme.a"), cause(registry, "acme.b")) == (message, message)
    assert ids(registry) == ["acme/one@1", "acme/two@1"]


def test_two_versions_of_a_component_are_no_duplicates(shelf: Any) -> None:
    shelf.offer("acme", f"{GOOD}\n{GOOD[:-1]}, version=2)")
    assert ids(shelf.load()) == ["acme/plain@1", "acme/plain@2"]


def test_two_entry_points_of_one_module_do_not_double_its_components(shelf: Any) -> None:
    shelf.offer("acme", GOOD)
    entry_points = next(shelf.folder.glob("pretask_acme*")) / "entry_points.txt"
    entry_points.write_text(entry_points.read_text() + "acme.again = plugin_acme\n")
    registry = shelf.load()
    assert ids(registry) == ["acme/plain@1"]
    assert "taken by the entry point 'acme'" in cause(registry, "acme.again")


def test_a_distribution_installed_twice_is_counted_once_and_the_first_on_the_path_counts(
    shelf: Any, tmp_path: Path
) -> None:
    shelf.add(
        "Pretask_Acme", {"acme": "old_acme"}, {"old_acme": "raise ValueError"}, version="0.9", folder=tmp_path / "old"
    )
    shelf.offer("acme", GOOD)
    (plugin,) = Registry.load([str(shelf.folder), str(tmp_path / "old")]).plugins
    assert (plugin.state, plugin.release) == ("ok", "pretask-acme 1.0")


def test_an_entry_point_file_that_cannot_be_read_is_a_row(shelf: Any) -> None:
    shelf.offer("good", GOOD)
    shelf.add("pretask-acme", {}, {})
    (next(shelf.folder.glob("pretask_acme*")) / "entry_points.txt").write_text("[pretask.plugins.v1]\nno equals sign\n")
    registry = shelf.load()
    assert "entry_points.txt cannot be read" in cause(registry, "pretask-acme")
    assert ids(registry) == ["good/plain@1"]


def test_leftovers_of_an_uninstalled_distribution_are_no_plugin(shelf: Any) -> None:
    shelf.offer("good", GOOD)
    for name, text in {"gone": b"[pretask.plugins.v1]\ngone = gone\n", "odd": b"\xff\xfe"}.items():
        (shelf.folder / f"{name}-1.0.dist-info").mkdir()
        (shelf.folder / f"{name}-1.0.dist-info" / "entry_points.txt").write_bytes(text)
    assert ids(shelf.load()) == ["good/plain@1"]


def test_what_plugins_print_does_not_reach_stdout(
    broken: Callable[[str], Registry], capsys: pytest.CaptureFixture[str]
) -> None:
    broken("print('at import')\n@hookimpl\ndef pretask_components():\n    print('at call')\n    return []")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "at import\nat call\n"


def test_hooks_of_all_plugins_are_called_and_may_leave_out_parameters(shelf: Any) -> None:
    source = "@hookimpl\ndef pretask_checks(kind):\n    yield kind\n    yield '{}'"
    shelf.add("pretask-a", {"a": "plugin_a"}, {"plugin_a": source.format("a")})
    shelf.add("pretask-b", {"b": "plugin_b"}, {"plugin_b": "@hookimpl\ndef pretask_checks(): return ['b']"})
    shelf.offer("good", GOOD)
    answers = [(plugin.name, list(answer)) for plugin, answer in shelf.load().call("pretask_checks", kind="model")]
    assert answers == [("a", ["model", "a"]), ("b", ["b"])]


def test_no_hook_of_a_broken_plugin_is_called(shelf: Any) -> None:
    source = "@hookimpl\ndef pretask_components(): raise ValueError\n@hookimpl\ndef pretask_checks(): return ['a']"
    shelf.add("pretask-a", {"a": "plugin_a"}, {"plugin_a": source})
    assert shelf.load().call("pretask_checks", kind="model") == []


def test_a_hook_that_raises_half_way_through_its_answer_answers_nothing(
    shelf: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf.add("pretask-a", {"a": "plugin_a"}, {"plugin_a": "@hookimpl\ndef pretask_checks():\n    yield 1\n    1 / 0"})
    shelf.add("pretask-b", {"b": "plugin_b"}, {"plugin_b": "@hookimpl\ndef pretask_checks(): return ['b']"})
    answers = [(plugin.name, answer) for plugin, answer in shelf.load().call("pretask_checks", kind="model")]
    assert answers == [("b", ["b"])]
    assert "a (pretask-a 1.0) failed in pretask_checks, left out: ZeroDivisionError" in capsys.readouterr().err


def test_an_event_hook_that_raises_is_reported_once_and_dropped(shelf: Any, capsys: pytest.CaptureFixture[str]) -> None:
    raising = "@hookimpl\ndef pretask_run_event(run): raise SystemExit('no network')"
    sound = "seen = []\n@hookimpl\ndef pretask_run_event(run, event): seen.append((run, event))"
    shelf.add("pretask-a", {"a": "plugin_a"}, {"plugin_a": raising})
    shelf.add("pretask-b", {"b": "plugin_b"}, {"plugin_b": sound})
    registry = shelf.load()
    for step in (1, 2):
        registry.call("pretask_run_event", event=step, run="r")
    assert capsys.readouterr().err.count("SystemExit: no network") == 1
    assert sys.modules["plugin_b"].seen == [("r", 1), ("r", 2)]
