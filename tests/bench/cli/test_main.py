"""The command: data on stdout, talk on stderr, and an exit code for every way to fail."""

import json
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from click import Command
from pluggy import PluginManager
from pretask import split
from pretask_bench.cli.main import Verbs, invoke, main
from pretask_bench.cli.plugins import merge_repeated_problems
from pretask_bench.cli.problems import list_problems
from pretask_registry import Plugin, Problem, Registry, import_implementation, read_component_options
from pretask_registry.option_texts import read_option_texts, write_value
from pretask_registry.options import REQUIRED, coerce

Capture = pytest.CaptureFixture[str]
PLACES = (("sound", "pretask_plugins.splits.whole"), ("broken", "no_such_module"))


def exit_code(arguments: list[str]) -> int | str | None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    return left.value.code


def test_list_names_every_kind_with_full_ids(capsys: Capture) -> None:
    assert invoke(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {"pretask/relative-position@1", "pretask/cross-entropy@1", "pretask/timm@1"} <= {
        component["id"] for component in listed
    }
    assert {"data", "split", "model", "objective", "evaluator", "task"} <= {component["kind"] for component in listed}


def test_list_of_one_kind_has_no_other(capsys: Capture) -> None:
    assert invoke(["list", "model"]) == 0
    assert all(line.startswith("model\t") for line in capsys.readouterr().out.splitlines())


def test_listing_and_help_import_nothing_heavy_and_results_no_torch(tmp_path: Path) -> None:
    program = f"""
import sys
from pretask_bench.cli.main import invoke
codes = [invoke(["list"]), invoke(["--help"])]
heavy = {{"torch", "numpy", "timm", "pydantic", "sklearn", "accelerate"}}
print(codes, sorted(heavy & set(sys.modules)), file=sys.stderr)
code = invoke(["results", {str(tmp_path)!r}])
print(code, sorted(set(sys.modules) & {{"torch", "sklearn"}}), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["[0, 0] []", "0 []"]


def test_show_tells_options_with_their_defaults(capsys: Capture) -> None:
    assert invoke(["show", "relative-position", "--kind", "split", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["options"]["patch"] == {
        "default": "96",
        "values": "a whole number of 1 or more",
        "text": "Side of a patch, pixels.",
    }
    assert re.search(r"relative_position/split.py, line \d+\)", shown["implemented"])
    assert "Doersch" in shown["source"]


def test_show_sets_presets_side_by_side_and_lists_what_a_suite_holds_fixed(capsys: Capture) -> None:
    assert invoke(["show", "relative-position", "--kind", "task"]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert ["setting", "paper", "small", "demo"] in rows
    assert ["objective.hidden", '"(4096, 4096)"', '"(256,)"', '"(256,)"'] in rows
    assert ["model.name", "resnet50", "", ""] in rows  # the presets have another model
    assert invoke(["show", "quick"]) == 0
    fixed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("digits\tpretask/few-label@1")]
    assert 'per_class="(5,)"' in fixed[0]


def test_every_option_of_ours_has_a_text_and_a_default_that_can_be_typed_as_it_is_shown() -> None:
    found = Registry.load()
    for registered in found.components():
        if registered.kind not in ("task", "suite"):
            texts = read_option_texts(import_implementation(registered))
            for name, option in read_component_options(registered).items():
                assert texts.get(name), f"{registered.id} {name}"
                typed = shlex.split(f"--set=x={write_value(option.default)}")[0].removeprefix("--set=x=")
                assert option.default is REQUIRED or coerce(typed, option.annotation) == option.default


def test_list_of_a_modality_has_what_is_for_it_or_for_any(capsys: Capture) -> None:
    assert invoke(["list", "--modality", "audio"]) == 0
    named = {line.split("\t")[1] for line in capsys.readouterr().out.splitlines()}
    assert {"pretask/tones@1", "pretask/regression@1", "pretask/masked-speech@1", "pretask/linear@1"} <= named
    assert not named & {"pretask/shapes@1", "pretask/lstm@1", "pretask/pointer@1", "pretask/relative-position@1"}
    assert invoke(["list", "split", "--wide"]) == 0
    assert "\tvideo\ttargets=reference " in capsys.readouterr().out
    assert invoke(["list", "--modality", "adio"]) == 2
    assert "Did you mean 'audio'" in capsys.readouterr().err


def test_a_namespace_that_two_claim_is_told_once_however_many_entry_points_they_have() -> None:
    plugins = [
        Plugin(
            name, name, release, "1.0", state="broken", problems=(Problem("acme is claimed by both", "Remove one."),)
        )
        for release, name in (("a", "acme"), ("a", "acme.x"), ("b", "acme"), ("b", "acme.y"))
    ]
    lines = list(list_problems(Registry(tuple(plugins), PluginManager("pretask"))))
    assert lines == ["4 plugins of a 1.0 and b 1.0 do not work: acme is claimed by both. Remove one."]
    assert [
        row["problems"]
        for row in merge_repeated_problems([{"name": "p", "problems": ["x"]}, {"name": "q", "problems": ["x"]}])
    ] == [
        ["x"],
        ["the same as p"],
    ]


def test_an_implementation_that_cannot_be_imported_is_a_problem_where_one_looks_deep(capsys: Capture) -> None:
    sound, broken = (split(name, f"{place}:A", modality="image", targets={"values"}) for name, place in PLACES)
    plugin = Plugin("acme", "acme", "pretask-acme", "1.0", components=(sound, broken))
    found = Registry((plugin,), PluginManager("pretask"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pretask_bench.cli.plugins.registry", lambda: found)
        assert invoke(["plugins", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)[0]["state"] == "ok"
        assert exit_code(["plugins", "--deep", "--json"]) == 3
    (row,) = json.loads(capsys.readouterr().out)
    assert row["state"] == "partly"
    assert [problem for problem in row["problems"] if "acme/broken@1" in problem and "no_such_module" in problem]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["list", "modl"], 2, "No kind 'modl'"),
        (["show", "convnt"], 2, "Did you mean 'convnet'"),
        (["frobnicate"], 2, "No such command"),
        (["run"], 2, "A run needs data"),
        (["run", "relative-position"], 2, "A run needs data"),
        (["run", "relative-positon", "--data", "digits"], 2, "Did you mean 'relative-position'"),
        (["run", "relative-position", "--data", "digits", "--preset", "tiny"], 2, "no preset 'tiny'"),
        (["run", "relative-position", "--data", "digits", "--set", "split.pach=3"], 2, "patch"),
        (["run", "relative-position", "--data", "digits", "--set", "patch=3"], 2, "PART.OPTION=VALUE"),
        (["run", "relative-position", "--data", "digits", "--set", "splitt.patch=3"], 2, "Nothing is called 'splitt'"),
        (["run", "relative-position", "--data", "digits", "--set", "split.patch=big"], 2, "a whole number"),
        (["run", "relative-position", "--data", "digits", "--set", "recipe.lrr=1"], 2, "lr"),
        (["run", "relative-position", "--data", "digits", "--device", "tpu"], 2, "--device"),
        (["run", "relative-position", "--data", "digits", "--objective", "regression"], 4, "do not fit"),
        (["run", "relative-position", "--data", "digits"], 4, "at least 398 pixels a side"),
        (["compat", "--why"], 2, "--why needs"),
        (["plugins", "acme"], 2, "No plugin 'acme'"),
        (["data", "describe", "folder", "--set", "data.root=nowhere"], 1, "nowhere"),
    ],
)
def test_what_is_wrong_is_said_on_stderr_with_its_exit_code(
    arguments: list[str], code: int, message: str, capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    assert invoke(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert not list(tmp_path.glob("runs/**/*.json"))


def test_a_refusal_says_why_and_what_would_fit(capsys: Capture) -> None:
    parts = ["--split", "relative-position", "--objective", "regression", "--model", "convnet"]
    assert invoke(["compat", "--why", *parts]) == 4
    message = capsys.readouterr().err
    assert "relative-position + regression do not fit" in message
    assert "--objective cross-entropy" in message


def test_what_fits_is_said_to_fit(capsys: Capture) -> None:
    parts = ["--split", "relative-position", "--objective", "cross-entropy", "--model", "convnet"]
    assert invoke(["compat", "--why", *parts]) == 0
    assert "fit" in capsys.readouterr().out


def test_the_matrix_gives_every_refusal_a_reason(capsys: Capture) -> None:
    assert invoke(["compat", "--split", "relative-position", "--model", "convnet", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["fits"] for row in rows} == {True, False}
    assert all(row["fits"] or row["reason"] for row in rows)


def test_every_plugin_of_ours_works(capsys: Capture) -> None:
    assert invoke(["plugins", "pretask", "--json"]) == 0
    assert {row["state"] for row in json.loads(capsys.readouterr().out)} == {"ok"}


def test_data_has_a_fingerprint_for_every_part(capsys: Capture) -> None:
    assert invoke(["data", "fingerprint", "digits", "--json"]) == 0
    hashes = json.loads(capsys.readouterr().out)
    assert set(hashes) == {"train", "test"}
    assert hashes["train"] != hashes["test"]


def test_data_is_described_with_its_labels(capsys: Capture) -> None:
    assert invoke(["data", "describe", "digits", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["train"]["samples"] + facts["test"]["samples"] == 1797
    (counts,) = (value for key, value in facts["train"].items() if key.startswith("label"))
    assert sum(counts.values()) == facts["train"]["samples"]


def test_help_lists_verbs_as_each_says_of_itself() -> None:
    for name, summary in Verbs.later.items():
        verb = import_module(f"pretask_bench.cli.{name}").command
        assert Command(name, help=summary).get_short_help_str(300) == verb.get_short_help_str(300)
