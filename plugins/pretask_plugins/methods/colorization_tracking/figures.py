"""Figure of tracking by colorization: the frames whose colors are given, and the colors that are copied from them.

Axes: N clips, V views (references, then the frame to be colored), H W image, h w cells, K colors.
"""

import torch
from jaxtyping import Float, Int, UInt8
from pretask import Figure
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.shared.colors import lab_to_bytes
from pretask_plugins.shared.pictures import encode_png, fit_images, tile_rows

CLIPS = 4
GAP = 3  # pixels


def draw_copied(
    gray: Float[Tensor, "N V 1 H W"],
    label: Int[Tensor, "N V h w"],
    copied: Float[Tensor, "N h w K"],
    centers: Float[Tensor, "K 2"],
) -> Figure:
    """Draw some clips, one a row: the references in color, the last frame gray, with copied colors, and with its own.

    Args:
        gray: Frames as they are shown, L of Lab in [0, 1].
        label: The color of every cell.
        copied: Probability of every color in the last frame, by what is pointed at.
        centers: The colors, (a, b) of Lab.
    """
    rows = []
    for frames, own, probability in zip(gray[:CLIPS].cpu(), label[:CLIPS].cpu(), copied[:CLIPS].cpu(), strict=True):
        colors = centers.cpu()[own]  # (V, h, w, 2)
        last = [torch.zeros_like(colors[-1]), probability.float() @ centers.cpu(), colors[-1]]
        shown = torch.cat([frames, frames[-1:].expand(2, -1, -1, -1)])  # the last one three times
        rows.append(fit_images(paint(shown, torch.stack([*colors[:-1], *last]))))
    padded = F.pad(torch.stack(rows), (0, GAP, 0, GAP), value=255)
    caption = "Frames whose colors are given; then a later frame as it is shown, with colors copied, and with its own."
    return Figure(encode_png(tile_rows(padded).numpy()), caption)


def paint(gray: Float[Tensor, "F 1 H W"], colors: Float[Tensor, "F h w 2"]) -> UInt8[Tensor, "F 3 H W"]:
    """Return frames in the colors of their cells."""
    ab = F.interpolate(colors.movedim(3, 1), gray.shape[2:], mode="nearest")
    return lab_to_bytes(torch.cat([100 * gray, ab], 1))
