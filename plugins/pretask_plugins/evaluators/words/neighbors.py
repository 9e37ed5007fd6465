"""Neighbors: a table of the words most similar to some, and whether a few words are everybody's neighbors.

In many dimensions some vectors are near to all others: hubs. `hubness` is the skewness of how often a word is among the
k nearest of the others; 0 where all are so equally often, and above 1 the table below should be mistrusted.

Source: Radovanovic, Nanopoulos and Ivanovic, JMLR 2010, section 2 (N_k and its skewness).
Axes: N words, k neighbors, D width.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from pretask import Budget, Data, Figure, PretaskError, Task
from pretask.options import NonNegativeInt, PositiveInt, Size
from torch import Tensor

from pretask_plugins.evaluators.words.vectors import Context, Tokens, WordReader
from pretask_plugins.shared.text_pages import draw_page

WHO = "neighbors"
WORDS_AT_ONCE = 512


@dataclass(frozen=True)
class Neighbors:
    """The nearest words, by cosine.

    Args:
        words: Whose neighbors are shown; some of the vocabulary, from frequent to rare, where there are none.
        num_words: How many are shown then.
        k: Neighbors of each.
        max_words: Words among which neighbors are looked for, the most frequent ones of the training part.
        context: What stands around a word: nothing (alone), or what does in the training part (average).
        layer: Whose vectors are compared, from 1; 0 for the output.
        min_count: Occurrences of a word in the training part, below which it is left out.
        max_occurrences: Of a word, over which an average is taken.
    """

    words: tuple[str, ...] = ()
    num_words: Size = 12
    k: Size = 10
    max_words: Size = 10_000
    context: Context = "alone"
    layer: NonNegativeInt = 0
    min_count: PositiveInt = 1
    max_occurrences: PositiveInt = 20

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Figure]]:
        """Yield `hubness`, `nearest_cosine` (the mean over words), `words`, and the table.

        Raises:
            PretaskError: A word is out of vocabulary, or the data cannot be read.
        """
        reader = WordReader(WHO, task, data, budget, self.context, self.layer, self.min_count, self.max_occurrences)
        listed = reader.list_words(self.max_words)
        shown = {word: require_word(reader, word) for word in self.words} or self.choose_shown(listed)
        named = {tokens: word for word, tokens in {**shown, **listed}.items()}
        rows, vectors = reader.read(named)
        cosines, neighbors = find_neighbors(vectors, min(self.k, len(rows) - 1))
        yield "hubness", measure_hubness(neighbors)
        yield "nearest_cosine", float(cosines[:, 0].mean())
        yield "words", float(len(rows))
        names = {row: named[tokens] for tokens, row in rows.items()}
        lines = [
            f"{word}: " + ", ".join(f"{names[int(row)]} {cosine:.2f}" for row, cosine in zip(*found, strict=True))
            for word, tokens in shown.items()
            for found in [(neighbors[rows[tokens]], cosines[rows[tokens]].tolist())]
        ]
        caption = f"Words, and those of {len(rows)} whose vectors are nearest to theirs, by cosine."
        yield "neighbors", Figure(draw_page(lines), caption)

    def choose_shown(self, listed: dict[str, Tokens]) -> dict[str, Tokens]:
        """Choose words from frequent to rare, ever further apart."""
        names = list(listed)
        places = torch.logspace(0, 1, self.num_words, len(names), dtype=torch.float64).long() - 1
        return {names[place]: listed[names[place]] for place in sorted(set(places.tolist()))}


def require_word(reader: WordReader, word: str) -> Tokens:
    """Return the tokens of a word; raise PretaskError where it is out of vocabulary."""
    tokens = reader.encode(word)
    if not tokens:
        raise PretaskError(
            WHO, "words of the training part", f"'{word}'", "Leave it out of neighbors.words.", exit_code=2
        )
    return tokens


def find_neighbors(vectors: Float[Tensor, "N D"], k: int) -> tuple[Float[Tensor, "N k"], Int[Tensor, "N k"]]:
    """Return cosines and numbers of the k nearest others of every word, nearest first.

    >>> find_neighbors(torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]), 1)[1].tolist()
    [[2], [2], [1]]
    """
    found = []
    for begin in range(0, len(vectors), WORDS_AT_ONCE):
        cosines = vectors[begin : begin + WORDS_AT_ONCE] @ vectors.T
        own = torch.arange(len(cosines))
        cosines[own, begin + own] = -torch.inf
        found.append(cosines.topk(k, dim=1))
    return torch.cat([part.values for part in found]), torch.cat([part.indices for part in found])


def measure_hubness(neighbors: Int[Tensor, "N k"]) -> float:
    """Return the skewness of how often words are neighbors; 0 where all are so equally often.

    >>> measure_hubness(torch.tensor([[1], [0]]))
    0.0
    """
    times = torch.bincount(neighbors.flatten(), minlength=len(neighbors)).double()
    centered = times - times.mean()
    std = centered.square().mean().sqrt()
    return float((centered**3).mean() / std**3) if std > 0 else 0.0
