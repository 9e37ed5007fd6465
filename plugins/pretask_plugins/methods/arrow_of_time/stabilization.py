"""Stabilization: take the motion of the camera out of a clip, whose direction is not that of the film.

From every frame to the next one affine map is fitted to the brightness of the whole picture, where what moves by itself
gets little weight; all frames are then drawn as the camera saw them in the middle of the clip. What some frame does not
show is gray in all of them, so that borders tell no order.

Source: Wei, Lim, Zisserman and Freeman, CVPR 2018, section 3 (stabilized clips; those that cannot be are dropped);
Lucas and Kanade 1981, and Baker and Matthews, IJCV 2004 (the fit). Differs: affine maps of brightness, where the paper
has homographies of matched points.
Axes: B batch, F frames, E = F - 1 pairs of frames, N pairs of all clips, C channels, H W image, K = 6 numbers of a map.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

SCALES = (4, 2, 1)  # pixels that are one, from coarse to fine: the coarsest finds motion of some eight pixels
MIN_SIDE = 8  # pixels of a coarse picture, below which a scale is left out
STEPS = 5  # of Gauss and Newton, at each scale
FLAT = 1e-4  # added to the mean squares of slopes, so that flat pictures stand still
MIN_RESIDUAL = 2e-3  # of brightness, half a level: less is noise, and no reason to lower a weight
GRAY = 0.5  # what some frame does not show


def stabilize(frames: Float[Tensor, "B F C H W"]) -> tuple[Float[Tensor, "B F C H W"], Float[Tensor, " B"]]:
    """Return frames as from one standpoint, and the fraction of the picture that all of them show.

    Args:
        frames: In [0, 1].
    """
    count, length = frames.shape[:2]
    gray = frames.mean(2)
    steps = fit_maps(gray[:, :-1].flatten(0, 1), gray[:, 1:].flatten(0, 1))
    maps = chain_maps(steps.view(count, length - 1, 3, 3))
    grid = make_grid(maps.flatten(0, 1), frames.shape[-2], frames.shape[-1])
    drawn = F.grid_sample(frames.flatten(0, 1), grid, padding_mode="border", align_corners=False).view_as(frames)
    shown = is_inside(grid).view(count, length, *frames.shape[-2:]).amin(1)  # (B, H, W)
    return torch.lerp(torch.full_like(drawn, GRAY), drawn, shown[:, None, None]), shown.mean((1, 2))


def fit_maps(before: Float[Tensor, "N H W"], after: Float[Tensor, "N H W"]) -> Float[Tensor, "N 3 3"]:
    """Return the affine maps from places in a picture to those in the next, in [-1, 1] (right, down)."""
    maps = torch.eye(3, device=before.device).expand(len(before), 3, 3)
    for scale in SCALES:
        if scale > 1 and min(before.shape[1:]) < MIN_SIDE * scale:
            continue
        coarse = [F.avg_pool2d(picture[:, None], scale) for picture in (before, after)]
        for _ in range(STEPS):
            maps = maps @ refine(coarse[0][:, 0], coarse[1], maps)
    return maps


def refine(
    before: Float[Tensor, "N H W"], after: Float[Tensor, "N 1 H W"], maps: Float[Tensor, "N 3 3"]
) -> Float[Tensor, "N 3 3"]:
    """Return the map to apply before the given ones: one step of Gauss and Newton, by weighted least squares.

    Weights are those of Geman and McClure: (s / (s + r^2))^2 for a residual r, with s their mean square.
    """
    height, width = before.shape[1:]
    grid = make_grid(maps, height, width)
    warped = F.grid_sample(after, grid, padding_mode="border", align_corners=False)[:, 0]
    between = (warped + before) / 2
    right = (between[:, 1:-1, 2:] - between[:, 1:-1, :-2]) * (width / 4)  # of half the picture's width
    down = (between[:, 2:, 1:-1] - between[:, :-2, 1:-1]) * (height / 4)
    residual = (warped - before)[:, 1:-1, 1:-1]
    inside = is_inside(grid)[:, 1:-1, 1:-1]
    size = (residual.square() * inside).sum((1, 2), keepdim=True) / inside.sum((1, 2), keepdim=True).clamp(min=1)
    size = size.clamp(min=MIN_RESIDUAL**2)
    weight = (size / (size + residual.square())).square() * inside
    x, y = place_lines(height, width, before.device)
    slopes = torch.stack([right, right * x, right * y, down, down * x, down * y], 1).flatten(2)  # (N, K, pixels)
    weighted = slopes * weight.flatten(1)[:, None] / slopes.shape[2]
    squares = weighted @ slopes.transpose(1, 2) + FLAT * torch.eye(6, device=before.device)
    numbers = -torch.linalg.solve(squares, (weighted @ residual.flatten(1)[..., None]))[..., 0]
    constant, across, along = numbers.view(-1, 2, 3).unbind(2)
    affine = torch.cat([torch.stack([across, along], 2), constant[..., None]], 2)  # (N, 2, 3)
    return torch.eye(3, device=before.device) + F.pad(affine, (0, 0, 0, 1))


def chain_maps(steps: Float[Tensor, "B E 3 3"]) -> Float[Tensor, "B F 3 3"]:
    """Return the maps from places in the middle of a clip to those in every frame.

    The middle of an even number of frames lies half-way between two of them. So a clip that is played backwards has
    the same one.
    """
    pairs = steps.unbind(1)
    middle = len(pairs) // 2
    start = torch.eye(3, device=steps.device).expand_as(steps[:, 0])
    if len(pairs) % 2:  # an even number of frames: half a step from the middle to the frame after it
        later = [(start + pairs[middle]) / 2]
        earlier = [torch.linalg.solve(pairs[middle], later[0])]
    else:
        earlier, later = [start], []
    for pair in pairs[middle + len(later) :]:
        later.append(pair @ (later or earlier)[-1])
    for pair in reversed(pairs[:middle]):
        earlier.append(torch.linalg.solve(pair, earlier[-1]))
    return torch.stack([*reversed(earlier), *later], 1)


def make_grid(maps: Float[Tensor, "N 3 3"], height: int, width: int) -> Float[Tensor, "N H W 2"]:
    """Return the places (right, down) in [-1, 1] to which the centers of pixels are mapped."""
    return F.affine_grid(maps[:, :2], [len(maps), 1, height, width], align_corners=False)


def is_inside(grid: Float[Tensor, "N H W 2"]) -> Float[Tensor, "N H W"]:
    """Return 1 for places in the picture, 0 for others; those half a pixel beside it are in it."""
    height, width = grid.shape[1:3]
    return ((grid[..., 0].abs() <= 1 + 1 / width) & (grid[..., 1].abs() <= 1 + 1 / height)).float()


def place_lines(height: int, width: int, device: torch.device) -> tuple[Float[Tensor, " w"], Float[Tensor, "h 1"]]:
    """Return the places in [-1, 1] of the centers of columns and of lines, without the outermost."""
    columns, lines = (
        (torch.arange(1, side - 1, device=device, dtype=torch.float32) * 2 + 1) / side - 1 for side in (width, height)
    )
    return columns, lines[:, None]
