"""N-grams: how often tokens occur, alone and after one another, as log-probabilities that a model of text must beat.

Source: Laplace (unigrams: each token counts once more than it occurred); Witten and Bell 1991 (bigrams).
Axes: B batch, L tokens of a row, C size of the vocabulary; the row of a (C, C) table is the token before, its column
the token after it.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pretask import Batch
from torch import Tensor

MAX_BIGRAM_TOKENS = 8192  # a larger vocabulary has too many pairs to count: these take 256 MB
IMPOSSIBLE = 1e-9  # weight of a token that never is a label, so that its logarithm stays finite

Row = tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]  # tokens, and which of them count


class Counts(NamedTuple):
    """How often every token occurs, and every pair of neighbors; None where the vocabulary is too large for pairs."""

    unigrams: Float[Tensor, " C"]
    bigrams: Float[Tensor, "C C"] | None


def valid_tokens(batch: Batch) -> Bool[Tensor, "B L"]:
    """Return where rows of tokens are not padding."""
    return torch.ones_like(batch.data, dtype=torch.bool) if batch.present is None else batch.present


def valid_rows(batches: Iterable[Batch]) -> Iterator[Row]:
    """Yield the tokens of batches with where they are not padding."""
    for batch in batches:
        yield batch.data, valid_tokens(batch)


def count_unigrams(rows: Iterable[Row], size: int) -> Float[Tensor, " C"]:
    """Return how often every token of a vocabulary of `size` occurs."""
    unigrams = torch.zeros(size)
    for tokens, valid in rows:
        unigrams += torch.bincount(tokens[valid].cpu(), minlength=size)
    return unigrams


def count_ngrams(rows: Iterable[Row], size: int, *, skip_first: bool = False) -> Counts:
    """Count tokens and pairs of neighbors.

    Args:
        rows: Tokens, and which of them count.
        size: Of the vocabulary.
        skip_first: Whether a token is counted only where it has a valid one before it, as labels of a next-token
            prediction have.
    """
    unigrams = torch.zeros(size)
    bigrams = torch.zeros(size * size) if size <= MAX_BIGRAM_TOKENS else None
    for tokens, valid in rows:
        has_neighbor = valid[:, :-1] & valid[:, 1:]
        before, after = tokens[:, :-1][has_neighbor].cpu(), tokens[:, 1:][has_neighbor].cpu()
        unigrams += torch.bincount(after if skip_first else tokens[valid].cpu(), minlength=size)
        if bigrams is not None:
            pair, times = torch.unique(before * size + after, return_counts=True)
            bigrams[pair] += times
    return Counts(unigrams, None if bigrams is None else bigrams.view(size, size))


def unigram_log_probs(unigrams: Float[Tensor, " C"], possible: Bool[Tensor, " C"] | None = None) -> Float[Tensor, " C"]:
    """Return log-probabilities of tokens, of which each counts once more than it occurred.

    Args:
        unigrams: How often tokens occur.
        possible: Which tokens can be a label at all; all of them when left out.

    >>> unigram_log_probs(torch.tensor([0.0, 2.0])).exp().tolist()
    [0.25, 0.75]
    >>> special = torch.tensor([False, True, True])
    >>> unigram_log_probs(torch.tensor([0.0, 0.0, 2.0]), special).exp().round(decimals=2).tolist()
    [0.0, 0.25, 0.75]
    """
    weight = unigrams + 1 if possible is None else (unigrams + 1).where(possible, IMPOSSIBLE)
    return (weight / weight.sum()).log()


def bigram_log_probs(bigrams: Float[Tensor, "C C"], unigram: Float[Tensor, " C"]) -> Float[Tensor, "C C"]:
    """Return log-probabilities of a token (column) given its neighbor (row), smoothed as Witten and Bell 1991 did.

    Tokens that never stood beside the neighbor share, by their unigram, the probability of the event that something new
    comes: the number of different tokens that did stand there, over that and all occurrences.

    Args:
        bigrams: How often pairs occur; transposed, the neighbor is the token after.
        unigram: Log-probabilities of tokens alone.

    >>> counts, unigram = torch.tensor([[0.0, 1.0], [0.0, 0.0]]), unigram_log_probs(torch.tensor([0.0, 1.0]))
    >>> [round(p, 4) for p in bigram_log_probs(counts, unigram).exp()[0].tolist()]  # (1 + 2/3) / 2 for the second
    [0.1667, 0.8333]
    """
    different = (bigrams > 0).sum(1, keepdim=True).clamp(min=1)
    return ((bigrams + different * unigram.exp()) / (bigrams.sum(1, keepdim=True) + different)).log()
