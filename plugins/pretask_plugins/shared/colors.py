"""Color spaces: sRGB to CIE Lab and back, sRGB to HSV and back.

Lab holds lightness L (0 … 100) apart from color: a (green to red) and b (blue to yellow).

Source: IEC 61966-2-1 (sRGB); CIE 15 (Lab), white point D65, two-degree observer; Smith, SIGGRAPH 1978 (HSV).
Axes: B batch, H W image; channels are axis -3.
"""

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from pretask_plugins.shared.constants import build_once

# Columns of the matrix from linear light to XYZ.
RED_XYZ, GREEN_XYZ, BLUE_XYZ = (
    (0.412453, 0.212671, 0.019334),
    (0.357580, 0.715160, 0.119193),
    (0.180423, 0.072169, 0.950227),
)
RGB_TO_XYZ = tuple(zip(RED_XYZ, GREEN_XYZ, BLUE_XYZ, strict=True))
WHITE_XYZ = (0.95047, 1.0, 1.08883)  # of D65
# CIE 15: below this fraction of white the cube root would be too steep, and a line takes its place.
MAX_DARK_FRACTION = 0.008856
DARK_SLOPE, DARK_INTERCEPT = 7.787, 16 / 116
MIN_CHROMA = 1e-8  # keeps divisions by chroma and value finite, where both are 0


def decode_srgb(shade: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Return linear light in [0, 1] of sRGB values in [0, 1] (IEC 61966-2-1)."""
    return torch.where(shade > 0.04045, ((shade + 0.055) / 1.055) ** 2.4, shade / 12.92)


@build_once
def light_of_bytes(device: torch.device) -> Float[Tensor, " 256"]:
    """Return linear light in [0, 1] of every byte."""
    return decode_srgb(torch.arange(256, device=device) / 255)


def compress_light(light: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Return f(t) of CIE 15: the cube root of a fraction of white, and a line in the dark.

    The root is taken by logarithm. That is three times faster than a power, which on a CPU rounds the last numbers of a
    tensor in another way, so that a pixel would depend on what is beside it.
    """
    line = (DARK_SLOPE * light).add_(DARK_INTERCEPT)
    return torch.where(light > MAX_DARK_FRACTION, light.log().div_(3).exp_(), line)


def expand_light(root: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Return the inverse of `compress_light`."""
    edge = DARK_SLOPE * MAX_DARK_FRACTION + DARK_INTERCEPT
    return torch.where(root > edge, root**3, (root - DARK_INTERCEPT) / DARK_SLOPE)


@build_once
def light_of_channels(device: torch.device) -> Float[Tensor, " 2304"]:
    """Return what every byte of red, green and blue adds to X, then to Y, then to Z, as fractions of white's."""
    columns = (RED_XYZ, GREEN_XYZ, BLUE_XYZ)
    light = light_of_bytes(device)
    return torch.cat([light * (column[axis] / WHITE_XYZ[axis]) for axis in range(3) for column in columns])


@build_once
def channel_offsets(axes: tuple[int, ...], device: torch.device) -> Int[Tensor, "A 3 1"]:
    """Return where in `light_of_channels` the bytes of red, green and blue begin, by axis."""
    offsets = torch.arange(9, dtype=torch.int32, device=device).view(3, 3)[list(axes)]
    return 256 * offsets[..., None]


def sum_light(entries: Int[Tensor, "*shape 3 N"]) -> Float[Tensor, "*shape N"]:
    """Return f of X, Y or Z as a fraction of white's, where the entries of three channels are looked up and added."""
    light = light_of_channels(entries.device).index_select(0, entries.flatten()).view(entries.shape)
    red, green, blue = light.unbind(-2)
    return compress_light(red + green + blue)


def lightness(images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 1 H W"]:
    """Return L of Lab, 0 (black) … 100 (white). Bytes are looked up: there are only 256.

    >>> lightness(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).round().item()
    100.0
    """
    y = sum_light(images.flatten(2) + channel_offsets((1,), images.device)[0])
    return (116 * y - 16).view(-1, 1, *images.shape[2:])


def color_ab(images: UInt8[Tensor, "B 3 H W"]) -> Float[Tensor, "B 2 H W"]:
    """Return a and b of Lab; both 0 for gray."""
    xyz = sum_light(images.flatten(2)[:, None] + channel_offsets((0, 1, 2), images.device))
    return opponents(xyz).view(-1, 2, *images.shape[2:])


def lightness_and_color(
    images: UInt8[Tensor, "B 3 H W"], stride: int
) -> tuple[Float[Tensor, "B 1 H W"], Float[Tensor, "B 2 h w"]]:
    """Return L of Lab, and a and b of every `stride`-th pixel, in fewer operations than one after the other."""
    height, width = images.shape[2:]
    places, offsets, size = pixels_and_offsets(height, width, stride, images.device)
    compressed = sum_light(images.flatten(2).index_select(2, places) + offsets)
    color = opponents(compressed[:, height * width :].reshape(len(images), 3, -1))
    return (116 * compressed[:, : height * width] - 16).view(-1, 1, height, width), color.view(-1, 2, *size)


@build_once
def pixels_and_offsets(
    height: int, width: int, stride: int, device: torch.device
) -> tuple[Int[Tensor, " N"], Int[Tensor, "3 N"], tuple[int, int]]:
    """Return all pixels, then three times every `stride`-th one, and where in `light_of_channels` to look for each.

    Lightness takes Y of all; color X, Y and Z of some, whose rows and columns come last.
    """
    pixels = torch.arange(height * width, dtype=torch.int32, device=device)
    some = pixels.view(height, width)[::stride, ::stride]
    x, y, z = channel_offsets((0, 1, 2), device).expand(-1, -1, some.numel())
    offsets = torch.cat([y[:, :1].expand(-1, len(pixels)), x, y, z], 1)
    return torch.cat([pixels, some.flatten().repeat(3)]), offsets, (some.shape[0], some.shape[1])


def opponents(xyz: Float[Tensor, "B 3 N"]) -> Float[Tensor, "B 2 N"]:
    """Return a and b of f of X, Y and Z."""
    return (xyz[:, :2] - xyz[:, 1:]) * opponent_scale(xyz.device)[..., 0]


def rgb_to_lab(images: Float[Tensor, "*batch 3 H W"]) -> Float[Tensor, "*batch 3 H W"]:
    """Return Lab of sRGB images in [0, 1] of any values.

    For bytes, `lightness` and `color_ab` are faster.

    >>> rgb_to_lab(torch.ones(1, 3, 1, 1)).flatten().round().abs().tolist()
    [100.0, 0.0, 0.0]
    """
    x, y, z = compress_xyz(decode_srgb(images)).unbind(-3)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -3)


@build_once
def rgb_to_white(device: torch.device) -> Float[Tensor, "3 3"]:
    """Return the matrix from linear light to X, Y and Z as fractions of white's."""
    return torch.tensor(RGB_TO_XYZ, device=device) / torch.tensor(WHITE_XYZ, device=device)[:, None]


def compress_xyz(light: Float[Tensor, "*batch 3 H W"]) -> Float[Tensor, "*batch 3 H W"]:
    """Return f of X, Y and Z of linear light."""
    return compress_light((rgb_to_white(light.device) @ light.flatten(-2)).view(light.shape))


def compress_bytes(images: UInt8[Tensor, "*batch 3 H W"]) -> Float[Tensor, "*batch 3 H W"]:
    """Return what `compress_xyz` makes of bytes; their light is looked up."""
    light = light_of_bytes(images.device).index_select(0, images.flatten().int())
    return compress_xyz(light.view(images.shape))


@build_once
def opponent_scale(device: torch.device) -> Float[Tensor, "2 1 1"]:
    """Return what f(X) - f(Y) and f(Y) - f(Z) are multiplied by to be a and b."""
    return torch.tensor([500.0, 200.0], device=device).view(2, 1, 1)


def lab_to_bytes(lab: Float[Tensor, "B 3 H W"]) -> UInt8[Tensor, "B 3 H W"]:
    """Return bytes of sRGB; what no screen can show is brought to the nearest value of each channel."""
    y = (lab[:, 0] + 16) / 116
    roots = torch.stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200], 1)
    white = lab.new_tensor(WHITE_XYZ).view(3, 1, 1)
    xyz_to_rgb = lab.new_tensor([RED_XYZ, GREEN_XYZ, BLUE_XYZ]).T.double().inverse().float()
    light = torch.einsum("ij,bjhw->bihw", xyz_to_rgb, expand_light(roots) * white).clamp(0, 1)
    shade = torch.where(light > 0.0031308, 1.055 * light.clamp(min=1e-9) ** (1 / 2.4) - 0.055, 12.92 * light)
    return (shade * 255).round().byte()


def rgb_to_hsv(images: Float[Tensor, "*batch 3 H W"]) -> tuple[Tensor, Tensor, Tensor]:
    """Return hue (fraction of the color circle, red is 0), saturation and value (*batch, H, W), all in [0, 1]."""
    value, lowest = images.amax(-3), images.amin(-3)
    chroma = value - lowest
    # In sixths of the circle, from the color that is largest: (green - blue, blue - red + 2, red - green + 4) / chroma.
    again = torch.cat([images, images[..., :2, :, :]], -3)
    differences = again[..., 1:4, :, :] - again[..., 2:5, :, :]
    red, green, blue = (
        differences / chroma.clamp(min=MIN_CHROMA).unsqueeze(-3) + sixths((0, 2, 4), images.device)
    ).unbind(-3)
    is_red, is_green, _ = (images == value.unsqueeze(-3)).unbind(-3)
    sector = torch.where(is_red, red, torch.where(is_green, green, blue))
    return sector / 6 % 1, chroma / value.clamp(min=MIN_CHROMA), value


@build_once
def sixths(starts: tuple[int, ...], device: torch.device) -> Float[Tensor, "3 1 1"]:
    """Return where red, green and blue begin, in sixths of the color circle."""
    return torch.tensor(starts, dtype=torch.float32, device=device).view(3, 1, 1)


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Float[Tensor, "*batch 3 H W"]:
    """Return sRGB images of hue (any real number, a whole one is red), saturation and value."""
    # Red, green and blue fade in at these sixths of the circle.
    sector = ((hue * 6).unsqueeze(-3) + sixths((5, 3, 1), hue.device)) % 6
    fading = torch.minimum(sector, 4 - sector).clamp(0, 1)
    return value.unsqueeze(-3) - (value * saturation).unsqueeze(-3) * fading
