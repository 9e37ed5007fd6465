"""Unread clips: a batch of clips of which only those frames are copied that are asked for.

A split that shows three frames of a hundred should not pay for a hundred. Mirroring, which is done before a clip is
split, waits with the frames. Whoever asks for `data` gets all of them, as from any other batch.
Axes: B batch, N samples, T frames of a clip, V frames taken, C channels, H W image.
"""

from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from pretask.mapped import ask_for_rows, take_rows
from pretask.values import Batch


class UnreadClips(Batch):
    """Clips that are still where the data set has them.

    Args:
        source: All samples, on the device of the batch.
        index: The samples' numbers.
        present: False where a frame is padding.
        mirrored: Which clips are shown mirrored; None for none.
    """

    source: Shaped[Tensor, "N T C H W"]
    mirrored: Bool[Tensor, " B"] | None

    def __new__(cls, *data: Any, **fields: Any) -> Any:
        """Make a plain batch of what has `data`, as `dataclasses.replace` wants it."""
        return object.__new__(cls) if "source" in fields else Batch(*data, **fields)

    def __init__(
        self, *, source: Tensor, index: Tensor, present: Tensor | None = None, mirrored: Tensor | None = None
    ) -> None:
        values = {"source": source, "index": index, "present": present, "partners": None, "mirrored": mirrored}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        """Read all frames where they are asked for as `data`, and keep them."""
        if name != "data":
            raise AttributeError(f"clips have no '{name}'")
        data = self.mirror_rows(take_rows(self.source, self.index))
        object.__setattr__(self, "data", data)
        return data

    def __len__(self) -> int:
        return len(self.index)

    @property
    def device(self) -> torch.device:
        """Where the clips are."""
        return self.source.device

    @property
    def shape(self) -> torch.Size:
        """Of `data`, which is not read for it."""
        return torch.Size((len(self), *self.source.shape[1:]))

    def mirror(self, mirrored: Bool[Tensor, " B"]) -> "UnreadClips":
        """Return the same clips, some of them mirrored."""
        mirrored = mirrored if self.mirrored is None else self.mirrored ^ mirrored
        return UnreadClips(source=self.source, index=self.index, present=self.present, mirrored=mirrored)

    def mirror_rows(self, frames: Shaped[Tensor, "B ... W"]) -> Shaped[Tensor, "B ... W"]:
        """Return frames of the clips as they are shown."""
        if self.mirrored is None:
            return frames
        return mirror_some(frames, self.mirrored)

    def take_frames(self, positions: Int[Tensor, "B V"]) -> Shaped[Tensor, "B V C H W"]:
        """Return the frames at the given positions in time."""
        ask_for_rows(self.source, self.index, positions)
        source = as_long_words(self.source)
        return self.mirror_rows(source[self.index[:, None], positions].view(self.source.dtype))

    def take_pixels(self, positions: Int[Tensor, "... F"], step: int) -> Shaped[Tensor, "B F C h w"]:
        """Return every `step`-th row and column of the frames at the given positions in time.

        Args:
            positions: (F,) of all clips, or (B, F) of each.
            step: Rows and columns from one to the next.
        """
        rows = self.source[..., ::step, :]
        columns, from_right = every_column(rows.shape[-1], step, self.device)
        if self.mirrored is not None:
            columns = torch.where(self.mirrored[:, None], from_right, columns)
        pixels = rows[self.index[:, None, None], positions[..., None], :, :, columns[:, None]]  # (B, F, w, C, h)
        return pixels.movedim(2, -1)


def mirror_some(images: Shaped[Tensor, "B ... W"], mirrored: Bool[Tensor, " B"]) -> Shaped[Tensor, "B ... W"]:
    """Return images or clips, of which some are mirrored left to right."""
    chosen = mirrored.view(-1, *[1] * (images.ndim - 1))
    return torch.where(chosen, as_long_words(images.flip(-1)), as_long_words(images)).view(images.dtype)


def as_long_words(source: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    """Return bytes as words of eight, where they come out even, of which eight are copied in the time of one."""
    return (
        source.view(torch.int64)
        if source.shape[-1] * source.element_size() % 8 == 0 and source.is_contiguous()
        else source
    )


@lru_cache(maxsize=8)
def every_column(width: int, step: int, device: torch.device) -> tuple[Int[Tensor, "1 w"], Int[Tensor, "1 w"]]:
    """Return every `step`-th of the columns of a frame, counted from the left and from the right."""
    columns = torch.arange(0, width, step, device=device)[None]
    return columns, width - 1 - columns
