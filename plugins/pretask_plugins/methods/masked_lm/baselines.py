"""What a masked language model must beat: how often a token occurs, alone or after the token that x shows before it.

Source: Witten and Bell 1991 (smoothing: what never followed a token gets the share that new followers had so far).
Axes: B batch, L positions of x, C size of the vocabulary.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Bool, Float
from pretask import Batch, Draws, Inputs, SplitFn, Vocabulary
from pretask.held_out import Guesser
from torch import Tensor

LARGEST = 8192  # vocabulary whose pairs are still counted, 256 MB


def token_guessers(split: SplitFn, batches: Iterable[Batch], vocabulary: Vocabulary) -> Mapping[str, Guesser]:
    """Unigram, and bigram where the vocabulary is small enough; whether a piece follows is left open."""
    special = torch.tensor([number for _, number in vocabulary.special], dtype=torch.int64)
    single, pairs = count(batches, vocabulary.size, special)
    alone = unigram(single, special)

    def guess_unigram(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        inputs, _ = split(batch, draws)
        return {"token": alone.to(batch.device).expand(*inputs.data[:, 0].shape, -1), "is_next": even(batch)}

    def guess_bigram(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        inputs, _ = split(batch, draws)
        x = inputs.data[:, 0].cpu()
        guess = after[x.roll(1, 1)].where(shows_before(inputs, special)[..., None], alone)
        return {"token": guess.to(batch.device), "is_next": even(batch)}

    if pairs is None:
        return {"unigram": guess_unigram}
    after = bigram(pairs, alone)
    return {"unigram": guess_unigram, "bigram": guess_bigram}


def even(batch: Batch) -> Float[Tensor, "B 2"]:
    """As likely as not."""
    return torch.full((len(batch), 2), -math.log(2), device=batch.device)


def shows_before(inputs: Inputs, special: Tensor) -> Bool[Tensor, "B L"]:
    """Whether the place before shows an ordinary token; there is none before the first."""
    shown = ~torch.isin(inputs.data[:, 0].cpu(), special)
    return torch.nn.functional.pad(shown[:, :-1], (1, 0), value=False)


def count(
    batches: Iterable[Batch], size: int, special: Tensor
) -> tuple[Float[Tensor, " C"], Float[Tensor, "C C"] | None]:
    """How often every ordinary token occurs, and after which one."""
    single = torch.zeros(size)
    pairs = torch.zeros(size * size) if size <= LARGEST else None
    for batch in batches:
        tokens = batch.data.cpu()
        counted = ~torch.isin(tokens, special)
        if batch.present is not None:
            counted &= batch.present.cpu()
        single += torch.bincount(tokens[counted], minlength=size)
        if pairs is not None:
            both = counted[:, :-1] & counted[:, 1:]
            pair, times = torch.unique((tokens[:, :-1] * size + tokens[:, 1:])[both], return_counts=True)
            pairs[pair] += times
    return single, None if pairs is None else pairs.view(size, size)


def unigram(single: Float[Tensor, " C"], special: Tensor) -> Float[Tensor, " C"]:
    """Log-probabilities of tokens; each counts once more than it occurred, and special ones are never asked for.

    >>> unigram(torch.tensor([0.0, 0.0, 2.0]), torch.tensor([0])).exp().round(decimals=2).tolist()
    [0.0, 0.25, 0.75]
    """
    more = single + 1
    more[special] = 1e-9
    return (more / more.sum()).log()


def bigram(pairs: Float[Tensor, "C C"], alone: Float[Tensor, " C"]) -> Float[Tensor, "C C"]:
    """Log-probabilities of a token (column) after another one (row); new ones as the unigram has them."""
    new = (pairs > 0).sum(1, keepdim=True).clamp(min=1)
    return ((pairs + new * alone.exp()) / (pairs.sum(1, keepdim=True) + new)).log()
