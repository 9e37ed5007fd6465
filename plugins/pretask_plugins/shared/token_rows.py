"""Token rows: what the splits of text share: the vocabulary that they need, the row as it is, and without
some of its words.

Axes: B batch, L tokens of a row.
"""

import torch
from jaxtyping import Bool, Int
from pretask import Batch, Incompatible, Inputs, Observed, PretaskError, Vocabulary
from torch import Tensor

from pretask_plugins.shared.constants import count_up


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


def close_gaps(
    words: Int[Tensor, "B L"], is_kept: Bool[Tensor, "B L"]
) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]:
    """Move the kept words to the front of their rows, in order; return the rows and where kept words are.

    >>> close_gaps(torch.tensor([[7, 8, 9]]), torch.tensor([[True, False, True]]))[0].tolist()
    [[7, 9, 8]]
    """
    places, kept = count_up(words.shape[1], words.device), is_kept.cumsum(1)
    count = kept[:, -1:]
    moved = torch.where(is_kept, kept - 1, count + places - kept)
    return torch.empty_like(words).scatter_(1, moved, words), places < count
