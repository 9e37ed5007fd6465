"""Grammar: what data of text may know of its sentences, and how far two rows of tokens are apart.

Source: Levenshtein 1966 (edit distance).
Axes: none.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


@runtime_checkable
class JudgesGrammar(Protocol):
    """Data of text made by a grammar, which tells its sentences from other rows of words."""

    def is_grammatical(self, ids: Sequence[int], /) -> bool:
        """Return whether tokens, the end included, are a sentence."""
        ...


def edit_distance(first: Sequence[int], second: Sequence[int]) -> int:
    """Return how many tokens must be inserted, deleted or replaced to make one row of the other.

    >>> edit_distance([1, 2, 3, 4], [2, 3, 5, 4, 6])
    3
    """
    costs = list(range(len(second) + 1))
    for row, token in enumerate(first, start=1):
        diagonal, costs[0] = costs[0], row
        for column, other in enumerate(second, start=1):
            replaced = diagonal + (token != other)
            diagonal = costs[column]
            costs[column] = min(replaced, costs[column] + 1, costs[column - 1] + 1)
    return costs[-1]


def cut_at_end(ids: Sequence[int], end: int | None) -> list[int]:
    """Return tokens up to the end token, which is kept; all of them where there is none.

    >>> cut_at_end([5, 6, 3, 9], end=3), cut_at_end([5, 6], end=3)
    ([5, 6, 3], [5, 6])
    """
    row = list(ids)
    return row[: row.index(end) + 1] if end in row else row
