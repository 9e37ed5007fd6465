"""Rotation as a plugin file: turn every image by 0, 90, 180 or 270 degrees, and ask by which.

    pretask run --plugin benchmarks/ablations/rotation.py --split rotation --objective cross-entropy --model convnet \
        --data shapes

Source: Gidaris, Singh and Komodakis, ICLR 2018, section 3.
Differs: one turn of every image a step, where the paper shows all four of each at once.
Axes: B batch, C channels, H W image.
"""

import pretask
import torch
from pretask import Batch, Categories, Draws, Inputs, InputSpec, Observed, Target, Targets, TargetSpecs


class Rotate:
    """Four classes, one for every quarter turn."""

    def spec(self, images: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return an image, and one of four turns."""
        return self.whole_spec(images), {"turn": Categories(4)}

    def whole_spec(self, images: Observed, /) -> InputSpec:
        """Return the image as it is."""
        return InputSpec("image", images.shape)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the image turned, and how far."""
        turn = draws.integers("turn", 0, 4)
        every = torch.stack([batch.data.rot90(times, (2, 3)) for times in range(4)], 1)
        turned = every[torch.arange(len(batch), device=batch.device), turn]
        return Inputs(turned[:, None] / 255), {"turn": Target(turn)}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the image as it is."""
        return Inputs(batch.data[:, None] / 255)


components = [pretask.split("rotation", Rotate, modality="image", targets={"categories"})]
