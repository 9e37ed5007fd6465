"""Motion: signed differences of frames that follow one another, and dense flow by least squares in small windows.

Both are computed on the frames as they are shown, so that those of a reversed clip are computed anew: a flow from the
second frame to the first is not the negative of the flow from the first to the second where something is hidden.

Source: Lucas and Kanade 1981 (flow); Wei et al. 2018, section 4 (flow as input, computed anew on reversed frames).
Axes: B batch, F frames, E = F - 1 pairs of frames, C channels, H W image.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

DIFFERENCE_SCALE = 4.0  # a quarter of the way from black to white fills the range; noise of one level stays visible
MAX_FLOW = 4.0  # pixels from frame to frame that fill the range; the linearization holds for about as many
WINDOW = 7  # pixels, side of the square whose pixels share a motion
FLAT = 1e-3  # added to the squares of slopes of that square, so that flat pictures stand still


class Slopes(NamedTuple):
    """How brightness changes downwards, to the right, and to the next frame, without the outermost pixels."""

    down: Float[Tensor, "B E h w"]
    right: Float[Tensor, "B E h w"]
    change: Float[Tensor, "B E h w"]


def find_slopes(gray: Float[Tensor, "B F H W"]) -> Slopes:
    """Return the slopes half-way between every frame and the next one, per pixel and per frame."""
    between = (gray[:, 1:] + gray[:, :-1]) / 2
    down = (between[..., 2:, 1:-1] - between[..., :-2, 1:-1]) / 2
    right = (between[..., 1:-1, 2:] - between[..., 1:-1, :-2]) / 2
    return Slopes(down, right, (gray[:, 1:] - gray[:, :-1])[..., 1:-1, 1:-1])


def signed_differences(frames: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B E C H W"]:
    """Return each frame less the one shown before it, in [0, 1] about the middle.

    >>> signed_differences(torch.tensor([0.5, 0.6, 0.6]).view(1, 3, 1, 1, 1)).flatten().tolist()
    [0.7000000476837158, 0.5]
    """
    return (frames.diff(dim=1) * (DIFFERENCE_SCALE / 2) + 0.5).clamp(0, 1)


def flow_fields(frames: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B E 2 H W"]:
    """Return the motion from every frame to the next (down, right), in [0, 1] about the middle for standing still."""
    return (estimate_flow(frames.mean(2)) / (2 * MAX_FLOW) + 0.5).clamp(0, 1)


def estimate_flow(gray: Float[Tensor, "B F H W"]) -> Float[Tensor, "B E 2 H W"]:
    """Return by how many pixels (down, right) what is around each pixel moves to the next frame, by least squares.

    Source: Lucas and Kanade 1981: the slopes of a window around the pixel say how brightness would change with a
    motion, and the motion is the one that explains the change best.
    """
    slopes = find_slopes(gray)
    down, right, change = slopes
    products = torch.stack([down * down, right * right, down * right, down * change, right * change], 2)
    padded = F.pad(products.flatten(0, 1), (WINDOW // 2 + 1,) * 4)
    of_down, of_right, of_both, down_change, right_change = F.avg_pool2d(padded, WINDOW, 1).unbind(1)
    of_down, of_right = of_down + FLAT / WINDOW**2, of_right + FLAT / WINDOW**2
    determinant = of_down * of_right - of_both.square()
    moved_down = of_both * right_change - of_right * down_change
    moved_right = of_both * down_change - of_down * right_change
    flow = torch.stack([moved_down, moved_right], 1) / determinant[:, None]
    return flow.view(gray.shape[0], -1, *flow.shape[1:])
