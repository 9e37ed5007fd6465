"""Bad plugins: every other command works, and says once on stderr what is wrong and how to mend it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hostile_plugins import HOSTILE

HEAD = "import pretask\n"
DECLARE = """
@pretask.hookimpl
def pretask_components():
    yield pretask.model("net", "bad_impl:Net", modality="image")
"""
Run = Callable[..., subprocess.CompletedProcess[str]]


def path_with(folder: Path) -> str:
    """Where a process looks for modules: there, and where this one was told to."""
    return os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture
def pretask(tmp_path: Path) -> Run:
    """Run the command in a process of its own, with a plugin `bad` installed whose light module is given."""

    def run(source: str, *arguments: str, entries: str = "bad = bad_plugin") -> subprocess.CompletedProcess[str]:
        info = tmp_path / "pretask_bad-1.0.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: pretask-bad\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[pretask.plugins.v1]\n{entries}\n")
        (tmp_path / "bad_plugin.py").write_text(HEAD + source)
        (tmp_path / "bad_other.py").write_text(HEAD + DECLARE)
        environment = {**os.environ, "PYTHONPATH": path_with(tmp_path)}
        command = [sys.executable, "-m", "pretask_bench", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    return run


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("raise SystemExit('no licence')\n", "SystemExit: no licence"),
        ("import flash_of_nobody\n", "Install what provides the module 'flash_of_nobody'"),
        ("def f(:\n", "SyntaxError"),
    ],
)
def test_a_plugin_that_gives_up_is_told_in_one_line_and_leaves_clean_data(pretask: Run, source: str, told: str) -> None:
    done = pretask(source, "list", "--json")
    assert done.returncode == 0
    assert "pretask/relative-position@1" in {component["id"] for component in json.loads(done.stdout)}
    (line,) = done.stderr.splitlines()
    assert told in line
    assert line.startswith("bad (pretask-bad 1.0) does not work: ")
    assert "PRETASK_BLOCK=bad" in line


def test_what_a_plugin_prints_in_whatever_way_is_not_among_the_data(pretask: Run) -> None:
    source = "import os, sys\nprint('one')\nos.system('echo two')\nsys.__stdout__.write('three\\n')\n" + DECLARE
    done = pretask(source, "list", "model", "--json")
    assert "bad/net@1" in {component["id"] for component in json.loads(done.stdout)}
    assert {"one", "two", "three"} <= set(done.stderr.splitlines())


def test_a_slow_plugin_is_told_with_its_seconds_and_works(pretask: Run) -> None:
    done = pretask("import time\ntime.sleep(3.2)\n" + DECLARE, "list", "model", "--json")
    assert "bad/net@1" in {component["id"] for component in json.loads(done.stdout)}
    (line,) = done.stderr.splitlines()
    assert "it took 3." in line
    assert "Let bad_plugin import nothing heavy" in line


def test_a_component_that_exists_already_is_told_once_with_both_of_its_owners(pretask: Run) -> None:
    entries = "bad = bad_plugin\nbad.other = bad_other"
    done = pretask(DECLARE, "list", "model", "--json", entries=entries)
    assert "pretask/convnet@1" in {component["id"] for component in json.loads(done.stdout)}
    (line,) = done.stderr.splitlines()
    assert "model bad/net@1 is declared 2 times, by bad and bad.other" in line
    assert "Rename one" in line
    assert pretask(DECLARE, "show", "bad/net", entries=entries).returncode == 3


@pytest.mark.parametrize(("name", "told"), [("pretask", "belongs to what is built in"), ("local", "is kept for files")])
def test_a_namespace_that_is_kept_is_refused_and_nothing_else_suffers(pretask: Run, name: str, told: str) -> None:
    done = pretask(DECLARE, "list", "model", "--json", entries=f"{name}.bad = bad_plugin")
    assert done.returncode == 0
    assert "pretask/convnet@1" in {component["id"] for component in json.loads(done.stdout)}
    (line,) = done.stderr.splitlines()
    assert told in line
    assert "Rename the entry point of pretask-bad." in line


def install_hostile(folder: Path) -> list[str]:
    """Install a distribution for every kind of hostile plugin; return their namespaces."""
    names = []
    for number, (source, _) in enumerate(HOSTILE.values()):
        names.append(name := f"h{number}")
        info = folder / f"pretask_{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pretask-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[pretask.plugins.v1]\n{name} = hostile_{name}\n")
        head = "from pretask import hookimpl, split, model, objective, evaluator, data, task, suite, Component\n"
        (folder / f"hostile_{name}.py").write_text(head + source)
    return names


VERBS = """
import click
def add(cli, name, action):
    cli.add_command(click.Command(name, callback=action))
def fail():
    raise ValueError("no\\x1b colors")
def leave():
    raise SystemExit(5)
def interrupt():
    raise KeyboardInterrupt
@pretask.hookimpl
def pretask_commands(cli):
    add(cli, "fails", fail)
    add(cli, "leaves", leave)
    add(cli, "interrupts", interrupt)
    cli.commands["odd"] = 7
    cli.commands["list"] = cli.commands["fails"]
"""


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["fails"], 1, r"ValueError: no\\x1b colors \(bad_plugin.py, line \d+\). pretask -v shows where .*\n"),
        (["-v", "fails"], 1, r"Traceback(.|\n)*ValueError: no\\x1b colors(.|\n)*\(bad_plugin.py, line \d+\).\n"),
        (["leaves"], 5, ""),
        (["interrupts"], 130, "\nStopped.\n"),
        (["odd"], 2, r"(.|\n)*No such command 'odd'.\n"),
        (["--help"], 0, ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_verb_of_a_plugin_that_fails_gives_a_line_and_not_a_traceback(
    pretask: Run, words: list[str], code: int, told: str
) -> None:
    done = pretask(VERBS, *words)
    assert done.returncode == code
    assert re.fullmatch(told, done.stderr), done.stderr


def test_all_hostile_plugins_at_once_are_rows_and_every_command_works(tmp_path: Path, pretask: Run) -> None:
    names = install_hostile(tmp_path)
    done = pretask(DECLARE, "plugins", "--json")
    assert done.returncode == 3
    states = {row["name"]: row for row in json.loads(done.stdout)}
    assert all(states[name]["state"] in ("broken", "partly") and states[name]["problems"] for name in names)
    assert states["bad"]["state"] == "ok"
    assert {row["state"] for row in states.values() if row["name"].startswith("pretask")} == {"ok"}
    assert "Traceback" not in done.stderr
    assert all(line.isprintable() for line in done.stderr.splitlines())
    done = pretask(DECLARE, "list", "model")
    assert done.returncode == 0
    assert "bad/net@1" in done.stdout
    assert "\x1b" not in done.stdout


def test_ctrl_c_ends_a_plugin_that_never_ends_and_names_it(tmp_path: Path, pretask: Run) -> None:
    pretask(DECLARE, "plugins", "bad")  # installs it
    (tmp_path / "bad_plugin.py").write_text("import pathlib, time\npathlib.Path('begun').touch()\ntime.sleep(60)\n")
    environment = {**os.environ, "PYTHONPATH": path_with(tmp_path)}
    command = [sys.executable, "-m", "pretask_bench", "list"]
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        # What a script starts in the background ignores it, and all below.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    began = time.monotonic()
    while not (tmp_path / "begun").exists() and time.monotonic() - began < 30:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopped while bad (pretask-bad 1.0) was imported; PRETASK_BLOCK=bad goes without it" in said
    assert "Traceback" not in said
