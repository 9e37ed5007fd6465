"""Mask tokens: predict some of a row's tokens, most of which are hidden.

Of the tokens with a label, 80 % are shown as the mask token, 10 % as any token, and 10 % as they were, so that a model
cannot tell that a token which looks plausible has none.

Source: Devlin et al., NAACL 2019, section 3.1 and appendix A.1; the released create_pretraining_data.py.
Differs: see __init__.py.
Axes: B batch, L tokens of a row.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import overload

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
from pretask.options import Fraction, FractionAboveZero, require_range
from torch import Tensor

from pretask_plugins.methods.masked_lm.trivial_predictors import is_ordinary, ordinary_ids, token_predictors
from pretask_plugins.shared.constants import build_once
from pretask_plugins.shared.ranks import are_lowest
from pretask_plugins.shared.token_rows import require_fitted, require_vocabulary, whole_rows


@dataclass(frozen=True)
class MaskingOptions:
    """Options of both splits: how many tokens have a label, and how these are shown.

    Args:
        mask_ratio: Fraction of the tokens that have a label: the nearest whole number of every row's, at least one.
        mask_replace_prob: Probability that a token with a label is shown as the mask token.
        random_replace_prob: Probability that it is shown as some ordinary token, which may happen to be itself.
        vocabulary: Of the text, filled in by `fit`.

    Raises:
        PretaskError: A ratio or probability does not lie between 0 and 1.
    """

    mask_ratio: FractionAboveZero = 0.15
    mask_replace_prob: Fraction = 0.8
    random_replace_prob: Fraction = 0.1
    vocabulary: Vocabulary | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        require_range("mask-tokens", "split", self)
        shown, drawn = self.mask_replace_prob, self.random_replace_prob
        if shown + drawn > 1:
            raise PretaskError(
                "mask-tokens",
                "probabilities of replacement that add up to at most 1",
                f"split.mask_replace_prob = {shown}, split.random_replace_prob = {drawn}",
                "Set them to the paper's 0.8 and 0.1.",
                exit_code=2,
            )


@dataclass(frozen=True)
class MaskTokens(MaskingOptions):
    """Label some of the ordinary tokens of every row."""

    def fit(self, text: Observed, batches: Iterable[Batch], /) -> "MaskTokens":
        """Return the same split with the vocabulary of its data."""
        return replace(self, vocabulary=text.vocabulary)

    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return the row, and a choice among the vocabulary at each position.

        Raises:
            Incompatible: The data is no text, or its vocabulary has no mask token.
        """
        vocabulary = require_roles("mask-tokens", text, self.vocabulary, "mask")
        x = InputSpec("text", text.shape, vocabulary=vocabulary)
        scored = count_labels(None, x.shape[0], self.mask_ratio)
        return x, {"token": Categories(vocabulary.size, grid=x.shape, scored=scored)}

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the row with tokens missing, and which they were."""
        x, visible, target = mask_tokens(self, batch.data, batch.present, draws)
        shown = None if batch.present is None else batch.present[:, None]
        return Inputs(x[:, None], shown, visible[:, None]), {"token": target}

    def whole_spec(self, text: Observed, /) -> InputSpec:
        """Return the row; raise Incompatible where its ids are not those that were trained on."""
        return InputSpec("text", text.shape, vocabulary=require_vocabulary("mask-tokens", text, self.vocabulary))

    def whole(self, batch: Batch, /) -> Inputs:
        """Return all tokens, none of them masked."""
        return whole_rows(batch)

    def trivial_predictors(self, batches: Iterable[Batch]) -> Mapping[str, Predictor]:
        """Return how often a token occurs at all, and after the one before it (smaller vocabularies only)."""
        return token_predictors(self, batches, require_fitted("mask-tokens", self.vocabulary))


def mask_tokens(
    options: MaskingOptions, tokens: Int[Tensor, "B L"], present: Bool[Tensor, "B L"] | None, draws: Draws
) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"], Target]:
    """Return tokens as they are shown, where no mask token stands, and the labels; `present` is None for everywhere."""
    vocabulary = require_fitted("mask-tokens", options.vocabulary)
    ordinary = is_ordinary(tokens, vocabulary)
    candidates = ordinary if present is None else present & ordinary
    length = tokens.shape[1]
    count: int | Tensor = (
        count_labels(None, length, options.mask_ratio)
        if present is None
        else count_labels(present, length, options.mask_ratio)
    )
    chosen = choose(draws, candidates, count)
    fate = draws.uniform("fate", length)
    visible = ~(chosen & (fate < options.mask_replace_prob))
    replaced = chosen & visible & (fate < options.mask_replace_prob + options.random_replace_prob)
    x = torch.where(replaced, random_tokens(draws, vocabulary, length), tokens)
    mask = as_token(vocabulary.id("mask") or 0, tokens.device)
    return torch.where(visible, x, mask), visible, Target(tokens, chosen.float())


@build_once
def as_token(token: int, device: torch.device) -> Int[Tensor, ""]:
    """Return a token as a tensor."""
    return torch.tensor(token, device=device)


@overload
def count_labels(present: None, length: int, mask_ratio: float) -> int: ...


@overload
def count_labels(present: Bool[Tensor, "B L"], length: int, mask_ratio: float) -> Int[Tensor, "B 1"]: ...


def count_labels(present: Bool[Tensor, "B L"] | None, length: int, mask_ratio: float) -> int | Int[Tensor, "B 1"]:
    """Return how many tokens of a row have a label; halves are rounded to the even number, as the released code does.

    Args:
        present: Where tokens are; None where no row has padding, and all have the same number of labels.
        length: Of a row.
        mask_ratio: Fraction of the tokens that have one.

    >>> [count_labels(None, length, 0.15) for length in (16, 64, 128, 512)]
    [2, 10, 19, 77]
    """
    if present is None:
        return max(round(mask_ratio * length), 1)
    return (mask_ratio * present.sum(1, keepdim=True).double()).round().clamp(min=1).long()


def choose(draws: Draws, candidates: Bool[Tensor, "B L"], count: int | Int[Tensor, "B 1"]) -> Bool[Tensor, "B L"]:
    """Choose `count` of the candidates, all equally likely; all of them where there are fewer."""
    score = draws.uniform("chosen", candidates.shape[1]).where(candidates, above_uniform(candidates.device))
    return are_lowest(score, count) & candidates


@build_once
def above_uniform(device: torch.device) -> Float[Tensor, ""]:
    """Return a number that is larger than any uniform one, as a tensor."""
    return torch.tensor(2.0, device=device)


def random_tokens(draws: Draws, vocabulary: Vocabulary, length: int) -> Int[Tensor, "B L"]:
    """Draw tokens without a role, all equally likely."""
    ids = ordinary_ids(vocabulary, draws.index.device)
    places = draws.integers("replacement", 0, len(ids), length)
    return ids.index_select(0, places.flatten()).view_as(places)


def require_roles(who: str, text: Observed, fitted: Vocabulary | None, *roles: str) -> Vocabulary:
    """Return the vocabulary; raise Incompatible unless it has a token for each role, and ordinary ones."""
    vocabulary = require_vocabulary(who, text, fitted)
    missing = " and ".join(f"'{role}'" for role in roles if vocabulary.id(role) is None)
    if missing:
        do = "Give the data's vocabulary that role, or choose --split next-token."
        raise Incompatible(who, "a vocabulary with tokens for " + " and ".join(roles), f"none for {missing}", do)
    if vocabulary.size <= len({number for _, number in vocabulary.special}):
        raise Incompatible(who, "tokens that are not special", "special ones only", "Use a larger vocabulary.")
    return vocabulary
