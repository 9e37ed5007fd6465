"""Drop the colour of every image; ask for it at every fourth pixel, as shares of the nearest bins of a palette.

Source: Zhang, Isola and Efros, ECCV 2016, sections 2.1 and 2.2, and the released code.
Axes: B batch, H W image, h w every fourth pixel, K candidates, Q = 313 bins.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from pretask import (
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

from pretask_plugins.methods.colorization.lab import colour, lightness
from pretask_plugins.methods.colorization.palette import BINS, bins, smoothed, soften, weights

GREY = 5.0  # an image none of whose pixels has |a| or |b| above it is grey
UNSEEN = 1e-9  # probability of a colour that the training data do not have
NEARLY = 0.9  # of the guess that all is grey; the rest is the prior, or it would be infinitely wrong

Predictor = Callable[[Batch, Draws], Mapping[str, Tensor]]


@dataclass(frozen=True)
class DropColour:
    """Show lightness, ask for the colour.

    Args:
        k: Nearest bins that share a colour; 5 in the paper, 10 in the released code.
        stride: Pixels from one asked-for place to the next.
        uniform: Share of a uniform distribution in the prior before it is inverted: 1 counts all colours alike.
        prior: Probability of every bin; estimated from the data when left out.

    Source: Zhang, Isola and Efros 2016. Differs: see the folder's header.
    """

    k: int = 5
    stride: int = 4
    uniform: float = 0.5
    prior: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        bounds = {"k": (1, len(BINS)), "stride": (1, math.inf), "uniform": (0, 1)}
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                got = f"{getattr(self, name)}"
                raise PretaskError("colorization", f"split.{name} from {least} to {most}", got, "Mend it.", exit_code=2)

    def fit(self, images: Observed, batches: Iterable[Batch], /) -> "DropColour":
        """The same with the prior of the user's own colours; grey images are left out.

        Raises:
            Incompatible: The images have no three channels of bytes.
            PretaskError: All images are grey, or the prior that was given is not one of 313 bins.
        """
        self.spec(images)
        if self.prior:
            return self
        counts = self.count_colors(batches)
        if not counts.any():
            raise PretaskError(
                "colorization",
                f"at least one image with a colour (|a| or |b| above {GREY:g})",
                "grey images only",
                "Use colour photographs; a grey copy in three channels has none.",
            )
        return replace(self, prior=tuple(smoothed(counts, self.k).tolist()))

    def count_colors(self, batches: Iterable[Batch]) -> Float[Tensor, " Q"]:
        """How often every bin is the nearest, in images that have colors."""
        counts = torch.zeros(len(BINS))
        for batch in batches:
            colours = self.colours(batch)
            nearest = soften(colours, self.k)[0][..., 0][coloured(colours)]
            counts += torch.bincount(nearest.flatten(), minlength=len(BINS)).cpu()
        return counts

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """One channel, and one of 313 colours at every fourth pixel."""
        self.check(images)
        places = tuple(-(-side // self.stride) for side in images.shape[1:])
        return self.whole_spec(images), {"colour": Categories(len(BINS), grid=places)}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        """The lightness alone: colour is never shown."""
        return InputSpec("image", (1, *images.shape[1:]))

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Lightness; shares of the nearest bins, and how much each place counts."""
        colours = self.colours(batch)
        near, share = soften(colours, self.k)
        likeliest = near.gather(-1, share.argmax(-1, keepdim=True))[..., 0]
        weight = weights(self.prior, self.uniform, batch.device)[likeliest] * coloured(colours)[:, None, None]
        return self.whole(batch), {"colour": Target(near, weight, share)}

    def whole(self, batch: Batch, /) -> Inputs:
        """Lightness in [0, 1]."""
        return Inputs(lightness(batch.data)[:, None] / 100)

    def colours(self, batch: Batch) -> Float[Tensor, "B h w 2"]:
        """(a, b) of the pixels that are asked for."""
        return colour(batch.data[..., :: self.stride, :: self.stride].contiguous()).movedim(1, -1)

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """The colors of the batches, as they count; and that all is gray."""
        counts = self.count_colors(batches)
        prior = smoothed(counts, self.k) if counts.any() else torch.full((len(BINS),), 1 / len(BINS))
        counted = (prior * weights(self.prior, self.uniform, prior.device)).clamp(min=UNSEEN)
        (near,), (share,) = soften(torch.zeros(1, 2), self.k)
        grey = torch.zeros(len(BINS)).index_put((near,), share)
        return {"prior": self.everywhere(counted), "grey": self.everywhere(NEARLY * grey + (1 - NEARLY) * counted)}

    def everywhere(self, probability: Float[Tensor, " Q"]) -> Predictor:
        """The guess of one distribution at every place."""

        def guess(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
            places = batch.data[:, 0, :: self.stride, :: self.stride].shape
            return {"colour": probability.log().to(batch.device).expand(*places, -1)}

        return guess

    def check(self, images: Observed) -> None:
        """Raise Incompatible unless these are images of three channels of bytes; PretaskError for a wrong prior."""
        if images.modality != "image" or images.shape[0] != 3 or images.dtype != "uint8":
            raise Incompatible(
                "colorization",
                "images of 3 channels (red, green, blue), 8 bits each (uint8)",
                f"{images.modality} of shape {images.shape}, {images.dtype}",
                "Use colour images; let the data drop an alpha channel.",
            )
        if len(self.prior) not in (0, len(BINS)):
            raise PretaskError(
                "colorization",
                f"split.prior of {len(BINS)} probabilities",
                str(len(self.prior)),
                "Leave it out, and it is estimated from the data.",
                exit_code=2,
            )


def coloured(colours: Float[Tensor, "B h w 2"]) -> Tensor:
    """Whether an image has a colour anywhere, (B,)."""
    return (colours.abs() > GREY).flatten(1).any(1)


def mean_colour(prior: tuple[float, ...]) -> Float[Tensor, " 2"]:
    """The mean of a distribution over the palette."""
    return torch.tensor(prior) @ bins(torch.device("cpu"))
