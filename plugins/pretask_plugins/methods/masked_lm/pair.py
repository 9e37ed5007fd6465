"""Pair: two pieces in one row, of which the second follows the first or comes from elsewhere; then tokens are masked.

    piece, separator, piece, separator          segments 0 0 1 1

Pieces are the halves of rows, the second one in half of all cases that of a partner; or rows hold two pieces already,
as those of the data sentence-pairs do, where the end token closes what follows and a separator what does not. The class
token is the model's: it stands before the first piece.
Source: Devlin et al., NAACL 2019, section 3.1 (next sentence prediction).
Differs: see __init__.py; `is_next` is 1 where the second piece follows, where the released code has 0.
Axes: B batch, L tokens of a row, J tokens of a joined row: L + 2, or L where rows hold two pieces.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
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
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.methods.masked_lm.split import (
    MaskingOptions,
    as_token,
    count_labels,
    mask_tokens,
    require_roles,
)
from pretask_plugins.methods.masked_lm.trivial_predictors import token_predictors
from pretask_plugins.shared.constants import build_once
from pretask_plugins.shared.token_rows import require_fitted, require_vocabulary, whole_rows


@dataclass(frozen=True)
class MaskTokensPair(MaskingOptions):
    """Label tokens, and whether the second piece follows the first.

    Args:
        pieces: `halves` of rows, of which half have a partner's second one; or as `given` in rows of two pieces.
    """

    pieces: Literal["halves", "given"] = "halves"

    @property
    def partners(self) -> int:
        """How many other samples a sample needs."""
        return 1 if self.pieces == "halves" else 0

    @property
    def roles(self) -> tuple[str, ...]:
        """The special tokens that the vocabulary must have."""
        return ("mask", "separator") if self.pieces == "halves" else ("mask", "separator", "end")

    def fit(self, text: Observed, batches: Iterable[Batch], /) -> "MaskTokensPair":
        """Return the same split with the vocabulary of its data."""
        return replace(self, vocabulary=text.vocabulary)

    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return the joined row; a choice among the vocabulary at each position, and a yes or no.

        Raises:
            Incompatible: The data is no text, or its vocabulary has no mask or no separator token.
        """
        vocabulary = require_roles("mask-tokens-pair", text, self.vocabulary, *self.roles)
        shape = (text.shape[0] + (2 if self.pieces == "halves" else 0),)
        scored = count_labels(None, shape[0], self.mask_ratio)
        token = Categories(vocabulary.size, grid=shape, scored=scored)
        return InputSpec("text", shape, vocabulary=vocabulary), {"token": token, "is_next": Categories(2)}

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the joined row with tokens missing; which they were, and whether its second half is its own."""
        vocabulary = require_fitted("mask-tokens-pair", self.vocabulary)
        if self.pieces == "given":
            return self.split_given(batch, draws, vocabulary)
        assert batch.partners is not None, "the loader draws partners where a split says that it has some"
        is_next, separator = draws.bernoulli("is next", 0.5), vocabulary.id("separator") or 0
        if batch.present is None:
            second = batch.data.where(is_next[:, None], batch.partners[:, 0])
            tokens, present, segment, has_first = join_full(batch.data, second, separator)
            x, visible, target = mask_tokens(self, tokens, None, draws)
        else:
            sample, sample_length = move_padding_to_end(batch.data, batch.present)
            other, other_length = move_padding_to_end(
                batch.partners[:, 0], find_present_partners(batch, vocabulary.id("pad"))
            )
            cut = torch.minimum(sample_length, other_length) // 2
            second, length = sample.where(is_next[:, None], other), sample_length.where(is_next, other_length)
            tokens, present, segment = join(sample, second, length, cut, separator)
            x, visible, target = mask_tokens(self, tokens, present, draws)
            has_first = (cut > 0).float()
        inputs = Inputs(x[:, None], present[:, None], visible[:, None], segment[:, None])
        return inputs, {"token": target, "is_next": Target(is_next.long(), has_first)}

    def split_given(self, batch: Batch, draws: Draws, vocabulary: Vocabulary) -> tuple[Inputs, Targets]:
        """Return a row of two pieces with tokens missing, and how it ended; a row of one piece has no second target."""
        separator, end = (as_token(vocabulary.id(role) or 0, batch.device) for role in ("separator", "end"))
        is_end, is_separator = batch.data == end, batch.data == separator
        tokens = separator.where(is_end, batch.data)
        x, visible, target = mask_tokens(self, tokens, batch.present, draws)
        closed = is_end | is_separator
        present = torch.ones_like(closed) if batch.present is None else batch.present
        segment = (closed.cumsum(1) - closed.long()).clamp(max=1) * present
        inputs = Inputs(x[:, None], present[:, None], visible[:, None], segment[:, None])
        return inputs, {"token": target, "is_next": Target(is_end.any(1).long(), (closed.sum(1) > 1).float())}

    def whole_spec(self, text: Observed, /) -> InputSpec:
        """Return the row; raise Incompatible where its ids are not those that were trained on."""
        return InputSpec("text", text.shape, vocabulary=require_vocabulary("mask-tokens-pair", text, self.vocabulary))

    def whole(self, batch: Batch, /) -> Inputs:
        """Return all tokens, none of them masked."""
        return whole_rows(batch)

    def trivial_predictors(self, batches: Iterable[Batch]) -> Mapping[str, Predictor]:
        """Return how often a token occurs at all, and after the one before it (smaller vocabularies only)."""
        return token_predictors(self, batches, require_fitted("mask-tokens-pair", self.vocabulary))


def find_present_partners(batch: Batch, pad: int | None) -> Bool[Tensor, "B L"] | None:
    """Return where the partners are no padding."""
    return None if batch.present is None or pad is None or batch.partners is None else batch.partners[:, 0] != pad


def move_padding_to_end(
    tokens: Int[Tensor, "B L"], present: Bool[Tensor, "B L"] | None
) -> tuple[Int[Tensor, "B L"], Int[Tensor, " B"]]:
    """Return tokens with all padding at the end, and how many there are."""
    if present is None:
        return tokens, torch.full_like(tokens[:, 0], tokens.shape[1])
    return tokens.gather(1, (~present).int().argsort(dim=1, stable=True)), present.sum(1)


def join_full(
    first: Int[Tensor, "B L"], second: Int[Tensor, "B L"], separator: int
) -> tuple[Int[Tensor, "B J"], Bool[Tensor, "B J"], Int[Tensor, "B J"], Float[Tensor, " B"]]:
    """Join rows without padding in their middle, as `join` does; return also 1 for rows that have a first piece."""
    count, length = first.shape
    cut = length // 2
    present, segment, column, has_first = joined_constants(length, separator, first.device)
    column = column.expand(count, 1)
    tokens = torch.cat([first[:, :cut], column, second[:, cut:], column], 1)
    return tokens, present.expand_as(tokens), segment.expand_as(tokens), has_first.expand(count)


@build_once
def joined_constants(length: int, separator: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what all joined rows without padding have in common: where they are present, segments, a separator."""
    position, cut = torch.arange(length + 2, device=device)[None], length // 2
    column = torch.full((1, 1), separator, device=device)
    has_first = torch.full((1,), float(cut > 0), device=device)
    return torch.ones_like(position, dtype=torch.bool), (position > cut).long(), column, has_first


def join(
    first: Int[Tensor, "B L"],
    second: Int[Tensor, "B L"],
    length: Int[Tensor, " B"],
    cut: Int[Tensor, " B"],
    separator: int,
) -> tuple[Int[Tensor, "B J"], Bool[Tensor, "B J"], Int[Tensor, "B J"]]:
    """Join the first row up to the cut and the second one from there on, with a separator after either.

    Args:
        first: Its beginning is taken.
        second: Its end is taken.
        length: Tokens of the second row.
        cut: How many tokens come before it.
        separator: Its id.

    Returns:
        Tokens, where they are no padding, and segments.

    >>> rows = torch.tensor([[1, 2, 3, 0]]), torch.tensor([[5, 6, 7, 8]])
    >>> [part[0].int().tolist() for part in join(*rows, torch.tensor([4]), torch.tensor([1]), 9)]
    [[1, 9, 6, 7, 8, 9], [1, 1, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1]]
    """
    position = torch.arange(first.shape[1] + 2, device=first.device).expand(len(first), -1)
    cut, end = cut[:, None], length[:, None] + 1
    before, after = F.pad(first, (0, 2)), F.pad(second, (1, 1))
    tokens = before.where(position < cut, after)
    tokens = tokens.where((position != cut) & (position != end), separator)
    return tokens, position <= end, (position > cut).long()
