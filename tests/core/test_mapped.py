"""Mapped files: the rows of a batch are asked for, of files that memory cannot hold."""

import mmap
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from pretask import Batch, Observed, Samples, mapped
from pretask.unread_clips import UnreadClips

ROWS, WIDTH = 64, 3000  # of two bytes: no row begins with a page
SIZE = 2 * WIDTH


class Pages:
    """Stands for the pages of a file, and notes what is asked for."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.asked: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return self.size

    def madvise(self, advice: int, start: int, length: int) -> None:
        """Note it."""
        assert advice == mmap.MADV_WILLNEED
        assert start % mmap.PAGESIZE == 0
        self.asked.append((start, start + length))


@pytest.fixture
def values() -> np.ndarray:
    return np.arange(ROWS * WIDTH, dtype="int16").reshape(ROWS, WIDTH)


@pytest.fixture
def large(tmp_path: Path, values: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[torch.Tensor, Pages]]:
    """A mapped array of a machine with no memory to speak of, and what is asked of its file."""
    monkeypatch.setattr("pretask.mapped.free_memory", lambda: 1000)
    np.save(tmp_path / "rows.npy", values)
    data = torch.from_numpy(mapped.map_file(tmp_path / "rows.npy"))
    [address] = mapped._large
    pages = Pages(len(mapped._large[address]))
    mapped._large[address] = pages  # type: ignore[assignment]
    yield data, pages
    mapped._large.clear()


def find_rows(pages: Pages, size: int = SIZE) -> list[int]:
    """The rows that were asked for, by their numbers: pages begin at or just before a row, and end with it."""
    header = len(pages) - ROWS * SIZE
    rows = [(end - header) // size - 1 for _, end in pages.asked]
    for row, (start, end) in zip(rows, pages.asked, strict=True):
        assert end == header + (row + 1) * size
        assert 0 <= header + row * size - start < mmap.PAGESIZE
    return rows


def test_the_rows_of_a_batch_are_asked_for_and_no_others(large: tuple[torch.Tensor, Pages], values: np.ndarray) -> None:
    data, pages = large
    samples = Samples(Observed("text", (WIDTH,), "int16", ROWS), data)
    batch = samples.batch(torch.tensor([9, 3, 63]), torch.device("cpu"))
    assert np.array_equal(batch.data, values[[9, 3, 63]])
    assert find_rows(pages) == [9, 3, 63]


def test_rows_of_a_part_are_asked_for_where_they_lie(large: tuple[torch.Tensor, Pages], values: np.ndarray) -> None:
    data, pages = large
    assert np.array_equal(mapped.take_rows(data[8:], torch.tensor([2])), values[[10]])
    assert find_rows(pages) == [10]


def test_frames_of_clips_are_asked_for_alone(large: tuple[torch.Tensor, Pages]) -> None:
    data, pages = large
    clips: Batch = UnreadClips(source=data.view(ROWS, 10, 3, 10, 10), index=torch.tensor([1, 2]))
    assert torch.equal(clips.take_frames(torch.tensor([[0, 9], [4, 5]]))[1, 0], data[2].view(10, 3, 10, 10)[4])
    assert find_rows(pages, SIZE // 10) == [10, 19, 24, 25]


def test_nothing_is_asked_of_a_file_that_memory_holds(tmp_path: Path, values: np.ndarray) -> None:
    np.save(tmp_path / "rows.npy", values)
    data = mapped.map_file(tmp_path / "rows.npy")
    assert len(data) == ROWS
    assert dict(mapped._large) == {}


def test_a_file_that_nobody_holds_is_forgotten(
    tmp_path: Path, values: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pretask.mapped.free_memory", lambda: 1000)
    np.save(tmp_path / "rows.npy", values)
    data = mapped.map_file(tmp_path / "rows.npy")
    assert len(mapped._large) == 1
    del data
    assert dict(mapped._large) == {}
