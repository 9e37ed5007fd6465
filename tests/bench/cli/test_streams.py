"""Output that cannot be written, or not in these letters: no traceback, an exit code that says so, nothing lost."""

import json
import os
import re
from pathlib import Path

import pytest
from pretask_bench.cli.main import invoke
from pretask_bench.results.tables import draw_table, show_rows
from processes import Python, start_python

MAIN = "from pretask_bench.cli.main import main; main({words!r})"
RUN = [
    "run",
    "vae",
    "--preset",
    "small",
    "--data",
    "digits",
    "--samples",
    "256",
    "--baselines",
    "random-init",
    "--threads",
    "1",
]
CLOSED = "import os, sys; os.close(1); sys.stdout = None\n"
FULL = "import os, sys; os.dup2(os.open('/dev/full', os.O_WRONLY), {stream})\n"
HUNG_UP = "import os; ends = os.pipe(); os.close(ends[0]); os.dup2(ends[1], 1)\n"


def start(before: str, words: list[str], folder: Path, **environment: str) -> Python:
    return start_python("-c", before + MAIN.format(words=words), folder=folder, environment=environment)


@pytest.mark.parametrize(
    ("before", "code", "told"),
    [
        (CLOSED, 1, "pretask needs to write stdout; got Bad file descriptor."),
        (FULL.format(stream=1), 1, "pretask needs to write stdout; got No space left on device."),
        (HUNG_UP, 141, ""),
    ],
    ids=["closed", "full", "hung up"],
)
def test_a_stdout_that_cannot_be_written_is_told_by_the_exit_code(
    before: str, code: int, told: str, tmp_path: Path
) -> None:
    ran = start(before, ["list"], tmp_path)
    assert ran.wait() == code
    assert ran.err.startswith(told)
    assert len(ran.err.splitlines()) == (1 if told else 0)


def test_a_run_whose_streams_are_full_writes_its_record(tmp_path: Path) -> None:
    ran = start(FULL.format(stream=1) + FULL.format(stream=2), RUN, tmp_path, PRETASK_CACHE=str(tmp_path / "cache"))
    assert ran.wait() == 1
    (record,) = (tmp_path / "runs" / "records").glob("*.json")
    assert json.loads(record.read_bytes())["status"] == "complete"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_our_letters_gets_plain_ones(encoding: str, tmp_path: Path) -> None:
    program = (
        f"import io, sys; sys.stdout = sys.__stdout__ = io.TextIOWrapper(open(1, 'wb', closefd=False), {encoding!r})\n"
        "from pretask_bench.cli.streams import unfailing_streams\n"
        "with unfailing_streams():\n    print('0.5 ± 0.1 … a − b → c λ \\udce9')\n"
    )
    ran = start_python("-c", program, folder=tmp_path)
    assert ran.wait() == 0
    shown = (ran.folder / "out").read_bytes().decode(encoding)
    assert shown.endswith("a - b -> c \\u03bb \\udce9\n")
    assert shown.startswith("0.5 +- 0.1 ... " if encoding == "ascii" else "0.5 ± 0.1 ")


def test_json_keeps_its_meaning_where_its_letters_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.json")).write_text("{}")
    assert invoke(["verify", str(tmp_path), "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["file"].endswith("caf\udce9.json")


@pytest.mark.parametrize(("columns", "widest"), [("40", 48), ("0", 80), ("x", 80), ("-5", 80), ("1", 80)])
def test_tables_are_readable_in_narrow_terminals(
    columns: str, widest: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    rows = [("model", "pretask/convnet@1", "A small convolutional network, with a pooled grid of features.", "12.25")]
    show_rows(("kind", "id", "what", "number"), rows)
    draw_table(("kind", "id", "what", "number"), rows, "a title")
    lines = re.sub("\x1b.[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert 30 < max(map(len, lines)) <= widest
    assert any("12.25" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "cache", "told"),
    [
        (["--out", "/dev/null/runs"], "cache", "--out needs a folder that it can write, /dev/null/runs; got Not a"),
        (["--out", "file"], "cache", "--out needs a folder that it can write, file; got Not a directory."),
        (["--out", "/proc/runs"], "cache", "--out needs a folder that it can write, /proc/runs; got "),
        ([], "/dev/null/cache", "the cache needs a folder that it can write and lock files in, /dev/null/cache/"),
    ],
)
def test_a_place_that_cannot_be_written_is_told_before_training(
    words: list[str],
    cache: str,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRETASK_CACHE", cache)
    Path("file").touch()
    assert invoke([*RUN, *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(told)
    assert not list(tmp_path.rglob("*.json"))
