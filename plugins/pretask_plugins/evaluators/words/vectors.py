"""Word vectors: one vector for a word, of any encoder of text.

An encoder that looks at the company of a word has no such vector, and gives one in either of two ways: the word
`alone` in its row, or the `average` of the vectors that it has where it occurs in the training part (Bommasani, Davis
and Cardie 2020, sections 3.1 and 3.2: decontextualized and aggregated). An encoder without context gives the same in
both. A word of several tokens has the mean of their vectors.

A word is out of vocabulary where its tokens hold one that stands for unknown words, or one that occurs too rarely in
the training part, where they are more than a row takes, or, of an average, where the word itself does not occur.
Axes: N words, R rows, L positions of a row, P positions in all, D width.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from pretask import Budget, Data, Decodes, Draws, Encodes, PretaskError, Samples, Task, source_of
from pretask.extraction import extract_positions
from torch import Tensor

from pretask_plugins.shared.unit_vectors import to_unit_length

Context = Literal["alone", "average"]
Tokens = tuple[int, ...]


@dataclass(frozen=True)
class WordReader:
    """What turns words into vectors.

    Args:
        who: The evaluator, for errors.
        task: Whose encoder is measured.
        data: Of text that takes a text of one's own.
        budget: Seed and batch.
        context: What stands around a word.
        layer: Of the vectors, from 1; 0 for the output.
        min_count: Occurrences of every token of a word in the training part, below which it is out of vocabulary.
        max_occurrences: Of a word, over which an average is taken.
    """

    who: str
    task: Task
    data: Data
    budget: Budget
    context: Context
    layer: int
    min_count: int
    max_occurrences: int

    def __post_init__(self) -> None:
        if not isinstance(self.source, Encodes):
            raise PretaskError(self.who, "data of text that takes a text of your own (encode)", "none", "Use text.")

    @cached_property
    def source(self) -> Any:
        """The data itself, which has the tokenizer."""
        return source_of(self.data)

    @cached_property
    def train(self) -> Samples:
        """The training part."""
        return self.data("train")

    @cached_property
    def counts(self) -> Int[Tensor, " C"]:
        """Occurrences of every token in the training part; 0 of special ones."""
        vocabulary = self.train.observed.vocabulary
        if vocabulary is None:
            raise PretaskError(self.who, "tokens of a vocabulary", self.train.observed.modality, "Use text.")
        counts = torch.bincount(self.train.take(valid_positions(self.train)), minlength=vocabulary.size)
        counts[[number for _, number in vocabulary.special]] = 0
        return counts

    def encode(self, word: str) -> Tokens:
        """Return the tokens of a word, as inside a text where that takes no more of them; none out of vocabulary."""
        source = self.source
        assert isinstance(source, Encodes)
        tokens = min((tuple(source.encode(text)) for text in (f" {word}", word)), key=len)
        least = max(self.min_count, 1)
        known = bool(tokens) and all(token < len(self.counts) and self.counts[token] >= least for token in tokens)
        return tokens if known and len(tokens) <= self.train.data.shape[1] else ()

    def read(self, words: Iterable[Tokens]) -> tuple[dict[Tokens, int], Float[Tensor, "N D"]]:
        """Return the rows of words, by their tokens, and a vector of length 1 in each; a word without any is left out.

        Raises:
            PretaskError: The encoder keeps no positions, or has no such layer.
        """
        wanted = sorted({tokens for tokens in words if tokens})
        samples, positions, owner = self.place_alone(wanted) if self.context == "alone" else self.find(wanted)
        sums = torch.zeros(len(wanted), 0)
        if len(owner):
            vectors = self.pick_layer(extract_positions(self.task, samples, self.budget, positions))
            sums = torch.zeros(len(wanted), vectors.shape[1]).index_add_(0, owner, vectors)
        found = torch.bincount(owner, minlength=len(wanted)) > 0
        kept = found.nonzero()[:, 0].tolist()
        return {wanted[number]: row for row, number in enumerate(kept)}, to_unit_length(sums[found])

    def pick_layer(self, layers: Mapping[str, Tensor]) -> Float[Tensor, "P D"]:
        """Return the vectors of the layer that is wanted; raise PretaskError where there is none of that number."""
        if self.layer > len(layers):
            raise PretaskError(
                self.who, f"a layer {self.layer}", f"{len(layers)} layers", f"Set {self.who}.layer=0 for the output."
            )
        return list(layers.values())[self.layer - 1]

    def place_alone(self, words: list[Tokens]) -> tuple[Samples, Bool[Tensor, "R L"], Int[Tensor, " P"]]:
        """Return a row of each word, where its tokens are, and whose they are."""
        length = self.train.data.shape[1]
        sizes = torch.tensor([len(tokens) for tokens in words], dtype=torch.int64)
        present = torch.arange(length) < sizes[:, None]
        rows = torch.zeros(len(words), length, dtype=torch.int64)
        rows[present] = torch.tensor([token for tokens in words for token in tokens], dtype=torch.int64)
        observed = replace(self.train.observed, samples=len(words))
        return Samples(observed, rows, present=present), present, torch.arange(len(words)).repeat_interleave(sizes)

    def find(self, words: list[Tokens]) -> tuple[Samples, Bool[Tensor, "R L"], Int[Tensor, " P"]]:
        """Return the rows in which words occur, where their tokens are, and whose; drawn where there are too many."""
        owners = torch.full(self.train.data.shape, -1)
        valid = valid_positions(self.train)
        for number, tokens in enumerate(words):
            rows, starts = self.draw_places(number, find_places(self.train.data, valid, tokens))
            for step in range(len(tokens)):
                owners[rows, starts + step] = number
        used = (owners >= 0).any(1).nonzero()[:, 0]
        samples = self.train.some(used, "rows of words")
        positions = owners[used] >= 0
        return replace(samples, fingerprint=""), positions, owners[used][positions]

    def draw_places(self, number: int, places: Int[Tensor, "all 2"]) -> tuple[Int[Tensor, " M"], Int[Tensor, " M"]]:
        """Return rows and positions of some occurrences, drawn by the seed."""
        draws = Draws(torch.arange(len(places)), self.budget.seed, number).branch("occurrences")
        order = draws.uniform("place").argsort()[: self.max_occurrences]
        rows, starts = places[order].unbind(1)
        return rows, starts

    def list_words(self, count: int) -> dict[str, Tokens]:
        """List the most frequent words of the vocabulary that are one token, most frequent first.

        Raises:
            PretaskError: The data cannot be read (decode), or there are not even two.
        """
        source = self.source
        if not isinstance(source, Decodes):
            raise PretaskError(self.who, "data of text whose tokens can be read (decode)", "none", "Use text.")
        words: dict[str, Tokens] = {}
        for token in self.counts.argsort(descending=True, stable=True).tolist():
            if len(words) == count or self.counts[token] < max(self.min_count, 1):
                break
            text = source.decode([token]).strip()
            if any(map(str.isalnum, text)) and self.encode(text) == (token,):
                words.setdefault(text, (token,))
        if len(words) < 2:
            raise PretaskError(self.who, "a vocabulary of two words at least", f"{len(words)}", "Use more text.")
        return words


def valid_positions(samples: Samples) -> Bool[Tensor, "N L"]:
    """Return where samples are not padding."""
    return torch.ones_like(samples.data, dtype=torch.bool) if samples.present is None else samples.present


def find_places(rows: Int[Tensor, "R L"], valid: Bool[Tensor, "R L"], tokens: Tokens) -> Int[Tensor, "M 2"]:
    """Find where a word begins: row and position of every occurrence.

    >>> rows = torch.tensor([[5, 6, 5], [6, 5, 6]])
    >>> find_places(rows, torch.ones_like(rows, dtype=torch.bool), (5, 6)).tolist()
    [[0, 0], [1, 1]]
    """
    last = rows.shape[1] - len(tokens) + 1
    is_here = torch.ones(len(rows), last, dtype=torch.bool)
    for step, token in enumerate(tokens):
        is_here &= (rows[:, step : last + step] == token) & valid[:, step : last + step]
    return is_here.nonzero()
