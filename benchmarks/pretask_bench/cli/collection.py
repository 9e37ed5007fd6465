"""Collection of garbage, which commands that keep thousands of records do without."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no cycles of garbage inside. Also a decorator.

    Such a command keeps nearly all that it makes until it ends, and to look through it takes a tenth of its time; the
    garbage of a board of 10,000 records is some 20 MB.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # with the next line: all is as if it had been looked through, and the next look is at what is new
        gc.unfreeze()
        if was_enabled:
            gc.enable()
