"""Pictures: images as the bytes of a PNG file, as `pretask.Figure` holds them.

Axes: N images, C channels, H W image, R rows of a picture, B images in a row.
"""

from io import BytesIO
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional as F

MIN_SIDE, MAX_SIDE = 48, 80  # pixels of an image in a picture
BORDER = 2  # pixels of a frame
WHITE, CORRECT, WRONG = (255, 255, 255), (40, 160, 70), (205, 55, 55)  # of frames: unmarked, and by prediction
PALETTE = 128  # colors of an animation


def encode_png(image: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """Return an image (H, W, 3) of sRGB bytes, or a gray one (H, W), as the bytes of a PNG file."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def encode_animation(frames: UInt8[np.ndarray[Any, Any], "F H W 3"], milliseconds: int) -> bytes:
    """Return frames of sRGB bytes as the bytes of an animated PNG file that begins again at its end.

    What knows no animation shows the first frame. Colors are reduced to those of one palette, which is that of the
    frames together, so that still parts stay still.

    Args:
        frames: In order.
        milliseconds: That each is shown.
    """
    from PIL import Image

    count, height, width = frames.shape[:3]
    sheet = Image.fromarray(frames.reshape(count * height, width, 3)).quantize(PALETTE, dither=Image.Dither.NONE)
    pages = [sheet.crop((0, number * height, width, (number + 1) * height)) for number in range(count)]
    file = BytesIO()
    pages[0].save(file, "PNG", save_all=True, append_images=pages[1:], duration=milliseconds, loop=0)
    return file.getvalue()


def to_bytes(images: Float[Tensor, "N C H W"]) -> UInt8[Tensor, "N 3 H W"]:
    """Return images in [0, 1] as bytes; what is outside is cut off, and the first channel alone is gray.

    >>> to_bytes(torch.tensor([-1.0, 0.5, 2.0]).view(1, 1, 1, 3)).flatten().tolist()
    [0, 128, 255, 0, 128, 255, 0, 128, 255]
    """
    colors = images if images.shape[1] == 3 else images[:, :1].expand(-1, 3, -1, -1)
    return (colors.float().nan_to_num() * 255).round().clamp(0, 255).to(torch.uint8)


def fit_images(images: UInt8[Tensor, "N C H W"], max_side: int = MAX_SIDE) -> UInt8[Tensor, "N C h w"]:
    """Return images with sides that can be looked at: small ones of larger squares, large ones averaged over areas."""
    side = max(images.shape[-2:])
    if side > max_side:
        height, width = (max(1, length * max_side // side) for length in images.shape[-2:])
        return F.interpolate(images.float(), (height, width), mode="area").round().to(torch.uint8)
    times = -(-MIN_SIDE // side)
    return images.repeat_interleave(times, 2).repeat_interleave(times, 3)


def tile_rows(rows: UInt8[Tensor, "R B 3 H W"]) -> UInt8[Tensor, "RH BW 3"]:
    """Return rows of images as one image."""
    height, width = rows.shape[0] * rows.shape[3], rows.shape[1] * rows.shape[4]
    return rows.permute(0, 3, 1, 4, 2).reshape(height, width, 3)


def frame(image: UInt8[Tensor, "3 H W"], color: tuple[int, int, int]) -> UInt8[Tensor, "3 h w"]:
    """Return an image in a frame of a color."""
    height, width = (side + 2 * BORDER for side in image.shape[1:])
    framed = torch.tensor(color, dtype=torch.uint8)[:, None, None].repeat(1, height, width)
    framed[:, BORDER:-BORDER, BORDER:-BORDER] = image
    return framed
