"""Edges: labeled spans of tokens, and labeled pairs of spans, that data of text offer beside their rows.

Axes: N rows, M edges, K labels of an edge, S spans of an edge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Int
from pretask import Samples
from torch import Tensor


@dataclass(frozen=True)
class Edges:
    """The labeled spans of a part, or pairs of spans.

    Args:
        rows: The row of every edge, ascending.
        spans: First token of every span, and the one after its last; one span of every edge, or two.
        labels: Class numbers; -1 where an edge has fewer than others.
        names: Of the classes.
    """

    rows: Int[Tensor, " M"]
    spans: Int[Tensor, "M S 2"]
    labels: Int[Tensor, "M K"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def select(self, which: Tensor) -> "Edges":
        """Return some of them."""
        return Edges(self.rows[which], self.spans[which], self.labels[which], self.names)

    def one_hot(self) -> Bool[Tensor, "M C"]:
        """Return which classes every edge has."""
        marks = torch.zeros(len(self), len(self.names) + 1, dtype=torch.bool)
        return marks.scatter_(1, self.labels % (len(self.names) + 1), True)[:, :-1]


@runtime_checkable
class LabelsEdges(Protocol):
    """Data of text whose spans have labels."""

    def edges(self, part: str, /) -> Mapping[str, Edges]:
        """Return the edges of a part by task, such as `upos` and `deprel`."""
        ...


def edges_of_positions(samples: Samples) -> dict[str, Edges]:
    """Return labels of single positions as spans of one token each."""
    found = {}
    for name, labels in samples.labels.items():
        if labels.value.ndim == 2 and not labels.multiple:  # a row of several classes is of the sample as a whole
            rows, places = (labels.value >= 0).nonzero().unbind(1)
            spans = torch.stack([places, places + 1], 1)[:, None]
            found[name] = Edges(rows, spans, labels.value[rows, places][:, None], labels.names)
    return found
