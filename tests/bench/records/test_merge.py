"""Merge: sound records of several folders in one store, with their pictures, once."""

from pathlib import Path
from typing import Any

import pytest
from entrants import entrant
from pretask_bench.cli.main import invoke
from pretask_bench.records.record import Record, build_record
from pretask_bench.records.store import read_all, read_picture, write, write_picture

PNG = b"\x89PNG\r\n\x1a\n" + b"any"


@pytest.fixture(autouse=True)
def _nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pretask_bench.cli.merge.registry", lambda: None)  # the parts of these records have no options


@pytest.fixture
def folder(tmp_path: Path, facts: dict[str, Any]) -> Path:
    """Two folders of runs with a record each; the first one's has a picture, and lies beside one that was changed."""
    fields = entrant(facts, 0.5).model_dump(mode="json")
    png = write_picture(tmp_path / "runs/records", PNG)
    fields["results"][0]["pictures"] = [{"name": "it", "caption": "A picture.", "png": png}]
    write(tmp_path / "runs/records", build_record(fields))
    changed = write(tmp_path / "runs/records", entrant(facts, 0.6))
    changed.write_bytes(changed.read_bytes().replace(b":0.6,", b":0.97,"))
    impossible = entrant(facts, 0.7).model_dump(mode="json")
    impossible["results"][0]["metrics"]["accuracy"] = 0.95  # its items say 0.7
    write(tmp_path / "ada", build_record(impossible))
    write(tmp_path / "ada", entrant(facts, 0.4))
    return tmp_path


def test_sound_records_and_their_pictures_are_merged_once_and_others_refused_by_name(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["merge", str(folder / "runs"), str(folder / "ada"), "--into", str(folder / "store")]
    assert invoke(words) == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        f"{folder / 'runs'}: 1 added, 0 known, 1 refused",
        f"{folder / 'ada'}: 1 added, 0 known, 1 refused",
    ]
    (changed,) = [path for path in (folder / "runs/records").glob("*.json") if b"0.97" in path.read_bytes()]
    assert f"refused {changed}: {changed.name} needs bytes whose SHA-256 is its name" in said.err
    assert "its 100 items say 0.7" in said.err
    records = accuracies(folder / "store")
    assert sorted(records) == [0.4, 0.5]
    (picture,) = records[0.5].results[0].pictures
    assert read_picture(folder / "store", picture.png) == PNG
    before = {path.name: path.stat().st_mtime_ns for path in (folder / "store").iterdir()}
    assert invoke(words) == 1
    assert "0 added, 1 known" in capsys.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in (folder / "store").iterdir()} == before


def test_a_folder_without_records_is_told_apart_from_one_that_was_merged(folder: Path) -> None:
    (folder / "empty").mkdir()
    assert invoke(["merge", str(folder / "empty"), "--into", str(folder / "store")]) == 1
    assert invoke(["merge", str(folder / "nowhere"), "--into", str(folder / "store")]) == 2
    for path in (folder / "ada").glob("*.json"):
        if b"0.95" in path.read_bytes():
            path.unlink()
    assert invoke(["merge", str(folder / "ada"), "--into", str(folder / "store")]) == 0


def accuracies(store: Path) -> dict[float, Record]:
    """The records of a store by what the probe found."""
    records, refused = read_all([store])
    assert refused == []
    return {record.results[0].metrics["accuracy"] or 0.0: record for record in records}
