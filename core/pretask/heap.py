"""Heap: memory that one step frees is kept for the next one.

The C library of Linux gives free memory at the end of its heap back to the system, which fills it with zeros when it is
asked for anew. A step of training frees nearly all that it uses, and the next one asks for as much: a quarter of the
time of a step went into this. What is kept is no more than the steps use at most.
"""

import ctypes
import os
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # names of mallopt's parameters
MAX_KEPT = 1 << 30  # bytes that lie free at the end of the heap, above which they are given back
MAX_IN_HEAP = 1 << 25  # bytes of a piece, above which the system is asked for it alone; the most that glibc allows
OWN_CHOICES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")  # variables of the environment


@cache
def keep_freed_memory() -> None:
    """Let this process keep memory that it frees; not where its user chose otherwise, or has another C library.

    The second number has to be given with the first, since glibc adapts neither from then on.
    """
    if any(name in os.environ for name in OWN_CHOICES):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(MMAP_THRESHOLD, MAX_IN_HEAP)
        mallopt(TRIM_THRESHOLD, MAX_KEPT)
