"""Products: a few rows times a wide matrix, the whole cost of the regression.

torch multiplies float32 on a CPU by MKL, which packs the wide matrix anew for every few rows and has no kernels of
AVX-512 for processors that are not Intel's. oneDNN, which torch brings along for its layers, has both: with AVX-512 it
takes half of the time at 20 to 100 rows. Its matrices must be contiguous.

Source: oneDNN, developer guide, "Matrix Multiplication" (plain and transposed layouts).
Axes: K rows, R axes, n columns.
"""

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor


@cache
def has_fast_layers() -> bool:
    """Return whether oneDNN's kernels of AVX-512 can be used."""
    is_wide = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    has_onednn: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return is_wide and has_onednn and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def multiply(left: Float[Tensor, "K R"], right: Float[Tensor, "R n"]) -> Float[Tensor, "K n"]:
    """Multiply a few rows by a matrix, contiguous or the transpose of a contiguous one, in its precision.

    >>> multiply(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0]]))
    tensor([[13., 16.]])
    """
    if right.dtype == torch.float32 and right.device.type == "cpu" and len(left) and has_fast_layers():
        rows = left.to(right.dtype).contiguous()
        product: Tensor = torch.ops.mkldnn._linear_pointwise(rows, right.T, None, "none", [], "")
        return product.to(left.dtype)
    return (left.to(right.dtype) @ right).to(left.dtype)
