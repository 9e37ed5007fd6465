"""Arrays: a user's arrays as tensors.

Axes: none.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor


def as_tensor(values: Any) -> Tensor:
    """Return an array or a tensor as a tensor; of an array that may not be written, a copy."""
    if isinstance(values, np.ndarray) and not (values.flags.writeable and all(step >= 0 for step in values.strides)):
        values = values.copy()
    return torch.as_tensor(values)
