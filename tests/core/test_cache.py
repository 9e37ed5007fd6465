"""The cache keeps what was written, whoever writes at once, is killed, runs out of disk, or flips a byte."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from pretask import PretaskError, cache
from pretask.cache import cache_key, cached, find_damage, fingerprint, lock_entry, write_rows
from pretask.mapped import map_file
from pretask.pruning import list_entries, prune, read_limit

FACTS = {"part": "train", "size": 8}
ROWS = np.arange(4096, dtype=np.int64).reshape(64, 64)

WRITER = textwrap.dedent("""
    import os, resource, sys, time
    import numpy as np
    from pathlib import Path
    from pretask.cache import cached, write_rows

    root, pause, largest = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    rows = np.arange(4096, dtype=np.int64).reshape(64, 64)

    def halves():
        yield rows[:32]
        print("half", flush=True)
        time.sleep(pause)
        yield rows[32:]

    def make(folder):
        with (root / "makers").open("a") as file:
            file.write(f"{os.getpid()}\\n")
        write_rows(folder / "rows.npy", rows.shape, "int64", halves())
        return {"names": ["a", "b"]}

    arrays, notes = cached("test", {"part": "train", "size": 8}, make, folder=root)
    print("sum", int(arrays["rows"].sum()), flush=True)
""")


def make_rows(folder: Path) -> dict[str, object]:
    write_rows(folder / "rows.npy", ROWS.shape, "int64", [ROWS[:10], ROWS[10:]])
    return {"names": ["a", "b"]}


def never(folder: Path) -> dict[str, object]:
    raise AssertionError("made again")


def start_writer(root: Path, pause: float, largest: int = -1) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(root), str(pause), str(largest)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def entry_of(root: Path) -> Path:
    return root / "test" / cache_key(FACTS)


def unfinished(root: Path) -> list[Path]:
    return list((root / "test").glob(".*.unfinished"))


def test_an_entry_is_made_once_and_reads_back_as_written(tmp_path: Path) -> None:
    cached("test", FACTS, make_rows, folder=tmp_path)
    arrays, notes = cached("test", dict(reversed(FACTS.items())), never, folder=tmp_path)
    assert np.array_equal(arrays["rows"], ROWS)
    assert notes == {"names": ["a", "b"]}


def test_other_facts_are_another_entry(tmp_path: Path) -> None:
    cached("test", FACTS, make_rows, folder=tmp_path)
    with pytest.raises(AssertionError, match="made again"):
        cached("test", FACTS | {"size": 9}, never, folder=tmp_path)


def test_facts_whose_text_may_be_cut_short_are_refused() -> None:
    with pytest.raises(TypeError):
        cache_key({"weights": np.arange(10_000)})


def test_a_tensor_over_an_entry_can_be_written_without_changing_the_file(tmp_path: Path) -> None:
    arrays, _ = cached("test", FACTS, make_rows, folder=tmp_path)
    torch.from_numpy(arrays["rows"]).zero_()  # warnings are errors: a read-only array would raise here
    again, _ = cached("test", FACTS, never, folder=tmp_path)
    assert np.array_equal(again["rows"], ROWS)


def test_a_file_larger_than_memory_can_be_mapped(tmp_path: Path) -> None:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    path, rows = tmp_path / "large.npy", 2 * memory // 1024
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (rows, 1024)})
    os.truncate(path, path.stat().st_size + rows * 1024)  # a hole: takes no disk
    assert map_file(path)[-1].sum() == 0


def test_an_array_without_rows_reads_back(tmp_path: Path) -> None:
    write_rows(tmp_path / "none.npy", (0, 3), "float32", [])
    assert map_file(tmp_path / "none.npy").shape == (0, 3)


def test_rows_that_numpy_wrote_are_mapped_as_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "plain.npy", np.asfortranarray(ROWS))
    assert np.array_equal(map_file(tmp_path / "plain.npy"), ROWS)


@pytest.mark.parametrize("pieces", [[ROWS[:3]], [ROWS, ROWS], [ROWS[:, :5]], [ROWS.astype(np.int32)]])
def test_rows_that_do_not_make_up_the_array_are_refused(tmp_path: Path, pieces: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match="expected"):
        write_rows(tmp_path / "rows.npy", ROWS.shape, "int64", pieces)


def test_a_flipped_bit_anywhere_in_the_data_is_noticed_and_made_good(tmp_path: Path) -> None:
    cached("test", FACTS, make_rows, folder=tmp_path)
    path = entry_of(tmp_path) / "rows.npy"
    content = path.read_bytes()
    for place in range(0, len(content), 997):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        arrays, _ = cached("test", FACTS, make_rows, folder=tmp_path)
        assert np.array_equal(arrays["rows"], ROWS), place
        assert path.read_bytes() == content, place


def test_a_flipped_bit_anywhere_in_the_notes_is_noticed(tmp_path: Path) -> None:
    cached("test", FACTS, make_rows, folder=tmp_path)
    path = entry_of(tmp_path) / "entry.json"
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        opened = cache.open_entry(entry_of(tmp_path))
        assert opened is None or opened[1] == {"names": ["a", "b"]}, place


@pytest.mark.parametrize("lost", ["rows.npy", "entry.json"])
def test_a_lost_file_is_made_again(tmp_path: Path, lost: str) -> None:
    cached("test", FACTS, make_rows, folder=tmp_path)
    (entry_of(tmp_path) / lost).unlink()
    arrays, _ = cached("test", FACTS, make_rows, folder=tmp_path)
    assert np.array_equal(arrays["rows"], ROWS)


def test_a_file_cut_short_is_made_again_even_where_it_is_too_large_to_be_hashed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_CHECKED_BYTES", 0)
    cached("test", FACTS, make_rows, folder=tmp_path)
    os.truncate(entry_of(tmp_path) / "rows.npy", 1000)
    arrays, _ = cached("test", FACTS, make_rows, folder=tmp_path)
    assert np.array_equal(arrays["rows"], ROWS)


def test_a_writer_killed_in_the_middle_leaves_nothing_that_is_trusted_or_stays(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, pause=60)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "half\n"
    os.kill(writer.pid, signal.SIGKILL)
    assert writer.wait() == -signal.SIGKILL
    writer.communicate()
    assert unfinished(tmp_path)  # the kill did come in the middle
    assert not entry_of(tmp_path).exists()
    arrays, _ = cached("test", FACTS, make_rows, folder=tmp_path)
    assert np.array_equal(arrays["rows"], ROWS)
    assert unfinished(tmp_path) == []


def test_of_two_writers_at_once_one_works_and_both_read_the_same(tmp_path: Path) -> None:
    writers = [start_writer(tmp_path, pause=0.5) for _ in range(2)]
    talk = [writer.communicate(timeout=60) for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0], talk
    assert all(f"sum {ROWS.sum()}" in out for out, _ in talk)
    assert len((tmp_path / "makers").read_text().split()) == 1
    assert sum("which is making" in output for _, output in talk) <= 1


def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, pause=0, largest=20_000)  # bytes a file may have; the rows take 32,768
    _, output = writer.communicate(timeout=60)
    assert writer.returncode == 1
    assert "PretaskError: the cache needs room for" in output
    assert "Free some space, or point PRETASK_CACHE elsewhere." in output
    assert unfinished(tmp_path) == []
    assert not entry_of(tmp_path).exists()
    arrays, _ = cached("test", FACTS, make_rows, folder=tmp_path)
    assert np.array_equal(arrays["rows"], ROWS)


def test_a_maker_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fails(folder: Path) -> dict[str, object]:
        make_rows(folder)
        raise FileNotFoundError(2, "No such file", "photo.jpg")

    with pytest.raises(FileNotFoundError, match=r"photo\.jpg"):
        cached("test", FACTS, fails, folder=tmp_path)
    assert unfinished(tmp_path) == []
    assert not entry_of(tmp_path).exists()


def test_a_cache_below_a_file_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "test").write_text("a file")
    with pytest.raises(PretaskError, match="Point PRETASK_CACHE to another folder"):
        cached("test", FACTS, make_rows, folder=tmp_path)


def test_the_folder_is_the_named_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE", str(tmp_path / "here"))
    cached("test", FACTS, make_rows)
    assert entry_of(tmp_path / "here").is_dir()


def test_a_fingerprint_tells_content_shape_type_order_and_names_apart() -> None:
    labels = np.array([0, 1])
    others = [
        fingerprint(ROWS, labels),
        fingerprint(ROWS, labels[::-1]),
        fingerprint(ROWS.reshape(32, 128), labels),
        fingerprint(ROWS.view(np.float64), labels),
        fingerprint(labels, ROWS),
        fingerprint(ROWS, labels, names=["cat", "dog"]),
    ]
    assert len(set(others)) == len(others)
    assert fingerprint(ROWS.copy(order="F"), labels) == others[0]


def three(root: Path) -> list[Path]:
    """Entries of one size that were used in the order 1, 2, 0."""
    places = []
    for number, used in ((0, 300), (1, 100), (2, 200)):
        cached("test", {"number": number}, make_rows, folder=root)
        places.append(root / "test" / cache_key({"number": number}))
        os.utime(places[-1] / "entry.json", (used, used))
    return places


def test_what_was_not_used_for_longest_goes_until_the_rest_is_below_the_bound(tmp_path: Path) -> None:
    places = three(tmp_path)
    assert [entry.folder for entry in list_entries(tmp_path)] == [places[1], places[2], places[0]]
    size = list_entries(tmp_path)[0].size
    assert size == sum(file.stat().st_size for file in places[0].iterdir()) > ROWS.nbytes
    assert prune(tmp_path, 3 * size) == []
    assert [entry.folder for entry in prune(tmp_path, 3 * size - 1)] == [places[1]]
    cached("test", {"number": 2}, never, folder=tmp_path)  # and so it is the newest
    assert [entry.folder for entry in prune(tmp_path, size)] == [places[0]]
    assert find_damage(places[2]) == ""
    assert list((tmp_path / "test").iterdir()) == [places[2]]


def test_an_entry_that_another_process_makes_is_never_pruned(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, pause=1.5)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "half\n"
    assert prune(tmp_path, 0) == []
    assert unfinished(tmp_path)
    out, _ = writer.communicate(timeout=60)
    assert f"sum {ROWS.sum()}" in out
    with lock_entry(entry_of(tmp_path)):  # as who makes it again
        assert prune(tmp_path, 0) == []
    assert [entry.folder for entry in prune(tmp_path, 0)] == [entry_of(tmp_path)]


def test_what_a_kill_left_behind_is_pruned(tmp_path: Path) -> None:
    writer = start_writer(tmp_path, pause=60)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "half\n"
    writer.kill()
    writer.communicate()
    assert [entry.folder for entry in prune(tmp_path, 10**9)] == [tmp_path / "test" / f".{cache_key(FACTS)}.unfinished"]
    assert list((tmp_path / "test").iterdir()) == []  # the lock's file is gone too


def test_what_is_being_read_can_be_read_on_after_it_was_pruned(tmp_path: Path) -> None:
    arrays, _ = cached("test", FACTS, make_rows, folder=tmp_path)
    assert prune(tmp_path, 0)
    assert not entry_of(tmp_path).exists()
    assert np.array_equal(arrays["rows"], ROWS)


def test_what_is_not_an_entry_is_never_pruned(tmp_path: Path) -> None:
    for other in (tmp_path / "test" / "notes", tmp_path / "records" / ".mine.unfinished", tmp_path / ("f" * 32)):
        other.mkdir(parents=True)
        (other / "file").write_text("mine")
    assert prune(tmp_path, 0) == []


def test_where_a_bound_is_set_a_new_entry_makes_room_for_itself_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = three(tmp_path)
    size = list_entries(tmp_path)[0].size
    monkeypatch.setenv("PRETASK_CACHE_GB", str(2.5 * size / 1e9))
    cached("test", FACTS, make_rows, folder=tmp_path)
    assert {entry.folder for entry in list_entries(tmp_path)} == {places[0], entry_of(tmp_path)}
    monkeypatch.setenv("PRETASK_CACHE_GB", "0")
    cached("test", FACTS, never, folder=tmp_path)  # nothing is written, and nothing pruned
    assert len(list_entries(tmp_path)) == 2
    cached("test", FACTS | {"size": 9}, make_rows, folder=tmp_path)
    assert [entry.folder.name for entry in list_entries(tmp_path)] == [cache_key(FACTS | {"size": 9})]


def test_without_a_bound_a_nearly_full_disk_loses_only_what_nobody_used_for_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PRETASK_CACHE_GB", raising=False)
    places = three(tmp_path)
    recent = places[0] / "entry.json"
    os.utime(recent)
    size = list_entries(tmp_path)[0].size
    disk = shutil.disk_usage(tmp_path)._replace(total=100 * size, free=5 * size)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: disk)
    cached("test", {"number": 3}, make_rows, folder=tmp_path)
    assert len(list_entries(tmp_path)) == 4  # there is room enough
    disk = disk._replace(free=5 * size - 1)  # one byte less than a twentieth of it
    cached("test", {"number": 4}, make_rows, folder=tmp_path)
    assert {entry.folder.name for entry in list_entries(tmp_path)} == keys(0, 2, 3, 4)
    disk = disk._replace(free=2 * size)
    cached("test", {"number": 5}, make_rows, folder=tmp_path)
    assert {entry.folder.name for entry in list_entries(tmp_path)} == keys(0, 3, 4, 5)


def keys(*numbers: int) -> set[str]:
    """Names of the entries of `three` and of those like them."""
    return {cache_key({"number": number}) for number in numbers}


@pytest.mark.parametrize("limit", ["much", "-1", "nan", "inf"])
def test_a_bound_that_is_no_number_is_refused(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRETASK_CACHE_GB", limit)
    with pytest.raises(PretaskError, match="PRETASK_CACHE_GB needs a number of GB from 0; got"):
        read_limit()


def test_damage_names_what_was_changed_in_files_of_any_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "MAX_CHECKED_BYTES", 0)  # no file is hashed when it is opened
    cached("test", FACTS, make_rows, folder=tmp_path)
    entry = entry_of(tmp_path)
    assert find_damage(entry) == ""
    content = (entry / "rows.npy").read_bytes()
    (entry / "rows.npy").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert find_damage(entry) == "rows.npy changed"
    (entry / "rows.npy").unlink()
    assert "FileNotFoundError" in find_damage(entry)
    cached("test", {"number": 1}, make_rows, folder=tmp_path)
    entry.rename(tmp_path / "away")
    (tmp_path / "test" / cache_key({"number": 1})).rename(entry)
    assert find_damage(entry) == "it has the name of another entry"
