"""Grid positions: fixed vectors that say where on a grid a token lies, of any size.

Source: He et al., CVPR 2022, appendix A.1, after Vaswani et al., NeurIPS 2017.
Axes: N positions, row by row, D width.
"""

import torch
from jaxtyping import Float
from torch import Tensor

TEMPERATURE = 10_000.0  # of the wavelengths


def encode_positions(rows: int, columns: int, width: int) -> Float[Tensor, "N D"]:
    """Return sines and cosines of row and column, a quarter of the width each, of wavelengths from 2 pi on.

    >>> encode_positions(2, 3, 8).shape, encode_positions(1, 1, 4).tolist()
    (torch.Size([6, 8]), [[0.0, 1.0, 0.0, 1.0]])
    """
    rates = TEMPERATURE ** (-torch.arange(width // 4) / (width // 4))
    row, column = (torch.arange(count)[:, None] * rates for count in (rows, columns))
    of_row, of_column = (torch.cat([angle.sin(), angle.cos()], 1) for angle in (row, column))
    return torch.cat([of_row.repeat_interleave(columns, 0), of_column.repeat(rows, 1)], 1)
