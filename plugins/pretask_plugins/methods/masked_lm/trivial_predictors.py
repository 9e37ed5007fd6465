"""What a masked language model must beat: how often a token occurs, alone or after the token that x shows before it.

Source: Witten and Bell 1991 (smoothing: what never followed a token gets the share that new followers had so far).
Axes: B batch, L positions of x, C size of the vocabulary.
"""

import math
from collections.abc import Iterable, Mapping
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from pretask import Batch, Draws, Predictor, SplitFn, Vocabulary
from torch import Tensor
from torch.nn import functional as F

LARGEST = 8192  # vocabulary whose pairs are still counted, 256 MB


def token_predictors(split: SplitFn, batches: Iterable[Batch], vocabulary: Vocabulary) -> Mapping[str, Predictor]:
    """Unigram, and bigram where the vocabulary is small enough; whether a piece follows is left open."""
    single, pairs = count(batches, vocabulary)
    alone = unigram(single, ordinary(torch.arange(vocabulary.size), vocabulary))
    tables = {"unigram": alone.expand(vocabulary.size, -1)}
    if pairs is not None:
        tables["bigram"] = bigram(pairs, alone)
    return {name: partial(guess, split, table, vocabulary.id("mask") or 0) for name, table in tables.items()}


def guess(
    split: SplitFn, after: Float[Tensor, "C C"], blank: int, batch: Batch, draws: Draws
) -> Mapping[str, Float[Tensor, "B ..."]]:
    """What the table has after the token before; before the first stands a blank. Only what the split asks for."""
    inputs, targets = split(batch, draws)
    before = F.pad(inputs.data[:, 0, :-1].cpu(), (1, 0), value=blank)
    even = torch.full((len(batch), 2), -math.log(2), device=batch.device)
    said = {"token": after[before].to(batch.device), "is_next": even}
    return {name: said[name] for name in targets}


def ordinary(tokens: Int[Tensor, "..."], vocabulary: Vocabulary) -> Bool[Tensor, "..."]:
    """Where a token has no role."""
    plain = torch.ones_like(tokens, dtype=torch.bool)
    for _, special in vocabulary.special:
        plain = plain & (tokens != special)
    return plain


def count(batches: Iterable[Batch], vocabulary: Vocabulary) -> tuple[Float[Tensor, " C"], Float[Tensor, "C C"] | None]:
    """How often every ordinary token occurs, and after which one."""
    size = vocabulary.size
    single, pairs = torch.zeros(size), torch.zeros(size, size) if size <= LARGEST else None
    for batch in batches:
        tokens = batch.data.cpu()
        counted = ordinary(tokens, vocabulary) & (True if batch.present is None else batch.present.cpu())
        single += torch.bincount(tokens[counted], minlength=size)
        if pairs is not None:
            both = counted[:, :-1] & counted[:, 1:]
            pairs.index_put_((tokens[:, :-1][both], tokens[:, 1:][both]), torch.ones(()), accumulate=True)
    return single, pairs


def unigram(single: Float[Tensor, " C"], plain: Bool[Tensor, " C"]) -> Float[Tensor, " C"]:
    """Log-probabilities of tokens; each counts once more than it occurred, and special ones are never asked for.

    >>> unigram(torch.tensor([0.0, 0.0, 2.0]), torch.tensor([False, True, True])).exp().round(decimals=2).tolist()
    [0.0, 0.25, 0.75]
    """
    more = (single + 1).where(plain, 1e-9)
    return (more / more.sum()).log()


def bigram(pairs: Float[Tensor, "C C"], alone: Float[Tensor, " C"]) -> Float[Tensor, "C C"]:
    """Log-probabilities of a token (column) after another one (row); the unigram's after one that nothing followed."""
    new = (pairs > 0).sum(1, keepdim=True).clamp(min=1)
    return ((pairs + new * alone.exp()) / (pairs.sum(1, keepdim=True) + new)).log()
