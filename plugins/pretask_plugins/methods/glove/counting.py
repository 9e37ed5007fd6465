"""Counting: how often words stand near each other, in one pass over the text and in bounded memory.

    X_ij = sum over all pairs of places of i and j, at most `window` words apart, of 1 / distance         (section 4.2)

Pairs are summed by scipy's sparse matrices, a few millions at a time. What comes of them is a run, sorted by rows; runs
beyond the first lie in files, and are merged a block of rows at a time, so that never more than some millions of cells
are in memory. X is symmetric: a cell is kept once, in the row of the smaller word.

Source: Pennington, Socher and Manning, EMNLP 2014, and cooccur.c of the released code, which sums and merges likewise.
Axes: B batch, L tokens, P pairs, N cells, M cells and a last one, H slots, C size of the vocabulary.
"""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pretask import Batch
from pretask.room import require_disk
from torch import Tensor

from pretask_plugins.methods.glove.places import build_table, find_places
from pretask_plugins.shared.constants import look_up
from pretask_plugins.shared.ngrams import count_unigrams, valid_tokens
from pretask_plugins.shared.token_rows import close_gaps

MAX_PAIRS = 1 << 23  # summed at a time: some 200 MB
MAX_CELLS = 1 << 25  # in memory at a time while runs are merged: half a gigabyte
ROWS_AT_ONCE = 4096  # read again from their file
NO_WORD = -1  # where a row is padding
CELL_BYTES = 12  # of a cell in the files of the merged counts
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, columns, 1 / distance
Words = tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]  # rows of words that stand at the front, and where they are


@dataclass(frozen=True)
class Cooccurrences:
    """The cells of X that are not 0, each once, by rows and columns.

    Args:
        keys: i * C + j of every cell, i <= j, in order; and one that is larger than any, so that all are found before
            the end.
        log_counts: log X_ij, and 0.
        size: C.
    """

    keys: Int[Tensor, " M"]
    log_counts: Float[Tensor, " M"]
    size: int

    def __len__(self) -> int:
        return len(self.keys) - 1

    def look_up(
        self, first: Int[Tensor, "*axes"], second: Int[Tensor, "*axes"]
    ) -> tuple[Float[Tensor, "*axes"], Bool[Tensor, "*axes"]]:
        """Return log X_ij of pairs of words, and whether they were ever near each other; where not, any number.

        >>> cells = Cooccurrences(torch.tensor([1, 5, 9]), torch.tensor([2.0, 0.5, 0.0]), 3)
        >>> cells.look_up(torch.tensor([1, 1, 2]), torch.tensor([0, 2, 2]))[0].tolist()
        [2.0, 0.5, 0.0]
        """
        keys = torch.minimum(first, second) * self.size + torch.maximum(first, second)
        places = find_places(self.keys, self.table, keys)
        return look_up(self.log_counts, places), look_up(self.keys, places) == keys

    @cached_property
    def table(self) -> Int[Tensor, " H"]:
        """The slots by which cells are found on a CPU; elsewhere none are needed."""
        return build_table(self.keys, self.log_counts) if self.keys.is_cpu else self.keys[:0]

    def to(self, device: torch.device) -> "Cooccurrences":
        """Return the same on a device."""
        return Cooccurrences(self.keys.to(device), self.log_counts.to(device), self.size)

    def counts(self) -> Float[Tensor, " N"]:
        """Return X_ij of every cell, in float64."""
        return self.log_counts[:-1].double().exp()

    def sum_rows(self) -> Float[Tensor, " C"]:
        """Return X_i, the sum of every row of the whole matrix, in float64."""
        rows, columns, counts = self.keys[:-1] // self.size, self.keys[:-1] % self.size, self.counts()
        upper = torch.bincount(rows, counts, self.size)
        return upper + torch.bincount(columns, counts * (rows != columns), self.size)


def count_cooccurrences(
    rows: Iterable[Words], size: int, window: int, *, max_pairs: int = MAX_PAIRS, max_cells: int = MAX_CELLS
) -> Cooccurrences:
    """Count how often words stand near each other.

    Args:
        rows: Of words; no window reaches over the end of a row.
        size: Of the vocabulary.
        window: Words to either side, at most.
        max_pairs: Pairs that are summed at a time.
        max_cells: Cells that are in memory while runs are merged.

    Raises:
        PretaskError: The disk has no room for the runs.
    """
    with make_folder() as folder:
        runs: list[Any] = []
        for pairs in gather_pairs(rows, window, max_pairs):
            run = sum_pairs(pairs, size)
            runs.append(run if not runs else keep_in_files(run, folder / f"run{len(runs)}"))
        if len(runs) == 1:
            return join_blocks([as_cells(runs[0], 0, size)], size)
        blocks = merge(runs, size, max_cells)
        if sum(run.nnz for run in runs) <= max_cells:
            return join_blocks(list(blocks), size)
        return map_blocks(blocks, size, folder)


@contextmanager
def make_folder() -> Iterator[Path]:
    """Make a folder that is gone afterwards; what is mapped from it stays as long as it is used."""
    with tempfile.TemporaryDirectory(prefix="cooccurrences-", ignore_cleanup_errors=True) as name:
        yield Path(name)


class KeptRows:
    """Rows of words in a file, 4 bytes a word, to be gone through again where batches come only once.

    Args:
        folder: Of the file.
        batches: Gone through now.
        size: Of the vocabulary.
    """

    def __init__(self, folder: Path, batches: Iterable[Batch], size: int) -> None:
        self.path = folder / "rows"
        self.words = torch.zeros(size)
        with self.path.open("wb") as file:
            for batch in batches:
                valid = valid_tokens(batch)
                self.length = batch.data.shape[1]
                self.words += count_unigrams([(batch.data, valid)], size)
                file.write(torch.where(valid, batch.data, NO_WORD).int().cpu().numpy().data)

    def keep(self, is_kept: Bool[Tensor, " C"]) -> Iterator[Words]:
        """Yield the words that are kept at the front of their rows, and where they are."""
        if not self.path.stat().st_size:
            return
        rows = np.memmap(self.path, np.int32, "r").reshape(-1, self.length)
        for begin in range(0, len(rows), ROWS_AT_ONCE):
            words = torch.from_numpy(np.array(rows[begin : begin + ROWS_AT_ONCE], np.int64))
            yield close_gaps(words, is_kept[words.clamp(min=0)] & (words != NO_WORD))


def gather_pairs(rows: Iterable[Words], window: int, max_pairs: int) -> Iterator[Pairs]:
    """Yield all pairs, about `max_pairs` of them at a time, the smaller word first."""
    some: list[Pairs] = []
    found = 0
    for words, present in rows:
        for pairs in list_pairs(words.cpu(), present.cpu(), window):
            some.append(pairs)
            found += len(pairs[0])
            if found >= max_pairs:
                yield join_pairs(some)
                some, found = [], 0
    yield join_pairs(some)


def list_pairs(words: Int[Tensor, "B L"], present: Bool[Tensor, "B L"], window: int) -> Iterator[Pairs]:
    """Yield the pairs of every distance; a pair of equal words fills its one cell from both sides."""
    for distance in range(1, min(window, words.shape[1] - 1) + 1):
        valid = present[:, distance:]
        one, other = words[:, :-distance][valid], words[:, distance:][valid]
        weight = torch.where(one == other, 2.0, 1.0) / distance
        yield torch.minimum(one, other).numpy(), torch.maximum(one, other).numpy(), weight.numpy()


def join_pairs(some: list[Pairs]) -> Pairs:
    """Join what was found at several distances."""
    if not some:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32)
    rows, columns, weights = (np.concatenate(parts) for parts in zip(*some, strict=True))
    return rows, columns, weights


def sum_pairs(pairs: Pairs, size: int) -> Any:
    """Return a sparse matrix of the sums over equal pairs, rows and columns in order."""
    from scipy import sparse  # type: ignore[import-untyped]

    rows, columns, weights = pairs
    run = sparse.coo_array((weights.astype(np.float64), (rows, columns)), (size, size)).tocsr()
    run.sum_duplicates()
    return run


def keep_in_files(run: Any, path: Path) -> Any:
    """Write a run to files, and return the same matrix with its cells mapped from them."""
    from scipy import sparse

    require_disk(
        "the counts of glove", path.name, run.data.nbytes + run.indices.nbytes, "Free some space.", path.parent
    )
    parts = []
    for name, array in (("data", run.data), ("indices", run.indices)):
        np.save(path.with_suffix(f".{name}.npy"), array)
        parts.append(np.load(path.with_suffix(f".{name}.npy"), mmap_mode="r"))
    kept = sparse.csr_array(run.shape, dtype=run.dtype)
    kept.data, kept.indices, kept.indptr = (*parts, run.indptr)
    return kept


def merge(runs: list[Any], size: int, max_cells: int) -> Iterator[Pairs]:
    """Yield the cells of all runs together, a block of rows at a time."""
    total = sum(run.indptr.astype(np.int64) for run in runs)  # cells before every row
    begin = 0
    while begin < size:
        end = int(np.searchsorted(total, total[begin] + max_cells, side="right")) - 1
        end = min(max(end, begin + 1), size)
        parts = [as_cells(run, begin, end) for run in runs]
        yield as_cells(sum_pairs(join_pairs(parts), size), begin, end)
        begin = end


def as_cells(run: Any, begin: int, end: int) -> Pairs:
    """Return the cells of some rows of a run."""
    first, last = int(run.indptr[begin]), int(run.indptr[end])
    rows = np.repeat(np.arange(begin, end), np.diff(run.indptr[begin : end + 1]))
    return rows, np.asarray(run.indices[first:last], np.int64), np.asarray(run.data[first:last])


def join_blocks(blocks: list[Pairs], size: int) -> Cooccurrences:
    """Return the cells of blocks in memory."""
    rows, columns, counts = join_pairs([*blocks, last_cell(size)])
    return Cooccurrences(torch.from_numpy(rows * size + columns), torch.from_numpy(np.log(counts)).float(), size)


def last_cell(size: int) -> Pairs:
    """Return a cell behind all others."""
    return np.array([size]), np.array([0]), np.array([1.0])


def map_blocks(blocks: Iterable[Pairs], size: int, folder: Path) -> Cooccurrences:
    """Return the cells of blocks mapped from files, which lose their names now and their room with the last use."""
    with (folder / "keys").open("wb") as keys, (folder / "counts").open("wb") as counts:
        for rows, columns, values in chain(blocks, [last_cell(size)]):
            require_disk("the counts of glove", "cells", CELL_BYTES * len(rows), "Free some space.", folder)
            keys.write((rows * size + columns).data)
            counts.write(np.log(values).astype(np.float32).data)
    mapped = [np.memmap(folder / name, kind, "c") for name, kind in (("keys", np.int64), ("counts", np.float32))]
    return Cooccurrences(torch.from_numpy(mapped[0]), torch.from_numpy(mapped[1]), size)
