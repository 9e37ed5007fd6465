"""Figure of relative position: each pair of patches as the network puts it together.

Axes: N samples, C channels, P patch side, S side of a sheet of three by three places.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, UInt8
from pretask import Figure
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.shared.pictures import BORDER, CORRECT, WHITE, WRONG, encode_png, frame, to_bytes

SAMPLES_IN_ROW = 4
GAP = 6  # pixels between sheets
PATCH_PIXELS = 32  # smaller patches are enlarged to about this
GRAY = (170, 170, 170)


def draw_pairs(
    patches: Float[Tensor, "N 2 C P P"], label: Int[Tensor, " N"], predicted: Int[Tensor, " N"] | None
) -> Figure:
    """Draw every center patch with its neighbor at the predicted place, in a frame that says whether that is right.

    Args:
        patches: Center and neighbor.
        label: Where the neighbor was, an index in reading order around the center.
        predicted: Where the network puts it; None where it predicts no place, and all are shown where they were.
    """
    times = max(1, PATCH_PIXELS // patches.shape[-1])
    images = to_bytes(patches.flatten(0, 1)).repeat_interleave(times, 2).repeat_interleave(times, 3)
    places = [
        draw_sheet(*pair)
        for pair in zip(images.view(-1, 2, *images.shape[1:]), *places_of(label, predicted), strict=True)
    ]
    rows = [places[start : start + SAMPLES_IN_ROW] for start in range(0, len(places), SAMPLES_IN_ROW)]
    full = [row for row in rows if len(row) == len(rows[0])]
    sheet = torch.cat([torch.cat(row, 2) for row in full], 1)
    caption = "Center patches, each with its neighbor where it was."
    if predicted is not None:
        right = int((predicted == label).sum())
        caption = (
            "Center patches, each with its neighbor where the network puts it: green where that is right, "
            f"red where not, and the right place is empty in gray ({right} of {len(label)} right)."
        )
    return Figure(encode_png(sheet.movedim(0, 2).cpu().numpy()), caption)


def places_of(label: Int[Tensor, " N"], predicted: Int[Tensor, " N"] | None) -> tuple[Sequence[int], Sequence[int]]:
    """Return the true and the predicted place of every neighbor, counted from 0 to 8 with the center as 4."""
    shown = label if predicted is None else predicted
    true, guessed = ((places + (places >= 4).long()).tolist() for places in (label, shown))
    return true, guessed


def draw_sheet(pair: UInt8[Tensor, "2 3 P P"], true: int, predicted: int) -> UInt8[Tensor, "3 S S"]:
    """Draw one center and its neighbor on a sheet of three by three places."""
    side = pair.shape[-1] + 2 * BORDER
    sheet = torch.tensor(WHITE, dtype=torch.uint8)[:, None, None].repeat(1, 3 * side, 3 * side)
    blank = torch.full_like(pair[0], 255)
    contents = {true: (blank, GRAY), predicted: (pair[1], CORRECT if predicted == true else WRONG), 4: (pair[0], WHITE)}
    for place, (content, color) in contents.items():
        row, column = (side * step for step in divmod(place, 3))
        sheet[:, row : row + side, column : column + side] = frame(content.cpu(), color)
    return F.pad(sheet, (0, GAP, 0, GAP), value=255)
