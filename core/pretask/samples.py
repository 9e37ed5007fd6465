"""Samples: one part of a data set, decoded; batches come out of it without labels, evaluators read the labels.

Axes: N samples, L labeled positions.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from pretask.draws import Draws
from pretask.errors import PretaskError
from pretask.mapped import take_rows
from pretask.protocols import Data
from pretask.specs import Observed
from pretask.unread_clips import UnreadClips
from pretask.unread_rows import UnreadRows, read_all
from pretask.values import Batch

FITS = 0.5  # fraction of a device's free memory that resident data may take


@dataclass(frozen=True)
class Labels:
    """What an evaluator asks for; never part of a batch.

    Args:
        value: A class number per sample (N,) or per position (N, L); -1 where there is none.
        names: Of the classes.
        multiple: Whether a sample may be of several classes: value is then (N, classes), 1 for those that it is of, 0
            for those that it is not, -1 where that is unknown.
    """

    value: Int[Tensor, "N ..."]
    names: tuple[str, ...]
    multiple: bool = False


@dataclass(frozen=True)
class Samples:
    """One part of a data set.

    Args:
        observed: What a sample is.
        data: All samples; in memory, mapped from a file, on a device, or read when they are asked for (UnreadRows).
            Tokens may be of any type of whole numbers, such as int16; `take` and batches give them as int64.
        labels: By name; the first one is what a probe uses unless another is named.
        present: False where a position is padding.
        fingerprint: Hash of the content, data and labels.
        block: How many samples lie together, where those that lie together are cheaper to read: an epoch is then
            shuffled in windows of such blocks (order.py). 0 where it does not matter.
    """

    observed: Observed
    data: Shaped[Tensor, "N ..."]
    labels: Mapping[str, Labels] = field(default_factory=dict)
    present: Bool[Tensor, "N ..."] | None = None
    fingerprint: str = ""
    block: int = 0

    def __len__(self) -> int:
        return len(self.data)

    def resident(self, device: torch.device) -> "Samples":
        """Return the same samples on the device, where they fit into half of its free memory; else these.

        What is read when it is asked for is left so.
        """
        if device.type == "cpu" or device == self.data.device or isinstance(self.data, UnreadRows):
            return self
        if device.type == "cuda" and self.data.nbytes > FITS * torch.cuda.mem_get_info(device)[0]:
            return self
        return replace(
            self, data=self.data.to(device), present=None if self.present is None else self.present.to(device)
        )

    def some(self, selected: slice | Int[Tensor, " M"], name: str) -> "Samples":
        """Take some of the samples, with their labels; `name` says which, for the fingerprint."""
        data = self.data[selected]
        return replace(
            self,
            observed=replace(self.observed, samples=len(data)),
            data=data,
            labels={key: replace(labels, value=labels.value[selected]) for key, labels in self.labels.items()},
            present=None if self.present is None else self.present[selected],
            fingerprint=self.fingerprint and f"{self.fingerprint}, {name}",
        )

    def part(self, selected: slice | Int[Tensor, " M"], name: str) -> "Samples":
        """Return some of the samples as a part with a hash of its own, where it is known what they are of."""
        some = self.some(selected, name)
        return replace(some, fingerprint=some.fingerprint and sha256(some.fingerprint.encode()).hexdigest())

    def take(self, selected: int | slice | Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Return the data of some samples, as a split is given it."""
        return self.widen(read_all(self.data[selected]))

    def widen(self, rows: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
        """Return tokens as int64, which models look up; other data as it is."""
        return rows.long() if self.observed.dtype == "int64" else rows

    def batch(self, index: Int[Tensor, " B"], device: torch.device, partners: Tensor | None = None) -> Batch:
        """Put the samples of the given numbers on the device.

        Args:
            index: Numbers of the samples.
            device: Where the batch is wanted.
            partners: (B, n) numbers of other samples to go with them.
        """
        data_device = self.data.device
        index = index.to(data_device)
        selected = take_rows(self.data, index)
        return Batch(
            self.widen(selected if data_device == device else move_tensor(selected, device)),
            move_tensor(index, device),
            None if self.present is None else move_tensor(self.present.index_select(0, index), device),
            None if partners is None else self.widen(move_tensor(self.data[partners.to(data_device)], device)),
        )

    def batch_unread(self, index: Int[Tensor, " B"]) -> Batch:
        """Return clips of the given numbers whose frames are read when they are asked for; they stay where they are."""
        present = None if self.present is None else self.present[index]
        return UnreadClips(source=self.data, index=index, present=present)

    def batches(self, size: int, device: torch.device, partners: int = 0) -> Iterator[Batch]:
        """Yield all samples once, in order; the last batch may be smaller."""
        for start in range(0, len(self), size):
            index = torch.arange(start, min(start + size, len(self)))
            yield self.batch(index, device, draw_others(index, len(self), partners) if partners else None)


def move_tensor(tensor: Tensor, device: torch.device) -> Tensor:
    """Move the tensor to the device, without waiting for the copy where memory can be pinned."""
    if device.type == "cuda" and tensor.device.type == "cpu":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def draw_others(index: Tensor, count: int, size: int, seed: int = 0, epoch: int | Tensor = 0) -> Int[Tensor, "B size"]:
    """Draw `size` numbers of other samples for every sample, none of them its own; one may come twice.

    Raises:
        PretaskError: There is one sample only.
    """
    if count < 2:
        raise PretaskError("a split with partners", "at least 2 samples", f"{count}", "Use more data.")
    return (index[:, None] + Draws(index, seed, epoch).integers("partners", 1, count, size)) % count


class Remembered:
    """Data whose parts are made once in this process.

    Args:
        source: The data set itself, with what it offers beside its parts.
    """

    def __init__(self, source: Data) -> None:
        self.source = source
        self.parts: dict[str, Samples] = {}

    def __call__(self, part: str, /) -> Samples:
        """Return a part, made at the first call."""
        if part not in self.parts:
            self.parts[part] = self.source(part)
        return self.parts[part]

    def offered(self) -> Any:
        """Return what the data set offers beside its parts: itself."""
        return source_of(self.source)


def source_of(data: Data) -> Any:
    """Return the data set itself, where its parts are only remembered: the one that can `decode`."""
    return data.offered() if isinstance(data, Remembered) else data
