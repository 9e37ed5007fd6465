"""Noise: words drawn in proportion to their mass, on a CPU by a table of which word each part of [0, 1) belongs to.

A number of 24 random bits is in one of 2^k equal parts. Where a whole part belongs to one word, the table says which;
only the numbers of the other parts, a few in a hundred, are searched for among the edges. The words are the same.

Source: Chen and Asau, AIIE Transactions 6 (1974), guide tables. Differs: parts of several words are searched.
Axes: C size of the vocabulary, P parts; B batch, L tokens, K candidates.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from pretask.own_operations import register
from torch import Tensor

PARTS_OF_A_WORD = 64  # parts of [0, 1) for each word, at least, so that few belong to two
MIN_PARTS, MAX_PARTS = 1 << 10, 1 << 20
UNIT = 2.0**-24  # between two uniform numbers
SEVERAL = -1  # in the table: a part of more than one word


def draw_by_mass(edges: Float[Tensor, " C"], uniform: Float[Tensor, "*axes"]) -> Int[Tensor, "*axes"]:
    """Draw words in proportion to their mass, one for every uniform number in [0, 1).

    Args:
        edges: Mass of every word and all before it, in float64.
        uniform: Of every draw.

    >>> edges = torch.tensor([0.0, 1.0, 1.0, 4.0]).double()
    >>> draw_by_mass(edges, torch.tensor([[[0.0, 0.2, 0.3, 0.99]]])).tolist()
    [[[1, 1, 3, 3]]]
    """
    return torch.searchsorted(edges, uniform.double() * edges[-1], right=True)


def build_table(edges: Float[Tensor, " C"]) -> Int[Tensor, " P"]:
    """Return the word of every part of [0, 1), SEVERAL where its numbers belong to more than one."""
    wanted = min(max(PARTS_OF_A_WORD * len(edges), MIN_PARTS), MAX_PARTS)
    parts = 1 << (wanted - 1).bit_length()
    first = torch.arange(parts, dtype=torch.float64, device=edges.device) / parts
    word = draw_by_mass(edges, first)
    return torch.where(word == draw_by_mass(edges, first + (1 / parts - UNIT)), word, SEVERAL)


def look_up_words(
    edges: Float[Tensor, " C"], table: Int[Tensor, " P"], uniform: Float[Tensor, "*axes"]
) -> Int[Tensor, "*axes"]:
    """Return what `draw_by_mass` does, by a table."""
    numbers = uniform.flatten()
    words = table.index_select(0, (numbers * len(table)).int())  # exact: the parts are a power of two
    places = torch.from_numpy(np.flatnonzero(words.numpy() == SEVERAL))  # five times as fast as torch's
    words[places] = draw_by_mass(edges, numbers[places])
    return words.view(uniform.shape)


draw_words = register(
    "draw_words",
    "Tensor edges, Tensor table, Tensor uniform",
    look_up_words,
    lambda edges, table, uniform: draw_by_mass(edges, uniform),  # all at once on a GPU, which need not wait for places
    lambda edges, table, uniform: torch.empty_like(uniform, dtype=torch.int64),
)
