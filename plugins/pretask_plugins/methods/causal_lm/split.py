"""Next token: predict, at every position, the token after it, so that every prefix of a row is a sample.

Source: Shannon 1951; Radford et al. 2018, equation 1.
Differs: nothing.
Axes: B batch, L tokens of a row, P = L - 1 positions with a label.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

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

from pretask_plugins.methods.causal_lm.trivial_predictors import token_predictors
from pretask_plugins.shared.token_rows import require_fitted, require_vocabulary, whole_rows


@dataclass(frozen=True)
class NextToken:
    """Show all tokens but the last, and label each with the one after it.

    Position i may see the tokens 0 to i, which is what a stream of the past sees there; its label is token i + 1.

    Args:
        vocabulary: Of the text, filled in by `fit`; only trivial predictors need it.
    """

    vocabulary: Vocabulary | None = field(default=None, compare=False)

    def fit(self, text: Observed, batches: Iterable[Batch], /) -> "NextToken":
        """Return the same split with the vocabulary of its data."""
        return replace(self, vocabulary=text.vocabulary)

    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return one token less than a row has, and a choice among the vocabulary at each.

        Raises:
            Incompatible: The data is no text, its ids are not named, or a row has one token.
        """
        vocabulary = require_vocabulary("next-token", text, self.vocabulary, min_length=2)
        grid = (text.shape[0] - 1,)
        x = InputSpec("text", grid, vocabulary=vocabulary)
        return x, {"next": Categories(vocabulary.size, grid=grid, sees="past")}

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return prefixes and what comes next; a label is valid where neither it nor its position is padding."""
        tokens, present = batch.data, batch.present
        if present is None:
            return Inputs(tokens[:, None, :-1]), {"next": Target(tokens[:, 1:])}
        valid = present[:, :-1] & present[:, 1:]
        return Inputs(tokens[:, None, :-1], present[:, None, :-1]), {"next": Target(tokens[:, 1:], valid.float())}

    def whole_spec(self, text: Observed, /) -> InputSpec:
        """Return the row; raise Incompatible where its ids are not those that were trained on."""
        vocabulary = require_vocabulary("next-token", text, self.vocabulary, min_length=2)
        return InputSpec("text", text.shape, vocabulary=vocabulary)

    def whole(self, batch: Batch, /) -> Inputs:
        """Return all tokens."""
        return whole_rows(batch)

    def trivial_predictors(self, batches: Iterable[Batch]) -> Mapping[str, Predictor]:
        """Return how often a token occurs at all, and after the one before it (smaller vocabularies only)."""
        return token_predictors(batches, require_fitted("next-token", self.vocabulary).size)
