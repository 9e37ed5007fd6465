"""Mapped files: arrays whose bytes are read from a file when they are used.

Where a page is missing, a system reads what lies around it as well, up to megabytes. Of a file that memory can hold
this is welcome: soon all of it is there. Of a larger one it pushes out pages that were read before, and a batch of rows
from all over the file costs a thousand times its bytes. So the rows of a batch are asked for by their places, before
they are copied: the system reads these alone, all at once.
"""

import mmap
import sys
from pathlib import Path
from weakref import WeakValueDictionary

import numpy as np
from jaxtyping import Int, Shaped
from torch import Tensor

from pretask.room import free_memory

# Pages are private to the process, but no memory is set aside for them, or Linux refuses files larger than memory.
NO_RESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
WILL_NEED: int = getattr(mmap, "MADV_WILLNEED", 0)  # 0 where a system has no such call
LARGE_SHARE = 0.5  # of free memory, above which a file is asked for by rows

_large: WeakValueDictionary[int, mmap.mmap] = WeakValueDictionary()  # by the address where a large file's pages begin


def map_file(path: Path) -> np.ndarray:
    """Map a .npy file as an array whose bytes are read when they are used; writes to it stay in this process."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file)
        start = file.tell()
        pages = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE | NO_RESERVE, prot=mmap.PROT_READ | mmap.PROT_WRITE)
    array = np.ndarray(shape, dtype, pages, start, order="F" if fortran else "C")
    if WILL_NEED and len(pages) > LARGE_SHARE * free_memory():
        _large[array.ctypes.data - start] = pages
    return array


def take_rows(data: Shaped[Tensor, "N ..."], index: Int[Tensor, " B"]) -> Shaped[Tensor, "B ..."]:
    """Return a copy of some rows; those of a large file are asked for first."""
    ask_for_rows(data, index)
    return data.index_select(0, index)  # copies row by row, where an index would copy byte by byte


def ask_for_rows(
    data: Shaped[Tensor, "N ..."], index: Int[Tensor, " B"], positions: Int[Tensor, "B V"] | None = None
) -> None:
    """Ask the system for the pages of some rows, where these lie in a large file.

    Args:
        data: Rows.
        index: Numbers of the rows.
        positions: Of each row the numbers of the parts that are wanted, such as frames of a clip; all where None.
    """
    if not _large or type(data) is not Tensor or not data.is_contiguous() or not len(data):
        return
    first, size, wanted = data.data_ptr(), data[0].nbytes, index
    if positions is not None:
        size, wanted = size // data.shape[1], index[:, None] * data.shape[1] + positions
    for address, pages in list(_large.items()):
        if address <= first < address + len(pages):
            for number in wanted.flatten().tolist():
                begin = first - address + number * size
                page = begin - begin % mmap.PAGESIZE
                pages.madvise(WILL_NEED, page, begin + size - page)
