"""Figure of exemplar: a few classes, each an image's seed and transformed copies of it.

Axes: N classes, R copies of a seed, C channels, P patch side, F side of a framed patch.
"""

import torch
from jaxtyping import Bool, Float, UInt8
from pretask import Figure
from torch import Tensor

from pretask_plugins.shared.pictures import CORRECT, MIN_SIDE, WHITE, WRONG, encode_png, frame, tile_rows, to_bytes


def draw_classes(
    seeds: Float[Tensor, "N C P P"], copies: Float[Tensor, "N R C P P"], right: Bool[Tensor, "N R"] | None
) -> Figure:
    """Draw every seed with its copies beside it, each in a frame that says whether its class is predicted.

    Args:
        seeds: As they are in the images.
        copies: Transformed.
        right: Whether the most likely class of a copy is its own; None where no class is predicted.
    """
    rows = torch.cat([seeds[:, None], copies], 1)
    times = -(-MIN_SIDE // rows.shape[-1])
    patches = to_bytes(rows.flatten(0, 1)).repeat_interleave(times, 2).repeat_interleave(times, 3).cpu()
    framed = [
        frame(patch, color)
        for patch, color in zip(patches, choose_colors(len(rows), rows.shape[1], right), strict=True)
    ]
    sheet: UInt8[Tensor, "N _ 3 F F"] = torch.stack(framed).view(*rows.shape[:2], *framed[0].shape)
    caption = "Classes from above: an image's seed as it is, then copies of it"
    if right is not None:
        caption += f", green where their class is predicted ({int(right.sum())} of {right.numel()}) and red where not"
    return Figure(encode_png(tile_rows(sheet).numpy()), f"{caption}.")


def choose_colors(classes: int, patches: int, right: Bool[Tensor, "N R"] | None) -> list[tuple[int, int, int]]:
    """Return the color of every frame, row by row; that of a seed is white."""
    if right is None:
        return [WHITE] * (classes * patches)
    return [color for row in right.tolist() for color in (WHITE, *(CORRECT if one else WRONG for one in row))]
