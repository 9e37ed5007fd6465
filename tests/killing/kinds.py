"""What is killed: a run, two runs of one cell, a suite, three writers of a store, four users of a cache.

Every round has folders of its own within the current one: `out-ROUND`, `cache-ROUND`, `store-ROUND`.
"""

import json
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pretask import checkpoint
from pretask.cache import cached, find_damage, write_rows
from pretask.pruning import list_entries
from pretask_bench.cli import main
from pretask_bench.records import store
from pretask_bench.records.record import build_record
from pretask_bench.results.index import read_summaries

TINY = str(Path(__file__).with_name("killed_tasks.py"))
ALIKE = ("--plugin", TINY, "--device", "cpu", "--threads", "1", "--json")
OFTEN = ("--checkpoint-seconds", "0.05", "--no-pictures")
RUN = ("run", "local/first", "--data", "local/specks", "--evaluate", "ridge", *OFTEN, *ALIKE)
BENCH = ("bench", "local/tiny", "--tasks", "local/first,local/second", *ALIKE)
RECORDS = 24  # of a store; of these every writer writes two thirds
ENTRIES = 6  # of a cache
ROWS = np.arange(4096, dtype=np.int64).reshape(64, 64)
ROOM_GB = 5 * ROWS.nbytes / 1e9  # of a cache, so that some entry is always removed for another one

Work = Callable[[int, int], int]  # of the numbers of a round and of a process; returns an exit code


@dataclass(frozen=True)
class Kind:
    """What is killed.

    Args:
        work: What a process does.
        check: Raises AssertionError where what lies there of a round is not whole, right after kills.
        together: How many processes work at once.
    """

    work: Work
    check: Callable[[int], None]
    together: int = 1


def run_command(words: Sequence[str]) -> Work:
    """Return what runs a command of ours."""

    def work(round_number: int, number: int) -> int:
        os.environ["PRETASK_CACHE"] = str(Path(f"cache-{round_number}").absolute())
        return main.invoke([*words, "--out", f"out-{round_number}"])

    return work


def write_records(round_number: int, number: int) -> int:
    """Write records of which others write some too, note the name of each afterwards, and look at the index."""
    folder = Path(f"store-{round_number}")
    os.environ["PRETASK_CACHE"] = str(Path(f"cache-{round_number}").absolute())
    facts = json.loads(Path("facts.json").read_text())
    with Path(f"log-{round_number}").open("ab", buffering=0) as log:
        for place in range(RECORDS * 2 // 3):
            facts["cell"]["seed"] = (number * RECORDS // 3 + place) % RECORDS
            name = store.write(folder, build_record(facts)).name
            store.write_picture(folder, store.PNG + name.encode())
            log.write(name.encode() + b"\n")
            if place % 4 == 0:
                _, refused = read_summaries([folder])
                assert refused == []
    return 0


def use_cache(round_number: int, number: int) -> int:
    """Open entries in an order of one's own, which are made where they are not there, with room for most of them."""
    os.environ["PRETASK_CACHE_GB"] = str(ROOM_GB)
    order = random.Random(4 * round_number + number)
    for _ in range(2):
        for entry in order.sample(range(ENTRIES), ENTRIES):
            arrays, notes = cached("test", {"entry": entry}, make_entry(entry), folder=Path(f"cache-{round_number}"))
            assert np.array_equal(arrays["rows"], ROWS + entry)
            assert notes == {"entry": entry}
    return 0


def make_entry(entry: int) -> Callable[[Path], Mapping[str, Any]]:
    """Return what writes an entry of the cache, piece by piece."""

    def make(folder: Path) -> Mapping[str, Any]:
        write_rows(folder / "rows.npy", ROWS.shape, "int64", np.split(ROWS + entry, 16))
        return {"entry": entry}

    return make


def check_runs(round_number: int) -> None:
    """Hold every checkpoint and record of a round to be whole."""
    out = Path(f"out-{round_number}")
    assert [path for path in out.glob("*/step-*") if checkpoint.try_read(path) is None] == []
    assert store.read_all([out / "records"] if (out / "records").is_dir() else [])[1] == []


def check_store(round_number: int) -> None:
    """Hold every record of a round to be whole, and none to be lost whose name was noted."""
    folder, log = Path(f"store-{round_number}"), Path(f"log-{round_number}")
    there = {*os.listdir(folder)} if folder.is_dir() else set()
    assert {*log.read_text().split()} <= there if log.exists() else True
    assert store.read_all([folder] if there else [])[1] == []


def check_cache(round_number: int) -> None:
    """Hold every entry of a round to be whole."""
    entries = [entry.folder for entry in list_entries(Path(f"cache-{round_number}"))]
    assert [(entry, damage) for entry in entries if (damage := find_damage(entry))] == []


KINDS = {
    "run": Kind(run_command(RUN), check_runs),
    "two-runs": Kind(run_command(RUN), check_runs, together=2),
    "bench": Kind(run_command(BENCH), check_runs),
    "store": Kind(write_records, check_store, together=3),
    "cache": Kind(use_cache, check_cache, together=4),
}
