"""Sixty kills at drawn moments, by drawn signals, of whatever writes: nothing is lost, torn, doubled or left behind."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from bench.conftest import FACTS
from killing.kinds import ENTRIES, RECORDS
from pretask.cache import find_damage
from pretask.files import sweep
from pretask.pruning import list_entries, prune
from pretask_bench.records import store
from pretask_bench.records.record import Record
from pretask_bench.records.store import read_all
from pretask_bench.records.verify import verify
from pretask_bench.results.index import read_summaries
from processes import start_python

KILLS = 60
SECONDS = 1200  # for as many kills, on however busy a machine
SIGNALS = {"SIGKILL", "SIGTERM", "SIGHUP"}
ANSWERED = {"0", "75", "-9", "-15", "-1"}  # exit codes: done, saved, and killed before or after signals are answered
pytestmark = [pytest.mark.exhaustive, pytest.mark.slow]


def kill(kind: str, folder: Path) -> int:
    """Kill processes of a kind at work in a folder; return how many rounds of their work there are."""
    done = start_python("-m", "killing", kind, str(KILLS), folder=folder)
    assert done.wait(SECONDS) == 0, done.err
    assert "Traceback" not in done.err, done.err
    found = json.loads(done.out.splitlines()[-1])
    assert sum(found["sent"].values()) >= KILLS
    assert found["sent"].keys() == SIGNALS
    assert found["codes"].keys() <= ANSWERED, done.err
    print(kind, found)  # for whoever wants to know, with pytest -s
    return int(found["rounds"])


def only_records(out: Path, count: int) -> list[Record]:
    """Return the records of a folder of runs, in the order of their cells; nothing else was left behind."""
    records, refused = read_all([out / "records"])
    assert refused == []
    assert len(records) == count
    assert list(out.rglob(".*")) == []
    assert verify([out / "records"]).faults == []
    return sorted(records, key=lambda record: str(record.cell.task))


def outcome(record: Record) -> Mapping[str, Any]:
    """Return what a run found, the same for one that was never stopped."""
    return record.model_dump(include={"cell", "weights", "results", "pretext", "code", "status"})


def check_cache(folder: Path) -> None:
    """Hold a cache to be whole; what a kill left of it is gone after the next look for what may go."""
    prune(folder, 10**12)
    assert list(folder.rglob(".*")) == []
    assert [find_damage(entry.folder) for entry in list_entries(folder)] == [""] * len(list_entries(folder))


@pytest.mark.parametrize(("kind", "records"), [("run", 1), ("two-runs", 1), ("bench", 2)])
def test_a_killed_run_that_is_started_again_ends_as_one_never_killed(kind: str, records: int, tmp_path: Path) -> None:
    rounds = kill(kind, tmp_path)
    whole = [outcome(record) for record in only_records(tmp_path / "out-0", records)]
    for number in range(1, rounds):
        found = only_records(tmp_path / f"out-{number}", records)
        assert [outcome(record) for record in found] == whole, number
        check_cache(tmp_path / f"cache-{number}")


def test_a_store_has_every_record_that_any_of_three_killed_writers_wrote(tmp_path: Path) -> None:
    facts = json.loads(json.dumps(FACTS))
    facts["results"][0]["metrics"]["accuracy"] = 0.5  # what its items say
    (tmp_path / "facts.json").write_text(json.dumps(facts))
    with pytest.MonkeyPatch.context() as patch:
        for number in range(kill("store", tmp_path)):
            folder = tmp_path / f"store-{number}"
            sweep(folder)  # as the next run does
            assert list(folder.glob(".*")) == []
            assert {*(tmp_path / f"log-{number}").read_text().split()} == {path.name for path in folder.glob("*.json")}
            for picture in folder.glob("*.png"):
                store.read_picture(folder, picture.stem)
            assert len(list(folder.glob("*.png"))) == RECORDS
            records, refused = read_all([folder])
            assert (sorted(record.cell.seed for record in records), refused) == ([*range(RECORDS)], [])
            patch.setenv("PRETASK_CACHE", str(tmp_path / f"cache-{number}"))
            summaries, refused = read_summaries([folder])
            assert (sorted(row.record.cell.seed for row in summaries), refused) == ([*range(RECORDS)], [])


def test_a_cache_that_four_killed_users_share_is_whole(tmp_path: Path) -> None:
    for number in range(kill("cache", tmp_path)):
        folder = tmp_path / f"cache-{number}"
        check_cache(folder)
        assert 0 < len(list_entries(folder)) <= ENTRIES
