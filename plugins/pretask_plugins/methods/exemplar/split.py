"""Transform a patch of every image; predict which image it comes from, or which other view comes from the same.

Source: Dosovitskiy, Springenberg, Riedmiller and Brox, NIPS 2014, sections 2 and 2.1.
Axes: B batch, V views, C channels, H W image, P patch side.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float
from pretask import (
    Agreement,
    Batch,
    Categories,
    Draws,
    Figure,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    Target,
    Targets,
    TargetSpecs,
    Task,
)
from pretask.options import MAX_SIZE, AnyFloat, Interval, require_range
from pretask.pretext_score import HELD_OUT_EPOCH
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.methods.exemplar import crop_kernel
from pretask_plugins.methods.exemplar.augmentation import (
    AugmentationParams,
    AugmentationRanges,
    change_colors,
    compute_margin,
    draw_params,
)
from pretask_plugins.methods.exemplar.figures import draw_classes
from pretask_plugins.methods.exemplar.seeds import principal_axes
from pretask_plugins.shared.constants import build_once
from pretask_plugins.shared.fractions import as_fractions

SHOWN_CLASSES, SHOWN_COPIES = 6, 8  # of a picture: classes, and copies of each
IN_PLACE: Mapping[str, Any] = {"shift": 0.0, "scale": (1.0, 1.0), "rotation": 0.0}


@dataclass(frozen=True)
class SeedOptions(AugmentationRanges):
    """Options of both splits: the seed patch and the colors of the data, beside the ranges of transformations.

    Args:
        patch: Side of a patch, pixels.
        mean: Of the data's colors; estimated when left out.
        axes: Principal axes of the data's colors, one after the other; estimated when left out.
    """

    patch: Annotated[int, Interval(ge=2, le=MAX_SIZE)] = 32
    mean: tuple[AnyFloat, ...] = ()
    axes: tuple[tuple[AnyFloat, ...], ...] = ()

    def __post_init__(self) -> None:
        require_range("exemplar", "split", self)


@dataclass(frozen=True)
class TransformSeed(SeedOptions):
    """One transformed copy of the seed patch of every image; its class is the image's number.

    The seed of an image is drawn once per run, where its gradients are large; every step shows another copy of it.

    Source: Dosovitskiy et al. 2014. Differs: see the folder's header.
    """

    # Only training images have a class: the pretext score is that of new copies of them.
    scored_on: ClassVar[str] = "train"

    def fit(self, images: Observed, batches: Iterable[Batch], /) -> "TransformSeed":
        """Return the same split with the mean and the principal axes of the data's colors."""
        return fit_colors(self, images, batches)

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return a patch, and as many classes as there are images."""
        check_images(self, images)
        if images.samples < 2:
            raise Incompatible(
                "exemplar", "at least 2 images, each a class of its own", str(images.samples), "Use more images."
            )
        return patch_spec(self, images, 1), {"exemplar": Categories(images.samples)}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        """Return the spec of the image as it is."""
        return InputSpec("image", images.shape)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return a copy of each seed, and its image's number."""
        return Inputs(transform_seeds(self, batch, draws, 1)), {"exemplar": Target(batch.index)}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the image as it is."""
        return Inputs(as_fractions(batch.data[:, None]))

    def figures(self, task: Task, batch: Batch, /) -> Iterator[Figure]:
        """Yield a picture of some classes: seeds, and copies of them."""
        batch = Batch(batch.data[:SHOWN_CLASSES], batch.index[:SHOWN_CLASSES])
        every = [Draws(batch.index, 0, HELD_OUT_EPOCH + copy) for copy in range(SHOWN_COPIES)]
        copies = torch.cat([task.apply_split(batch, draws)[0].data for draws in every], 1)
        yield draw_classes(
            cut_seeds(self, batch, every[0].branch("split")), copies, self.find_right(task, batch, every)
        )

    def find_right(self, task: Task, batch: Batch, every: Sequence[Draws]) -> Bool[Tensor, "B R"] | None:
        """Return whether the class of every copy is the most likely one; None where no classes are predicted."""
        found = [task.predict(batch, draws).get("exemplar") for draws in every]
        logits = [one for one in found if one is not None and one.ndim == 2 and one.shape[1] > int(batch.index.max())]
        if len(logits) < len(every):
            return None
        return torch.stack([one.argmax(1) == batch.index for one in logits], 1)


@dataclass(frozen=True)
class TransformPair(SeedOptions):
    """Several transformed copies of the seed patch of every image, which belong together.

    Args:
        views: Copies of a seed that are shown at once.

    Source: Dosovitskiy et al. 2014. Differs: see the folder's header.
    """

    views: Annotated[int, Interval(ge=2, le=MAX_SIZE)] = 2

    def fit(self, images: Observed, batches: Iterable[Batch], /) -> "TransformPair":
        """Return the same split with the mean and the principal axes of the data's colors."""
        return fit_colors(self, images, batches)

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return patches, and which of them are of one image."""
        check_images(self, images)
        return patch_spec(self, images, self.views), {"exemplar": Agreement(views=self.views)}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        """Return the spec of the image as it is."""
        return InputSpec("image", images.shape)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return copies of each seed, and their image's number for each."""
        identity = batch.index[:, None].expand(-1, self.views)
        return Inputs(transform_seeds(self, batch, draws, self.views)), {"exemplar": Target(identity)}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the image as it is."""
        return Inputs(as_fractions(batch.data[:, None]))

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return what matches views by their mean color, and by their pixels."""
        return {"mean color": self.match_pixels(1), "pixels": self.match_pixels(self.patch)}

    def match_pixels(self, side: int) -> Predictor:
        """Return a predictor whose vectors are the views of so many pixels a side, less the mean color."""

        def predict(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
            views = transform_seeds(self, batch, draws, self.views)
            mean, _ = color_axes(self.mean, self.axes, views.shape[2], batch.device)
            small = F.adaptive_avg_pool2d((views - mean.view(-1, 1, 1)).flatten(0, 1), side)
            return {"exemplar": small.reshape(*views.shape[:2], -1)}

        return predict


def transform_seeds(options: SeedOptions, batch: Batch, draws: Draws, copies: int) -> Float[Tensor, "B V C P P"]:
    """Return copies of every image's seed in [0, 1], transformed anew by every draw, in the order of section 2.1."""
    channels = batch.data.shape[1]
    params = draw_params(options, draws, copies, channels)
    mean, axes = color_axes(options.mean, options.axes, channels, batch.device)
    return change_colors(crop_seeds(options, batch, draws, params), params, mean, axes)


def cut_seeds(options: SeedOptions, batch: Batch, draws: Draws) -> Float[Tensor, "B C P P"]:
    """Return the seeds of images as they are."""
    params = draw_params(replace(options, **IN_PLACE), draws, 1, batch.data.shape[1])
    return crop_seeds(options, batch, draws, params)[:, 0]


def crop_seeds(
    options: SeedOptions, batch: Batch, draws: Draws, params: AugmentationParams
) -> Float[Tensor, "B V C P P"]:
    """Return the seeds, shifted, scaled and rotated; an image keeps its seed for the whole run."""
    images, place = batch.data, draws.at_epoch(0).uniform("seed")
    margin = compute_margin(options, options.patch)
    is_one_operation = images.is_cpu and not torch.compiler.is_compiling()
    cut: Any = crop_kernel.crop_as_one if is_one_operation else crop_kernel.crop_all_at_once
    seeds: Tensor = cut(images, place, params.shift, params.scale, params.angle, options.patch, margin)
    return seeds


@build_once
def color_axes(
    mean: tuple[float, ...], axes: tuple[tuple[float, ...], ...], channels: int, device: torch.device
) -> tuple[Float[Tensor, " C"], Float[Tensor, "C C"]]:
    """Return mean and axes of color; the middle and the channels themselves where the split was not fitted."""
    if not mean:
        return torch.full((channels,), 0.5, device=device), torch.eye(channels, device=device)
    return torch.tensor(mean, device=device), torch.tensor(axes, device=device)


Split = TypeVar("Split", bound=SeedOptions)


def fit_colors(split: Split, images: Observed, batches: Iterable[Batch]) -> Split:
    """Return a split with the mean and the principal axes of the data's colors."""
    check_images(split, images)
    mean, axes = principal_axes(batches, images.shape[0])
    return replace(split, mean=tuple(mean.tolist()), axes=tuple(tuple(axis) for axis in axes.tolist()))


def patch_spec(options: SeedOptions, images: Observed, views: int) -> InputSpec:
    """Return the spec of patches of the image's channels."""
    return InputSpec("image", (images.shape[0], options.patch, options.patch), views=views)


def check_images(options: SeedOptions, images: Observed) -> None:
    """Raise Incompatible unless these are gray or color images of bytes, with room around a patch."""
    if images.modality != "image" or images.shape[0] not in (1, 3) or images.dtype != "uint8":
        raise Incompatible(
            "exemplar",
            "images of 1 or 3 channels, 8 bits each (uint8)",
            f"{images.modality} of shape {images.shape}, {images.dtype}",
            "Use gray or color images; let the data drop an alpha channel.",
        )
    margin = compute_margin(options, options.patch)
    side = options.patch + 2 * margin
    if min(images.shape[1:]) < side:
        raise Incompatible(
            "exemplar",
            f"images of at least {side} pixels a side (a patch of {options.patch} and {margin} around it, which "
            "transformations may reach into)",
            f"{images.shape[1]} x {images.shape[2]}",
            "Use larger images, or a smaller split.patch (below half a side).",
        )
