"""Collection of garbage, which commands that keep thousands of records look for seldom."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

SELDOM = (100_000, 50, 100)  # Python's own first number is 700


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Look for cycles of garbage seldom inside: nearly all that is made is kept, and looking through it takes longer.

    Also a decorator. Of 10,000 records `results` takes half of its time to look, `board` a third.
    """
    before = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*before)
