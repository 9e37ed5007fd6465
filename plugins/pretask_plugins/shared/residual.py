"""Residual: the block of the small convolutional networks for images and frames.

Source: He, Zhang, Ren and Sun, CVPR 2016 (basic blocks).
Axes: F images, D channels, h w map.
"""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class ResidualBlock(nn.Module):
    """A basic residual block that halves the sides of a map.

    Args:
        in_channels: Of the map.
        out_channels: Of the map that comes.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 3, 2, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.shortcut = nn.Sequential(
            nn.Conv2d(in_channels, out_channels, 1, 2, bias=False), nn.BatchNorm2d(out_channels)
        )

    def forward(self, maps: Float[Tensor, "F D h w"]) -> Float[Tensor, "F D2 h2 w2"]:
        """Return maps of half the side."""
        return F.relu(self.body(maps) + self.shortcut(maps))
