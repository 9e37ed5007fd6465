"""Places: where the cells of pairs are among all cells, on a CPU by a table that hashes them.

A search among millions of sorted keys reads some twenty of them, far from one another, for every pair. The table has a
slot for each value of a hash, and in it the place of one cell: where cells share a slot, of that which counts most. So
nearly all pairs of a text are found by one look, and the few others, whose key is not the one at that place, are
searched for. The places are the same.

Source: Knuth, The Art of Computer Programming 3, section 6.4 (multiplicative hashing). Differs: no chains; the keys
    are sorted anyway.
Axes: M cells and a last one, H slots, P pairs.
"""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from pretask.own_operations import register
from torch import Tensor

MULTIPLIER = 0x9E3779B97F4A7C15 - (1 << 64)  # 2^64 over the golden ratio, as an int64
MIN_BITS, MAX_BITS = 10, 22  # of a hash: 32 MiB of slots at most
CELLS_AT_ONCE = 1 << 22


def hash_keys(keys: Int[Tensor, " P"], slots: int) -> Int[Tensor, " P"]:
    """Hash keys to 0 … slots - 1, a power of two; the product wraps."""
    bits = slots.bit_length() - 1
    return (keys * MULTIPLIER >> 64 - bits) & slots - 1


def build_table(keys: Int[Tensor, " M"], log_counts: Float[Tensor, " M"]) -> Int[Tensor, " H"]:
    """Return the place of the cell that counts most of those that share a slot, 0 where there is none.

    Args:
        keys: Of the cells, in order, and a last one.
        log_counts: Of the cells.
    """
    slots = 1 << min(max((4 * len(keys)).bit_length(), MIN_BITS), MAX_BITS)
    most, table = torch.full((slots,), -torch.inf), torch.zeros(slots, dtype=torch.int64)
    for some in iterate_cells(len(keys) - 1):
        most.scatter_reduce_(0, hash_keys(keys[some], slots), log_counts[some], "amax")
    for some in iterate_cells(len(keys) - 1):
        hashed = hash_keys(keys[some], slots)
        places = torch.arange(some.start, some.stop)
        table.scatter_reduce_(0, hashed, places.where(log_counts[some] == most[hashed], 0), "amax")
    return table


def iterate_cells(count: int) -> Iterator[slice]:
    """Yield the cells a few millions at a time: they may be mapped from a file, and more than memory holds."""
    for begin in range(0, count, CELLS_AT_ONCE):
        yield slice(begin, min(begin + CELLS_AT_ONCE, count))


def find_by_table(
    keys: Int[Tensor, " M"], table: Int[Tensor, " H"], wanted: Int[Tensor, "*axes"]
) -> Int[Tensor, "*axes"]:
    """Return what `torch.searchsorted(keys, wanted)` does, by the table."""
    flat = wanted.flatten()
    places = table.index_select(0, hash_keys(flat, len(table)))
    missed = torch.from_numpy(np.flatnonzero((keys.index_select(0, places) != flat).numpy()))
    places[missed] = torch.searchsorted(keys, flat[missed])
    return places.view(wanted.shape)


find_places = register(
    "find_places",
    "Tensor keys, Tensor table, Tensor wanted",
    find_by_table,
    lambda keys, table, wanted: torch.searchsorted(keys, wanted),  # a GPU would wait to know which were missed
    lambda keys, table, wanted: torch.empty_like(wanted),
)
