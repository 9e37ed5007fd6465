"""Pair every word with one around it, and with words that are drawn from noise.

Frequent words are thinned and rare ones left out first, the others close up, and windows are laid over what is left.

Source: Mikolov et al., NIPS 2013, sections 2.2 and 2.3, and the released code. Differs: see the folder's header.
Axes: B batch, L tokens, K candidates, C size of the vocabulary.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

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
from torch import Tensor


@dataclass(frozen=True)
class SkipGram:
    """Words that are left, and for each a context (probability 1) and noise (probability 0).

    Args:
        window: Words on either side, at most; how many is drawn for every word.
        negatives: Words of noise for every context; 5 to 20 for little text, 2 to 5 for much.
        subsample: Frequency above which words are thinned; 0 keeps all.
        power: Of the counts, for noise.
        least: Occurrences of a word, below which it is left out.
        counts: Occurrences of every word, filled in by `fit`; special tokens have none.
    """

    window: int = 5
    negatives: int = 5
    subsample: float = 1e-3
    power: float = 0.75
    least: int = 5
    counts: Float[Tensor, " C"] | None = field(default=None, compare=False)

    def fit(self, text: Observed, batches: Iterable[Batch], /) -> "SkipGram":
        """The same split with the words of its data counted."""
        vocabulary = self.checked(text)
        counts = count_words(batches, vocabulary.size)
        counts[[number for _, number in vocabulary.special]] = 0
        counts[counts < self.least] = 0
        if int((counts > 0).sum()) < 2:
            raise PretaskError(
                "skip-gram",
                f"at least 2 different words that occur {self.least} times (split.least)",
                f"{int((counts > 0).sum())}",
                "Use more text, or set split.least=1.",
            )
        return replace(self, counts=counts)

    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """A row, and a word among the vocabulary for each of its places."""
        size = self.checked(text).size
        return self.whole_spec(text), {"context": Categories(size, grid=text.shape, sees="present")}

    def whole_spec(self, text: Observed, /) -> InputSpec:
        """The row as it is."""
        return InputSpec("text", text.shape, vocabulary=self.checked(text))

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """The words that are left, one after the other, and the candidates for each."""
        counts = self.fitted().to(batch.device)
        words, present = closed_up(batch.data, self.kept(batch, counts, draws))
        at, weight = contexts(draws, present, self.window)
        noise = drawn_from(counts**self.power, draws.uniform("noise", words.shape[1], self.negatives))
        value = torch.cat([words.gather(1, at)[..., None], noise], -1)
        probability = (torch.arange(1 + self.negatives, device=batch.device) == 0).float().expand(value.shape)
        return Inputs(words[:, None], present[:, None]), {"context": Target(value, weight, probability)}

    def kept(self, batch: Batch, counts: Float[Tensor, " C"], draws: Draws) -> Bool[Tensor, "B L"]:
        """Which words are left."""
        chance = keep_probability(counts / counts.sum(), self.subsample)[batch.data]
        kept = draws.bernoulli("keep", chance, batch.data.shape[1])
        return kept if batch.present is None else kept & batch.present

    def whole(self, batch: Batch, /) -> Inputs:
        """The row as it is; nothing is thinned."""
        return Inputs(batch.data[:, None], None if batch.present is None else batch.present[:, None])

    def trivial_predictors(self, batches: Iterable[Batch]) -> Mapping[str, Predictor]:
        """No idea; and how much commoner a word is around any word than in noise, which is all that is known of a word
        without the one beside it.

        Noise is part of the task, and known; what is around words is counted in the batches, each word once more than
        it occurred.
        """
        counts = self.fitted()
        seen = torch.where(counts > 0, count_words(batches, len(counts)) + 1, 0.0)
        around = seen * keep_probability(counts / counts.sum(), self.subsample)
        noise = counts**self.power
        odds = (around / around.sum()).log() - (self.negatives * noise / noise.sum()).log()
        guesses = {"blind": torch.zeros_like(counts), "frequency": torch.where(counts > 0, odds, 0.0)}
        return {name: predictor(guess) for name, guess in guesses.items()}

    def fitted(self) -> Float[Tensor, " C"]:
        """The counts; raises PretaskError where there are none."""
        if self.counts is None:
            raise PretaskError("skip-gram", "the counts of its words", "none", "Call fit(observed, batches) first.")
        return self.counts

    def checked(self, text: Observed) -> Vocabulary:
        """The vocabulary; raises Incompatible where there is none, or options make no sense."""
        if text.vocabulary is None or len(text.shape) != 1:
            raise Incompatible("skip-gram", "rows of tokens of a vocabulary", f"{text.modality}", "Use data of text.")
        if self.counts is not None and len(self.counts) != text.vocabulary.size:
            raise Incompatible(
                "skip-gram",
                f"the vocabulary of {len(self.counts)} tokens that it was fitted to",
                f"one of {text.vocabulary.size}",
                "Use the tokenizer that it was fitted with (data.learn_from).",
            )
        if min(self.window, self.negatives, self.least) < 1:
            raise Incompatible(
                "skip-gram",
                "split.window, split.negatives and split.least of at least 1",
                f"{self.window}, {self.negatives} and {self.least}",
                "Raise them.",
            )
        return text.vocabulary


def count_words(batches: Iterable[Batch], size: int) -> Float[Tensor, " C"]:
    """Occurrences of every word of a vocabulary of so many."""
    counts = torch.zeros(size)
    for batch in batches:
        words = batch.data if batch.present is None else batch.data[batch.present]
        counts += torch.bincount(words.flatten().cpu(), minlength=size)
    return counts


def keep_probability(frequency: Float[Tensor, " C"], threshold: float) -> Float[Tensor, " C"]:
    """The chance that a word is kept: (sqrt(f / t) + 1) t / f, at most 1; 0 for words that do not count.

    >>> [round(p, 4) for p in keep_probability(torch.tensor([0.0, 0.001, 0.1]), 0.001).tolist()]
    [0.0, 1.0, 0.11]
    """
    if not threshold:
        return (frequency > 0).float()
    over = threshold / frequency.clamp(min=1e-30)
    return torch.where(frequency > 0, (over.sqrt() + over).clamp(max=1), 0.0)


def closed_up(words: Int[Tensor, "B L"], kept: Bool[Tensor, "B L"]) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]:
    """The kept words in their order, at the front of their rows, and where they are; behind them is what was left out.

    >>> closed_up(torch.tensor([[7, 8, 9]]), torch.tensor([[True, False, True]]))[0].tolist()
    [[7, 9, 8]]
    """
    place = torch.arange(words.shape[1], device=words.device)
    order = (place + words.shape[1] * ~kept).argsort(1)
    return words.gather(1, order), place < kept.sum(1, keepdim=True)


def contexts(
    draws: Draws, present: Bool[Tensor, "B L"], window: int
) -> tuple[Int[Tensor, "B L"], Float[Tensor, "B L"]]:
    """For every word the place of one in its window, drawn evenly, and how many words its window has.

    Args:
        draws: Of the windows, too: each reaches 1 … window words to either side.
        present: Where words are; they stand at the front.
        window: The widest.
    """
    length = present.shape[1]
    place = torch.arange(length, device=present.device)
    reach = draws.integers("window", 1, window + 1, length)
    left = reach.minimum(place)
    right = reach.minimum(present.sum(1, keepdim=True) - 1 - place).clamp(min=0)
    pick = draws.integers("context", 0, (left + right).clamp(min=1), length)
    at = place - left + pick + (pick >= left)
    return at.clamp(max=length - 1), (left + right) * present.float()


def drawn_from(mass: Float[Tensor, " C"], uniform: Float[Tensor, "B L K"]) -> Int[Tensor, "B L K"]:
    """Words drawn by their mass, one for every number in [0, 1).

    >>> drawn_from(torch.tensor([0.0, 1.0, 0.0, 3.0]), torch.tensor([[[0.0, 0.2, 0.3, 0.99]]])).tolist()
    [[[1, 1, 3, 3]]]
    """
    edges = mass.double().cumsum(0)
    return torch.searchsorted(edges, uniform.double() * edges[-1], right=True)


def predictor(products: Float[Tensor, " C"]) -> Predictor:
    """The predictor that says the same of every word."""
    return lambda batch, draws: {"context": products.to(batch.device).expand(*batch.data.shape, -1)}
