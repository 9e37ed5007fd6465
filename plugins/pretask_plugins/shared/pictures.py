"""Pictures: pixels as the bytes of a PNG file.

Axes: H W image.
"""

import io
from typing import Any

import numpy as np
from PIL import Image


def encode_png(pixels: "np.ndarray[Any, np.dtype[np.uint8]]") -> bytes:
    """Encode gray (H, W) or color (H, W, 3) pixels from 0 to 255 as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
