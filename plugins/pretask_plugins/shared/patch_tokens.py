"""Patch tokens: what transformers over the patches of an image share.

Source: He et al., CVPR 2022, section 3 (the learned vector) and appendix A.1 (positions, after Vaswani et al., NeurIPS
2017).
Axes: N positions, row by row, D width.
"""

import torch
from jaxtyping import Float
from pretask import Incompatible
from torch import Tensor, nn

from pretask_plugins.shared.constants import build_once

TEMPERATURE = 10_000.0  # of the wavelengths
STD = 0.02  # of the learned vector before training


def check_widths(who: str, part: str, width: int, heads: int) -> None:
    """Raise Incompatible unless heads divide the width, and positions fill it.

    Args:
        who: The component, for errors.
        part: Whose options these are, such as model.
        width: D.
        heads: Of attention.
    """
    if width % heads or width % 4:
        needs, got = "a width that its heads and 4 divide", f"width {width} and {heads} heads"
        raise Incompatible(who, needs, got, f"Set {part}.width to a multiple of {part}.heads and of 4.")


def build_mask_vector(width: int) -> nn.Parameter:
    """Return the learned vector that stands for what is hidden."""
    return nn.Parameter(nn.init.normal_(torch.empty(width), std=STD))


@build_once
def encode_positions(rows: int, columns: int, width: int, device: torch.device) -> Float[Tensor, "N D"]:
    """Return sines and cosines of row and column, a quarter of the width each, of wavelengths from 2 pi on.

    >>> encode_positions(1, 1, 4, torch.device("cpu")).tolist()
    [[0.0, 1.0, 0.0, 1.0]]
    """
    rates = TEMPERATURE ** (-torch.arange(width // 4, device=device) / (width // 4))
    row, column = (torch.arange(count, device=device)[:, None] * rates for count in (rows, columns))
    of_row, of_column = (torch.cat([angle.sin(), angle.cos()], 1) for angle in (row, column))
    return torch.cat([of_row.repeat_interleave(columns, 0), of_column.repeat(rows, 1)], 1)
