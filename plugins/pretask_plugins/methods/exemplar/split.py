"""Transform a patch of every image; ask which image it came from, or which other view came from the same.

Source: Dosovitskiy, Springenberg, Riedmiller and Brox, NIPS 2014, sections 2 and 2.1.
Axes: B batch, V views, C channels, H W image, P patch side.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, UInt8
from pretask import (
    Agreement,
    Batch,
    Categories,
    Draws,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    PretaskError,
    Target,
    Targets,
    TargetSpecs,
)
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.methods.exemplar.family import Family, contrast, cut, recolor

Predictor = Callable[[Batch, Draws], Mapping[str, Tensor]]


@dataclass(frozen=True)
class TransformSeed(Family):
    """One transformed copy of the seed patch of every image; its class is the image's number.

    The seed of an image is drawn once per run, where its gradients are large; every step shows another copy of it.

    Args:
        patch: Side of a patch, pixels.
        mean: Of the data's colors; estimated when left out.
        axes: Principal axes of the data's colors, one after the other; estimated when left out.

    Source: Dosovitskiy et al. 2014. Differs: see the folder's header.
    """

    patch: int = 32
    mean: tuple[float, ...] = ()
    axes: tuple[tuple[float, ...], ...] = ()

    # Only training images have a class: the pretext score is that of new copies of them.
    scored_on: ClassVar[str] = "train"

    def __post_init__(self) -> None:
        bounds = {"patch": (2, math.inf)}
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                got = f"{getattr(self, name)}"
                raise PretaskError("exemplar", f"split.{name} from {least} to {most}", got, "Mend it.", exit_code=2)

    @property
    def copies(self) -> int:
        """V, the copies that are shown at once."""
        return 1

    def fit(self, images: Observed, batches: Iterable[Batch], /) -> "TransformSeed":
        """The same with the mean and the principal axes of the data's colors."""
        self.check(images)
        mean, axes = principal_axes(batches, images.shape[0])
        return replace(self, mean=tuple(mean.tolist()), axes=tuple(tuple(axis) for axis in axes.tolist()))

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """A patch, and as many classes as there are images."""
        self.check(images)
        if images.samples < 2:
            raise Incompatible(
                "exemplar", "at least 2 images, each a class of its own", str(images.samples), "Use more images."
            )
        return self.views_spec(images), {"exemplar": Categories(images.samples)}

    def views_spec(self, images: Observed) -> InputSpec:
        """Patches of the image's channels."""
        return InputSpec("image", (images.shape[0], self.patch, self.patch), views=self.copies)

    def whole_spec(self, images: Observed, /) -> InputSpec:
        """The image as it is."""
        return InputSpec("image", images.shape)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """A copy of each seed, and its image's number."""
        return Inputs(self.transform(batch, draws)), {"exemplar": Target(batch.index)}

    def whole(self, batch: Batch, /) -> Inputs:
        """The image as it is."""
        return Inputs(batch.data[:, None] / 255)

    def transform(self, batch: Batch, draws: Draws) -> Float[Tensor, "B V C P P"]:
        """Copies of each image's seed in [0, 1]."""
        every_epoch = Draws(draws.index, draws.seed, 0, path=draws.path)
        center = seed_centers(batch.data, every_epoch, self.patch, self.margin(self.patch))
        channels = batch.data.shape[1]
        change = self.draw(draws, self.copies, channels)
        views = cut(batch.data / 255, center, change, self.patch)
        mean, axes = self.colors(channels, batch.device)
        return recolor(contrast(views, change.component, mean, axes).clamp(0, 1), change)

    def colors(self, channels: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and axes of color; the middle and the channels themselves where the split was not fitted."""
        if not self.mean:
            return torch.full((channels,), 0.5, device=device), torch.eye(channels, device=device)
        return torch.tensor(self.mean, device=device), torch.tensor(self.axes, device=device)

    def check(self, images: Observed) -> None:
        """Raise Incompatible unless these are gray or color images of bytes, with room around a patch."""
        if images.modality != "image" or images.shape[0] not in (1, 3) or images.dtype != "uint8":
            raise Incompatible(
                "exemplar",
                "images of 1 or 3 channels, 8 bits each (uint8)",
                f"{images.modality} of shape {images.shape}, {images.dtype}",
                "Use gray or color images; let the data drop an alpha channel.",
            )
        margin = self.margin(self.patch)
        if min(images.shape[1:]) < self.patch + 2 * margin:
            raise Incompatible(
                "exemplar",
                f"images of at least {self.patch + 2 * margin} pixels a side (a patch of {self.patch} and {margin} "
                "around it, which transformations may reach into)",
                f"{images.shape[1]} x {images.shape[2]}",
                "Use larger images, or a smaller split.patch (below half a side).",
            )


@dataclass(frozen=True)
class TransformPair(TransformSeed):
    """Several transformed copies of the seed patch of every image, which belong together.

    Args:
        views: Copies of a seed that are shown at once.
    """

    views: int = 2

    scored_on: ClassVar[str] = "test"

    @property
    def copies(self) -> int:
        """V, the copies that are shown at once."""
        return self.views

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Patches, and which of them are of one image."""
        self.check(images)
        if self.views < 2:
            raise Incompatible("exemplar-pair", "at least 2 views", str(self.views), "Raise split.views.")
        return self.views_spec(images), {"exemplar": Agreement(views=self.views)}

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Copies of each seed, and their image's number for each."""
        identity = batch.index[:, None].expand(-1, self.views)
        return Inputs(self.transform(batch, draws)), {"exemplar": Target(identity)}

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Views matched by their mean color, and by their pixels."""

        def predictor(side: int) -> Predictor:
            def guess(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
                views = self.transform(batch, draws)
                mean, _ = self.colors(views.shape[2], batch.device)
                small = F.adaptive_avg_pool2d((views - mean.view(-1, 1, 1)).flatten(0, 1), side)
                return {"exemplar": small.reshape(*views.shape[:2], -1)}

            return guess

        return {"mean color": predictor(1), "pixels": predictor(self.patch)}


def principal_axes(batches: Iterable[Batch], channels: int) -> tuple[Float[Tensor, " C"], Float[Tensor, "C C"]]:
    """Mean and principal axes of the colors, in [0, 1], of every second pixel of every second row.

    Bytes and their products are added up without rounding, so that the order of batches makes no difference.
    """
    count, total, products = 0, torch.zeros(channels).double(), torch.zeros(channels, channels).double()
    for batch in batches:
        pixels = batch.data[..., ::2, ::2].transpose(0, 1).reshape(channels, -1).cpu().double()
        count, total, products = count + pixels.shape[1], total + pixels.sum(1), products + pixels @ pixels.T
    mean = total / count
    covariance = products / count - torch.outer(mean, mean)
    return (mean / 255).float(), torch.linalg.eigh(covariance).eigenvectors.T.float()


def seed_centers(images: UInt8[Tensor, "B C H W"], draws: Draws, patch: int, margin: int) -> Float[Tensor, "B 2"]:
    """The middle of one patch per image, (row, column) in pixels, as likely as its mean squared gradient is large.

    An image without any gradient has its seed anywhere.
    """
    step = cell(patch)
    energy = gradient_energy(images[..., margin : images.shape[2] - margin, margin : images.shape[3] - margin])
    columns = F.avg_pool2d(energy, (patch - 1, 1), (step, 1))
    windows = F.avg_pool2d(columns, (1, patch - 1), (1, step))  # (B, rows, columns): one mean per place of a patch
    place = drawn(windows.flatten(1), draws.uniform("seed"))
    corner = torch.stack([place // windows.shape[2], place % windows.shape[2]], 1) * step + margin
    return corner + (patch - 1) / 2


def cell(patch: int) -> int:
    """Pixels between places where a seed may be: an eighth of a patch, or less where that is no whole number.

    >>> cell(32), cell(28), cell(5)
    (4, 2, 1)
    """
    return max([1, *(step for step in range(1, patch // 8 + 1) if patch % step == 0)])


def gradient_energy(images: UInt8[Tensor, "B C H W"]) -> Float[Tensor, "B h w"]:
    """The squared length of the gradient between every pixel and the next ones, summed over channels."""
    light = images / 255
    down = light[..., 1:, :-1] - light[..., :-1, :-1]
    right = light[..., :-1, 1:] - light[..., :-1, :-1]
    return (down.square() + right.square()).sum(1)


def drawn(weight: Float[Tensor, "B N"], uniform: Float[Tensor, " B"]) -> Tensor:
    """Which of N is drawn, with a probability in proportion to its weight; any, where all weights are 0."""
    blank = weight.amax(1, keepdim=True) <= 0
    heap = torch.where(blank, torch.ones_like(weight), weight).cumsum(1)
    return (heap <= uniform[:, None] * heap[:, -1:]).sum(1).clamp(max=weight.shape[1] - 1)
