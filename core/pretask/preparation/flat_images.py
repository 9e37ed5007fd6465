"""Flat images: pictures of any mode upright, with 8 bits a channel, and what is transparent put on white.

Axes: H W image.
"""

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

WHITE = 255
DEEP_FORMATS = ("PPM", "PNG")  # whose 16 bits Pillow gives as 32
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")  # modes with a channel of opacity


def flatten_image(image: Image.Image, upright: bool = True) -> Image.Image:
    """Return an image upright, with 8 bits a channel, without transparency.

    Args:
        image: Of any mode.
        upright: Whether to turn it as its file says.

    Raises:
        ValueError: The image has 32 bits a channel or signed levels, of which nobody knows what is white.
    """
    key = image.info.get("transparency")
    image = halve_depth(image)
    if upright:
        image = ImageOps.exif_transpose(image)
    if image.mode in TRANSPARENT or (key is not None and image.mode in ("1", "L", "P", "RGB")):
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (WHITE,) * 4), image).convert("RGB")
    return image


def halve_depth(image: Image.Image) -> Image.Image:
    """Return an image of 16 bits scaled to 8, where Pillow would clip all above 255; other images as they are."""
    if image.mode == "F" or (image.mode == "I" and image.format not in DEEP_FORMATS):
        raise ValueError("32 bits a channel or signed levels, of which nobody knows what is white")
    if not image.mode.startswith("I"):
        return image
    levels = np.asarray(image)
    small = scale_levels(levels)
    key = image.info.get("transparency")
    if isinstance(key, int):
        small[levels == key] = WHITE
    flat = Image.fromarray(small)
    if "exif" in image.info or image.getexif():
        flat.info["exif"] = image.getexif().tobytes()
    return flat


def scale_levels(levels: np.ndarray) -> UInt8[np.ndarray, "H W"]:
    """Scale 16 bits to 8, so that white stays white.

    >>> scale_levels(np.array([[0, 65535]], np.uint16)).tolist()
    [[0, 255]]
    """
    return (levels.astype(np.int64) // 257).astype(np.uint8)


def read_rgb(image: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    """Return the colors of an image, upright, 8 bits a channel, what is transparent on white."""
    return np.asarray(flatten_image(image).convert("RGB"))
