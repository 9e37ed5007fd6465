"""Images: photographs of any size and mode as the images that an encoder was trained on.

Axes: B images, C channels, H W image.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps
from torch import Tensor

from pretask.preparation.arrays import as_tensor
from pretask.preparation.flat_images import flatten_image
from pretask.preparation.refusal import refuse
from pretask.specs import Observed

CHANNELS = (1, 2, 3, 4)  # gray, gray with opacity, colors, colors with opacity
COLOR_MODES = {1: "L", 3: "RGB"}  # Pillow's mode by the channels of an image


def prepare_images(images: Any, observed: Observed) -> UInt8[Tensor, "B C H W"]:
    """Return images upright, on white, scaled so that they cover the wanted size, the middle cut out.

    Args:
        images: Pillow images, or uint8 arrays or tensors: one, a batch, or a list with images of any size and mode.
            Channels are last or first, whichever axis has 1 to 4 of them.
        observed: What the encoder was trained on.

    Raises:
        PretaskError: There is none, something is no image, or the encoder's images have other channels than colors.
    """
    if is_ready(images, observed.shape):
        return as_tensor(images)
    prepared = [prepare_image(image, observed) for image in list_images(images)]
    if not prepared:
        raise refuse("at least one image", "none", "Give one or more.")
    return torch.stack(prepared)


def is_ready(images: Any, shape: tuple[int, ...]) -> bool:
    """Return whether this is a batch of bytes of that shape already."""
    if not isinstance(images, Tensor | np.ndarray) or images.ndim != len(shape) + 1:
        return False
    return tuple(images.shape[1:]) == shape and is_bytes(images) and len(images) > 0


def is_bytes(values: Any) -> bool:
    """Return whether an array or a tensor is of uint8."""
    return str(values.dtype).removeprefix("torch.") == "uint8"


def list_images(images: Any) -> Iterator[Any]:
    """Yield the images of a list or batch, or the only one."""
    if isinstance(images, list | tuple):
        yield from images
    elif isinstance(images, Tensor | np.ndarray) and images.ndim != 2 and find_channels(images) is None:
        yield from images  # gray ones, (B, H, W), or a batch
    else:
        yield images


def find_channels(image: Tensor | np.ndarray) -> int | None:
    """Return which axis of an array (H, W, C) or (C, H, W) holds channels; None where neither can.

    Where both can, channels are last in an array and first in a tensor.

    >>> find_channels(np.zeros((20, 30, 3))), find_channels(torch.zeros(3, 20, 30)), find_channels(np.zeros((9, 8, 8)))
    (2, 0, None)
    """
    if image.ndim != 3:
        return None
    order = (0, 2) if isinstance(image, Tensor) else (2, 0)
    return next((axis for axis in order if image.shape[axis] in CHANNELS), None)


def prepare_image(image: Any, observed: Observed) -> UInt8[Tensor, "C H W"]:
    """Return one image as the encoder wants it."""
    channels, height, width = observed.shape
    if isinstance(image, Tensor | np.ndarray) and tuple(image.shape) == observed.shape and is_bytes(image):
        return as_tensor(image)
    if channels not in COLOR_MODES:
        raise refuse(
            f"uint8 images of shape {observed.shape}, as the data had them",
            describe_image(image),
            "Scale and cut them.",
        )
    picture = read_image(image)
    if 0 in picture.size:
        raise refuse("images of at least one pixel", f"{picture.size[1]} x {picture.size[0]}", "Leave it out.")
    try:
        return torch.from_numpy(fit_image(picture, height, width, grayscale=channels == 1).copy())
    except ValueError as error:
        raise refuse("images of 8 or 16 bits a channel", str(error), "Convert it first: image.convert('L').") from error


def read_image(image: Any) -> Image.Image:
    """Return an array or a tensor as Pillow's image; raise PretaskError for anything that is none."""
    if isinstance(image, Image.Image):
        return image
    if not isinstance(image, Tensor | np.ndarray):
        do = "Open files with PIL.Image.open." if isinstance(image, str | bytes) or hasattr(image, "__fspath__") else ""
        raise refuse("images", describe_image(image), do or "Give Pillow images, or uint8 arrays or tensors.")
    if not is_bytes(image):
        raise refuse("images of uint8, 0 to 255", describe_image(image), "Convert them, as by (255 * image).to(uint8).")
    array = image.detach().cpu().numpy() if isinstance(image, Tensor) else image
    axis = find_channels(image)
    if array.ndim != 2 and axis is None:
        raise refuse("images of 1 to 4 channels", describe_image(image), "Give (H, W), (H, W, C) or (C, H, W).")
    pixels = array if axis is None else np.moveaxis(array, axis, -1)
    if pixels.ndim == 3 and pixels.shape[-1] == 1:
        pixels = pixels[..., 0]
    return Image.fromarray(np.ascontiguousarray(pixels))


def describe_image(image: Any) -> str:
    """Return the type of something, and its shape where it has one."""
    if isinstance(image, Tensor | np.ndarray):
        return f"{str(image.dtype).removeprefix('torch.')} of shape {tuple(image.shape)}"
    return f"text, {image[:40]!r}" if isinstance(image, str) else type(image).__name__


def fit_image(image: Image.Image, height: int, width: int, grayscale: bool = False) -> UInt8[np.ndarray, "C H W"]:
    """Return an image upright, scaled until it covers so many pixels, the middle of them cut out.

    Args:
        image: Of any mode that holds 8 or 16 bits a channel; what is transparent becomes white.
        height: In pixels.
        width: In pixels.
        grayscale: Whether to give it one channel, and not three.

    Raises:
        ValueError: The image has 32 bits a channel, whose white level is unknown.
    """
    flat = flatten_image(image).convert("L" if grayscale else "RGB")
    array = np.asarray(ImageOps.fit(flat, (width, height), Image.Resampling.BILINEAR))
    return array[None] if grayscale else np.ascontiguousarray(array.transpose(2, 0, 1))
