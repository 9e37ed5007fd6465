"""CIE Lab: lightness L (0 … 100) apart from colour, a (green to red) and b (blue to yellow); from sRGB and back.

Source: IEC 61966-2-1 (sRGB); CIE 15 (Lab), white point D65, two-degree observer.
Axes: B batch, H W image; the channels of a colour are axis 1.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pretask_plugins.methods.colorization.constants import once

RED, GREEN, BLUE = (0.412453, 0.212671, 0.019334), (0.357580, 0.715160, 0.119193), (0.180423, 0.072169, 0.950227)  # XYZ
WHITE = (0.95047, 1.0, 1.08883)  # XYZ of D65
DARK = 0.008856  # share of white below which the cube root is a line
SLOPE, START = 7.787, 16 / 116


@once
def linear(device: torch.device) -> Float[Tensor, " 256"]:
    """Light in [0, 1] of every byte."""
    shade = torch.arange(256, device=device) / 255
    return torch.where(shade > 0.04045, ((shade + 0.055) / 1.055) ** 2.4, shade / 12.92)


def compress(light: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The cube root of a share of white, and a line in the dark; the root by logarithm, which is three times faster."""
    return torch.where(light > DARK, (light.log() / 3).exp(), SLOPE * light + START)


def expand(root: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The inverse of `compress`."""
    return torch.where(root > SLOPE * DARK + START, root**3, (root - START) / SLOPE)


def tristimulus(images: UInt8[Tensor, "B 3 H W"], *axes: int) -> Iterator[Float[Tensor, "B H W"]]:
    """X, Y or Z (axes 0, 1 or 2) as shares of white's, compressed. Bytes are looked up: there are only 256."""
    light = linear(images.device)
    channels = [images[:, channel].reshape(-1).int() for channel in range(3)]
    for axis in axes:
        shares = [each[axis] / WHITE[axis] for each in (RED, GREEN, BLUE)]
        parts = [(light * share).index_select(0, each) for share, each in zip(shares, channels, strict=True)]
        yield compress((parts[0] + parts[1] + parts[2]).view(images[:, 0].shape))


def lightness(images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 H W"]:
    """L, 0 (black) … 100 (white).

    >>> lightness(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).round().item()
    100.0
    """
    (root,) = tristimulus(images, 1)
    return (116 * root - 16)[:, None]


def colour(images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 2 H W"]:
    """a and b; both 0 where there is no colour."""
    x, y, z = tristimulus(images, 0, 1, 2)
    return torch.stack([500 * (x - y), 200 * (y - z)], 1)


def to_bytes(lab: Float[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B 3 H W"]:
    """Bytes of sRGB; what no screen can show is brought to the nearest value of each channel."""
    root = (lab[:, 0] + 16) / 116
    roots = torch.stack([root + lab[:, 1] / 500, root, root - lab[:, 2] / 200], 1)
    white = lab.new_tensor(WHITE).view(3, 1, 1)
    inverse = lab.new_tensor([RED, GREEN, BLUE]).T.double().inverse().float()
    light = torch.einsum("ij,bjhw->bihw", inverse, expand(roots) * white).clamp(0, 1)
    shade = torch.where(light > 0.0031308, 1.055 * light.clamp(min=1e-9) ** (1 / 2.4) - 0.055, 12.92 * light)
    return (shade * 255).round().byte()
