"""Figure of masked speech: spectrograms as they were, as they were shown, and with the predicted frames.

Axes: N recordings, T frames, M mel bands, H W image.
"""

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from pretask import Figure
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.shared.pictures import encode_png

if TYPE_CHECKING:
    from pretask_plugins.methods.masked_speech.split import MaskedSpans

RECORDINGS = 3
GAP = 4  # pixels
MIN_HEIGHT = 80  # pixels of a spectrogram
LOWEST, HIGHEST = -2.0, 3.0  # standard deviations that the colors cover
COLORS = ((0, 0, 4), (59, 15, 112), (140, 41, 129), (222, 73, 104), (254, 159, 109), (252, 253, 191))  # quiet to loud


def draw_spectrograms(spans: "MaskedSpans", predicted: Float[Tensor, "N T M"] | None) -> Figure:
    """Draw some recordings, one a column: as they were, as they were shown, and with what is predicted where hidden.

    Args:
        spans: The frames and what of them is hidden.
        predicted: Frames that the network predicts; None where it predicts none.
    """
    hidden = spans.weight[..., None] > 0
    rows = [spans.mel, torch.where(hidden, LOWEST, spans.shown)]
    caption = "From above: spectrograms of recordings, low tones below, and what was left of them"
    if predicted is not None:
        rows.append(torch.where(hidden, predicted, spans.mel))
        caption += ", and with the predicted frames in the gaps"
    tiles = [torch.cat([paint(frames) for frames in row[:RECORDINGS]], 2) for row in rows]
    return Figure(encode_png(torch.cat(tiles, 1).movedim(0, 2).cpu().numpy()), f"{caption}.")


def paint(frames: Float[Tensor, "T M"]) -> UInt8[Tensor, "3 H W"]:
    """Paint frames as an image with time from left to right, followed by a white gap."""
    place = (frames.float().nan_to_num() - LOWEST) / (HIGHEST - LOWEST) * (len(COLORS) - 1)
    place = place.clamp(0, len(COLORS) - 1).flip(1).T.cpu()
    lower = place.floor().clamp(max=len(COLORS) - 2).long()
    colors = torch.tensor(COLORS, dtype=torch.float32)
    image = torch.lerp(colors[lower], colors[lower + 1], (place - lower)[..., None]).round().byte().movedim(2, 0)
    times = -(-MIN_HEIGHT // image.shape[1])
    return F.pad(image.repeat_interleave(times, 1).repeat_interleave(times, 2), (0, GAP, 0, GAP), value=255)
