"""Ahead: x and y of several small steps are made in one go.

What a split costs on few small samples are its calls, not its numbers. A split gives a sample the same x and y in any
batch, since draws are keyed by the sample (the conformance kit's `same-output-in-any-batch`): no bit of a step depends
on how many were made together. Where a bit does all the same, such as of products that are summed in another order,
the trainer sees it before the first step, and makes each by itself.

Axes: B batch.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from pretask.errors import PretaskError
from pretask.recipe import Recipe
from pretask.samples import Samples
from pretask.unread_rows import UnreadRows
from pretask.values import iterate_tensors

MAX_STEPS = 16  # that are made together
MAX_WAITING = 64  # that are made before the first of them is trained
MAX_BYTES = 16 << 20  # of the samples of the former, as they were observed, and of x and y of the latter
Value = TypeVar("Value")


class Uncut(PretaskError):
    """x or y has a tensor that does not have a row for every sample."""


def count_together(samples: Samples, recipe: Recipe, ranks: int) -> int:
    """Return how many steps may be made together; one where they are large, divided or compiled.

    Args:
        samples: That are trained on; those that are read one by one are not read ahead.
        recipe: Of the training.
        ranks: How many take part.
    """
    if ranks > 1 or recipe.accumulate > 1 or recipe.compile or isinstance(samples.data, UnreadRows):
        return 1
    row = samples.data.element_size() * samples.data[0].numel()
    return max(1, min(MAX_STEPS, recipe.steps, MAX_BYTES // (row * recipe.batch)))


def count_waiting(step: Any, together: int) -> int:
    """Return how many steps may wait, a multiple of those that are made together; of small ones more than these.

    What a split goes through throws out of the cache what the next steps need, and seldomer where more wait. Large x
    and y that wait would throw it out themselves.

    Args:
        step: x and y of one, whose tensors may share memory.
        together: Steps that are made together.
    """
    if together < MAX_STEPS:
        return together
    storages = (tensor.untyped_storage() for _, tensor in iterate_tensors(step))
    size = sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
    return together * max(1, min(MAX_WAITING, MAX_BYTES // max(1, size)) // together)


def cut(value: Value, count: int) -> list[Value]:
    """Return what was made for several steps as a list of that of each: of every tensor the rows of its samples.

    Args:
        value: A tensor, values, or mappings of these, with (count * B) rows.
        count: How many steps there are.

    Raises:
        Uncut: A tensor has another number of rows.

    >>> cut({"x": torch.arange(6)}, 3)
    [{'x': tensor([0, 1])}, {'x': tensor([2, 3])}, {'x': tensor([4, 5])}]
    """
    sizes = {tensor.shape[0] if tensor.ndim else 0 for _, tensor in iterate_tensors(value)}
    if len(sizes) != 1 or next(iter(sizes)) % count:
        raise Uncut("steps made together", f"{count} times as many rows in every tensor", f"{sorted(sizes)}", "")
    parts: list[Value] = divide(value, count)
    return parts


def divide(value: Any, count: int) -> list[Any]:
    """Return a value of every step: tensors by rows, mappings, sequences and values by their members."""
    if isinstance(value, Tensor):
        return list(torch.split(value, value.shape[0] // count))
    if isinstance(value, Mapping) and value:
        return [dict(zip(value, parts, strict=True)) for parts in zip(*divide_all(value.values(), count), strict=True)]
    if isinstance(value, tuple | list) and value:
        return [type(value)(parts) for parts in zip(*divide_all(value, count), strict=True)]
    if is_dataclass(value) and not isinstance(value, type):
        members = {field.name: getattr(value, field.name) for field in fields(value)}
        return [type(value)(**part) for part in divide(members, count)]
    return [value] * count


def divide_all(values: Iterable[Any], count: int) -> list[list[Any]]:
    """Return of each value a list of those of every step."""
    return [divide(value, count) for value in values]


def is_same(one: Any, other: Any) -> bool:
    """Return whether two x and y have the same tensors, to the last bit, which kernels read in the same way."""
    tensors, others = dict(iterate_tensors(one)), dict(iterate_tensors(other))
    return tensors.keys() == others.keys() and all(
        tensor.dtype == others[name].dtype
        and describe_layout(tensor) == describe_layout(others[name])
        and torch.equal(as_bytes(tensor), as_bytes(others[name]))
        for name, tensor in tensors.items()
    )


def as_bytes(tensor: Tensor) -> Tensor:
    """Return the bytes of a tensor, which are the same of the same NaN, and others of 0 and -0."""
    return tensor.detach().contiguous().flatten().view(torch.uint8)


def describe_layout(tensor: Tensor) -> tuple[bool, list[int]]:
    """Return whether a tensor lies in one piece, and the order of its axes in memory, by which a kernel is chosen."""
    strides = tensor.stride()
    return tensor.is_contiguous(), sorted(range(tensor.ndim), key=lambda axis: -strides[axis])
