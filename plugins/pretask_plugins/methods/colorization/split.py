"""Drop the color of every image; predict it at every fourth pixel, as probabilities of the nearest bins of a palette.

Source: Zhang, Isola and Efros, ECCV 2016, sections 2.1 and 2.2, and the released code.
Axes: B batch, H W image, h w every fourth pixel, K nearest bins, Q = 313 bins.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

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
)
from pretask.options import Fraction, Interval, Size, require_range
from torch import Tensor

from pretask_plugins.methods.colorization.palette import (
    BINS,
    bin_weights,
    smooth_counts,
    soft_encode,
)
from pretask_plugins.shared.colors import color_ab, lightness, lightness_and_color

MAX_GRAY_AB = 5.0  # an image none of whose pixels has |a| or |b| above it is gray, as in the released code
MIN_PROBABILITY = 1e-9  # of a color that the training data do not have
# What the predictor "gray" gives gray; the rest is the prior's, or its loss would be infinite where a color is seen.
GRAY_PROBABILITY = 0.9


@dataclass(frozen=True)
class DropColor:
    """Show lightness, predict color.

    Args:
        k: Nearest bins among which a color is divided; 5 in the paper, 10 in the released code.
        stride: Pixels from one place whose color is predicted to the next.
        uniform: λ of equation 4, the weight of a uniform distribution in the prior before it is inverted, 0 to 1: 1
            counts all colors alike.
        prior: Probability of every bin; estimated from the data when left out.

    Source: Zhang, Isola and Efros 2016. Differs: see the folder's header.
    """

    k: Annotated[int, Interval(ge=1, le=len(BINS))] = 5
    stride: Size = 4
    uniform: Fraction = 0.5
    prior: tuple[Fraction, ...] = ()

    def __post_init__(self) -> None:
        require_range("colorization", "split", self)

    def fit(self, images: Observed, batches: Iterable[Batch], /) -> "DropColor":
        """Return the same split with the prior of the user's own colors; gray images are left out.

        Raises:
            Incompatible: The images have no three channels of bytes.
            PretaskError: All images are gray, or the prior that was given is not one of 313 bins.
        """
        self.spec(images)
        if self.prior:
            return self
        counts = self.count_bins(batches)
        if not counts.any():
            raise PretaskError(
                "colorization",
                f"at least one image with a color (|a| or |b| above {MAX_GRAY_AB:g})",
                "gray images only",
                "Use color photographs; a gray copy in three channels has none.",
            )
        return replace(self, prior=tuple(smooth_counts(counts, self.k).tolist()))

    def count_bins(self, batches: Iterable[Batch]) -> Float[Tensor, " Q"]:
        """Return how often every bin is the nearest, in images that have colors."""
        counts = torch.zeros(len(BINS))
        for batch in batches:
            colors = self.colors(batch)
            nearest = soft_encode(colors, self.k)[0][..., 0][has_color(colors)]
            counts += torch.bincount(nearest.flatten(), minlength=len(BINS)).cpu()
        return counts

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return one channel of the image's size, and one of 313 colors at every fourth pixel."""
        self.check(images)
        grid = tuple(-(-side // self.stride) for side in images.shape[1:])
        return self.whole_spec(images), {"colour": Categories(len(BINS), grid=grid)}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        """Return the spec of the lightness alone: color is never shown."""
        return InputSpec("image", (1, *images.shape[1:]))

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return lightness; probabilities of the nearest bins, and how much every place counts."""
        light, planes = lightness_and_color(batch.data, self.stride)
        colors = planes.movedim(1, -1)
        nearest, probability = soft_encode(colors, self.k)
        of_bin = bin_weights(self.prior, self.uniform, batch.device)
        weight = of_bin[nearest[..., 0]]  # equation 3: v(Z) = w of q*, the nearest bin
        weight = weight * has_color(colors)[:, None, None]
        return Inputs(light[:, None] / 100), {"colour": Target(nearest, weight, probability)}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return lightness in [0, 1]."""
        return Inputs(lightness(batch.data)[:, None] / 100)

    def colors(self, batch: Batch) -> Float[Tensor, "B h w 2"]:
        """Return (a, b) of every fourth pixel, Y of the paper."""
        return color_ab(batch.data[..., :: self.stride, :: self.stride].contiguous()).movedim(1, -1)

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return the distribution of the batches' colors, weighted as the loss weights them; and gray everywhere."""
        counts = self.count_bins(batches)
        prior = smooth_counts(counts, self.k) if counts.any() else torch.full((len(BINS),), 1 / len(BINS))
        weighted = (prior * bin_weights(self.prior, self.uniform, prior.device)).clamp(min=MIN_PROBABILITY)
        nearest, probability = soft_encode(torch.zeros(1, 2), self.k)
        gray = torch.zeros(len(BINS)).index_put((nearest[0],), probability[0])
        mixed = GRAY_PROBABILITY * gray + (1 - GRAY_PROBABILITY) * weighted
        return {"prior": self.predict_everywhere(weighted), "gray": self.predict_everywhere(mixed)}

    def predict_everywhere(self, probability: Float[Tensor, " Q"]) -> Predictor:
        """Return a predictor that gives one distribution at every place."""

        def predict(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
            places = batch.data[:, 0, :: self.stride, :: self.stride].shape
            return {"colour": probability.log().to(batch.device).expand(*places, -1)}

        return predict

    def check(self, images: Observed) -> None:
        """Raise Incompatible unless these are images of three channels of bytes; PretaskError for a wrong prior."""
        if images.modality != "image" or images.shape[0] != 3 or images.dtype != "uint8":
            raise Incompatible(
                "colorization",
                "images of 3 channels (red, green, blue), 8 bits each (uint8)",
                f"{images.modality} of shape {images.shape}, {images.dtype}",
                "Use color images; let the data drop an alpha channel.",
            )
        if len(self.prior) not in (0, len(BINS)):
            raise PretaskError(
                "colorization",
                f"split.prior of {len(BINS)} probabilities",
                str(len(self.prior)),
                "Leave it out, and it is estimated from the data.",
                exit_code=2,
            )


def has_color(colors: Float[Tensor, "B h w 2"]) -> Bool[Tensor, " B"]:
    """Return whether an image has a color anywhere."""
    largest: Tensor = torch.linalg.vector_norm(colors, torch.inf, (1, 2, 3))
    return largest > MAX_GRAY_AB
