"""Masking: the split of any modality that hides what a mask generator says, and predicts it.

A mask generator (mask_generators.py) says for every patch of t whether x shows it and whether it is predicted; this
does the rest, for images, clips, text and waveforms alike. `unpatchify(x, y)` is t: nothing is lost, and nothing that
is hidden leaks.
Axes: B batch, V views (T frames of a clip, else 1), `...` the patches of one view: h w of an image, L tokens, F frames
of a waveform.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int, Shaped
from pretask import (
    Batch,
    Draws,
    Figure,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    Target,
    Targets,
    TargetSpec,
    TargetSpecs,
    Task,
    Values,
    Vocabulary,
)
from torch import Tensor

from pretask_plugins.shared.token_rows import require_fitted
from pretask_plugins.splits.figures import masking_figures
from pretask_plugins.splits.patches import (
    TARGET,
    as_views,
    batch_target_name,
    describe_target,
    describe_views,
    erase,
    expand_to_pixels,
    find_grid,
    is_text,
    patchify,
    present_views,
)
from pretask_plugins.splits.trivial_predictors import masking_predictors

MODALITIES = ("image", "video", "text", "audio")


class Mask(NamedTuple):
    """What a generator gives: x shows `visible`, y holds `target`. What is neither is withheld from both."""

    visible: Bool[Tensor, "B V ..."]
    target: Bool[Tensor, "B V ..."]


class PatchGrid(NamedTuple):
    """How much there is to mask: views, the patches of one view, and how many of a sequence are no padding."""

    views: int
    shape: tuple[int, ...]
    length: Int[Tensor, " B"]


@runtime_checkable
class MaskGenerator(Protocol):
    """Says which patches are visible and which are predicted."""

    @property
    def is_constant(self) -> bool:
        """Whether the mask is the same for all samples of one length."""
        ...

    @property
    def mirror_axis(self) -> int | None:
        """The axis of an image across which a reflection of what is visible is a trivial prediction."""
        ...

    def check(self, who: str, views: int, shape: tuple[int, ...], modality: str) -> None:
        """Raise Incompatible where there are too few patches."""
        ...

    def count_visible(self, shape: tuple[int, ...]) -> int | None:
        """Return the visible patches of one image, where that is the same for all; None where it differs."""
        ...

    def target_frames(self, views: int) -> range | None:
        """Return the frames of a clip that are predicted whole, side by side; None where each predicts its own part."""
        ...

    def __call__(self, draws: Draws, grid: PatchGrid) -> Mask:
        """Draw the mask of every sample."""
        ...


@dataclass(frozen=True)
class Masking:
    """A split of any modality by a mask generator.

    Args:
        name: Of the component, for errors.
        generator: Says what is hidden.
        modalities: That the generator can mask.
        patch: Side of the squares that images and frames are cut into, pixels; it divides their sides.
        frame: Samples of the frames that waveforms are cut into.
        vocabulary: Of text, filled in by `fit`: hidden tokens become its mask, or else its unknown token.
    """

    name: str
    generator: MaskGenerator
    modalities: tuple[str, ...] = MODALITIES
    patch: int = 4
    frame: int = 160
    vocabulary: Vocabulary | None = field(default=None, compare=False)

    def fit(self, observed: Observed, batches: Iterable[Batch], /) -> "Masking":
        """Return the same split with the vocabulary of its data."""
        return replace(self, vocabulary=observed.vocabulary)

    def spec(self, observed: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return t with holes, and what is in them."""
        spec = self.whole_spec(observed)
        shape = find_grid(self.name, spec, self.patch)
        self.generator.check(self.name, spec.views, shape, observed.modality)
        shown, patch = None, None
        if len(shape) == 2:
            shown, patch = self.generator.count_visible(shape), (self.patch, self.patch)
        return replace(spec, shown=shown, patch=patch), {TARGET[spec.modality]: self.target_spec(spec)}

    def whole_spec(self, observed: Observed, /) -> InputSpec:
        """Return all of t."""
        if observed.modality not in self.modalities:
            raise Incompatible(
                self.name,
                " or ".join(self.modalities) + " data",
                observed.modality,
                f"Choose another split for {observed.modality}: pretask list split.",
            )
        if observed.vocabulary is not None and find_mask_token(observed.vocabulary) is None:
            raise Incompatible(
                self.name, "a vocabulary with a mask or an unknown token", "neither", "Add one to the vocabulary."
            )
        return describe_views(self.name, observed, self.frame)

    def target_spec(self, spec: InputSpec) -> TargetSpec:
        """Return the spec of every patch, or at every place of those of the predicted frames side by side."""
        target, frames = describe_target(spec, self.patch), self.generator.target_frames(spec.views)
        if isinstance(target, Values) and target.views is not None and frames is not None:
            return replace(target, views=None, channels=target.channels * len(frames))
        return target

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return x without what is hidden, and y, which weighs 0 where nothing is predicted."""
        whole, mask = self.whole(batch), self.mask(batch, draws)
        patches = mask.visible if whole.present is None else mask.visible | ~whole.present
        visible = expand_to_pixels(patches, self.patch) if whole.data.ndim == 5 else patches
        token = self.mask_token() if is_text(batch.data) else 0
        inputs = Inputs(erase(whole.data, visible, token), whole.present, visible)
        target = Target(self.target_values(batch, whole.data), self.weight(batch, whole, mask.target))
        return inputs, {batch_target_name(batch): target}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return all of t."""
        return Inputs(as_views(batch.data, self.frame), present_views(batch, self.frame))

    def target_values(self, batch: Batch, views: Shaped[Tensor, "B V ..."]) -> Shaped[Tensor, "B ..."]:
        """Return the views' patches in the form of the target."""
        patches = patchify(views, self.patch)
        if batch.data.ndim != 5:
            return patches[:, 0]
        frames = self.generator.target_frames(patches.shape[1])
        return patches if frames is None else patches[:, list(frames)].movedim(1, -2).flatten(-2)

    def weight(self, batch: Batch, whole: Inputs, target: Bool[Tensor, "B V ..."]) -> Float[Tensor, "B ..."] | None:
        """Return 1 where something is predicted that is no padding; None where all of the target is."""
        if batch.data.ndim == 5:
            return target.float() if self.generator.target_frames(target.shape[1]) is None else None
        return (target if whole.present is None else target & whole.present)[:, 0].float()

    def mask(self, batch: Batch, draws: Draws) -> Mask:
        """Return the mask of every sample of a batch."""
        shape = batch.data.shape
        if len(shape) > 2:
            views = shape[1] if len(shape) == 5 else 1
            length = torch.full((len(batch),), views, device=batch.device)
            return self.generator(draws, PatchGrid(views, (shape[-2] // self.patch, shape[-1] // self.patch), length))
        present = present_views(batch, self.frame)
        count = shape[1] if is_text(batch.data) else -(-shape[1] // self.frame)
        length = torch.full((len(batch),), count, device=batch.device) if present is None else present.sum((1, 2))
        return self.generator(draws, PatchGrid(1, (count,), length))

    def mask_token(self) -> int:
        """Return the token that stands for a hidden one; raise PretaskError before `fit`."""
        token = find_mask_token(require_fitted(self.name, self.vocabulary))
        assert token is not None, "whole_spec refuses a vocabulary without one"
        return token

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return the training mean, the nearest visible value, a straight line, and where the mask is constant a linear
        map of what is visible; of tokens, unigrams and bigrams."""
        return masking_predictors(self, batches)

    def figures(self, task: Task, batch: Batch, /) -> Iterator[Figure]:
        """Yield a picture of images or clips: all of them, what x shows, and what is predicted."""
        yield from masking_figures(self, task, batch)


def find_mask_token(vocabulary: Vocabulary) -> int | None:
    """Return the mask token, or else the one for unknown words."""
    mask = vocabulary.id("mask")
    return vocabulary.id("unknown") if mask is None else mask
