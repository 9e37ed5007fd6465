"""Pair every word with one that stands near it; y is the logarithm of how often the two are near each other anywhere.

Words are paired in the text as often as they count in X: a neighbor at distance r is drawn with probability
proportional to 1 / r, and the pair weighs what its window holds, the sum of 1 / r. So a sum over all pairs of an epoch
is, in expectation, the sum over all cells of X, each times its X_ij.

Source: Pennington, Socher and Manning, EMNLP 2014, section 4.2 (windows, 1 / distance). Differs: see the folder's
    header.
Axes: B batch, L tokens, C size of the vocabulary.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from pretask import (
    Batch,
    Draws,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    PretaskError,
    Target,
    Targets,
    TargetSpec,
    TargetSpecs,
    Vocabulary,
    require_range,
)
from pretask.options import PositiveInt, Size
from torch import Tensor

from pretask_plugins.methods.glove.counting import Cooccurrences, KeptRows, Words, count_cooccurrences, make_folder
from pretask_plugins.methods.glove.neighbors import draw_neighbors
from pretask_plugins.shared.constants import look_up
from pretask_plugins.shared.token_rows import close_gaps, require_vocabulary, whole_rows

WHO = "co-occurrence"
SMALLEST_SUM = 1e-6  # so that the logarithm of a row without cells, of which no pair has weight, is finite


@dataclass(frozen=True)
class Cooccurrence(TargetSpec):
    """The logarithm of how often the words of two views, place by place, are near each other; (B, L) numbers."""

    kind: ClassVar[str] = "co-occurrence"


@dataclass(frozen=True)
class PairWithNeighbor:
    """Pair each word with a neighbor. x is both, as two views; y is log X of the two.

    Args:
        window: Words on either side, at most; 10 in the paper, 15 in the released code.
        min_count: Occurrences of a word, below which it is left out before windows are laid.
        words: Occurrences of every word, filled in by `fit`; 0 for those that are left out.
        cells: X, filled in by `fit`.
    """

    window: Size = 10
    min_count: PositiveInt = 5
    words: Float[Tensor, " C"] | None = field(default=None, compare=False)
    cells: Cooccurrences | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        require_range(WHO, "split", self)

    def fit(self, text: Observed, batches: Iterable[Batch], /) -> "PairWithNeighbor":
        """Return the same split with the words and co-occurrences of its data counted.

        Raises:
            PretaskError: Fewer than two words occur often enough, or never near each other.
        """
        vocabulary = self.require_fit(text)
        with make_folder() as folder:
            rows = KeptRows(folder, batches, vocabulary.size)
            words = rows.words
            words[[number for _, number in vocabulary.special]] = 0
            words[words < self.min_count] = 0
            cells = count_cooccurrences(rows.keep(words > 0), vocabulary.size, self.window)
        if int((words > 0).sum()) < 2 or not len(cells):
            raise PretaskError(
                WHO,
                f"at least 2 different words that occur {self.min_count} times (split.min_count), near each other",
                f"{int((words > 0).sum())} such words, and {len(cells)} pairs",
                "Use more text, or set split.min_count=1.",
            )
        return replace(self, words=words, cells=cells)

    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return two rows, and a number for each of their places."""
        vocabulary = self.require_fit(text)
        return InputSpec("text", text.shape, views=2, vocabulary=vocabulary), {
            "count": Cooccurrence(grid=text.shape, sees="present", hidden=False)
        }

    def whole_spec(self, text: Observed, /) -> InputSpec:
        """Return the row as it is."""
        return InputSpec("text", text.shape, vocabulary=self.require_fit(text))

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the words that are kept, one after the other, and beside each its neighbor."""
        words, present = self.keep_words(batch)
        neighbor, mass = draw_neighbors(draws, present, self.window)
        others = words.gather(1, neighbor)
        log_count, is_found = self.counts_on(batch.device)[1].look_up(words, others)
        inputs = Inputs(torch.stack([words, others], 1), present[:, None].expand(-1, 2, -1))
        return inputs, {"count": Target(log_count, mass * is_found)}

    def keep_words(self, batch: Batch) -> Words:
        """Return the words that occur often enough at the front of their rows, and where they are."""
        is_kept = look_up(self.counts_on(batch.device)[0], batch.data)
        return close_gaps(batch.data, is_kept if batch.present is None else is_kept & batch.present)

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the row as it is, with no word left out."""
        return whole_rows(batch)

    def trivial_predictors(self, batches: Iterable[Batch]) -> Mapping[str, Predictor]:
        """Return a predictor of the one best number, and one of independent words: log X_i X_j / sum of X."""
        cells = self.fitted_cells
        counts, sums = cells.counts(), cells.sum_rows()
        logarithm = sums.clamp(min=SMALLEST_SUM).log().float()
        mean = float((counts * counts.log()).sum() / counts.sum())
        total = float(sums.sum().log())

        def predict_constant(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
            return {"count": torch.full(batch.data.shape, mean, device=batch.device)}

        def predict_independent(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
            first, second = self(batch, draws)[0].data.unbind(1)
            by_word = logarithm.to(batch.device)
            return {"count": by_word[first] + by_word[second] - total}

        return {"constant": predict_constant, "independent": predict_independent}

    def counts_on(self, device: torch.device) -> tuple[Bool[Tensor, " C"], Cooccurrences]:
        """Return which words are kept, and X, on a device; moved once."""
        if device not in self.on_devices:
            self.on_devices[device] = self.fitted_words.to(device) > 0, self.fitted_cells.to(device)
        return self.on_devices[device]

    @cached_property
    def on_devices(self) -> dict[torch.device, tuple[Tensor, Cooccurrences]]:
        """What `counts_on` has moved."""
        return {}

    @property
    def fitted_words(self) -> Float[Tensor, " C"]:
        """The counts of words; raises PretaskError before `fit`."""
        if self.words is None:
            raise unfitted()
        return self.words

    @property
    def fitted_cells(self) -> Cooccurrences:
        """X; raises PretaskError before `fit`."""
        if self.cells is None:
            raise unfitted()
        return self.cells

    def require_fit(self, text: Observed) -> Vocabulary:
        """Return the vocabulary; raise Incompatible where there is none, or it is another than the fitted one."""
        vocabulary = require_vocabulary(WHO, text)
        if self.words is not None and len(self.words) != vocabulary.size:
            raise Incompatible(
                WHO,
                f"the vocabulary of {len(self.words)} tokens that it was fitted to",
                f"one of {vocabulary.size}",
                "Use the tokenizer that it was fitted with (data.learn_from).",
            )
        return vocabulary


def unfitted() -> PretaskError:
    """Make the error for a split that has seen no text."""
    return PretaskError(WHO, "the co-occurrences of its words", "none", "Call fit(observed, batches) first.")
