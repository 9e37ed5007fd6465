"""What a masked language model must beat: how often a token occurs, alone or after the token that x shows before it.

Source: see shared/ngrams.py.
Axes: B batch, L positions of x, C size of the vocabulary.
"""

import math
from collections.abc import Iterable, Iterator, Mapping

import torch
from jaxtyping import Bool, Float, Int
from pretask import Batch, Draws, Predictor, SplitFn, Vocabulary
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.shared.constants import build_once
from pretask_plugins.shared.ngrams import Row, bigram_log_probs, count_ngrams, unigram_log_probs, valid_tokens


def token_predictors(split: SplitFn, batches: Iterable[Batch], vocabulary: Vocabulary) -> Mapping[str, Predictor]:
    """Return a unigram, and a bigram where the vocabulary is small enough; whether a piece follows is left open."""
    counts = count_ngrams(ordinary_rows(batches, vocabulary), vocabulary.size)
    unigram = unigram_log_probs(counts.unigrams, is_ordinary(torch.arange(vocabulary.size), vocabulary))
    start = vocabulary.id("mask") or 0
    predictors = {"unigram": table_predictor(split, unigram.expand(vocabulary.size, -1), start)}
    if counts.bigrams is not None:
        predictors["bigram"] = table_predictor(split, bigram_log_probs(counts.bigrams, unigram), start)
    return predictors


def table_predictor(split: SplitFn, log_probs: Float[Tensor, "C C"], start: int) -> Predictor:
    """Return the predictor of what a table has after the token before.

    Args:
        split: Its inputs are read, and its targets are named.
        log_probs: Of a token (column) after another (row).
        start: The token that stands for the one before the first.
    """

    def predict(batch: Batch, draws: Draws) -> Mapping[str, Float[Tensor, "B ..."]]:
        inputs, targets = split(batch, draws)
        before = F.pad(inputs.data[:, 0, :-1].cpu(), (1, 0), value=start)
        uniform = torch.full((len(batch), 2), -math.log(2), device=batch.device)
        predictions = {"token": log_probs[before].to(batch.device), "is_next": uniform}
        return {name: predictions[name] for name in targets}

    return predict


def is_ordinary(tokens: Int[Tensor, "..."], vocabulary: Vocabulary) -> Bool[Tensor, "..."]:
    """Return where a token has no role."""
    return ordinary_table(vocabulary, tokens.device).index_select(0, tokens.flatten()).view_as(tokens)


@build_once
def ordinary_table(vocabulary: Vocabulary, device: torch.device) -> Bool[Tensor, " C"]:
    """Return which tokens have no role."""
    table = torch.ones(vocabulary.size, dtype=torch.bool)
    table[[number for _, number in vocabulary.special]] = False
    return table.to(device)


@build_once
def ordinary_ids(vocabulary: Vocabulary, device: torch.device) -> Int[Tensor, " O"]:
    """Return the tokens that have no role, ascending."""
    return ordinary_table(vocabulary, torch.device("cpu")).nonzero()[:, 0].to(device)


def ordinary_rows(batches: Iterable[Batch], vocabulary: Vocabulary) -> Iterator[Row]:
    """Yield the tokens of batches with where they can be masked."""
    for batch in batches:
        yield batch.data, is_ordinary(batch.data, vocabulary) & valid_tokens(batch)
