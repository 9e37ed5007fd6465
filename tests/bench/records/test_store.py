import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from pretask import PretaskError
from pretask_bench.records import store
from pretask_bench.records.canonical import canonical_bytes
from pretask_bench.records.record import Record, build_record, record_hash
from pretask_bench.records.verify import verify
from pretask_bench.results.index import read_summaries

Facts = dict[str, Any]
PICTURE = b"\x89PNG\r\n\x1a\n and so on"

# Nineteen writers of 12 records each, of which two and two write the same at the same time, and a twentieth that is
# killed over and over again, and starts each time a little further. With an index, two readers keep one meanwhile, and
# it is a third that is killed.
WRITERS = """
import json, os, random, signal, sys, time
from pretask_bench.records import store
from pretask_bench.records.record import build_record

folder, log, facts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
writers, kills, indexed, order = int(sys.argv[4]), int(sys.argv[5]), sys.argv[6] == "indexed", random.Random(0)

def put(seed):
    facts["cell"]["seed"] = seed
    return store.write(folder, build_record(facts)).name

def steady(number):
    for seed in range(12 * (number // 2), 12 * (number // 2) + 12):
        put(seed)

def endless(start):
    with open(log, "ab", buffering=0) as names:
        for seed in range(start, start + 1000):
            names.write(put(seed).encode() + b"\\n")

def looking(start):
    from pretask_bench.results.index import read_summaries
    with open(log, "ab", buffering=0) as names:
        while start:
            found, refused = read_summaries([folder])
            assert not refused
            names.write(b"\\n")
            start += 1 if start < 0 else 0

def forked(work, number):
    child = os.fork()
    if not child:
        work(number)
        os._exit(0)
    return child

if indexed:
    import pretask_bench.results.index
steadies = [forked(steady, number) for number in range(writers)] + [forked(looking, -20) for _ in range(2 * indexed)]
killed = written = 0
while killed < kills or (written < kills // 2 and killed < 1000):
    victim = forked(looking, 1) if indexed else forked(endless, 1_000_000 + 3 * killed)
    time.sleep(order.uniform(0.001, 0.03 if written >= killed else 0.15))  # a slow machine gives a victim longer
    os.kill(victim, signal.SIGKILL)
    os.waitpid(victim, 0)
    killed += 1
    written = open(log, "rb").read().count(b"\\n") if os.path.exists(log) else 0
sys.exit(sum(os.waitpid(writer, 0)[1] for writer in steadies))
"""

# A full disk: no file may grow beyond 1,000 bytes.
FULL = """
import resource, sys
from pretask_bench.records import store
from pretask_bench.records.record import parse_record

record = parse_record(sys.argv[2].encode())
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
store.write(sys.argv[1], record)
"""


@pytest.fixture
def record(facts: Facts) -> Record:
    return build_record(facts)


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], check=False, capture_output=True, text=True)


def test_a_record_is_stored_under_the_hash_of_its_file(tmp_path: Path, record: Record) -> None:
    path = store.write(tmp_path / "new" / "store", record)
    assert path.name == f"{sha256(path.read_bytes()).hexdigest()}.json" == f"{record_hash(record)}.json"
    assert store.read(path) == record


def test_a_record_written_twice_is_one_file_and_nothing_else_is_left(tmp_path: Path, record: Record) -> None:
    assert store.write(tmp_path, record) == store.write(tmp_path, record)
    assert [path.name for path in tmp_path.iterdir()] == [f"{record_hash(record)}.json"]


def test_stores_merge_by_copying_and_each_record_is_read_once(tmp_path: Path, facts: Facts) -> None:
    records = [build_record({**facts, "note": f"number {number}"}) for number in range(4)]
    one, two = tmp_path / "one", tmp_path / "two"
    single = [store.write(folder, record) for folder, record in zip((one, one, two, two), records, strict=True)][-1]
    for path in one.iterdir():
        shutil.copy(path, two)
    read, refused = store.read_all([one, two, single])
    assert (read, refused) == (sorted(records, key=record_hash), [])


def test_any_flipped_bit_is_found(tmp_path: Path, record: Record) -> None:
    path = store.write(tmp_path, record)
    content = path.read_bytes()
    for place in range(0, len(content), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        read, refused = store.read_all([tmp_path])
        assert read == []
        assert [where for where, _ in refused] == [path]
        assert "bytes whose SHA-256 is its name" in refused[0][1]


def test_writing_a_record_again_mends_its_damaged_file(tmp_path: Path, record: Record) -> None:
    path = store.write(tmp_path, record)
    path.write_bytes(path.read_bytes()[:100])
    store.write(tmp_path, record)
    assert store.read_all([tmp_path]) == ([record], [])


def test_a_folder_of_stores_stands_for_what_lies_in_each_and_other_files_beside_them_are_left_alone(
    tmp_path: Path, facts: Facts
) -> None:
    records = [build_record({**facts, "note": f"number {number}"}) for number in range(3)]
    for record, folder in zip(records, ("runs/records", "deep/er/records", "runs/records"), strict=True):
        store.write(tmp_path / folder, record)
    (tmp_path / "runs" / "vae" / "0001").mkdir(parents=True)
    (tmp_path / "runs" / "vae" / "0001" / "progress.json").write_text("{}")
    assert store.read_all([tmp_path]) == (sorted(records, key=record_hash), [])
    (tmp_path / "runs" / "records" / "renamed.json").write_text("{}")  # beside records it should be one
    assert len(store.read_all([tmp_path])[1]) == 1


def named_by_hash(folder: Path, content: bytes) -> Path:
    path = folder / f"{sha256(content).hexdigest()}.json"
    path.write_bytes(content)
    return path


def test_files_that_are_no_records_are_refused_by_name_beside_those_that_are(tmp_path: Path, record: Record) -> None:
    good = store.write(tmp_path, record)
    content = good.read_bytes()
    wrong = {
        tmp_path / "absent.json": "a file;",
        shutil.copy(good, tmp_path / "renamed.json"): "SHA-256",
        named_by_hash(tmp_path, json.dumps(json.loads(content), indent=1).encode()): "canonical JSON",
        named_by_hash(tmp_path, content[:-1] + b',"record":1}'): "canonical JSON",
        named_by_hash(tmp_path, b"{}"): "the fields of version 1",
    }
    os.mkfifo(tmp_path / "pipe.json")
    wrong[tmp_path / "pipe.json"] = "a file;"
    read, refused = store.read_all([tmp_path, tmp_path / "absent.json"])
    assert read == [record]
    assert sorted(path for path, _ in refused) == sorted(wrong)
    assert [path for path, reason in refused if wrong[path] not in reason] == []


def test_a_name_that_would_steer_a_terminal_is_written_out(tmp_path: Path) -> None:
    (tmp_path / "\x1b]0;evil\x07.json").write_text("{}")
    ((_, reason),) = store.read_all([tmp_path])[1]
    assert "\\x1b]0;evil\\x07.json needs bytes" in reason


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(store.MAX_FILE_BYTES + 1)  # a hole; it takes no room
    assert "needs at most 67108864 bytes" in store.read_all([tmp_path])[1][0][1]


def test_a_record_too_large_to_be_read_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(PretaskError, match="files of at most 67108864 bytes"):
        store.write_by_hash(tmp_path, bytes(store.MAX_FILE_BYTES + 1), ".json")


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(PretaskError, match="absent needs a folder that can be read; got No such file"):
        store.store_files(tmp_path / "absent")


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, record: Record) -> None:
    done = run(FULL, str(tmp_path), canonical_bytes(record).decode())
    assert "PretaskError: the store needs to write" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_is_a_file_is_said(tmp_path: Path, record: Record) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(PretaskError, match="the store needs to write"):
        store.write(tmp_path / "taken", record)


@pytest.mark.exhaustive  # a hundred kills
def test_twenty_writers_at_once_one_killed_a_hundred_times_lose_tear_and_double_nothing(
    tmp_path: Path, facts: Facts
) -> None:
    folder, log = tmp_path / "store", tmp_path / "log"
    facts["results"][0]["metrics"]["accuracy"] = 0.5  # what its items say
    done = run(WRITERS, str(folder), str(log), json.dumps(facts), "19", "100", "")
    assert done.returncode == 0, done.stderr
    read, refused = store.read_all([folder])
    assert refused == []
    seeds = [record.cell.seed for record in read]
    assert len(seeds) == len(set(seeds))
    assert set(range(120)) <= set(seeds)
    names = log.read_text().split()
    assert len(names) >= 50  # the victim got to work before it was killed
    assert set(names) <= {path.name for path in folder.iterdir()}
    flipped = folder / names[0]
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    form = [fault for fault in verify([folder]).faults if "SHA-256" in fault.message]
    assert [fault.path for fault in form] == [flipped]


@pytest.mark.exhaustive  # a hundred kills
def test_an_index_that_many_read_and_write_while_one_is_killed_shows_every_record(
    tmp_path: Path, facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "cache"))
    folder, log = tmp_path / "store", tmp_path / "log"
    store.write(folder, build_record(facts))
    done = run(WRITERS, str(folder), str(log), json.dumps(facts), "4", "40", "indexed")
    assert done.returncode == 0, done.stderr
    for _ in range(2):
        found, refused = read_summaries([folder])
        assert refused == []
        assert sorted(summary.record.cell.seed for summary in found) == [*range(24)]


def test_a_picture_comes_back_under_its_hash_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    name = store.write_picture(tmp_path, PICTURE)
    assert store.read_picture(tmp_path, name) == PICTURE
    (tmp_path / f"{name}.png").write_bytes(PICTURE + b"x")
    with pytest.raises(PretaskError, match="SHA-256"):
        store.read_picture(tmp_path, name)


def test_a_picture_that_is_no_png_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PretaskError, match="the bytes of a PNG file"):
        store.write_picture(tmp_path, b"<svg onload=alert(1)>")
