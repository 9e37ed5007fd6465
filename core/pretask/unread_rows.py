"""Unread rows: samples that are read or decoded when a batch asks for them, of data that neither memory nor disk holds.

To all who look at it this is a tensor (N, …) of known shape and type. `index_select`, by which batches are fetched,
reads the rows that it names; slices and selections of rows stay unread; anything else reads all of its rows, where
there is memory for them.
Axes: N samples, B batch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from torch.utils._pytree import tree_map

from pretask.room import require_memory

ReadRows = Callable[[Int[Tensor, " B"]], Shaped[Tensor, "B ..."]]
ATEN = torch.ops.aten


class UnreadRows(Tensor):
    """Rows that are read by their numbers.

    Args:
        read_rows: Gives the rows of some numbers, the same ones every time; called from other threads, too.
        shape: Of all rows together, (N, …).
        dtype: Of them.
        numbers: Those of the rows that these are; None for all of them, in order.
    """

    read_rows: ReadRows
    numbers: Int[Tensor, " N"] | None

    @staticmethod
    def __new__(
        cls: type["UnreadRows"],
        read_rows: ReadRows,
        shape: Sequence[int],
        dtype: torch.dtype,
        numbers: Tensor | None = None,
    ) -> "UnreadRows":
        """Make a tensor without memory of its own."""
        device = torch.device("cpu")
        rows: UnreadRows = Tensor._make_wrapper_subclass(cls, tuple(shape), dtype=dtype, device=device)
        rows.read_rows, rows.numbers = read_rows, numbers
        return rows

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    def __repr__(self) -> str:  # type: ignore[override]
        return f"UnreadRows(shape={tuple(self.shape)}, dtype={self.dtype})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Carry out an operation of torch."""
        if func in TAKEN and isinstance(args[0], cls):
            taken = TAKEN[func](*args)
            if taken is not None:
                return taken
        arguments = tree_map(read_all, (args, dict(kwargs or {})))
        return func(*arguments[0], **arguments[1])

    def read(self, index: Int[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Return the rows at some places, in the shape of the index."""
        places = torch.where(index < 0, index + len(self), index).flatten()
        rows = self.read_rows(places if self.numbers is None else self.numbers[places])
        return rows.view(*index.shape, *self.shape[1:])

    def choose(self, places: Int[Tensor, " M"]) -> "UnreadRows":
        """Return the rows at some places, unread."""
        numbers = places if self.numbers is None else self.numbers[places]
        return UnreadRows(self.read_rows, (len(numbers), *self.shape[1:]), self.dtype, numbers)


def read_all(value: Any) -> Any:
    """Return rows read, where something is unread rows; raise PretaskError where there is no memory for them."""
    if not isinstance(value, UnreadRows):
        return value
    require_memory("the data", f"all of its {len(value)} samples at once", value.nbytes, "Use fewer samples.")
    return value.read(torch.arange(len(value)))


def select_rows(rows: UnreadRows, axis: int, index: Tensor) -> Tensor | None:
    """Read the rows of an index."""
    return rows.read(index) if axis == 0 else None


def select_row(rows: UnreadRows, axis: int, place: int) -> Tensor | None:
    """Read one row."""
    return rows.read(torch.tensor(place)) if axis == 0 else None


def index_rows(rows: UnreadRows, indices: Sequence[Tensor | None]) -> Tensor | None:
    """Leave rows of a list or a mask of numbers unread; read those of an index of several axes."""
    (index, *others) = indices
    if index is None or others:
        return None
    if index.dtype == torch.bool:
        return rows.choose(index.nonzero()[:, 0]) if index.ndim == 1 else None
    return rows.choose(torch.where(index < 0, index + len(rows), index)) if index.ndim == 1 else rows.read(index)


def slice_rows(
    rows: UnreadRows, axis: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Tensor | None:
    """Leave the rows of a slice unread."""
    return rows.choose(torch.arange(*slice(start, end, step).indices(len(rows)))) if axis == 0 else None


def keep_rows(rows: UnreadRows) -> Tensor:
    """Return the same rows."""
    return UnreadRows(rows.read_rows, rows.shape, rows.dtype, rows.numbers)


TAKEN: Mapping[Any, Callable[..., Tensor | None]] = {
    ATEN.index_select.default: select_rows,
    ATEN.select.int: select_row,
    ATEN.index.Tensor: index_rows,
    ATEN.slice.Tensor: slice_rows,
    ATEN.alias.default: keep_rows,
    ATEN.detach.default: keep_rows,
}
