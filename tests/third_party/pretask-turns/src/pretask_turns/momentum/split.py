"""Hide some squares of every image; the target is the whole image, for a teacher.

Source: see the package's header.
Axes: B batch, C channels, H W image, R rows and columns of squares.
"""

from dataclasses import dataclass

from pretask import (
    Batch,
    Draws,
    Fraction,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Size,
    Target,
    Targets,
    TargetSpecs,
)
from torch import Tensor

from pretask_turns.momentum.target import Shown

GREY = 0.5


@dataclass(frozen=True)
class HideSquares:
    """Grey squares in every image.

    Args:
        side: Of a square, pixels.
        share: Of the squares that are hidden.
    """

    side: Size = 8
    share: Fraction = 0.5

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """An image with holes, and the image."""
        whole = self.whole_spec(images)
        return whole, {"image": Shown(whole)}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        """The image as it is."""
        if images.modality != "image" or images.shape[-1] % self.side or images.shape[-2] % self.side:
            got = f"{images.modality} of shape {images.shape}"
            needs = f"images whose sides {self.side} divides (split.side)"
            raise Incompatible("hide-squares", needs, got, "Set split.side to a divisor.")
        return InputSpec("image", images.shape)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """The image with holes; the image."""
        image = batch.data / 255
        hidden = self.hidden(draws, *image.shape[2:])
        holed = image.masked_fill(hidden[:, None], GREY)
        return Inputs(holed[:, None]), {"image": Target(image[:, None])}

    def whole(self, batch: Batch, /) -> Inputs:
        """The image as it is."""
        return Inputs(batch.data[:, None] / 255)

    def hidden(self, draws: Draws, high: int, wide: int) -> Tensor:
        """Which pixels (B, H, W) are hidden: the same number of squares in every image."""
        rows, columns = high // self.side, wide // self.side
        order = draws.permutation("squares", rows * columns).view(-1, rows, columns)
        chosen = order < round(self.share * rows * columns)
        return chosen.repeat_interleave(self.side, 1).repeat_interleave(self.side, 2)
