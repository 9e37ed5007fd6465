"""`pretask cache`: what is kept is listed, pruned and held against its checksums."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from pretask.cache import cache_key, cached
from pretask_bench.cli.main import invoke


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two entries, the second one used before the first."""
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path))
    monkeypatch.delenv("PRETASK_CACHE_GB", raising=False)
    found = []
    for number, used in ((0, 1_000_000_000), (1, 900_000_000)):

        def make(folder: Path) -> dict[str, object]:
            np.save(folder / "rows.npy", np.zeros(1000))
            return {}

        facts = {"part": "tra\nin", "number": number, "path": "x" * 200}
        cached("features", facts, make)
        found.append(tmp_path / "features" / cache_key(facts))
        os.utime(found[-1] / "entry.json", (used, used))
    return found


def test_ls_tells_group_key_facts_size_and_last_use(places: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["cache", "ls"]) == 0
    captured = capsys.readouterr()
    rows = [line.split("\t") for line in captured.out.splitlines()]
    assert [row[:2] for row in rows] == [["features", place.name[:12]] for place in reversed(places)]
    assert rows[0][2].startswith("part=tra in number=1 path=xxx")
    assert rows[0][2].endswith("…")
    assert rows[0][3] == "8.5 kB"
    assert rows[0][4].startswith("1998-07-")
    assert "2 entries, 1" in captured.err


def test_ls_as_json_has_the_whole_key_and_the_sum(places: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["cache", "ls", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    sizes = [sum(file.stat().st_size for file in place.iterdir()) for place in places]
    assert report["bytes"] == sum(sizes)
    assert [row["key"] for row in report["entries"]] == [place.name for place in reversed(places)]


@pytest.mark.parametrize("way", ["option", "environment"])
def test_prune_removes_what_was_not_used_for_longest(
    way: str, places: list[Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "environment":
        monkeypatch.setenv("PRETASK_CACHE_GB", "0.00001")
    assert invoke(["cache", "prune", *(["--gb", "0.00001"] if way == "option" else [])]) == 0
    assert str(places[1]) in capsys.readouterr().out
    assert [place.exists() for place in places] == [True, False]


def test_prune_without_a_bound_is_refused_with_the_way_out(
    places: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["cache", "prune"]) == 2
    assert "Say --gb N, or set PRETASK_CACHE_GB." in capsys.readouterr().err
    assert all(place.exists() for place in places)


def test_verify_names_what_is_damaged_and_returns_1(places: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["cache", "verify"]) == 0
    assert "2 entries, 0 damaged" in capsys.readouterr().err
    path = places[0] / "rows.npy"
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(SystemExit) as left:
        invoke(["cache", "verify"])
    assert left.value.code == 1
    assert capsys.readouterr().out == f"{places[0]}\trows.npy changed\n"


def test_an_empty_cache_is_fine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "none"))
    assert [invoke(["cache", *verb]) for verb in (["ls"], ["verify"], ["prune", "--gb", "1"])] == [0, 0, 0]
