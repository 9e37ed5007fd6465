"""Pointing without learning: at the same place of the newest reference, and at cells of the same pixels.

A pointer gives every cell of a reference a probability, softmax over <vector of the last frame, vector of the
reference> (equation 1). Here the vectors are chosen such that the product falls with a squared distance.

Source: Vondrick et al., ECCV 2018, section 3.
Axes: B batch, V views (references, then the frame to be colored), H W image, h w cells, D coordinates, E = D + 1.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

# Of distances in cells: the next cell, at distance 1, gets e^-20 of what the same place gets, so that this is a copy.
PLACE_SHARPNESS = 20.0
# Of the mean squared difference in lightness, 0 to 1: cells that differ by 0.1, as one shade from the next, get e^-10.
GRAY_SHARPNESS = 1000.0


def pointing_vectors(coordinates: Float[Tensor, "B V h w D"], sharpness: float) -> Float[Tensor, "B V h w E"]:
    """Return vectors whose products are -sharpness times the squared distance of coordinates.

    -s |x - y|² = <(x, 1), s (2y, -|y|²)> - s |x|², where x is of the last view and y of a reference; the last term is
    the same for all y, so that a softmax over them does not see it.
    """
    ones = torch.ones_like(coordinates[..., :1])
    queries = torch.cat([coordinates, ones], -1)
    keys = sharpness * torch.cat([2 * coordinates, -coordinates.square().sum(-1, keepdim=True)], -1)
    return torch.cat([keys[:, :-1], queries[:, -1:]], 1)


def point_at_same_place(label: Int[Tensor, "B V h w"]) -> Float[Tensor, "B V h w E"]:
    """Return vectors that point at the same place of the newest reference."""
    batch, views, height, width = label.shape
    row, column = (torch.arange(side, device=label.device).float() for side in (height, width))
    view = (
        torch.arange(views, device=label.device).float().clamp(max=views - 2)
    )  # the last frame as the newest reference
    coordinates = torch.stack(torch.meshgrid(view, row, column, indexing="ij"), -1)
    return pointing_vectors(coordinates.expand(batch, -1, -1, -1, -1), PLACE_SHARPNESS)


def point_at_same_gray(frames: Float[Tensor, "B V 1 H W"], cell: int) -> Float[Tensor, "B V h w E"]:
    """Return vectors that point at cells of the same pixels."""
    views = frames.shape[1]
    pixels = F.unfold(frames.flatten(0, 1), cell, stride=cell)  # (B V, pixels of a cell, cells)
    grid = (frames.shape[3] // cell, frames.shape[4] // cell)
    # Divided by the root of the number of pixels, so that a squared distance is a mean over them.
    coordinates = pixels.transpose(1, 2).reshape(-1, views, *grid, cell**2) / cell
    return pointing_vectors(coordinates, GRAY_SHARPNESS)
