"""Turn every image by 0, 90, 180 or 270 degrees, and ask by which.

Source: Gidaris, Singh and Komodakis, ICLR 2018, section 3. Differs: see the package's header.
Axes: B batch, C channels, H W image.
"""

import torch
from pretask import Batch, Categories, Draws, Incompatible, Inputs, InputSpec, Observed, Target, Targets, TargetSpecs


class Rotate:
    """Four classes, one for every quarter turn."""

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """An image, and one of four turns."""
        return self.whole_spec(images), {"turn": Categories(4)}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        """The image as it is."""
        if images.modality != "image" or images.shape[-1] != images.shape[-2]:
            got = f"{images.modality} of shape {images.shape}"
            raise Incompatible("rotation", "images that are as high as wide", got, "Use square images.")
        return InputSpec("image", images.shape)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """The image turned, and how far."""
        turn = draws.integers("turn", 0, 4)
        every = torch.stack([batch.data.rot90(times, (2, 3)) for times in range(4)], 1)
        turned = every[torch.arange(len(batch), device=batch.device), turn]
        return Inputs(turned[:, None] / 255), {"turn": Target(turn)}

    def whole(self, batch: Batch, /) -> Inputs:
        """The image as it is."""
        return Inputs(batch.data[:, None] / 255)
