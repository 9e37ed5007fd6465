"""The engine of the generic splits: hide what a mask law says, erase it from x, ask for it.

A law says for every piece of t whether x shows it and whether it is asked for; this does the rest, for images, clips,
text and waveforms alike. `join(x, y)` is t: nothing is lost, and nothing that is hidden leaks.
Axes: B batch, V views (T frames of a clip, else 1), `...` the pieces of one view: h w of an image, L tokens, F
stretches of a waveform.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from pretask import (
    Batch,
    Draws,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    PretaskError,
    Target,
    Targets,
    TargetSpec,
    TargetSpecs,
    Values,
    Vocabulary,
)
from torch import Tensor

from pretask_plugins.splits import fill, ridge
from pretask_plugins.splits.patches import (
    TARGET,
    as_signal,
    as_views,
    batch_target_name,
    cut,
    describe_target,
    describe_views,
    erase,
    is_text,
    per_pixel,
    piece_grid,
    present_views,
)
from pretask_plugins.splits.trivial_predictors import Predictor, guess_mean, token_predictors


class Mask(NamedTuple):
    """What a law says: `seen` is shown by x, `asked` is in y. What is neither is withheld from both."""

    seen: Bool[Tensor, "B V ..."]
    asked: Bool[Tensor, "B V ..."]


class Size(NamedTuple):
    """How much there is to hide: views, the pieces of one view, and how many of a sequence are no padding."""

    views: int
    grid: tuple[int, ...]
    length: Int[Tensor, " B"]


@dataclass(frozen=True)
class Hiding(ABC):
    """A split of any modality by a mask law.

    Args:
        patch: Side of the squares that images and frames are cut into, pixels; it divides their sides.
        frame: Samples of the stretches that waveforms are cut into.
        vocabulary: Of text, filled in by `fit`: hidden tokens become its mask, or else its unknown token.
    """

    patch: int = 4
    frame: int = 160
    vocabulary: Vocabulary | None = field(default=None, compare=False)

    name: ClassVar[str]
    modalities: ClassVar[tuple[str, ...]] = ("image", "video", "text", "audio")

    @abstractmethod
    def mask(self, draws: Draws, size: Size) -> Mask:
        """Which pieces x shows, and which are asked for."""

    @abstractmethod
    def check(self, views: int, grid: tuple[int, ...], modality: str) -> None:
        """Raise Incompatible where there are too few pieces for this law."""

    @property
    def steady(self) -> bool:
        """Whether the same pieces are hidden of all samples of one length."""
        return False

    def shown(self, grid: tuple[int, ...]) -> int | None:
        """Pieces of one image that stay visible, where that is the same for all; None where it differs."""
        return None

    def asked_frames(self, views: int) -> range | None:
        """The frames of a clip that are asked for whole, side by side; None where each is asked for its own part."""
        return None

    def fit(self, observed: Observed, batches: Iterable[Batch], /) -> "Hiding":
        """The same split with the vocabulary of its data."""
        return replace(self, vocabulary=observed.vocabulary)

    def spec(self, observed: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """t with holes, and what is in them."""
        spec = self.whole_spec(observed)
        grid = piece_grid(self.name, spec, self.patch)
        self.check(spec.views, grid, observed.modality)
        shown = self.shown(grid) if len(grid) == 2 else None
        pixels = None if shown is None else shown * self.patch**2
        return replace(spec, shown=pixels), {TARGET[spec.modality]: self.target_spec(spec)}

    def whole_spec(self, observed: Observed, /) -> InputSpec:
        """All of t."""
        if observed.modality not in self.modalities:
            raise Incompatible(
                self.name,
                " or ".join(self.modalities) + " data",
                observed.modality,
                f"Choose another split for {observed.modality}: pretask list split.",
            )
        if observed.vocabulary is not None and hole_of(observed.vocabulary) is None:
            raise Incompatible(
                self.name, "a vocabulary with a mask or an unknown token", "neither", "Add one to the vocabulary."
            )
        return describe_views(self.name, observed, self.frame)

    def target_spec(self, spec: InputSpec) -> TargetSpec:
        """Every piece, or at every place those of the asked frames side by side."""
        target, frames = describe_target(spec, self.patch), self.asked_frames(spec.views)
        if isinstance(target, Values) and target.views is not None and frames is not None:
            return replace(target, views=None, channels=target.channels * len(frames))
        return target

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """x without what is hidden, and y, which weighs 0 where nothing is asked."""
        whole, mask = self.whole(batch), self.mask_of(batch, draws)
        seen = mask.seen if whole.present is None else mask.seen | ~whole.present
        visible = per_pixel(seen, self.patch) if whole.data.ndim == 5 else seen
        hole = self.hole() if is_text(batch.data) else 0
        inputs = Inputs(erase(whole.data, visible, hole), whole.present, visible)
        weight = self.weight(batch, whole, mask.asked)
        return inputs, {batch_target_name(batch): Target(self.answer(batch, whole.data), weight)}

    def whole(self, batch: Batch, /) -> Inputs:
        """All of t."""
        return Inputs(as_views(batch.data, self.frame), present_views(batch, self.frame))

    def answer(self, batch: Batch, views: Shaped[Tensor, "B V ..."]) -> Shaped[Tensor, "B ..."]:
        """The views' pieces in the form of the target."""
        pieces = cut(views, self.patch)
        if batch.data.ndim != 5:
            return pieces[:, 0]
        frames = self.asked_frames(pieces.shape[1])
        return pieces if frames is None else pieces[:, list(frames)].movedim(1, -2).flatten(-2)

    def weight(self, batch: Batch, whole: Inputs, asked: Bool[Tensor, "B V ..."]) -> Float[Tensor, "B ..."] | None:
        """1 where something is asked that is no padding; None where all of the target is asked."""
        if batch.data.ndim == 5:
            return asked.float() if self.asked_frames(asked.shape[1]) is None else None
        return (asked if whole.present is None else asked & whole.present)[:, 0].float()

    def mask_of(self, batch: Batch, draws: Draws) -> Mask:
        """The law applied to a batch."""
        shape = batch.data.shape
        if len(shape) > 2:
            views = shape[1] if len(shape) == 5 else 1
            length = torch.full((len(batch),), views, device=batch.device)
            return self.mask(draws, Size(views, (shape[-2] // self.patch, shape[-1] // self.patch), length))
        present = present_views(batch, self.frame)
        count = shape[1] if is_text(batch.data) else -(-shape[1] // self.frame)
        length = torch.full((len(batch),), count, device=batch.device) if present is None else present.sum((1, 2))
        return self.mask(draws, Size(1, (count,), length))

    def hole(self) -> int:
        """The token in whose place a hidden one is; raises PretaskError before `fit`."""
        hole = None if self.vocabulary is None else hole_of(self.vocabulary)
        if hole is None:
            raise PretaskError(self.name, "the vocabulary of its text", "none", "Call fit(observed, batches) first.")
        return hole

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """The training mean, the nearest visible value and a straight line, and where the same is hidden of all
        samples a linear map of what is visible; of tokens, unigrams and bigrams."""
        if self.vocabulary is not None:
            return token_predictors(batches, self.vocabulary.size, lambda *given: self.mask_of(*given).seen[:, 0])
        some: list[Batch] = []
        predictors = {
            "mean": guess_mean(self, ridge.remembered(batches, some)),
            "nearest": self.guess_by(fill.nearest),
            "interpolation": self.guess_by(fill.interpolated),
        }
        return {**predictors, "ridge": self.guess_linear(some)} if self.steady else predictors

    def guess_by(self, rule: fill.Rule) -> Predictor:
        """A predictor that fills the holes of x by a rule of fill.py."""

        return lambda batch, draws: {batch_target_name(batch): self.answer(batch, self.filled(batch, draws, rule))}

    def filled(self, batch: Batch, draws: Draws, rule: fill.Rule) -> Float[Tensor, "B V ..."]:
        """x with its holes filled by a rule of fill.py."""
        inputs, _ = self(batch, draws)
        values, visible = inputs.data, inputs.visible
        assert visible is not None
        seen = (visible[:, :, None] if values.ndim == 5 else visible[..., None]).expand_as(values)
        return rule(as_signal(values), as_signal(seen), self.axes(batch)).view_as(values)

    def guess_linear(self, batches: Iterable[Batch]) -> Predictor:
        """A predictor by a linear map of what is visible, fitted to some batches."""

        def line(batch: Batch, draws: Draws) -> tuple[Tensor, Tensor]:
            values = self.filled(batch, draws, fill.interpolated)
            straight = self.answer(batch, values)
            return ridge.pooled(values, straight[0].numel()), straight

        def known(batch: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            draws = Draws(batch.index)
            features, straight = line(batch, draws)
            target = self(batch, draws)[1][batch_target_name(batch)]
            weight = torch.ones_like(straight) if target.weight is None else target.weight[..., None] + 0 * straight
            return features, straight.flatten(1), target.value.flatten(1), weight.flatten(1)

        linear = ridge.fitted(known, batches)

        def guess(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
            features, straight = line(batch, draws)
            return {batch_target_name(batch): linear(features, straight.flatten(1)).view_as(straight)}

        return guess

    def axes(self, batch: Batch) -> tuple[int, ...]:
        """The axes of the signal along which neighbours are looked for."""
        if batch.data.ndim < 4:
            return (2,)
        whole_frames = batch.data.ndim == 5 and self.asked_frames(batch.data.shape[1]) is not None
        return (1,) if whole_frames else (3, 4)


def hole_of(vocabulary: Vocabulary) -> int | None:
    """The mask token, or else the one for unknown words."""
    mask = vocabulary.id("mask")
    return vocabulary.id("unknown") if mask is None else mask
