"""Sentences: text as the rows of tokens that an encoder was trained on: one row each, closed by the end token.

Axes: B rows, L tokens.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from pretask.preparation.arrays import as_tensor
from pretask.preparation.refusal import refuse
from pretask.specs import Observed, Vocabulary


def prepare_sentences(
    sentences: Any, observed: Observed, tokenizer: str | None
) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"]]:
    """Return rows of tokens, cut or padded, and where they are no padding.

    Args:
        sentences: A text, a list of texts, or rows of the encoder's own token ids.
        observed: What the encoder was trained on.
        tokenizer: As the tokenizers library writes it; None where the data did not say.

    Raises:
        PretaskError: There is none, something is no text, or the encoder knows no tokenizer.
    """
    if isinstance(sentences, list | tuple) and not sentences:
        raise refuse("at least one sentence", "none", "Give one or more.")
    (length,), vocabulary = observed.shape, observed.vocabulary or Vocabulary(0)
    rows = read_rows([sentences] if isinstance(sentences, str) else sentences, vocabulary, tokenizer)
    pad = vocabulary.id("pad") or 0
    padded = torch.full((len(rows), length), pad, dtype=torch.int64)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = torch.tensor(cut(row, length, vocabulary), dtype=torch.int64)[:length]
    present = torch.arange(length) < torch.tensor([min(len(row), length) for row in rows])[:, None]
    return padded, present & (padded != pad) if vocabulary.id("pad") is not None else present


def read_rows(sentences: Any, vocabulary: Vocabulary, tokenizer: str | None) -> list[list[int]]:
    """Return the ids of every sentence, closed by the end token where there is one."""
    if isinstance(sentences, Tensor) or hasattr(sentences, "__array__"):
        return read_ids(as_tensor(sentences), vocabulary)
    if not isinstance(sentences, Sequence) or not all(isinstance(text, str) for text in sentences):
        raise refuse("sentences, a list of texts", describe(sentences), "Give a list of str.")
    if tokenizer is None:
        raise refuse(
            "token ids, since its data named no tokenizer",
            "text",
            "Give rows of ids, as the data's `encode` makes them.",
        )
    made, end = load_tokenizer(tokenizer), vocabulary.id("end")
    encoded = made.encode_batch_fast(list(sentences), add_special_tokens=False)
    return [[*encoding.ids, *(() if end is None else (end,))] for encoding in encoded]


def read_ids(ids: Tensor, vocabulary: Vocabulary) -> list[list[int]]:
    """Return rows of token ids; raise PretaskError where they are none of the vocabulary."""
    if ids.ndim not in (1, 2) or ids.is_floating_point() or not ids.numel():
        raise refuse("rows of token ids, (B, L)", f"{ids.dtype} of shape {tuple(ids.shape)}", "Give texts, or ids.")
    if int(ids.min()) < 0 or int(ids.max()) >= vocabulary.size:
        raise refuse(f"ids below {vocabulary.size}, its vocabulary", f"{int(ids.max())}", "Use its own tokenizer.")
    rows: list[list[int]] = (ids if ids.ndim == 2 else ids[None]).tolist()
    return rows


def describe(sentences: Any) -> str:
    """Return what was given instead of texts."""
    if isinstance(sentences, Sequence) and len(sentences):
        strange = next(text for text in sentences if not isinstance(text, str))
        return f"a list with {type(strange).__name__}"
    return type(sentences).__name__


def cut(row: list[int], length: int, vocabulary: Vocabulary) -> list[int]:
    """Return a row of at most so many tokens; one that is cut ends as it did.

    >>> cut([7, 8, 9, 3], 3, Vocabulary(10, (("end", 3),)))
    [7, 8, 3]
    """
    return row if len(row) <= length else [*row[: length - 1], row[-1]]


@lru_cache(maxsize=8)
def load_tokenizer(content: str) -> Any:
    """Return the library's tokenizer of its JSON; text that looks like a special token stays text."""
    from tokenizers import Tokenizer

    made = Tokenizer.from_str(content)
    made.encode_special_tokens = True
    return made
