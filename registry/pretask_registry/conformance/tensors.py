"""Tensors: the values that parts exchange, flattened to names, so that two of them can be compared.

Axes: B batch; `...` anything.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from inspect import unwrap
from typing import Any

import torch
from pretask import Draws
from pretask.values import iterate_tensors, name_outputs
from torch import Tensor

CLOSE = 1e-4  # of numbers around 1: other batch sizes take other paths through a Fourier transform or a product


def shapes_are_checked() -> bool:
    """Return whether this process checks the shapes of tensors at every call, which the compiler cannot trace."""
    return unwrap(Draws.uniform) is not Draws.uniform


def name_halves(output: Any) -> dict[str, Tensor]:
    """Return what a split returns, by names: x and y."""
    return name_outputs(*output)


def describe_difference(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], tolerance: float = CLOSE) -> str:
    """Return what differs between tensors of the same names, in words; empty where nothing does."""
    if ours.keys() != theirs.keys():
        return f"there is {sorted(ours)} in one and {sorted(theirs)} in the other"
    for name, one in ours.items():
        other = theirs[name]
        if one.shape != other.shape or one.dtype != other.dtype:
            return f"{name} is {describe(one)} in one and {describe(other)} in the other"
        if not are_equal(one, other, tolerance):
            return f"{name} differs" + format_distance(one, other)
    return ""


def are_equal(one: Tensor, other: Tensor, tolerance: float = CLOSE) -> bool:
    """Return whether two tensors are equal, floats up to a tolerance."""
    if one.is_floating_point():
        return torch.allclose(one, other, tolerance, tolerance, equal_nan=True)
    return torch.equal(one, other)


def format_distance(one: Tensor, other: Tensor) -> str:
    """Format by how much two tensors differ, where that can be said."""
    if not one.is_floating_point():
        return f" at {int((one != other).sum())} of {one.numel()} places"
    return f" by up to {float((one - other).abs().nan_to_num(float('inf')).max()):.3g}"


def describe(tensor: Tensor) -> str:
    """Format type and shape."""
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def take_rows(values: Mapping[str, Tensor], pick: Any) -> dict[str, Tensor]:
    """Take the same rows of every tensor."""
    return {name: tensor[pick] for name, tensor in values.items()}


def copy_tensors(value: Any) -> dict[str, Tensor]:
    """Copy all tensors of a value, to compare with later."""
    return {name: tensor.clone() for name, tensor in iterate_tensors(value)}


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Copy a value with every tensor changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {key: map_tensors(member, change) for key, member in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(map_tensors(member, change) for member in value)
    if is_dataclass(value):
        copied = copy.copy(value)
        for field in fields(value):
            object.__setattr__(copied, field.name, map_tensors(getattr(value, field.name), change))
        return copied
    return value


def copy_parameters(*parts: Any) -> dict[str, Tensor]:
    """Copy all parameters and buffers of some modules."""
    return {
        f"{number}.{name}": tensor.detach().clone()
        for number, part in enumerate(parts)
        if isinstance(part, torch.nn.Module)
        for name, tensor in [*part.named_parameters(), *part.named_buffers()]
    }
