"""Pictures: frames of clips with the masks that were carried there painted over them, beside one another or moving.

Axes: T frames, C channels, H W image.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int, UInt8
from pretask import Figure
from torch import Tensor

from pretask_plugins.shared.pictures import encode_animation, encode_png, fit_images

ROWS, COLUMNS = 4, 6  # clips, and frames of each
OBJECT_COLORS = ((0, 0, 0), (230, 60, 60), (60, 140, 230), (70, 200, 90), (240, 180, 40), (180, 80, 200))
MOVING, MOVING_FRAMES, MOVING_SIDE = 2, 16, 160  # clips, frames of each, and pixels of the longer side, of an animation
MILLISECONDS = 150  # that a frame of an animation is shown
TINT = 0.55  # of the color in the tinted pixel
Clip = tuple[UInt8[Tensor, "T C H W"], Int[Tensor, "T H W"]]  # frames, and the labels that were carried there


def draw_tracks(clips: Sequence[Clip], what: str) -> Figure:
    """Draw some frames of some clips, from the given mask at the left to the end at the right."""
    rows = [draw_row(frames, masks) for frames, masks in clips[:ROWS]]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 2), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    caption = f"{what} of each clip (left) as the encoder's features carry it on."
    return Figure(encode_png(np.concatenate(padded)), caption)


def draw_moving(clips: Sequence[Clip], what: str) -> Figure:
    """Draw frames of some clips one after the other, as an animation; the shorter clips wait for the longest."""
    columns = []
    for frames, masks in clips[:MOVING]:
        chosen = torch.linspace(0, len(frames) - 1, min(MOVING_FRAMES, len(frames))).round().long().tolist()
        painted = torch.stack([torch.from_numpy(overlay(frames[number], masks[number])) for number in chosen])
        shown = fit_images(painted.movedim(3, 1), MOVING_SIDE).movedim(1, 3).numpy()
        columns.append(np.pad(shown, ((0, MOVING_FRAMES - len(shown)), (0, 2), (0, 2), (0, 0)), mode="edge"))
    height = max(column.shape[1] for column in columns)
    even = [np.pad(column, ((0, 0), (0, height - column.shape[1]), (0, 0), (0, 0))) for column in columns]
    moving = encode_animation(np.concatenate(even, 2), MILLISECONDS)
    return Figure(moving, f"{what} of a clip as the encoder's features carry it on, frame by frame.")


def draw_row(frames: UInt8[Tensor, "T C H W"], masks: Int[Tensor, "T H W"]) -> UInt8[np.ndarray, "H row 3"]:
    """Draw frames beside one another, evenly spread over a clip."""
    chosen = torch.linspace(0, len(frames) - 1, min(COLUMNS, len(frames))).round().long()
    painted = [overlay(frames[number], masks[number]) for number in chosen.tolist()]
    return np.concatenate([np.pad(frame, ((0, 0), (0, 2), (0, 0)), constant_values=255) for frame in painted], 1)


def overlay(frame: UInt8[Tensor, "C H W"], mask: Int[Tensor, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Tint the objects of a frame."""
    picture = frame.expand(3, -1, -1).float().movedim(0, 2)
    color = torch.tensor(OBJECT_COLORS, dtype=torch.float32)[mask.clamp(min=0) % len(OBJECT_COLORS)]
    tinted = torch.where((mask > 0)[..., None], torch.lerp(picture, color, TINT), picture)
    return tinted.round().byte().numpy()
