"""Cut a patch out of every image; predict where in the image it was: no task to learn from, but a probe of shortcuts.

Lenses spread colors: the further from the middle, the larger an image of one color is beside that of another. A network
that has learned to see this knows where in an image each of two patches was without knowing what they show. How well
it can, with each of the countermeasures of the task, is what this measures: on photographs as they are, or on ones
whose green channel is magnified by a known amount.

Source: Doersch, Gupta and Efros, ICCV 2015, section 3.1 and figure 5 (networks that predict absolute coordinates: an
error of .255, where a constant has .371; .321 after projection).
Differs: the aberration may be an artificial one; errors are over all images, where the paper has them over the tenth of
the images that are told best.
Axes: B batch, V views (one), C channels, H W image, P patch side.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from pretask import Batch, Draws, Incompatible, Inputs, InputSpec, Observed, Target, Targets, TargetSpecs, Values
from pretask.options import FractionBelowOne, Size, require_range
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.methods.relative_position.split import (
    Color,
    as_room,
    check_channels,
    crop,
    describe_whole,
    prepare,
    show_whole,
)
from pretask_plugins.shared.fractions import as_fractions

WHO = "absolute-position"
GREEN = 1  # channel


@dataclass(frozen=True)
class PlacePatch:
    """Cut a random patch out of every image, whose place is predicted.

    Args:
        patch: Side of a patch, pixels.
        color: Against chromatic aberration, as in relative-position.
        standardize: Whether each patch is brought to its own mean and standard deviation.
        aberration: By how much of its size the green channel is magnified about the middle of the image.

    Source: Doersch, Gupta and Efros, ICCV 2015. Differs: see the header.
    """

    patch: Size = 96
    color: Color = "keep"
    standardize: bool = True
    aberration: FractionBelowOne = 0.0

    def __post_init__(self) -> None:
        require_range(WHO, "split", self)

    @property
    def shows_versions(self) -> bool:
        """Whether an image is read as the mean of several versions of it."""
        return self.color == "drop"

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return a patch, and two numbers: row and column of its middle, fractions of the image's height and width."""
        if images.modality != "image" or min(images.shape[-2:]) <= self.patch:
            got = f"{images.shape[-2]} x {images.shape[-1]}" if images.modality == "image" else images.modality
            raise Incompatible(WHO, f"images of more than {self.patch} pixels a side", got, "Set split.patch lower.")
        check_channels(WHO, images, self.color)
        if self.aberration and images.shape[0] <= GREEN:
            got = f"{images.shape[0]}"
            raise Incompatible(f"{WHO} with split.aberration", "a green channel", got, "Set split.aberration=0.")
        return InputSpec("image", (images.shape[0], self.patch, self.patch)), {"place": Values(2)}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        """Return the spec of the image, as relative-position shows it."""
        return describe_whole(images, self.color)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return a patch, and where it was."""
        images = as_fractions(batch.data)
        if self.aberration:
            images = magnify_green(images, self.aberration)
        height, width = images.shape[2:]
        room = as_room(height - self.patch + 1, width - self.patch + 1, batch.device)
        corner = draws.integers("corner", 0, room, 2)  # (B, 2)
        patches = crop(images, corner[:, None], self.patch)
        place = (corner + self.patch / 2) / as_room(height, width, batch.device)
        return Inputs(prepare(patches, draws, self.color, self.standardize)), {"place": Target(place)}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the image, as relative-position shows it."""
        return show_whole(batch, self.color, self.standardize)


def magnify_green(images: Float[Tensor, "B C H W"], aberration: float) -> Float[Tensor, "B C H W"]:
    """Return images whose green channel is larger by so much of its size, about the middle; bilinear."""
    scale = torch.eye(2, 3, device=images.device)[None].expand(len(images), -1, -1) / (1 + aberration)
    green = images[:, GREEN : GREEN + 1]
    grid = F.affine_grid(scale, [*green.shape], align_corners=False)
    magnified = F.grid_sample(green, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return torch.cat([images[:, :GREEN], magnified, images[:, GREEN + 1 :]], 1)
