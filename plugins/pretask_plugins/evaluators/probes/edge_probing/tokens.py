"""Tokens: the vectors of the tokens that edges cover, of all layers, and where the tokens of every edge are.

Axes: N rows, L positions, M edges, S spans, P covered tokens, J layers, D features.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from pretask import Budget, Draws, PretaskError, Samples, Task
from pretask.extraction import extract_positions
from torch import Tensor

from pretask_plugins.shared.edges import Edges


@dataclass(frozen=True)
class CoveredTokens:
    """What an encoder makes of the tokens of edges.

    Args:
        vectors: Of every covered token.
        number: The number among them of every position; meaningless of others.
        samples: The rows that have edges.
        edges: By task, of these rows.
    """

    vectors: Float[Tensor, "P J D"]
    number: Int[Tensor, "N L"]
    samples: Samples
    edges: Mapping[str, Edges]

    def places(self, edges: Edges) -> Int[Tensor, "M S 2"]:
        """Return which of the covered tokens every span has: the first, and the one after the last."""
        begin = self.number[edges.rows[:, None], edges.spans[..., 0]]
        return torch.stack([begin, begin + edges.spans[..., 1] - edges.spans[..., 0]], -1)


def draw_edges(edges: Edges, count: int, most: int, seed: int) -> Edges:
    """Return the edges of some sentences, drawn by the seed: as many as have no more edges than wanted, at least one.

    Args:
        edges: Of all sentences.
        count: How many sentences there are.
        most: Edges; 0 for all.
        seed: Of the draw, which is the same for all tasks.
    """
    if not most or len(edges) <= most:
        return edges
    order = Draws(torch.arange(count), seed).branch("edges").uniform("sentence").argsort()
    sizes = torch.bincount(edges.rows, minlength=count)
    taken = max(1, int((sizes[order].cumsum(0) <= most).sum()))
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[order[:taken]] = True
    return edges.select(chosen[edges.rows])


def read_tokens(task: Task, samples: Samples, edges: Mapping[str, Edges], budget: Budget, name: str) -> CoveredTokens:
    """Encode the rows that have edges, and keep all layers of what these cover.

    Raises:
        PretaskError: Layers differ in width, or the encoder does not keep the positions.
    """
    rows = torch.unique(torch.cat([some.rows for some in edges.values()]))
    place = torch.zeros(len(samples), dtype=torch.int64)
    place[rows] = torch.arange(len(rows))
    taken = samples.some(rows, f"{len(rows)} rows with {name}")
    moved = {task_name: replace(some, rows=place[some.rows]) for task_name, some in edges.items()}
    covered = torch.zeros(taken.data.shape[:2], dtype=torch.bool)
    for some in moved.values():
        cover(covered, some)
    layers = [*extract_positions(task, taken, budget, covered).values()]
    if len({layer.shape[1] for layer in layers}) > 1:
        widths = ", ".join(str(layer.shape[1]) for layer in layers)
        raise PretaskError("edge-probe", "layers of one width, which can be mixed", widths, "Choose another model.")
    number = covered.flatten().cumsum(0).view(covered.shape) - 1
    return CoveredTokens(torch.stack(layers, 1), number, taken, moved)


def cover(covered: Bool[Tensor, "N L"], edges: Edges) -> None:
    """Mark all tokens of the spans of edges."""
    for span in edges.spans.unbind(1):
        begin, after = span.unbind(1)
        for step in range(int((after - begin).max()) if len(edges) else 0):
            inside = begin + step < after
            covered[edges.rows[inside], begin[inside] + step] = True
