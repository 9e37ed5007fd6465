"""Headers: whether the first line of a table of labeled texts names its columns, and which of them is the label.

A first line is one where it holds single words only and either names a label and a text (label<TAB>sentence, or
sentence<TAB>label as GLUE has it), or its label is on no other line while every other label is on several.
Axes: none.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from pretask_plugins.shared.listing.leftovers import tell_once

LABELS = ("label", "labels", "gold_label", "class", "category", "target", "sentiment", "intent", "tag", "topic")
TEXTS = (
    "text",
    "texts",
    "sentence",
    "sentence1",
    "sentence2",
    "review",
    "message",
    "question",
    "question1",
    "document",
    "title",
    "content",
    "body",
    "tweet",
    "utterance",
    "premise",
    "hypothesis",
    "context",
    "answer",
    "comment",
    "phrase",
)
WORD = re.compile(r"[\w.-]{1,40}")
MIN_LINES = 4  # of a table whose labels are counted


class Header(NamedTuple):
    """A line that names columns.

    Args:
        line: Its number.
        label: Of the column that holds the class.
    """

    line: int
    label: int


def find_header(place: str, lines: Callable[[], Iterable[str]]) -> Header | None:
    """Find the header of a table, and say that there is one; None where there is none.

    Args:
        place: Where the table is, for what is said.
        lines: Gives its lines, once more at each call.
    """
    number, first = next(((number, line) for number, line in enumerate(lines(), start=1) if line.strip()), (0, ""))
    cells = [cell.strip() for cell in first.split("\t")]
    if len(cells) < 2 or not all(WORD.fullmatch(cell) for cell in cells):
        return None
    label = find_label_column(cells)
    if label is None and is_label_unique(cells[0], lines()):
        label = 0
    if label is None:
        return None
    tell_once(f"text: line {number} of {place} names the columns ({', '.join(cells)}); {cells[label]} is the label")
    return Header(number, label)


def find_label_column(cells: list[str]) -> int | None:
    """Return which of the cells of a header names the label; None where these are no names of a label and a text.

    >>> find_label_column(["sentence", "Label"]), find_label_column(["good", "text"])
    (1, None)
    """
    names = [cell.lower() for cell in cells]
    if not any(name in TEXTS for name in names):
        return None
    return next((place for place, name in enumerate(names) if name in LABELS), None)


def is_label_unique(label: str, lines: Iterable[str]) -> bool:
    """Return whether a label is on no line but the first, while every other label is on several."""
    counts = Counter(line.partition("\t")[0].strip() for line in lines if line.strip())
    others = [count for name, count in counts.items() if name != label]
    return counts[label] == 1 and sum(others) >= MIN_LINES - 1 and min(others) > 1
