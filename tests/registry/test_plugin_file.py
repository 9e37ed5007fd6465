"""One file as a plugin: it declares classes or their places, is told apart by its content, and becomes a package."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from clean_room import install
from pretask import Incompatible, Observed, PretaskError, Unknown
from pretask_registry import Plugin, Registry, build, import_implementation, resolve_options
from pretask_registry.scaffold import promote

HEAD = """
from dataclasses import dataclass

import pretask
from pretask import Categories, Incompatible, Inputs, InputSpec, Target


@dataclass(frozen=True)
class Rotation:
    turns: int = 4

    def spec(self, images, /):
        return self.whole_spec(images), {"turn": Categories(self.turns)}

    def whole_spec(self, images, /):
        if images.modality != "image":
            raise Incompatible("rotation", "images", images.modality, "Use images.")
        return InputSpec("image", images.shape)

    def __call__(self, batch, draws, /):
        turn = draws.integers("turn", 0, self.turns)
        return Inputs(batch.data[:, None] / 255), {"turn": Target(turn)}

    def whole(self, batch, /):
        return Inputs(batch.data[:, None] / 255)

"""
SPLIT = 'pretask.split("rotation", {place}, modality="image", targets={{"categories"}}, summary="How far?")'
TASK = (
    'pretask.task("rotation", split={part}, objective="cross-entropy", model="convnet", '
    'presets={{"small": {{"data": "digits", "model.stride": 1}}}}, recipe={{"lr": 0.01}})'
)
LISTED = f"""
components = [
    {SPLIT.format(place="Rotation")},
    {TASK.format(part='"local/rotation"')},
]
"""
HOOKED = f"""
@pretask.hookimpl
def pretask_components():
    yield {SPLIT.format(place='"my_task:Rotation"')}
    yield {TASK.format(part='"rotation"')}
"""
Load = Callable[[str], Registry]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """The registry with my-task.py, whose rest is given."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def make(rest: str, head: str = HEAD) -> Registry:
        (tmp_path / "my-task.py").write_text(head + rest)
        return Registry.load(files=[tmp_path / "my-task.py"])

    yield make
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def local(registry: Registry) -> Plugin:
    return registry.plugins[-1]


@pytest.mark.parametrize("rest", [LISTED, HOOKED])
def test_a_file_declares_by_a_list_or_a_hook_under_the_namespace_local(load: Load, rest: str) -> None:
    registry = load(rest)
    assert local(registry).problems == ()
    assert [component.id for component in registry.components() if component.namespace == "local"] == [
        "local/rotation@1"
    ] * 2
    split = registry.find("split", "local/rotation")
    assert build(split, {"turns": "2"}).turns == 2
    with pytest.raises(Incompatible):
        build(split).spec(Observed("text", (4,)))


def test_without_the_file_nothing_of_it_is_there(load: Load) -> None:
    load(LISTED)
    assert not [component for component in Registry.load().components() if component.namespace == "local"]


def test_a_changed_file_is_another_component_in_records_though_its_id_is_the_same(load: Load) -> None:
    first, second = (load(f"{LISTED}\nNUMBER = {number}\n").find("split", "local/rotation") for number in (1, 2))
    one, two = resolve_options(first), resolve_options(second)
    assert first.id == second.id
    assert {name for name in one if one[name] != two[name]} == {"plugin_file"}
    assert build(first, one).turns == 4
    with pytest.raises(PretaskError, match=f"the file that it was recorded from, {one['plugin_file'][:12]}"):
        build(second, one)


def test_an_edited_file_is_run_anew_in_the_same_process(load: Load) -> None:
    load(LISTED)
    again = load(LISTED.replace("Rotation", "Other") + "\n", head=HEAD.replace("Rotation", "Other"))
    assert import_implementation(again.find("split", "local/rotation")).__name__ == "Other"


@pytest.mark.parametrize(
    ("rest", "cause"),
    [
        ("\nnames = undefined\n", r"NameError: name 'undefined' is not defined \(my-task.py, line 28\)"),
        ("\nraise SystemExit(3)\n", r"SystemExit: 3 \(my-task.py, line 28\)"),
        ("\ndef f(:\n", "SyntaxError"),
        ("\nimport module_of_nobody\n", "No module named 'module_of_nobody'"),
        ("\n", "my_task has no hook"),
        ("\ncomponents = ['rotation']\n", "'rotation' is no component"),
        ("\ndef pretask_componets(): return []\n", "is no hook"),
        (LISTED.replace('"rotation", Rotation', '"Rotation", Rotation'), "is not named in lower-case words"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(load: Load, rest: str, cause: str) -> None:
    (problem, *_) = local(load(rest)).problems
    assert re.search(cause, problem.cause)
    assert problem.fix


def test_a_file_that_has_the_name_of_a_module_is_refused(tmp_path: Path) -> None:
    for name in ("json.py", "torch.py"):
        (tmp_path / name).write_text(HEAD + LISTED)
        (problem,) = local(Registry.load(files=[tmp_path / name])).problems
        assert "a name that no other module has" in problem.cause
    assert sys.modules["json"].__name__ == "json"
    assert "dumps" in vars(sys.modules["json"])


def test_a_file_may_import_what_lies_beside_it(load: Load, tmp_path: Path) -> None:
    (tmp_path / "beside_my_task.py").write_text("TURNS = 4\n")
    assert local(load(f"\nfrom beside_my_task import TURNS\n{LISTED}")).problems == ()


def test_what_a_file_prints_does_not_reach_stdout(load: Load, capfd: pytest.CaptureFixture[str]) -> None:
    load(f"\nimport os\nprint('as Python')\nos.system('echo as a program')\n{LISTED}")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert {"as Python", "as a program"} <= set(captured.err.split("\n"))


@pytest.fixture
def promoted(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """What is installed after the file was made a package and installed."""
    written = promote(tmp_path / "my-task.py", local(load(LISTED)), "turns-of-mine", tmp_path / "package")
    (tmp_path / "site").mkdir()
    install(written.folder, tmp_path / "site")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    return Registry.load()


def test_a_promoted_file_offers_the_same_under_its_own_namespace(promoted: Registry, load: Load) -> None:
    before = load(LISTED)
    split, task = (promoted.find(kind, "turns-of-mine/rotation") for kind in ("split", "task"))
    assert split.plugin.problems == ()
    assert split.component.traits == before.find("split", "local/rotation").component.traits
    assert split.component.summary == "How far?"
    assert split.component.implementation == "pretask_turns_of_mine.my_task:Rotation"
    assert build(split, {"turns": 2}).turns == 2
    old = before.find("task", "local/rotation").component.traits
    parts = {"split": "turns-of-mine/rotation", "objective": "cross-entropy", "model": "convnet"}
    assert task.component.traits == {**old, "parts": parts}


def test_the_module_of_a_promoted_file_has_lost_its_declarations_and_nothing_else(
    promoted: Registry, tmp_path: Path
) -> None:
    for rest in (LISTED, HOOKED):
        (tmp_path / "other.py").write_text(HEAD + rest + "\nLAST = 1\n")
        plugin = promoted.find("split", "turns-of-mine/rotation").plugin
        folder = promote(tmp_path / "other.py", plugin, "another", tmp_path / f"package-{len(rest)}").folder
        source = (folder / "src" / "pretask_another" / "other.py").read_text()
        assert source.split() == (HEAD + "LAST = 1").split()


def test_a_file_that_needs_others_beside_it_is_not_promoted(load: Load, tmp_path: Path) -> None:
    (tmp_path / "beside_my_task.py").write_text("TURNS = 4\n")
    plugin = local(load(f"\nfrom beside_my_task import TURNS\n{LISTED}"))
    with pytest.raises(PretaskError, match="imports of beside_my_task"):
        promote(tmp_path / "my-task.py", plugin, "mine", tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_a_file_with_further_hooks_is_not_promoted_without_them(load: Load, tmp_path: Path) -> None:
    plugin = local(load(f"{HOOKED}\n@pretask.hookimpl\ndef pretask_record(record): pass\n"))
    with pytest.raises(PretaskError, match="pretask_record"):
        promote(tmp_path / "my-task.py", plugin, "mine", tmp_path / "package")


def test_a_promoted_file_is_called_by_its_own_name_where_none_is_given(load: Load, tmp_path: Path) -> None:
    written = promote(tmp_path / "my-task.py", local(load(LISTED)), folder=tmp_path / "package")
    assert written.names.distribution == "pretask-my-task"
    assert written.run == "pretask run rotation --preset small"
    with pytest.raises(Unknown, match="'other' is taken"):
        promote(tmp_path / "my-task.py", local(load(LISTED)), "other", tmp_path / "second", taken={"other"})
