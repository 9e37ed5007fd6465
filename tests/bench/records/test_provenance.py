import doctest
import json
import os
import re
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from pretask_bench.records import provenance
from pretask_bench.records.provenance import (
    MAX_ERROR_CHARACTERS,
    collect,
    error_text,
    find_commit,
    shorten_argument,
    timestamp,
    versions,
    without_paths,
)
from pretask_bench.records.record import Provenance

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COLLECT = """
import json, datetime
from pretask_bench.records.provenance import collect
now = datetime.datetime.now(datetime.UTC)
print(json.dumps(collect(started=now, ended=now)))
"""


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_provenance_names_no_user_no_host_and_no_absolute_path(tmp_path: Path) -> None:
    home = tmp_path / "zaphod"
    home.mkdir()
    surroundings = {**os.environ, "HOME": str(home), "USER": "zaphod", "LOGNAME": "zaphod", "HOSTNAME": "heartofgold"}
    arguments = [str(home), f"data.root={home}/my photos", "--out=~/runs", f"{home}/x", "timm/resnet18"]
    command = [sys.executable, "-c", COLLECT, *arguments]
    done = subprocess.run(command, env=surroundings, cwd=home, capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["command"] == ["-c", "~", "data.root=my photos", "--out=runs", "x", "timm/resnet18"]
    texts = re.findall(r'"((?:[^"\\]|\\.)*)"', done.stdout)
    assert [text for text in texts if text.startswith(("/", "\\", "~/"))] == []
    for private in ("zaphod", "heartofgold", str(tmp_path), socket.gethostname()):
        assert private not in texts
        assert f"/{private}" not in done.stdout


def test_provenance_is_what_a_record_holds() -> None:
    facts = collect(
        started=NOON,
        ended=NOON + timedelta(seconds=61.5),
        device=torch.device("cpu"),
        samples=128_000,
        parameters=20_000,
        flops=1.5e12,
        stages={"pretrain": 50.0},
        command=["pretask", "run"],
    )
    parsed = Provenance.model_validate_json(json.dumps(facts))
    assert (parsed.seconds, parsed.started, parsed.ended) == (
        61.5,
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:01:01Z",
    )
    assert (parsed.samples, parsed.parameters, parsed.flops, parsed.stages) == (
        128_000,
        20_000,
        1.5e12,
        {"pretrain": 50.0},
    )
    assert parsed.threads == torch.get_num_threads()
    assert parsed.peak_memory is not None
    assert parsed.peak_memory > 50e6  # torch alone takes more


def test_versions_are_those_installed_and_skip_what_is_not() -> None:
    found = versions(["torch", "pretask-does-not-exist"])
    assert found == {"python": sys.version.split()[0], "torch": torch.__version__.split("+")[0]} | found
    assert "pretask-does-not-exist" not in found


def test_times_are_utc_whatever_the_zone() -> None:
    assert timestamp(datetime(2026, 3, 1, 14, tzinfo=timezone(timedelta(hours=2)))) == "2026-03-01T12:00:00Z"


def test_the_commit_is_that_of_the_checkout_and_a_change_shows(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    (package / "module.py").write_text("one")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "package")
    git(tmp_path, "commit", "-q", "-m", "first")
    assert find_commit(package) == (git(tmp_path, "rev-parse", "HEAD"), False)
    (package / "module.py").write_text("two")
    assert find_commit(package) == (git(tmp_path, "rev-parse", "HEAD"), True)


def test_a_package_installed_inside_anothers_repository_has_no_commit(tmp_path: Path) -> None:
    package = tmp_path / "site-packages"
    package.mkdir()
    (package / "module.py").write_text("one")
    assert find_commit(package) == (None, None)
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    assert find_commit(package) == (None, None)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("cannot read /mnt/store/a.png", "cannot read a.png"),
        ("cannot read '/mnt/my store/a b.png'.", "cannot read 'a b.png'."),
        ('File "/opt/x/train.py", line 3', 'File "train.py", line 3'),
        ("PATH=/a/bin:/b/lib", "PATH=bin:lib"),
        ("see ~/runs/log and ~jane/x", "see log and x"),
        (r"cannot read C:\Users\jane\a.png", "cannot read a.png"),
        ("from file:///home/jane/a.png", "from a.png"),
        ("get https://jane:secret@example.org/a/b", "get https://example.org/a/b"),
        ("/home/jane/a.png:12: (/tmp/x/)", "a.png:12: (x)"),
        ("timm/resnet18 and 3 / 4 and and/or", "timm/resnet18 and 3 / 4 and and/or"),
        ("/=//=", "=="),
    ],
)
def test_prose_keeps_the_last_component_of_a_path_and_all_else(text: str, kept: str) -> None:
    assert without_paths(text) == kept


@given(some.text("/~.:ab \"'=\\@C", max_size=24))
def test_what_was_reduced_once_has_nothing_left_to_reduce(text: str) -> None:
    once = without_paths(text)
    assert without_paths(once) == once


@pytest.mark.parametrize(
    ("argument", "kept"),
    [
        ("/mnt/a b/c d", "c d"),
        ("--out=/mnt/a b", "--out=a b"),
        ("--data", "--data"),
        ("split.patch=24", "split.patch=24"),
        ("/x=/y/z", "z"),
        ("../up/photos/", "photos"),
        (r"\\server\share\photos", "photos"),
        ("/", "/"),
        ("", ""),
    ],
)
def test_an_argument_keeps_its_key_and_the_last_component_of_its_path(argument: str, kept: str) -> None:
    assert shorten_argument(argument) == kept


def test_an_error_is_plain_short_and_names_no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "heartofgold")
    assert (
        error_text(ValueError("\x1b[31mno route\x1b[0m to heartofgold:29500\x07"))
        == "ValueError: no route to host:29500"
    )
    long = error_text("a" * 50_000 + "b" * 50_000)
    assert len(long) <= MAX_ERROR_CHARACTERS
    assert (long[0], long[-1]) == ("a", "b")
    assert error_text("\udcff\u202e") == "?"
    assert error_text("") == "no message"


def test_the_examples_in_the_docstrings_are_true() -> None:
    assert doctest.testmod(provenance).failed == 0
