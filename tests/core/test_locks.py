"""Locks: one at a time, nothing left behind, and no file of a lock removed that another one holds."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from pretask import PretaskError
from pretask.locks import hold, try_hold

TAKERS, TIMES = 6, 30


def test_one_holds_a_lock_and_its_file_goes_with_it(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.lock"
    with hold(path, "testing"):
        assert path.read_text().startswith("process ")
        with try_hold(path) as acquired:
            assert not acquired
        assert path.exists()
    with try_hold(path) as acquired:
        assert acquired
        assert path.exists()
    assert list(path.parent.iterdir()) == []


def test_the_lock_of_another_is_left_where_somebody_took_ones_own_away(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with ExitStack() as second:
        with hold(path, "testing"):
            path.unlink()
            assert second.enter_context(try_hold(path))
        with try_hold(path) as acquired:
            assert not acquired
    assert not path.exists()


def test_many_that_come_and_go_are_never_in_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inside: list[int] = []
    most = []

    def come_and_go(taker: int) -> None:
        for _ in range(TIMES):
            with hold(tmp_path / "a.lock", "counting"):
                inside.append(taker)
                most.append(len(inside))
                inside.remove(taker)

    with ThreadPoolExecutor(TAKERS) as pool:
        list(pool.map(come_and_go, range(TAKERS)))
    assert most == [1] * TAKERS * TIMES
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_have_locks_is_told_by_whoever_needs_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(PretaskError, match=r"the cache needs a folder .*/file; got File exists\. Go elsewhere\."),
        hold(tmp_path / "file" / "a.lock", "testing", who="the cache", do="Go elsewhere."),
    ):
        pass
    with try_hold(tmp_path / "file" / "a.lock") as acquired:
        assert not acquired
