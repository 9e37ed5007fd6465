"""Activation maps: pictures of what was shown, and where it speaks for a label (red) or against it (blue).

Axes: N samples, V views, C channels, H W image, h w positions.
"""

import torch
from jaxtyping import Float, Int, UInt8
from pretask import Figure
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.shared.pictures import CORRECT, WHITE, WRONG, encode_png, fit_images, frame, tile_rows, to_bytes

RED, BLUE = (214, 40, 40), (38, 84, 190)
STRENGTH = 0.75  # of a color where the evidence is largest; what is shown stays visible below


def draw_activations(
    shown: Float[Tensor, "N V C H W"],
    evidence: Float[Tensor, "N h w"],
    label: Int[Tensor, " N"],
    prediction: Int[Tensor, " N"],
    name: str,
) -> Figure:
    """Draw samples, one a column: the first and the last picture shown, and the evidence upon the first one.

    Args:
        shown: Views in [0, 1]; of several pictures joined as channels the first and the last one are drawn.
        evidence: For the label, by position; the largest of all samples has the full color.
        label: The correct class.
        prediction: The class that was predicted.
        name: Of the target, for the caption.
    """
    first, last = to_bytes(pick_channels(shown[:, 0], 0)), to_bytes(pick_channels(shown[:, -1], -1))
    painted = paint_evidence(first, evidence)
    rows = [fit_images(row.cpu()) for row in (first, last, painted)]
    columns = []
    for number in range(len(shown)):
        color = CORRECT if int(label[number]) == int(prediction[number]) else WRONG
        plain = [frame(row[number], WHITE) for row in rows[:2]]
        columns.append(torch.stack([*plain, frame(rows[2][number], color)]))
    caption = (
        f"From above: the first and the last picture shown of samples, and what of it speaks for their {name} (red) or "
        "against it (blue); in a green frame where the prediction is correct, in a red one where it is not."
    )
    return Figure(encode_png(tile_rows(torch.stack(columns, 1)).numpy()), caption)


def pick_channels(views: Float[Tensor, "N C H W"], which: int) -> Float[Tensor, "N c H W"]:
    """Return the first (0) or the last (-1) picture of those joined as channels: three of them, or else one."""
    channels = 3 if views.shape[1] % 3 == 0 else 1
    return views.reshape(len(views), -1, channels, *views.shape[2:])[:, which]


def paint_evidence(pictures: UInt8[Tensor, "N 3 H W"], evidence: Float[Tensor, "N h w"]) -> UInt8[Tensor, "N 3 H W"]:
    """Return gray pictures, red where evidence is above 0 and blue where it is below, the more the stronger it is."""
    smooth = F.interpolate(evidence[:, None].float(), pictures.shape[2:], mode="bilinear", align_corners=False)
    scaled = smooth / evidence.abs().max().clamp(min=1e-9)
    gray = pictures.float().mean(1, keepdim=True).expand(-1, 3, -1, -1)
    colors = torch.tensor([BLUE, RED], dtype=torch.float32, device=pictures.device)[:, :, None, None]
    color = torch.where(scaled > 0, colors[1], colors[0])
    return torch.lerp(gray, color, scaled.abs() * STRENGTH).round().clamp(0, 255).to(torch.uint8)
