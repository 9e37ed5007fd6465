"""Entities: the spans that tags mark, and how well they are found, by the rules of CoNLL's script and of seqeval.

A tag is O, or a prefix and a type, `B-person`. A span begins at B, at S or U, where the type changes, where an I or E
follows what ended, and after O; it ends before what begins another, and after E, S, L or U. So an I after O begins a
span too. Tags without prefixes are spans of one word each, of which F1 is the accuracy.

Source: Tjong Kim Sang and De Meulder, CoNLL 2003 (conlleval); Nakayama 2018 (seqeval, its default mode).
Axes: L words.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

OUTSIDE = "O"
PREFIXES = "BIESLU"
SINGLE = "SU"


class Span(NamedTuple):
    """An entity: its type, its first word and its last."""

    type: str
    begin: int
    end: int


class Counts(NamedTuple):
    """How many spans were found, predicted, and are there."""

    hits: int
    predicted: int
    true: int

    @property
    def precision(self) -> float:
        """The fraction of predicted spans that are there; 0 where none was predicted."""
        return self.hits / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The fraction of spans that were predicted; 0 where there is none."""
        return self.hits / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        total = self.predicted + self.true
        return 2 * self.hits / total if total else 0.0


def has_prefixes(names: Iterable[str]) -> bool:
    """Return whether tags mark spans: all are O or have a prefix.

    >>> has_prefixes(["O", "B-person"]), has_prefixes(["NOUN", "VERB"])
    (True, False)
    """
    return all(name == OUTSIDE or (name[:1] in PREFIXES and name[1:2] == "-") for name in names)


def find_spans(tags: Sequence[str]) -> list[Span]:
    """Find the spans of a sentence.

    >>> find_spans(["B-person", "I-person", "O", "I-place", "B-place"])
    [Span(type='person', begin=0, end=1), Span(type='place', begin=3, end=3), Span(type='place', begin=4, end=4)]
    """
    spans: list[Span] = []
    before, kind, begin = OUTSIDE, "", 0
    for place, tag in enumerate([*tags, OUTSIDE]):
        prefix, type_ = tag[:1], tag[2:]
        if ends(before, kind, prefix, type_):
            spans.append(Span(kind, begin, place - 1))
        if starts(before, kind, prefix, type_):
            begin = place
        before, kind = prefix, type_
    return spans


def ends(before: str, kind: str, prefix: str, type_: str) -> bool:
    """Return whether a span ended between two tags, given by prefix and type."""
    if before == OUTSIDE:
        return False
    return before in "ELSU" or prefix in "BSUO" or kind != type_


def starts(before: str, kind: str, prefix: str, type_: str) -> bool:
    """Return whether a span begins at the second of two tags."""
    if prefix == OUTSIDE:
        return False
    return prefix in "BSU" or before in "ELSUO" or kind != type_


def count_spans(predicted: Iterable[Sequence[str]], true: Iterable[Sequence[str]]) -> Counts:
    """Count the spans of sentences that were found as they are, of the same type and words."""
    counts = Counts(0, 0, 0)
    for predicted_tags, tags in zip(predicted, true, strict=True):
        found, wanted = {*find_spans(predicted_tags)}, {*find_spans(tags)}
        counts = Counts(counts.hits + len(found & wanted), counts.predicted + len(found), counts.true + len(wanted))
    return counts
