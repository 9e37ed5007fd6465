"""Fractions: bytes of images as numbers in [0, 1].

Axes: whatever the bytes have.
"""

from jaxtyping import Float, Shaped
from torch import Tensor


def as_fractions(values: Shaped[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
    """Return bytes as fractions of white; numbers that are floats already likewise.

    On a CPU they are converted first: a division that converts takes three times as long, since it is not vectorized.
    """
    return values.float().div_(255) if values.is_cpu and not values.is_floating_point() else values / 255
