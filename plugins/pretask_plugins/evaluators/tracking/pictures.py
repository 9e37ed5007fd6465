"""Pictures: frames of clips with the masks that were carried there painted over them.

Axes: T frames, C channels, H W image.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int, UInt8
from pretask import Figure
from torch import Tensor

from pretask_plugins.shared.pictures import encode_png

ROWS, COLUMNS = 4, 6  # clips, and frames of each
OBJECT_COLORS = ((0, 0, 0), (230, 60, 60), (60, 140, 230), (70, 200, 90), (240, 180, 40), (180, 80, 200))
TINT = 0.55  # of the color in the tinted pixel


def draw_tracks(clips: Sequence[tuple[UInt8[Tensor, "T C H W"], Int[Tensor, "T H W"]]]) -> Figure:
    """Draw some frames of some clips, from the given mask at the left to the end at the right."""
    rows = [draw_row(frames, masks) for frames, masks in clips[:ROWS]]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 2), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return Figure(
        encode_png(np.concatenate(padded)), "The first mask of each clip (left) as the encoder's features carry it on."
    )


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
