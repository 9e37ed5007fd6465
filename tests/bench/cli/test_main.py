"""The command: data on stdout, talk on stderr, and an exit code for every way to fail."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pretask_bench.cli.main import invoke

Capture = pytest.CaptureFixture[str]


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


def test_listing_imports_no_torch() -> None:
    program = (
        "import sys; from pretask_bench.cli.main import invoke; code = invoke(['list'])\n"
        "heavy = {'torch', 'numpy', 'timm', 'pydantic', 'sklearn', 'accelerate'} & set(sys.modules)\n"
        "print(code, sorted(heavy), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "0 []"


def test_show_tells_options_with_their_defaults(capsys: Capture) -> None:
    assert invoke(["show", "relative-position", "--kind", "split", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["options"]["patch"] == "96"
    assert "Doersch" in shown["source"]


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
