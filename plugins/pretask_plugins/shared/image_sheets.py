"""Image sheets: what is decoded of images, in rows, as a picture.

Axes: N images, C channels, H W image, h w places, K numbers of a place.
"""

import torch
from jaxtyping import Float
from pretask import Categories, Figure, Observed, Task
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.shared.pictures import encode_png

MIN_SIDE_PIXELS = 40  # smaller images are enlarged to about this
GAP_PIXELS = 2  # between images
GAP_LEVEL = 64  # gray


def find_image_target(task: Task) -> str | None:
    """Find the first target that is an image of t's size, cut into squares or not; None where there is none."""
    if task.observed.modality != "image":
        return None
    for name, spec in task.objective.targets.items():
        channels = getattr(spec, "channels", 0)
        whole = len(spec.grid) == 2 and channels * spec.grid[0] * spec.grid[1] == count_pixels(task.observed)
        if whole and not isinstance(spec, Categories) and spec.views is None and task.observed.shape[0] in (1, 3):
            return str(name)
    return None


def count_pixels(observed: Observed) -> int:
    """Count the numbers that an image has."""
    channels, height, width = observed.shape
    return channels * height * width


def as_images(values: Float[Tensor, "N h w K"], observed: Observed) -> Float[Tensor, "N C H W"]:
    """Return values at places, or the contents of squares at their places, as images."""
    return F.pixel_shuffle(values.movedim(-1, 1), observed.shape[-1] // values.shape[2])


def draw_sheet(images: Float[Tensor, "N C H W"], columns: int, caption: str) -> Figure:
    """Draw images in rows of so many, as a PNG."""
    levels = (images.clamp(0, 1) * 255 + 0.5).byte().cpu()
    factor = max(MIN_SIDE_PIXELS // levels.shape[-1], 1)
    levels = levels.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
    levels = F.pad(levels, (0, GAP_PIXELS, 0, GAP_PIXELS), value=GAP_LEVEL)
    rows = [torch.cat(list(row), 2) for row in torch.split(levels, columns)]
    rows[-1] = F.pad(rows[-1], (0, rows[0].shape[2] - rows[-1].shape[2]), value=GAP_LEVEL)
    sheet = torch.cat(rows, 1).movedim(0, -1).numpy()
    return Figure(encode_png(sheet[..., 0] if sheet.shape[2] == 1 else sheet), caption)
