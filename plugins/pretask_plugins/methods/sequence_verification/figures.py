"""Figure of sequence verification: tuples as they are shown, and whether each was taken for one in order.

Axes: N clips, V views (three frames), C channels, H W image.
"""

import torch
from jaxtyping import Float, Int
from pretask import Figure
from torch import Tensor

from pretask_plugins.shared.pictures import CORRECT, WHITE, WRONG, encode_png, fit_images, frame, tile_rows, to_bytes

CLIPS = 6


def draw_tuples(
    frames: Float[Tensor, "N V C H W"], label: Int[Tensor, " N"], prediction: Int[Tensor, " N"] | None
) -> Figure:
    """Draw some tuples, one a row; the middle frame of one that is out of order has a mark in its corner.

    Args:
        frames: As they are shown.
        label: 1 where they are in order.
        prediction: What they are taken for; None where the objective predicts no classes.
    """
    rows = []
    for number in range(min(CLIPS, len(frames))):
        color = WHITE
        if prediction is not None:
            color = CORRECT if int(prediction[number]) == int(label[number]) else WRONG
        shown = fit_images(to_bytes(frames[number].cpu()))
        if int(label[number]) == 0:
            side = max(3, shown.shape[2] // 8)
            shown[1, :, :side, :side] = torch.tensor(WRONG, dtype=torch.uint8)[:, None, None]
        rows.append(torch.stack([frame(picture, color) for picture in shown]))
    caption = "Tuples as they are shown; where the middle frame is a wrong one, its corner is red."
    if prediction is not None:
        caption += " Green frames: taken for what they are; red frames: for the other."
    return Figure(encode_png(tile_rows(torch.stack(rows)).numpy()), caption)
