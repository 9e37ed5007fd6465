"""Mask tokens: hide some of a row's tokens, and ask what stood there.

Of the tokens that are asked for, 80 % are shown as the mask token, 10 % as any token, and 10 % as they were, so that a
model cannot tell that a token which looks right is not asked for.

Source: Devlin et al., NAACL 2019, section 3.1 and appendix A.1; the released create_pretraining_data.py.
Differs: see __init__.py.
Axes: B batch, L tokens of a row.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Int
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
from torch import Tensor

from pretask_plugins.methods.masked_lm.trivial_predictors import ordinary, token_predictors


@dataclass(frozen=True)
class MaskTokens:
    """Ask for a share of the ordinary tokens of every row.

    Args:
        share: Of the tokens that are asked for: the nearest whole number of every row's, and at least one.
        masked: Share of those that are shown as the mask token.
        random: Share of those that are shown as some ordinary token, which may happen to be the right one.
        vocabulary: Of the text, filled in by `fit`.

    Raises:
        PretaskError: The shares are no shares.
    """

    share: float = 0.15
    masked: float = 0.8
    random: float = 0.1
    vocabulary: Vocabulary | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not (0 < self.share <= 1 and self.masked >= 0 and self.random >= 0 and self.masked + self.random <= 1):
            raise PretaskError(
                "mask-tokens",
                "shares from 0 to 1, split.masked and split.random together at most 1",
                f"split.share = {self.share}, split.masked = {self.masked}, split.random = {self.random}",
                "Mend them.",
                exit_code=2,
            )

    def fit(self, text: Observed, batches: Iterable[Batch], /) -> "MaskTokens":
        """The same split with the vocabulary of its data."""
        return replace(self, vocabulary=text.vocabulary)

    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """The row, and a choice among the vocabulary at each position.

        Raises:
            Incompatible: The data is no text, or its vocabulary has no mask token.
        """
        vocabulary = check_text("mask-tokens", text, self.vocabulary, "mask")
        x = InputSpec("text", text.shape, vocabulary=vocabulary)
        return x, {"token": Categories(vocabulary.size, grid=x.shape)}

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """The row with tokens missing, and which they were."""
        present = torch.ones_like(batch.data, dtype=torch.bool) if batch.present is None else batch.present
        x, masked, target = self.mask(batch.data, present, draws)
        shown = None if batch.present is None else present[:, None]
        return Inputs(x[:, None], shown, ~masked[:, None]), {"token": target}

    def mask(
        self, tokens: Int[Tensor, "B L"], present: Bool[Tensor, "B L"], draws: Draws
    ) -> tuple[Int[Tensor, "B L"], Bool[Tensor, "B L"], Target]:
        """Tokens as they are shown, where the mask token stands, and what is asked."""
        vocabulary = self.known
        candidates = present & ordinary(tokens, vocabulary)
        chosen = choose(draws, candidates, count_asked(present, self.share))
        fate = draws.uniform("fate", tokens.shape[1])
        masked = chosen & (fate < self.masked)
        replaced = chosen & ~masked & (fate < self.masked + self.random)
        x = tokens.where(~replaced, random_tokens(draws, vocabulary, tokens.shape[1]))
        return x.where(~masked, vocabulary.id("mask") or 0), masked, Target(tokens, chosen.float())

    @property
    def known(self) -> Vocabulary:
        """The vocabulary; raises PretaskError before `fit`."""
        if self.vocabulary is None:
            raise PretaskError(
                "mask-tokens", "the vocabulary of its text", "none", "Call fit(observed, batches) first."
            )
        return self.vocabulary

    def whole_spec(self, text: Observed, /) -> InputSpec:
        """The row; raises Incompatible where its ids are not those that were trained on."""
        return InputSpec("text", text.shape, vocabulary=check_text("mask-tokens", text, self.vocabulary))

    def whole(self, batch: Batch, /) -> Inputs:
        """All tokens, none of them masked."""
        return Inputs(batch.data[:, None], None if batch.present is None else batch.present[:, None])

    def trivial_predictors(self, batches: Iterable[Batch]) -> Mapping[str, Predictor]:
        """How often a token occurs at all, and after the one before it (smaller vocabularies only)."""
        return token_predictors(self, batches, self.known)


def count_asked(present: Bool[Tensor, "B L"], share: float) -> Int[Tensor, " B"]:
    """How many tokens of a row are asked for; halves are rounded to the even number, as the released code does.

    >>> [int(count_asked(torch.ones(1, length, dtype=torch.bool), 0.15)) for length in (16, 64, 128, 512)]
    [2, 10, 19, 77]
    """
    return (share * present.sum(1).double()).round().clamp(min=1).long()


def choose(draws: Draws, candidates: Bool[Tensor, "B L"], count: Int[Tensor, " B"]) -> Bool[Tensor, "B L"]:
    """So many of the candidates, all equally likely; all of them where there are fewer."""
    score = draws.uniform("chosen", candidates.shape[1]).where(candidates, 2.0)
    return (score.argsort(1).argsort(1) < count[:, None]) & candidates


def random_tokens(draws: Draws, vocabulary: Vocabulary, length: int) -> Int[Tensor, "B L"]:
    """Tokens without a role, all equally likely: numbers are drawn and step over every special id on their way."""
    special = sorted({number for _, number in vocabulary.special})
    token = draws.integers("replacement", 0, vocabulary.size - len(special), length)
    for number in special:
        token = token + (token >= number)
    return token


def check_text(who: str, text: Observed, known: Vocabulary | None, *roles: str) -> Vocabulary:
    """The vocabulary; raises Incompatible unless it is the known one, with a token for each role and others."""
    vocabulary = text.vocabulary
    if vocabulary is None or len(text.shape) != 1:
        found = f"{text.modality} of shape {text.shape}" + ("" if vocabulary else " without a vocabulary")
        raise Incompatible(who, "rows of tokens, (length,), of a vocabulary", found, "Use data that is text.")
    if known is not None and vocabulary != known:
        raise Incompatible(
            who,
            f"the vocabulary of {known.size} tokens that it was fitted to",
            f"another one, of {vocabulary.size}",
            "Use the tokenizer that the model was trained with (learn_from of the data).",
        )
    missing = " and ".join(f"'{role}'" for role in roles if vocabulary.id(role) is None)
    if missing:
        do = "Give the data's vocabulary that role, or choose --split next-token."
        raise Incompatible(who, "a vocabulary with tokens for " + " and ".join(roles), f"none for {missing}", do)
    if roles and vocabulary.size <= len({number for _, number in vocabulary.special}):
        raise Incompatible(who, "tokens that are not special", "special ones only", "Use a larger vocabulary.")
    return vocabulary
