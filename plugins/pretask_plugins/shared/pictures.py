"""Pictures: images as the bytes of a PNG file, as `pretask.Figure` holds them."""

from io import BytesIO
from typing import Any

import numpy as np


def encode_png(image: np.ndarray[Any, np.dtype[np.uint8]]) -> bytes:
    """Return an image (H, W, 3) of sRGB bytes, or a gray one (H, W), as the bytes of a PNG file."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
