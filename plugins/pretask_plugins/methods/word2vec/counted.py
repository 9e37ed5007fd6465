"""Counted words: what both tasks of word2vec do: leave rare words out, subsample frequent ones, draw noise.

Source: Mikolov et al., NIPS 2013, sections 2.2 and 2.3, and the released code.
Axes: B batch, L tokens, K candidates, C size of the vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pretask import (
    Batch,
    Draws,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    PretaskError,
    Targets,
    TargetSpecs,
    Vocabulary,
)
from pretask.options import Fraction, Interval, PositiveInt, Size
from torch import Tensor

from pretask_plugins.methods.word2vec.noise import build_table, draw_words
from pretask_plugins.shared.constants import build_once, look_up
from pretask_plugins.shared.ngrams import count_unigrams, valid_rows
from pretask_plugins.shared.token_rows import close_gaps, require_vocabulary, whole_rows

Formula = Literal["code", "paper"]


@dataclass(frozen=True)
class CountedWords(ABC):
    """Keeps words by how often they occur, and draws negatives.

    Args:
        window: Words on either side, at most; how many is drawn for every word.
        negatives: Negative samples for every context; 5 to 20 for little text, 2 to 5 for much.
        subsample: Frequency above which words are subsampled, the paper's t; 0 keeps all.
        noise_exponent: Power of the counts from which negatives are drawn; the paper's is 3/4.
        min_count: Occurrences of a word, below which it is left out.
        counts: Occurrences of every word, filled in by `fit`; special tokens have none.
        formula: Of the probability that a frequent word is kept: the released code's, or the paper's.
    """

    who: ClassVar[str]

    window: Size = 5
    negatives: Size = 5
    subsample: Fraction = 1e-3
    noise_exponent: Annotated[float, Interval(ge=0, le=10)] = 0.75
    min_count: PositiveInt = 5
    counts: Float[Tensor, " C"] | None = field(default=None, compare=False)
    formula: Formula = "code"

    @abstractmethod
    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return the specs of x and y."""

    @abstractmethod
    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return x, and the candidates for each of its places."""

    def fit(self, text: Observed, batches: Iterable[Batch], /) -> "CountedWords":
        """Return the same split with the words of its data counted."""
        vocabulary = self.require_fit(text)
        counts = count_unigrams(valid_rows(batches), vocabulary.size)
        counts[[number for _, number in vocabulary.special]] = 0
        counts[counts < self.min_count] = 0
        if int((counts > 0).sum()) < 2:
            raise PretaskError(
                self.who,
                f"at least 2 different words that occur {self.min_count} times (split.min_count)",
                f"{int((counts > 0).sum())}",
                "Use more text, or set split.min_count=1.",
            )
        return replace(self, counts=counts)

    def whole_spec(self, text: Observed, /) -> InputSpec:
        """Return the row as it is."""
        return InputSpec("text", text.shape, vocabulary=self.require_fit(text))

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the row as it is, with no word left out."""
        return whole_rows(batch)

    def keep_words(self, batch: Batch, draws: Draws) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]:
        """Return the words that are kept at the front of their rows, and where they are."""
        keep, _, _ = self.tables_on(batch.device)
        is_kept = draws.bernoulli("keep", look_up(keep, batch.data), batch.data.shape[1])
        return close_gaps(batch.data, is_kept if batch.present is None else is_kept & batch.present)

    def draw_noise(self, draws: Draws, length: int, device: torch.device) -> Int[Tensor, "B L K"]:
        """Draw the negatives of every place."""
        _, edges, table = self.tables_on(device)
        noise: Tensor = draw_words(edges, table, draws.uniform("noise", length, self.negatives))
        return noise

    def tables_on(self, device: torch.device) -> tuple[Float[Tensor, " C"], Float[Tensor, " C"], Int[Tensor, " P"]]:
        """Return by word the probability that it is kept and the edges of noise, and their table; built once."""
        if device not in self.tables:
            counts = self.fitted_counts.to(device)
            keep = keep_probability(counts / counts.sum(), self.subsample, self.formula)
            edges = (counts**self.noise_exponent).double().cumsum(0)
            self.tables[device] = keep, edges, build_table(edges)
        return self.tables[device]

    @cached_property
    def tables(self) -> dict[torch.device, tuple[Tensor, Tensor, Tensor]]:
        """What `tables_on` has built."""
        return {}

    def predict_by_frequency(self, target: str, batches: Iterable[Batch]) -> Mapping[str, Predictor]:
        """Return a predictor that knows nothing, and one that knows how frequent the candidate is.

        The second gives the log-odds that a candidate is a label and not a negative, without looking at x. The noise
        distribution is part of the task, and known; labels are counted in the batches, each word once more than it
        occurred.
        """
        counts = self.fitted_counts
        seen = torch.where(counts > 0, count_unigrams(valid_rows(batches), len(counts)) + 1, 0.0)
        around = seen * keep_probability(counts / counts.sum(), self.subsample, self.formula)
        noise = counts**self.noise_exponent
        odds = (around / around.sum()).log() - (self.negatives * noise / noise.sum()).log()
        frequency = torch.where(counts > 0, odds, 0.0)
        return {
            "blind": constant_predictor(target, torch.zeros_like(counts)),
            "frequency": constant_predictor(target, frequency),
        }

    @property
    def fitted_counts(self) -> Float[Tensor, " C"]:
        """The counts; raises PretaskError before `fit`."""
        if self.counts is None:
            raise PretaskError(self.who, "the counts of its words", "none", "Call fit(observed, batches) first.")
        return self.counts

    def require_fit(self, text: Observed) -> Vocabulary:
        """Return the vocabulary; raise Incompatible where there is none, or an option is out of range."""
        vocabulary = require_vocabulary(self.who, text)
        if self.counts is not None and len(self.counts) != vocabulary.size:
            raise Incompatible(
                self.who,
                f"the vocabulary of {len(self.counts)} tokens that it was fitted to",
                f"one of {vocabulary.size}",
                "Use the tokenizer that it was fitted with (data.learn_from).",
            )
        if min(self.window, self.negatives, self.min_count) < 1:
            raise Incompatible(
                self.who,
                "split.window, split.negatives and split.min_count of at least 1",
                f"{self.window}, {self.negatives} and {self.min_count}",
                "Set them to the paper's 5, 5 and 5.",
            )
        return vocabulary


def keep_probability(
    frequency: Float[Tensor, " C"], threshold: float, formula: Formula = "code"
) -> Float[Tensor, " C"]:
    """Return the probability that a word is kept, at most 1; 0 for words that do not count.

    That is (sqrt(f / t) + 1) t / f by the released code, sqrt(t / f) by section 2.3 of the paper.

    >>> [round(p, 4) for p in keep_probability(torch.tensor([0.0, 0.001, 0.1]), 0.001).tolist()]
    [0.0, 1.0, 0.11]
    >>> keep_probability(torch.tensor([0.001, 0.1]), 0.001, "paper").round(decimals=4).tolist()
    [1.0, 0.10000000149011612]
    """
    if not threshold:
        return (frequency > 0).float()
    over = threshold / frequency.clamp(min=1e-30)
    kept = over.sqrt() + over if formula == "code" else over.sqrt()
    return torch.where(frequency > 0, kept.clamp(max=1), 0.0)


@build_once
def mark_labels(labels: int, count: int, device: torch.device) -> Float[Tensor, " K"]:
    """Return the same probability for the first of some candidates, the labels, and 0 for the others.

    >>> mark_labels(2, 3, torch.device("cpu")).tolist()
    [0.5, 0.5, 0.0]
    """
    return (torch.arange(count, device=device) < labels).float() / labels


def constant_predictor(target: str, logits: Float[Tensor, " C"]) -> Predictor:
    """Return the predictor of the same logits at every word."""
    return lambda batch, draws: {target: logits.to(batch.device).expand(*batch.data.shape, -1)}
