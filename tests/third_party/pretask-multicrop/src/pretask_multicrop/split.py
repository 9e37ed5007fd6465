"""Crop every image several times: two large views, and a group of small ones.

Source: Caron et al., NeurIPS 2020, section 3.2.
Axes: B batch, V views, C channels, S side of a crop.
"""

from dataclasses import dataclass

import torch
from pretask import (
    Agreement,
    Batch,
    Draws,
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
from torch.nn.functional import grid_sample


@dataclass(frozen=True)
class MultiCrop:
    """Two large crops of the image's own size, and a group of small ones.

    Args:
        small: Side of the small crops, pixels.
        count: How many there are.
    """

    small: Size = 16
    count: Size = 4

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return two views of the image's size, and a group of smaller ones."""
        channels, *_ = self.whole_spec(images).shape
        local = InputSpec("image", (channels, self.small, self.small), views=self.count)
        return InputSpec("image", images.shape, views=2, groups=(("local", local),)), {"image": Agreement(views=2)}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        """Return the image as it is."""
        if images.modality != "image" or images.shape[-1] != images.shape[-2]:
            got = f"{images.modality} of shape {images.shape}"
            raise Incompatible("multicrop", "square images", got, "Use other data, such as --data shapes.")
        return InputSpec("image", images.shape)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the crops, and which image each is of."""
        large = crop(batch.data, draws.branch("large"), 2, batch.data.shape[-1], (0.6, 1.0))
        local = Inputs(crop(batch.data, draws.branch("small"), self.count, self.small, (0.25, 0.6)))
        return Inputs(large, groups={"local": local}), {"image": Target(batch.index[:, None].expand(-1, 2))}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the image as it is."""
        return Inputs(batch.data[:, None] / 255)


def crop(images: Tensor, draws: Draws, views: int, side: int, scale: tuple[float, float]) -> Tensor:
    """Return random square crops (B, V, C, S, S) of bytes (B, C, H, W), resized bilinearly, in [0, 1]."""
    size = draws.uniform("size", views, low=scale[0], high=scale[1])[..., None]
    shift = (1 - size) * draws.uniform("shift", views, 2, low=-1, high=1)
    line = torch.linspace(-1, 1, side, device=images.device) * (1 - 1 / side)
    square = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)  # (S, S, x and y)
    grid = size[..., None, None] * square + shift[:, :, None, None]
    repeated = (images / 255).repeat_interleave(views, 0)
    return grid_sample(repeated, grid.flatten(0, 1), align_corners=False).unflatten(0, (-1, views))
