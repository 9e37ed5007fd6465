"""Hashing: the bytes of tensors, and the two hashes of weights that are kept.

Both hashes are frozen: the first one names cached features, the second one stands in records.
"""

from collections.abc import Mapping
from hashlib import blake2b, sha256

import torch
from torch import Tensor, nn


def tensor_bytes(value: Tensor) -> bytes:
    """Return the bytes of a tensor of any type."""
    return value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def weights_key(model: nn.Module) -> str:
    """Return the hash of all parameters and buffers by name, and of the model's settings as its text shows them."""
    digest = blake2b(str(model).encode(), digest_size=16)
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(tensor_bytes(value))
    return digest.hexdigest()


def hash_weights(weights: Mapping[str, Tensor]) -> str:
    """Return the hash of all numbers by name, whatever computes with them, so that a rerun can be called exact."""
    digest = sha256()
    for name, value in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(tensor_bytes(value))
    return digest.hexdigest()
