"""Token rows: what the splits of text share: the vocabulary that they need, and the row as it is.

Axes: B batch, L tokens of a row.
"""

from pretask import Batch, Incompatible, Inputs, Observed, PretaskError, Vocabulary


def require_vocabulary(who: str, text: Observed, fitted: Vocabulary | None = None, min_length: int = 1) -> Vocabulary:
    """Return the vocabulary of rows of tokens.

    Args:
        who: The split, for errors.
        text: The data.
        fitted: The vocabulary that the split was fitted to, if it was.
        min_length: Tokens that a row must have.

    Raises:
        Incompatible: The data is no text, its ids are not named, its rows are too short, or its vocabulary is another.
    """
    if text.vocabulary is None or len(text.shape) != 1:
        found = f"{text.modality} of shape {text.shape}" + ("" if text.vocabulary else " without a vocabulary")
        raise Incompatible(who, "rows of tokens, (length,), of a vocabulary", found, "Use data that is text.")
    if text.shape[0] < min_length:
        raise Incompatible(
            who, f"rows of at least {min_length} tokens", f"{text.shape[0]}", "Set a larger data.length."
        )
    if fitted is not None and text.vocabulary != fitted:
        raise Incompatible(
            who,
            f"the vocabulary of {fitted.size} tokens that it was fitted to",
            f"another one, of {text.vocabulary.size}",
            "Use the tokenizer that the model was trained with (learn_from of the data).",
        )
    return text.vocabulary


def require_fitted(who: str, vocabulary: Vocabulary | None) -> Vocabulary:
    """Return the vocabulary that a split was fitted to; raise PretaskError before `fit`."""
    if vocabulary is None:
        raise PretaskError(who, "the vocabulary of its text", "none", "Call fit(observed, batches) first.")
    return vocabulary


def whole_rows(batch: Batch) -> Inputs:
    """Return rows of tokens as inputs of one view, with nothing hidden."""
    return Inputs(batch.data[:, None], None if batch.present is None else batch.present[:, None])
