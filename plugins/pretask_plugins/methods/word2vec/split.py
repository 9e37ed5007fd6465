"""Pair every word with one of its window, and with negatives that are drawn from noise.

Frequent words are subsampled and rare ones left out first, the others close up, and windows are laid over the rest.

Source: Mikolov et al., NIPS 2013, sections 2.2 and 2.3, and the released code. Differs: see the folder's header.
Axes: B batch, L tokens, K candidates, C size of the vocabulary.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from pretask import (
    Batch,
    Categories,
    Draws,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    PretaskError,
    Target,
    Targets,
    TargetSpecs,
    Vocabulary,
)
from pretask.options import Fraction, Interval, PositiveInt, Size
from torch import Tensor

from pretask_plugins.methods.word2vec.noise import build_table, draw_words
from pretask_plugins.shared.constants import build_once, count_up
from pretask_plugins.shared.ngrams import count_unigrams, valid_rows
from pretask_plugins.shared.token_rows import require_vocabulary, whole_rows


@dataclass(frozen=True)
class SkipGram:
    """Keep words, and pair each with a context (probability 1) and with negatives (probability 0).

    Args:
        window: Words on either side, at most; how many is drawn for every word.
        negatives: Negative samples for every context; 5 to 20 for little text, 2 to 5 for much.
        subsample: Frequency above which words are subsampled, the paper's t; 0 keeps all.
        noise_exponent: Power of the counts from which negatives are drawn; the paper's is 3/4.
        min_count: Occurrences of a word, below which it is left out.
        counts: Occurrences of every word, filled in by `fit`; special tokens have none.
    """

    window: Size = 5
    negatives: Size = 5
    subsample: Fraction = 1e-3
    noise_exponent: Annotated[float, Interval(ge=0, le=10)] = 0.75
    min_count: PositiveInt = 5
    counts: Float[Tensor, " C"] | None = field(default=None, compare=False)

    def fit(self, text: Observed, batches: Iterable[Batch], /) -> "SkipGram":
        """Return the same split with the words of its data counted."""
        vocabulary = self.require_fit(text)
        counts = count_unigrams(valid_rows(batches), vocabulary.size)
        counts[[number for _, number in vocabulary.special]] = 0
        counts[counts < self.min_count] = 0
        if int((counts > 0).sum()) < 2:
            raise PretaskError(
                "skip-gram",
                f"at least 2 different words that occur {self.min_count} times (split.min_count)",
                f"{int((counts > 0).sum())}",
                "Use more text, or set split.min_count=1.",
            )
        return replace(self, counts=counts)

    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return a row, and a word among the vocabulary for each of its places."""
        size = self.require_fit(text).size
        return self.whole_spec(text), {"context": Categories(size, grid=text.shape, sees="present")}

    def whole_spec(self, text: Observed, /) -> InputSpec:
        """Return the row as it is."""
        return InputSpec("text", text.shape, vocabulary=self.require_fit(text))

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the words that are kept, one after the other, and the candidates for each."""
        keep, edges, table = self.tables_on(batch.device)
        is_kept = draws.bernoulli("keep", keep[batch.data], batch.data.shape[1])
        words, present = close_gaps(batch.data, is_kept if batch.present is None else is_kept & batch.present)
        context, weight = draw_contexts(draws, present, self.window)
        noise: Tensor = draw_words(edges, table, draws.uniform("noise", words.shape[1], self.negatives))
        value = torch.cat([words.gather(1, context)[..., None], noise], -1)
        probability = first_only(1 + self.negatives, batch.device).expand(value.shape)
        return Inputs(words[:, None], present[:, None]), {"context": Target(value, weight, probability)}

    def tables_on(self, device: torch.device) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"], Int[Tensor, " P"]]:
        """Return by word the probability that it is kept and the edges of noise, and their table; built once."""
        if device not in self.tables:
            counts = self.fitted_counts.to(device)
            keep = keep_probability(counts / counts.sum(), self.subsample)
            edges = (counts**self.noise_exponent).double().cumsum(0)
            self.tables[device] = keep, edges, build_table(edges)
        return self.tables[device]

    @cached_property
    def tables(self) -> dict[torch.device, tuple[Tensor, Tensor, Tensor]]:
        """What `tables_on` has built."""
        return {}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the row as it is, with no word left out."""
        return whole_rows(batch)

    def trivial_predictors(self, batches: Iterable[Batch]) -> Mapping[str, Predictor]:
        """Return a predictor that knows nothing, and one that knows how frequent the candidate is.

        The second gives the log-odds that a candidate is a context and not a negative, without looking at the center
        word. The noise distribution is part of the task, and known; contexts are counted in the batches, each word once
        more than it occurred.
        """
        counts = self.fitted_counts
        seen = torch.where(counts > 0, count_unigrams(valid_rows(batches), len(counts)) + 1, 0.0)
        around = seen * keep_probability(counts / counts.sum(), self.subsample)
        noise = counts**self.noise_exponent
        odds = (around / around.sum()).log() - (self.negatives * noise / noise.sum()).log()
        frequency = torch.where(counts > 0, odds, 0.0)
        return {"blind": constant_predictor(torch.zeros_like(counts)), "frequency": constant_predictor(frequency)}

    @property
    def fitted_counts(self) -> Float[Tensor, " C"]:
        """The counts; raises PretaskError before `fit`."""
        if self.counts is None:
            raise PretaskError("skip-gram", "the counts of its words", "none", "Call fit(observed, batches) first.")
        return self.counts

    def require_fit(self, text: Observed) -> Vocabulary:
        """Return the vocabulary; raise Incompatible where there is none, or an option is out of range."""
        vocabulary = require_vocabulary("skip-gram", text)
        if self.counts is not None and len(self.counts) != vocabulary.size:
            raise Incompatible(
                "skip-gram",
                f"the vocabulary of {len(self.counts)} tokens that it was fitted to",
                f"one of {vocabulary.size}",
                "Use the tokenizer that it was fitted with (data.learn_from).",
            )
        if min(self.window, self.negatives, self.min_count) < 1:
            raise Incompatible(
                "skip-gram",
                "split.window, split.negatives and split.min_count of at least 1",
                f"{self.window}, {self.negatives} and {self.min_count}",
                "Set them to the paper's 5, 5 and 5.",
            )
        return vocabulary


def keep_probability(frequency: Float[Tensor, " C"], threshold: float) -> Float[Tensor, " C"]:
    """Return the probability that a word is kept: (sqrt(f / t) + 1) t / f, at most 1; 0 for words that do not count.

    This is the released code's formula; the paper's section 2.3 has sqrt(t / f).

    >>> [round(p, 4) for p in keep_probability(torch.tensor([0.0, 0.001, 0.1]), 0.001).tolist()]
    [0.0, 1.0, 0.11]
    """
    if not threshold:
        return (frequency > 0).float()
    over = threshold / frequency.clamp(min=1e-30)
    return torch.where(frequency > 0, (over.sqrt() + over).clamp(max=1), 0.0)


def close_gaps(
    words: Int[Tensor, "B L"], is_kept: Bool[Tensor, "B L"]
) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]:
    """Move the kept words to the front of their rows, in order; return the rows and where kept words are.

    >>> close_gaps(torch.tensor([[7, 8, 9]]), torch.tensor([[True, False, True]]))[0].tolist()
    [[7, 9, 8]]
    """
    places = count_up(words.shape[1], words.device)
    order = torch.add(places, is_kept, alpha=-words.shape[1]).argsort(1)
    return words.gather(1, order), places < is_kept.sum(1, keepdim=True)


@build_once
def first_only(count: int, device: torch.device) -> Float[Tensor, " K"]:
    """Return 1 for the first of some candidates, 0 for the others."""
    return (torch.arange(count, device=device) == 0).float()


def draw_contexts(
    draws: Draws, present: Bool[Tensor, "B L"], window: int
) -> tuple[Int[Tensor, "B L"], Float[Tensor, "B L"]]:
    """Draw for every word the position of one in its window, evenly; return it with how many words the window has.

    Args:
        draws: Of the positions, and of the windows, which reach 1 to `window` words to either side.
        present: Where words are; they stand at the front.
        window: The largest reach.
    """
    length = present.shape[1]
    positions = count_up(length, present.device)
    reach = draws.integers("window", 1, window + 1, length)
    left = reach.minimum(positions)
    right = reach.minimum(present.sum(1, keepdim=True) - (1 + positions)).clamp(min=0)
    size = left + right
    pick = draws.integers("context", 0, size.clamp(min=1), length)
    context = positions - left + pick + (pick >= left)  # steps over the center word
    return context.clamp(max=length - 1), size * present.float()


def constant_predictor(logits: Float[Tensor, " C"]) -> Predictor:
    """Return the predictor of the same logits at every word."""
    return lambda batch, draws: {"context": logits.to(batch.device).expand(*batch.data.shape, -1)}
