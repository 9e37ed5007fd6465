"""Guesses that a model must beat: the training mean; how often a token occurs, alone or beside its neighbour.

Axes: B batch, L tokens, K numbers in an answer, C size of the vocabulary.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from jaxtyping import Bool, Float, Int
from pretask import Batch, Draws, SplitFn
from torch import Tensor

Predictor = Callable[[Batch, Draws], Mapping[str, Tensor]]
Counts = Float[Tensor, "C C"]
LARGEST = 8192  # vocabulary whose pairs are still counted, 256 MB


def mean_guess(split: SplitFn, batches: Iterable[Batch]) -> Mapping[str, Tensor]:
    """The mean of every target over the training samples, place by place; over all places where one is never asked."""
    sums: dict[str, Tensor] = {}
    weights: dict[str, Tensor] = {}
    for batch in batches:
        _, targets = split(batch, Draws(batch.index))
        for name, target in targets.items():
            value = target.value.double()
            weight = torch.ones_like(value[..., :1]) if target.weight is None else target.weight.double()[..., None]
            sums[name] = sums.get(name, 0) + (value * weight).sum(0)
            weights[name] = weights.get(name, 0) + weight.sum(0)
    return {name: place_means(sums[name], weights[name]) for name in sums}


def place_means(total: Float[Tensor, "... K"], weight: Float[Tensor, "... 1"]) -> Float[Tensor, "... K"]:
    """Sums by weights, and the mean of all where there is no weight."""
    over = tuple(range(total.ndim - 1))
    everywhere = total.sum(over) / weight.sum().clamp(min=1)
    return torch.where(weight > 0, total / weight.clamp(min=1e-12), everywhere).float()


def guess_mean(split: SplitFn, batches: Iterable[Batch]) -> Predictor:
    """The predictor of the training mean."""
    means = mean_guess(split, batches)
    return lambda batch, draws: {name: mean.expand(len(batch), *mean.shape) for name, mean in means.items()}


def count_tokens(batches: Iterable[Batch], size: int) -> tuple[Float[Tensor, " C"], Counts | None]:
    """How often every token occurs, and every pair of neighbours where the vocabulary is small enough."""
    single = torch.zeros(size)
    pairs = torch.zeros(size * size) if size <= LARGEST else None
    for batch in batches:
        tokens = batch.data.cpu()
        present = torch.ones_like(tokens, dtype=torch.bool) if batch.present is None else batch.present.cpu()
        single += torch.bincount(tokens[present], minlength=size)
        if pairs is not None:
            both = present[:, :-1] & present[:, 1:]
            pair, times = torch.unique((tokens[:, :-1] * size + tokens[:, 1:])[both], return_counts=True)
            pairs[pair] += times
    return single, None if pairs is None else pairs.view(size, size)


def unigram(single: Float[Tensor, " C"]) -> Float[Tensor, " C"]:
    """Log-probabilities of tokens; each counts once more than it occurred.

    >>> unigram(torch.tensor([0.0, 2.0])).exp().tolist()
    [0.25, 0.75]
    """
    return ((single + 1) / (single.sum() + len(single))).log()


def bigram(follows: Counts, single: Float[Tensor, " C"]) -> Counts:
    """Log-probabilities of a token (column) beside another one (row), smoothed as Witten and Bell 1991 did.

    What never stood beside it gets the share that new neighbours had so far: the number of different ones.
    """
    new = (follows > 0).sum(1, keepdim=True).clamp(min=1)
    return ((follows + new * unigram(single).exp()) / (follows.sum(1, keepdim=True) + new)).log()


def guess_unigram(single: Float[Tensor, " C"]) -> Predictor:
    """The predictor that knows only how often tokens occur."""
    known = unigram(single)
    return lambda batch, draws: {"tokens": known.to(batch.device).expand(*batch.data.shape, -1)}


def guess_bigram(single: Float[Tensor, " C"], pairs: Counts, seen_of: Callable[[Batch, Draws], Tensor]) -> Predictor:
    """The predictor that looks at the token before, or else at the one after, where the split shows it."""
    forward, backward, alone = bigram(pairs, single), bigram(pairs.T, single), unigram(single)

    def guess(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        tokens, seen = batch.data, seen_of(batch, draws)
        before, after = shifted(seen, 1)[..., None], shifted(seen, -1)[..., None]
        backward_guess = torch.where(after, backward.to(batch.device)[tokens.roll(-1, 1)], alone.to(batch.device))
        return {"tokens": torch.where(before, forward.to(batch.device)[tokens.roll(1, 1)], backward_guess)}

    return guess


def shifted(seen: Bool[Tensor, "B L"], by: int) -> Bool[Tensor, "B L"]:
    """Whether the place before (1) or after (-1) each is visible; beyond the ends nothing is.

    >>> shifted(torch.tensor([[True, False, True]]), 1).tolist()
    [[False, True, False]]
    """
    moved = seen.roll(by, 1).clone()
    moved[:, 0 if by > 0 else -1] = False
    return moved


def token_predictors(
    batches: Iterable[Batch], size: int, seen_of: Callable[[Batch, Draws], Int[Tensor, "B L"]] | None
) -> Mapping[str, Predictor]:
    """Unigram, and bigram where a split hides something and the vocabulary is small enough."""
    single, pairs = count_tokens(batches, size)
    predictors = {"unigram": guess_unigram(single)}
    if pairs is not None and seen_of is not None:
        predictors["bigram"] = guess_bigram(single, pairs, seen_of)
    return predictors
