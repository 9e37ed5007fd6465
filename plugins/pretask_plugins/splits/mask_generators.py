"""Mask generators: which patches of t are visible, and which are predicted.

Source: He et al., CVPR 2022, section 3 (random patches) and table 1f (blocks, a grid); Pathak et al., CVPR 2016,
section 3.3 (a block); Hu, DSC190 lecture 5 (2021), after LeCun (one side, and windows of time).
Axes: B batch, V views (T frames of a clip, else 1), `...` the patches of one view, N places of a sequence.
"""

import math
from dataclasses import dataclass
from math import prod
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from pretask import Draws, Incompatible
from torch import Tensor

from pretask_plugins.shared.constants import build_once
from pretask_plugins.splits.masking import Mask, PatchGrid

Place = int | Int[Tensor, " B"]
Layout = Literal["random", "blocks", "grid"]
BLOCKS = 4  # blocks of patches along an axis
GRID = ((3, 1), (0, 2))  # in which order every four patches are hidden: one, a diagonal, all but one
PLACES = {"video": "frames", "text": "tokens", "audio": "frames of split.frame samples"}  # of a sequence


@dataclass(frozen=True)
class RandomPatches:
    """Hide some of all patches; in a clip at the same places of every frame.

    Args:
        mask_ratio: Fraction of the patches that is hidden: exactly so many of every sample.
        layout: Wherever they lie (random), whole blocks of a quarter of the sides (blocks; the last one in part), or so
            many of every 2 x 2 patches, the same of every sample (grid).
    """

    mask_ratio: float
    layout: Layout = "random"

    @property
    def is_constant(self) -> bool:
        """Whether the same patches are hidden of every sample."""
        return self.layout == "grid"

    @property
    def mirror_axis(self) -> None:
        """Hidden patches lie on all sides of visible ones."""
        return

    def check(self, who: str, views: int, shape: tuple[int, ...], modality: str) -> None:
        """Raise Incompatible unless something is hidden and something visible."""
        check_fraction(who, "mask_ratio", self.mask_ratio)
        if not 0 < round(self.mask_ratio * prod(shape)) < prod(shape):
            raise too_few(who, f"so many patches that {self.mask_ratio} of them are some, not all", f"{prod(shape)}")

    def count_visible(self, shape: tuple[int, ...]) -> int:
        """Return how many patches are not hidden."""
        return prod(shape) - round(self.mask_ratio * prod(shape))

    def target_frames(self, views: int) -> None:
        """Return None: every frame predicts its own part."""

    def __call__(self, draws: Draws, grid: PatchGrid) -> Mask:
        """Hide the first patches of an order, in which padding comes last."""
        length = grid.length[:, None] if len(grid.shape) == 1 else prod(grid.shape)
        positions = torch.arange(prod(grid.shape), device=draws.index.device)
        order = torch.where(positions < length, self.order(draws, grid.shape), math.inf)
        rank = order.argsort(dim=1, stable=self.layout != "random").argsort(1)
        return hide((rank < round_fraction(self.mask_ratio, length)).view(-1, *grid.shape), grid)

    def order(self, draws: Draws, shape: tuple[int, ...]) -> Float[Tensor, "B N"]:
        """Return numbers, the lowest of which are hidden first; of equals, in reading order."""
        if self.layout == "random":
            return draws.uniform("order", prod(shape))
        if self.layout == "blocks":
            return order_blocks(draws, shape)
        return order_grid(shape, draws.index.device).expand(len(draws.index), -1)


def order_blocks(draws: Draws, shape: tuple[int, ...]) -> Float[Tensor, "B N"]:
    """Draw one number for every block; where the first one begins is drawn as well."""
    number: Int[Tensor, "B ..."] = torch.zeros(len(draws.index), 1, dtype=torch.long, device=draws.index.device)
    for axis, patches in enumerate(shape):
        side = -(-patches // BLOCKS)
        begin = draws.integers(f"begin {axis}", 0, side)[:, None]
        block = (torch.arange(patches, device=draws.index.device) + begin) // side
        number = (number[:, :, None] * (BLOCKS + 1) + block[:, None]).flatten(1)
    return draws.uniform("block", (BLOCKS + 1) ** len(shape)).gather(1, number)


@build_once
def order_grid(shape: tuple[int, ...], device: torch.device) -> Float[Tensor, "1 N"]:
    """Return the place of every patch in the order of its 2 x 2 patches, or of its four in a line."""
    phases = torch.tensor(GRID, device=device)
    if len(shape) == 1:
        return phases.flatten()[torch.arange(shape[0], device=device) % phases.numel()][None].float()
    row, column = (torch.arange(patches, device=device) % 2 for patches in shape)
    return phases[row[:, None], column].flatten()[None].float()


@dataclass(frozen=True)
class Block:
    """Hide one block: a rectangle of an image, the same in every frame of a clip; a span of a text or a recording.

    Args:
        mask_ratio: Fraction of t that the block hides, about: its sides are whole patches.
        position: Anywhere, or in the middle.
    """

    mask_ratio: float
    position: Literal["random", "center"]

    @property
    def is_constant(self) -> bool:
        """Whether the block is in the middle of every sample."""
        return self.position == "center"

    @property
    def mirror_axis(self) -> None:
        """What is visible lies on all sides of the block."""
        return

    def check(self, who: str, views: int, shape: tuple[int, ...], modality: str) -> None:
        """Raise Incompatible unless the block is smaller than t."""
        check_fraction(who, "mask_ratio", self.mask_ratio)
        if all(self.side(patches, len(shape)) >= patches for patches in shape):
            raise too_few(who, f"more patches than a block of {self.mask_ratio} of them hides", f"{prod(shape)}")

    def count_visible(self, shape: tuple[int, ...]) -> int:
        """Return how many patches lie outside the block."""
        return prod(shape) - prod(self.side(patches, len(shape)) for patches in shape)

    def target_frames(self, views: int) -> None:
        """Return None: every frame predicts its own part."""

    def side(self, patches: int, axes: int) -> int:
        """Return the block's side along an axis of `patches`, at least one patch; its volume is the fraction."""
        return max(round(math.pow(self.mask_ratio, 1 / axes) * patches), 1)

    def __call__(self, draws: Draws, grid: PatchGrid) -> Mask:
        """Hide where the block's extents along all axes meet."""
        if len(grid.shape) == 1:
            side = round_fraction(self.mask_ratio, grid.length).clamp(min=1)
            return hide(self.extent(draws, "begin", side, grid.length, grid), grid)
        height, width = grid.shape
        rows = self.extent(draws, "row", self.side(height, 2), height, PatchGrid(1, (height,), grid.length))
        columns = self.extent(draws, "column", self.side(width, 2), width, PatchGrid(1, (width,), grid.length))
        return hide(rows[:, :, None] & columns[:, None, :], grid)

    def extent(self, draws: Draws, key: str, side: Place, patches: Place, grid: PatchGrid) -> Bool[Tensor, "B N"]:
        """Return `side` places in a row, among the first `patches`."""
        num_starts = patches - side
        begin = num_starts // 2 if self.position == "center" else draws.integers(key, 0, num_starts + 1)
        return between(begin, begin + side, grid)


@dataclass(frozen=True)
class Side:
    """Hide one side of an image, or of every frame of a clip.

    Args:
        mask_ratio: Fraction of the rows or columns that is hidden.
        side: Which side.
    """

    mask_ratio: float
    side: Literal["top", "bottom", "left", "right"]

    @property
    def is_constant(self) -> bool:
        """Whether the same rows or columns are hidden of every sample."""
        return True

    @property
    def mirror_axis(self) -> int:
        """The axis of rows (0) or columns (1)."""
        return 0 if self.side in ("top", "bottom") else 1

    def check(self, who: str, views: int, shape: tuple[int, ...], modality: str) -> None:
        """Raise Incompatible unless a line is hidden and one visible."""
        check_fraction(who, "mask_ratio", self.mask_ratio)
        lines = shape[self.mirror_axis]
        if not 0 < round(self.mask_ratio * lines) < lines:
            needs = f"so many lines of patches that {self.mask_ratio} of them are some, not all"
            raise too_few(who, needs, f"{lines}")

    def count_visible(self, shape: tuple[int, ...]) -> int:
        """Return how many patches lie on the other side."""
        lines = shape[self.mirror_axis]
        return prod(shape) - prod(shape) // lines * round(self.mask_ratio * lines)

    def target_frames(self, views: int) -> None:
        """Return None: every frame predicts its own part."""

    def __call__(self, draws: Draws, grid: PatchGrid) -> Mask:
        """Hide the lines that are nearest to the side, of every sample alike."""
        lines = grid.shape[self.mirror_axis]
        line = torch.arange(lines, device=draws.index.device)
        distance = line if self.side in ("top", "left") else lines - 1 - line
        hidden = distance < round(self.mask_ratio * lines)
        hidden = hidden[:, None] if self.mirror_axis == 0 else hidden[None, :]
        return hide(hidden.expand(len(draws.index), *grid.shape), grid)


@dataclass(frozen=True)
class TimeWindows:
    """Predict a window of time on one side of a boundary from a window on its other side; the rest is withheld.

    Positions are frames of a clip, tokens of a text, or frames of a waveform.

    Args:
        boundary: Where the future begins, as a fraction of the length.
        boundary_jitter: The boundary moves by up to this fraction of the length to either side, at random.
        past: Length of the window before the boundary; None for all of them.
        future: Length of the window after the boundary; None for all of them.
        target: Which window is predicted; the other one is visible.
    """

    boundary: float
    boundary_jitter: float
    past: int | None
    future: int | None
    target: Literal["past", "future"]

    @property
    def is_constant(self) -> bool:
        """Whether the boundary does not move."""
        return self.boundary_jitter == 0

    @property
    def mirror_axis(self) -> None:
        """Time has no reflection to predict from."""
        return

    @property
    def min_lengths(self) -> tuple[int, int]:
        """The smallest lengths of the past and of the future."""
        return 1 if self.past is None else self.past, 1 if self.future is None else self.future

    def check(self, who: str, views: int, shape: tuple[int, ...], modality: str) -> None:
        """Raise Incompatible unless both windows have room, and in a clip the boundary does not move."""
        check_fraction(who, "boundary", self.boundary)
        length = views if modality == "video" else shape[0]
        before, after = self.min_lengths
        if length < before + after:
            needs = f"at least {before + after} {PLACES[modality]} ({before} before and {after} after the boundary)"
            raise too_few(who, needs, f"{length}")
        if modality == "video" and self.boundary_jitter:
            raise Incompatible(
                who,
                "split.boundary_jitter = 0 for clips, whose predicted frames stand side by side",
                f"{self.boundary_jitter}",
                "Set split.boundary_jitter=0.",
            )

    def count_visible(self, shape: tuple[int, ...]) -> None:
        """Return None: images have no time."""

    def target_frames(self, views: int) -> range:
        """Return the frames of the predicted window, the same in every clip."""
        before, after = self.min_lengths
        boundary = max(min(round(self.boundary * views), views - after), before)
        past, future = self.windows(boundary, views)
        begin, end = past if self.target == "past" else future
        return range(int(begin), int(end))

    def windows(self, boundary: Place, length: Place) -> tuple[tuple[Place, Place], tuple[Place, Place]]:
        """Return the windows before and after, each from its first position to the one after its last."""
        begin = 0 if self.past is None else boundary - self.past
        end = length if self.future is None else boundary + self.future
        return (begin, boundary), (boundary, end)

    def __call__(self, draws: Draws, grid: PatchGrid) -> Mask:
        """Mask along the frames of a clip, or the only axis of a sequence."""
        is_clip = len(grid.shape) == 2
        frame_grid = PatchGrid(1, (grid.views,) if is_clip else grid.shape, grid.length)
        (begin, boundary), (_, end) = self.windows(self.draw_boundary(draws, grid.length), grid.length)
        past, future = between(begin, boundary, frame_grid), between(boundary, end, frame_grid)
        visible, target = (past, future) if self.target == "future" else (future, past)
        if not is_clip:
            return Mask(visible[:, None], target[:, None])
        return Mask(spread_over_frames(visible, grid), spread_over_frames(target, grid))

    def draw_boundary(self, draws: Draws, length: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """Draw the first position of the future.

        Where the length allows it there is room on both sides; where it does not, at least after the boundary.
        """
        fraction: float | Tensor = self.boundary
        if self.boundary_jitter:  # a boundary that does not move draws nothing
            fraction = self.boundary + self.boundary_jitter * draws.uniform("cut", low=-1.0, high=1.0)
        before, after = self.min_lengths
        wanted = (fraction * length).round().long().clamp(min=before)
        return torch.minimum(wanted, length - after).clamp(min=0)


def spread_over_frames(frames: Bool[Tensor, "B T"], grid: PatchGrid) -> Bool[Tensor, "B T h w"]:
    """Return a mask of whole frames as one of their patches."""
    return frames[:, :, None, None].expand(-1, -1, *grid.shape)


def round_fraction(fraction: float, length: int | Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """Return a fraction of a length, rounded."""
    return (fraction * torch.as_tensor(length)).round().long()


def between(begin: Place, end: Place, grid: PatchGrid) -> Bool[Tensor, "B N"]:
    """Return which places of a sequence lie from `begin` to before `end`.

    >>> between(1, 3, PatchGrid(1, (4,), torch.tensor([4]))).int().tolist()
    [[0, 1, 1, 0]]
    """
    positions = torch.arange(grid.shape[0], device=grid.length.device)
    first, last = (place[:, None] if isinstance(place, Tensor) else place for place in (begin, end))
    return ((positions >= first) & (positions < last)).expand(len(grid.length), -1)


def hide(hidden: Bool[Tensor, "B ..."], grid: PatchGrid) -> Mask:
    """Return the mask of what is hidden and predicted, in every view alike; all else is visible."""
    hidden = hidden[:, None].expand(-1, grid.views, *grid.shape)
    return Mask(~hidden, hidden)


def check_fraction(who: str, option: str, fraction: float) -> None:
    """Raise Incompatible unless a fraction lies strictly between 0 and 1."""
    if not 0 < fraction < 1:
        raise Incompatible(who, f"a split.{option} above 0 and below 1", f"{fraction}", f"Set split.{option}=0.5.")


def too_few(who: str, needs: str, got: str) -> Incompatible:
    """Return the error for data with too few patches."""
    return Incompatible(who, needs, got, "Use larger data, or smaller split.patch, split.frame or windows.")
