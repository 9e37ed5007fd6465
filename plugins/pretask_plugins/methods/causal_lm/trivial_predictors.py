"""What a language model must beat: how often a token occurs, alone or after the token before it.

Source: Witten and Bell 1991 (smoothing: what never followed a token gets the share that new followers had so far).
Axes: B batch, P positions, C size of the vocabulary.
"""

from collections.abc import Iterable, Mapping

import torch
from jaxtyping import Float
from pretask import Batch, Draws, Predictor, SplitFn
from torch import Tensor

LARGEST = 8192  # vocabulary whose pairs are still counted, 256 MB


def token_predictors(split: SplitFn, batches: Iterable[Batch], size: int) -> Mapping[str, Predictor]:
    """Unigram, and bigram where the vocabulary is small enough."""
    single, pairs = count(split, batches, size)

    def guess_unigram(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        inputs, _ = split(batch, draws)
        known = unigram(single).to(batch.device)
        return {"next": known.expand(len(batch), inputs.data.shape[2], size)}

    def guess_bigram(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        inputs, _ = split(batch, draws)
        return {"next": after[inputs.data[:, 0].to(after.device)].to(batch.device)}

    if pairs is None:
        return {"unigram": guess_unigram}
    after = bigram(pairs, single)
    return {"unigram": guess_unigram, "bigram": guess_bigram}


def count(
    split: SplitFn, batches: Iterable[Batch], size: int
) -> tuple[Float[Tensor, " C"], Float[Tensor, "C C"] | None]:
    """How often every token is asked for, and after which one."""
    single = torch.zeros(size)
    pairs = torch.zeros(size * size) if size <= LARGEST else None
    for batch in batches:
        inputs, targets = split(batch, Draws(batch.index))
        before, target = inputs.data[:, 0].cpu(), targets["next"].value.cpu()
        weight = targets["next"].weight
        asked = torch.ones_like(target, dtype=torch.bool) if weight is None else weight.cpu() > 0
        single += torch.bincount(target[asked], minlength=size)
        if pairs is not None:
            pair, times = torch.unique((before * size + target)[asked], return_counts=True)
            pairs[pair] += times
    return single, None if pairs is None else pairs.view(size, size)


def unigram(single: Float[Tensor, " C"]) -> Float[Tensor, " C"]:
    """Log-probabilities of tokens; each counts once more than it occurred.

    >>> unigram(torch.tensor([0.0, 2.0])).exp().tolist()
    [0.25, 0.75]
    """
    return ((single + 1) / (single.sum() + len(single))).log()


def bigram(pairs: Float[Tensor, "C C"], single: Float[Tensor, " C"]) -> Float[Tensor, "C C"]:
    """Log-probabilities of a token (column) after another one (row); new ones as the unigram has them.

    >>> bigram(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), torch.tensor([0.0, 1.0])).exp()[0].tolist()  # (1 + 2/3) / 2
    [0.1666666716337204, 0.8333333134651184]
    """
    new = (pairs > 0).sum(1, keepdim=True).clamp(min=1)
    return ((pairs + new * unigram(single).exp()) / (pairs.sum(1, keepdim=True) + new)).log()
