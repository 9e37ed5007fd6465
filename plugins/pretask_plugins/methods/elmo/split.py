"""Predict, at every position, the word after it and the word before it, either from one side only.

Source: Peters et al., NAACL 2018, section 3.1. Differs: see the folder's header.
Axes: B batch, L tokens.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from jaxtyping import Bool
from pretask import (
    Batch,
    Categories,
    Draws,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    Target,
    Targets,
    TargetSpecs,
    Vocabulary,
)
from pretask.specs import Sight
from torch import Tensor

from pretask_plugins.shared.ngrams import bigram_log_probs, count_ngrams, unigram_log_probs, valid_rows, valid_tokens
from pretask_plugins.shared.token_rows import require_fitted, require_vocabulary, whole_rows

OFFSET = {"next": 1, "previous": -1}  # from a position to that of its label, tokens
SEES: Mapping[str, Sight] = {"next": "past", "previous": "future"}


@dataclass(frozen=True)
class BothWays:
    """Show all words; `next` may use what stands before its label, `previous` what stands after it.

    Args:
        vocabulary: Of the text, filled in by `fit`; only trivial predictors need it.
    """

    vocabulary: Vocabulary | None = field(default=None, compare=False)

    def fit(self, text: Observed, batches: Iterable[Batch], /) -> "BothWays":
        """Return the same split with the vocabulary of its data."""
        return replace(self, vocabulary=text.vocabulary)

    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return the row as it is, and a word for every position and direction."""
        size = require_vocabulary("both-ways", text, min_length=2).size
        return self.whole_spec(text), {name: Categories(size, grid=text.shape, sees=SEES[name]) for name in OFFSET}

    def whole_spec(self, text: Observed, /) -> InputSpec:
        """Return the row as it is; raise Incompatible unless it is two tokens or more."""
        return InputSpec("text", text.shape, vocabulary=require_vocabulary("both-ways", text, min_length=2))

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the row, its neighbors to the right and to the left, and where there are any."""
        return self.whole(batch), {
            name: Target(batch.data.roll(-offset, 1), has_label(batch, offset).float())
            for name, offset in OFFSET.items()
        }

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the row as it is."""
        return whole_rows(batch)

    def trivial_predictors(self, batches: Iterable[Batch]) -> Mapping[str, Predictor]:
        """Return how often words occur, and how often beside the one word that stands next to the label.

        Raises:
            PretaskError: The split was not fitted.
        """
        counts = count_ngrams(valid_rows(batches), require_fitted("both-ways", self.vocabulary).size)
        unigram = unigram_log_probs(counts.unigrams)
        predictors: dict[str, Predictor] = {
            "unigram": lambda batch, draws: dict.fromkeys(
                OFFSET, unigram.to(batch.device).expand(*batch.data.shape, -1)
            )
        }
        if counts.bigrams is not None:
            tables = {
                "next": bigram_log_probs(counts.bigrams, unigram),
                "previous": bigram_log_probs(counts.bigrams.T, unigram),
            }
            predictors["bigram"] = lambda batch, draws: {
                name: table.to(batch.device)[batch.data] for name, table in tables.items()
            }
        return predictors


def has_label(batch: Batch, offset: int) -> Bool[Tensor, "B L"]:
    """Return where a position and the one `offset` tokens on both hold a word.

    >>> import torch
    >>> has_label(Batch(torch.zeros(1, 3).long()), -1).tolist()
    [[False, True, True]]
    """
    present = valid_tokens(batch)
    has_neighbor = present & present.roll(-offset, 1)
    has_neighbor[:, -1 if offset > 0 else 0] = False
    return has_neighbor
