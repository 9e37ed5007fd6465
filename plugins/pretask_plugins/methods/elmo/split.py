"""Ask every position for the word after it and for the word before it; each answer sees one side only.

Source: Peters et al., NAACL 2018, section 3.1. Differs: see the folder's header.
Axes: B batch, L tokens, C size of the vocabulary.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Bool, Float
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
from pretask.specs import Sight
from torch import Tensor

LARGEST = 8192  # vocabulary whose pairs are still counted, 256 MB
STEP = {"next": 1, "previous": -1}  # from a position to the word that it is asked for


@dataclass(frozen=True)
class BothWays:
    """All words are shown; `next` may use what stands before its answer, `previous` what stands after it.

    Args:
        vocabulary: Of the text, filled in by `fit`; only baselines need it.
    """

    vocabulary: Vocabulary | None = field(default=None, compare=False)

    def fit(self, text: Observed, batches: Iterable[Batch], /) -> "BothWays":
        """The same split with the vocabulary of its data."""
        return replace(self, vocabulary=text.vocabulary)

    def spec(self, text: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """The row as it is, and a word for every position and direction."""
        size = vocabulary_of(text).size
        sees: dict[str, Sight] = {"next": "past", "previous": "future"}
        return self.whole_spec(text), {
            name: Categories(size, grid=text.shape, sees=most) for name, most in sees.items()
        }

    def whole_spec(self, text: Observed, /) -> InputSpec:
        """The row as it is; raises Incompatible unless it is two tokens or more."""
        return InputSpec("text", text.shape, vocabulary=vocabulary_of(text))

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """The row, its neighbours to the right and to the left, and where there are any."""
        return self.whole(batch), {
            name: Target(batch.data.roll(-step, 1), asked(batch, step).float()) for name, step in STEP.items()
        }

    def whole(self, batch: Batch, /) -> Inputs:
        """The row as it is."""
        return Inputs(batch.data[:, None], None if batch.present is None else batch.present[:, None])

    def trivial_predictors(self, batches: Iterable[Batch]) -> Mapping[str, Predictor]:
        """How often words occur, and how often beside the one word that stands next to the answer.

        Raises:
            PretaskError: The split was not fitted.
        """
        if self.vocabulary is None:
            raise PretaskError("both-ways", "the vocabulary of its text", "none", "Call fit(observed, batches) first.")
        single, pairs = count(batches, self.vocabulary.size)
        alone = unigram(single)
        predictors: dict[str, Predictor] = {
            "unigram": lambda batch, draws: dict.fromkeys(STEP, alone.to(batch.device).expand(*batch.data.shape, -1))
        }
        if pairs is not None:
            beside = {"next": bigram(pairs, single), "previous": bigram(pairs.T, single)}
            predictors["bigram"] = lambda batch, draws: {
                name: table.to(batch.device)[batch.data] for name, table in beside.items()
            }
        return predictors


def vocabulary_of(text: Observed) -> Vocabulary:
    """The vocabulary; raises Incompatible unless there is one, and two tokens or more in a row."""
    if text.vocabulary is None or len(text.shape) != 1 or text.shape[0] < 2:
        raise Incompatible(
            "both-ways",
            "rows of at least 2 tokens of a vocabulary",
            f"{text.modality} of shape {text.shape}" + ("" if text.vocabulary else " without a vocabulary"),
            "Use data of text, with data.length of 2 or more.",
        )
    return text.vocabulary


def asked(batch: Batch, step: int) -> Bool[Tensor, "B L"]:
    """Where a position and the one so many steps on both hold a word.

    >>> asked(Batch(torch.zeros(1, 3).long()), -1).tolist()
    [[False, True, True]]
    """
    present = torch.ones_like(batch.data, dtype=torch.bool) if batch.present is None else batch.present
    both = present & present.roll(-step, 1)
    both[:, -1 if step > 0 else 0] = False
    return both


def count(batches: Iterable[Batch], size: int) -> tuple[Float[Tensor, " C"], Float[Tensor, "C C"] | None]:
    """How often words occur, and one (column) right of another (row), where the vocabulary is small enough."""
    single = torch.zeros(size)
    pairs = torch.zeros(size * size) if size <= LARGEST else None
    for batch in batches:
        left, right, both = batch.data, batch.data.roll(-1, 1), asked(batch, 1)
        present = torch.ones_like(both) if batch.present is None else batch.present
        single += torch.bincount(left[present].cpu(), minlength=size)
        if pairs is not None:
            pair, times = torch.unique((left * size + right)[both].cpu(), return_counts=True)
            pairs[pair] += times
    return single, None if pairs is None else pairs.view(size, size)


def unigram(single: Float[Tensor, " C"]) -> Float[Tensor, " C"]:
    """Log-probabilities of words; each counts once more than it occurred.

    >>> unigram(torch.tensor([0.0, 2.0])).exp().tolist()
    [0.25, 0.75]
    """
    return ((single + 1) / (single.sum() + len(single))).log()


def bigram(beside: Float[Tensor, "C C"], single: Float[Tensor, " C"]) -> Float[Tensor, "C C"]:
    """Log-probabilities of a word (column) beside another one (row), smoothed as Witten and Bell 1991 did.

    >>> bigram(torch.tensor([[0.0, 4.0], [0.0, 0.0]]), torch.tensor([4.0, 4.0])).exp().tolist()
    [[0.10000000149011612, 0.8999999761581421], [0.5, 0.5]]
    """
    new = (beside > 0).sum(1, keepdim=True).clamp(min=1)
    return ((beside + new * unigram(single).exp()) / (beside.sum(1, keepdim=True) + new)).log()
