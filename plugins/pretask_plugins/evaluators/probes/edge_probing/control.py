"""Control: a task of the same edges whose answers can only be memorized, word by word.

Every first span, taken as the tokens it is made of, has one class, drawn once by how frequent classes are. A probe that
does well on it too has learned by itself what it says; selectivity is how much better it does on the real task.

Source: Hewitt and Liang, EMNLP 2019.
Differs: of two spans the first one decides, where their control of dependencies draws a rule for heads.
Axes: M edges, L tokens of a row, C classes.
"""

import torch
from jaxtyping import Bool, Int
from pretask import Draws
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.shared.edges import Edges

FACTOR = 1_000_003  # of a polynomial over the tokens of a span
POSITIVE = (1 << 62) - 1


def draw_control_classes(
    tokens: Int[Tensor, "N L"], edges: Edges, frequency: Int[Tensor, " C"], seed: int
) -> Bool[Tensor, "M C"]:
    """Return one class of every edge: the same for the same tokens in the first span.

    Args:
        tokens: Of all rows.
        edges: Of these rows.
        frequency: How often every class is in the training part.
        seed: Of what is drawn.
    """
    drawn = Draws(number_spans(tokens, edges), seed).branch("control").uniform("class").double()
    upper = frequency.double().cumsum(0) / frequency.sum()
    chosen = torch.searchsorted(upper, drawn, right=True).clamp(max=len(frequency) - 1)
    return F.one_hot(chosen, len(frequency)).bool()


def number_spans(tokens: Int[Tensor, "N L"], edges: Edges) -> Int[Tensor, " M"]:
    """Return a number for the tokens of every first span, as good as never the same for two."""
    first, after = edges.spans[:, 0].unbind(1)
    number = torch.zeros_like(first)
    for step in range(int((after - first).max())):
        at = first + step
        token = tokens[edges.rows, at.clamp(max=tokens.shape[1] - 1)]
        number = torch.where(at < after, (number * FACTOR + token + 1) & POSITIVE, number)
    return number
