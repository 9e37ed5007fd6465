"""Next token: every position is asked for the token after it, so that every prefix of a row is a question.

Source: Shannon 1951; Radford et al. 2018, equation 1.
Differs: nothing.
Axes: B batch, L tokens of a row, P = L - 1 positions that are asked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

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

from pretask_plugins.methods.causal_lm.trivial_predictors import token_predictors


@dataclass(frozen=True)
class NextToken:
    """Show all tokens but the last; ask, at each, for the one after it.

    Position i may see the tokens 0 to i, which is what a stream of the past sees there, and is asked for token i + 1.

    Args:
        vocabulary: Of the text, filled in by `fit`; only baselines need it.
    """

    vocabulary: Vocabulary | None = field(default=None, compare=False)

    def fit(self, text: Observed, batches: Iterable[Batch], /) -> "NextToken":
        """The same split with the vocabulary of its data."""
        return replace(self, vocabulary=text.vocabulary)

    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """One token less than a row has, and a choice among the vocabulary at each.

        Raises:
            Incompatible: The data is no text, its ids are not named, or a row has one token.
        """
        length, vocabulary = check_text("next-token", text, self.vocabulary)
        x = InputSpec("text", (length - 1,), vocabulary=vocabulary)
        return x, {"next": Categories(vocabulary.size, grid=(length - 1,), sees="past")}

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Prefixes and what comes next; nothing is asked where either is padding."""
        tokens, present = batch.data, batch.present
        if present is None:
            return Inputs(tokens[:, None, :-1]), {"next": Target(tokens[:, 1:])}
        asked = present[:, :-1] & present[:, 1:]
        return Inputs(tokens[:, None, :-1], present[:, None, :-1]), {"next": Target(tokens[:, 1:], asked.float())}

    def whole_spec(self, text: Observed, /) -> InputSpec:
        """The row; raises Incompatible where its ids are not those that were trained on."""
        length, vocabulary = check_text("next-token", text, self.vocabulary)
        return InputSpec("text", (length,), vocabulary=vocabulary)

    def whole(self, batch: Batch, /) -> Inputs:
        """All tokens."""
        return Inputs(batch.data[:, None], None if batch.present is None else batch.present[:, None])

    def trivial_predictors(self, batches: Iterable[Batch]) -> Mapping[str, Predictor]:
        """How often a token occurs at all, and after the one before it (smaller vocabularies only)."""
        if self.vocabulary is None:
            raise PretaskError("next-token", "the vocabulary of its text", "none", "Call fit(observed, batches) first.")
        return token_predictors(self, batches, self.vocabulary.size)


def check_text(who: str, text: Observed, known: Vocabulary | None) -> tuple[int, Vocabulary]:
    """Length and vocabulary; raises Incompatible where there are none, or the vocabulary is another than the known."""
    if text.vocabulary is None or len(text.shape) != 1:
        found = f"{text.modality} of shape {text.shape}" + ("" if text.vocabulary else " without a vocabulary")
        raise Incompatible(who, "rows of tokens, (length,), of a vocabulary", found, "Use data that is text.")
    if text.shape[0] < 2:
        raise Incompatible(who, "rows of at least 2 tokens", f"{text.shape[0]}", "Set a larger data.length.")
    if known is not None and text.vocabulary != known:
        raise Incompatible(
            who,
            f"the vocabulary of {known.size} tokens that it was fitted to",
            f"another one, of {text.vocabulary.size}",
            "Use the tokenizer that the model was trained with (learn_from of the data).",
        )
    return text.shape[0], text.vocabulary
