"""The six mask laws of the lecture: what x shows, and what is asked.

Axes: B batch, V views (T frames of a clip, else 1), `...` the pieces of one view, N places of a sequence.
"""

import math
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal, NamedTuple

import torch
from jaxtyping import Bool, Int
from pretask import Batch, Draws, Incompatible
from torch import Tensor

from pretask_plugins.splits import fill
from pretask_plugins.splits.masking import Hiding, Mask, Size
from pretask_plugins.splits.trivial_predictors import Predictor

Place = int | Int[Tensor, " B"]


@dataclass(frozen=True)
class AnyFromAny(Hiding):
    """Hide a share of all pieces, wherever they lie; in a clip at the same places of every frame.

    Args:
        share: Of the pieces that are hidden: exactly so many of every sample.

    Source: He et al., CVPR 2022, section 3 (share .75, patch 16). Differs: pixels are not normalised patch by patch.
    """

    share: float = 0.5

    name: ClassVar[str] = "any-from-any"

    def check(self, views: int, grid: tuple[int, ...], modality: str) -> None:
        """Something must be hidden and something shown."""
        check_share(self.name, self.share)
        hidden = round(self.share * prod(grid))
        if not 0 < hidden < prod(grid):
            raise too_few(self.name, f"so many pieces that {self.share} of them are some, not all", f"{prod(grid)}")

    def shown(self, grid: tuple[int, ...]) -> int:
        """All but the hidden share."""
        return prod(grid) - round(self.share * prod(grid))

    def mask(self, draws: Draws, size: Size) -> Mask:
        """The pieces in random order; the first ones are hidden. Padding comes last."""
        length = size.length[:, None] if len(size.grid) == 1 else prod(size.grid)
        place = torch.arange(prod(size.grid), device=draws.index.device)
        order = torch.where(place < length, draws.uniform("order", prod(size.grid)), 2.0)
        rank = order.argsort(1).argsort(1)
        return hide((rank < count(self.share, length)).view(-1, *size.grid), size)


@dataclass(frozen=True)
class Occluded(Hiding):
    """Hide one block: a rectangle of an image, the same in every frame of a clip; a span of a text or a recording.

    Args:
        share: Of t that the block hides, about: its sides are whole pieces.
        place: Anywhere, or in the middle.

    Source: Pathak et al., CVPR 2016, section 3.3 (the middle, share .25).
    """

    share: float = 0.25
    place: Literal["random", "centre"] = "random"

    name: ClassVar[str] = "occluded-from-visible"

    def check(self, views: int, grid: tuple[int, ...], modality: str) -> None:
        """The block must be smaller than t."""
        check_share(self.name, self.share)
        if all(self.side(each, len(grid)) >= each for each in grid):
            raise too_few(self.name, f"more pieces than a block of share {self.share} hides", f"{prod(grid)}")

    def shown(self, grid: tuple[int, ...]) -> int:
        """All but the block."""
        return prod(grid) - prod(self.side(each, len(grid)) for each in grid)

    @property
    def steady(self) -> bool:
        """In the middle."""
        return self.place == "centre"

    def side(self, pieces: int, axes: int) -> int:
        """Pieces of the block along an axis of so many, at least one."""
        return max(round(math.pow(self.share, 1 / axes) * pieces), 1)

    def mask(self, draws: Draws, size: Size) -> Mask:
        """The block's extent along each axis; it lies where all of them meet."""
        if len(size.grid) == 1:
            return hide(
                self.extent(draws, "begin", count(self.share, size.length).clamp(min=1), size.length, size), size
            )
        rows, columns = (
            self.extent(draws, name, self.side(pieces, 2), pieces, Size(1, (pieces,), size.length))
            for name, pieces in zip(("row", "column"), size.grid, strict=True)
        )
        return hide(rows[:, :, None] & columns[:, None, :], size)

    def extent(self, draws: Draws, name: str, side: Place, pieces: Place, size: Size) -> Bool[Tensor, "B N"]:
        """`side` places in a row, among the first `pieces`."""
        room = pieces - side
        begin = room // 2 + 0 * draws.index if self.place == "centre" else draws.integers(name, 0, room + 1)
        return between(begin, begin + side, size)


@dataclass(frozen=True)
class TopFromBottom(Hiding):
    """Hide one side of an image, or of every frame of a clip.

    Args:
        share: Of the rows or columns that are hidden.
        side: Which side.
    """

    share: float = 0.5
    side: Literal["top", "bottom", "left", "right"] = "top"

    name: ClassVar[str] = "top-from-bottom"
    modalities: ClassVar[tuple[str, ...]] = ("image", "video")

    @property
    def axis(self) -> int:
        """Rows or columns."""
        return 0 if self.side in ("top", "bottom") else 1

    @property
    def steady(self) -> bool:
        """Always."""
        return True

    def check(self, views: int, grid: tuple[int, ...], modality: str) -> None:
        """A line must be hidden and one shown."""
        check_share(self.name, self.share)
        lines = grid[self.axis]
        if not 0 < round(self.share * lines) < lines:
            raise too_few(self.name, f"so many lines of pieces that {self.share} of them are some, not all", f"{lines}")

    def shown(self, grid: tuple[int, ...]) -> int:
        """All but the hidden lines."""
        return prod(grid) - prod(grid) // grid[self.axis] * round(self.share * grid[self.axis])

    def mask(self, draws: Draws, size: Size) -> Mask:
        """The same for every sample."""
        lines = size.grid[self.axis]
        line = torch.arange(lines, device=draws.index.device)
        far = line if self.side in ("top", "left") else lines - 1 - line
        hidden = far < round(self.share * lines)
        hidden = hidden[:, None] if self.axis == 0 else hidden[None, :]
        return hide(hidden.expand(len(draws.index), *size.grid), size)

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """The mirror image of what is visible as well."""
        mirrored = self.guess_by(
            lambda values, seen, axes: fill.mirrored(values, seen, axes[self.axis : self.axis + 1])
        )
        return {**super().trivial_predictors(batches), "reflection": mirrored}


class Windows(NamedTuple):
    """Stretches of time, each from its first place to the one after its last."""

    seen: tuple[Place, Place]
    asked: tuple[Place, Place]


@dataclass(frozen=True)
class InTime(Hiding):
    """A law of time: frames of a clip, tokens of a text, stretches of a recording.

    Args:
        cut: Where the future begins, as a share of the length.
        spread: The cut moves by up to this share to either side, at random; 0 keeps it where it is.
    """

    cut: float = 0.5
    spread: float = 0.0

    modalities: ClassVar[tuple[str, ...]] = ("video", "text", "audio")

    @property
    def steady(self) -> bool:
        """Where the cut stands still."""
        return self.spread == 0

    @property
    @abstractmethod
    def room(self) -> tuple[int, int]:
        """The least number of places before and after the cut."""

    @abstractmethod
    def windows(self, cut: Place, length: Place) -> Windows:
        """What is seen and what is asked, given the first place of the future."""

    def check(self, views: int, grid: tuple[int, ...], modality: str) -> None:
        """There must be room on both sides of the cut, and in a clip it must stand still."""
        check_share(self.name, self.cut)
        places = views if modality == "video" else grid[0]
        unit = {"video": "frames", "text": "tokens", "audio": "stretches of split.frame samples"}[modality]
        if places < sum(self.room):
            raise too_few(
                self.name,
                f"at least {sum(self.room)} {unit} ({' before and '.join(map(str, self.room))} after the cut)",
                f"{places}",
            )
        if modality == "video" and self.spread:
            raise Incompatible(
                self.name,
                "split.spread = 0 for clips, whose asked frames stand side by side",
                f"{self.spread}",
                "Set split.spread=0.",
            )

    def mask(self, draws: Draws, size: Size) -> Mask:
        """Both windows, along the frames of a clip or the only axis of a sequence."""
        windows = self.windows(self.cuts(draws, size.length), size.length)
        places = size.views if len(size.grid) == 2 else size.grid[0]
        seen, asked = (between(*window, Size(1, (places,), size.length)) for window in windows)
        if len(size.grid) == 1:
            return Mask(seen[:, None], asked[:, None])
        return Mask(*(each[:, :, None, None].expand(-1, -1, *size.grid) for each in (seen, asked)))

    def cuts(self, draws: Draws, length: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """The first place of the future, with room on both sides, or at least after it, where the length allows it."""
        share: float | Tensor = self.cut
        if self.spread:  # a cut that stands still draws nothing
            share = self.cut + self.spread * draws.uniform("cut", low=-1.0, high=1.0)
        before, after = self.room
        wanted = (share * length).round().long().clamp(min=before)
        return torch.minimum(wanted, length - after).clamp(min=0)

    def asked_frames(self, views: int) -> range:
        """The frames of a clip that are asked for, always the same."""
        before, after = self.room
        begin, end = self.windows(max(min(round(self.cut * views), views - after), before), views).asked
        return range(int(begin), int(end))


@dataclass(frozen=True)
class FutureFromPast(InTime):
    """Show everything before the cut, ask for everything after it."""

    name: ClassVar[str] = "future-from-past"

    @property
    def room(self) -> tuple[int, int]:
        """One place each."""
        return 1, 1

    def windows(self, cut: Place, length: Place) -> Windows:
        """All of the past, all of the future."""
        return Windows((0, cut), (cut, length))


@dataclass(frozen=True)
class FutureFromRecentPast(InTime):
    """Show only what came just before the cut, ask for what comes just after it.

    Args:
        recent: Places that are shown.
        ahead: Places that are asked for.
    """

    recent: int = 2
    ahead: int = 2

    name: ClassVar[str] = "future-from-recent-past"

    @property
    def room(self) -> tuple[int, int]:
        """Both windows."""
        return self.recent, self.ahead

    def windows(self, cut: Place, length: Place) -> Windows:
        """A window on either side of the cut; the rest is withheld."""
        return Windows((cut - self.recent, cut), (cut, cut + self.ahead))


@dataclass(frozen=True)
class PastFromPresent(InTime):
    """Show only what begins at the cut, ask for what came just before it.

    Args:
        now: Places that are shown.
        back: Places that are asked for.
    """

    now: int = 1
    back: int = 2

    name: ClassVar[str] = "past-from-present"

    @property
    def room(self) -> tuple[int, int]:
        """Both windows."""
        return self.back, self.now

    def windows(self, cut: Place, length: Place) -> Windows:
        """A window on either side of the cut; the rest is withheld."""
        return Windows((cut, cut + self.now), (cut - self.back, cut))


def count(share: float, length: int | Int[Tensor, "..."]) -> Int[Tensor, "..."]:
    """A share of so many, rounded."""
    return (share * torch.as_tensor(length)).round().long()


def between(begin: Place, end: Place, size: Size) -> Bool[Tensor, "B N"]:
    """Which places of a sequence lie from `begin` to before `end`.

    >>> between(1, 3, Size(1, (4,), torch.tensor([4]))).int().tolist()
    [[0, 1, 1, 0]]
    """
    place = torch.arange(size.grid[0], device=size.length.device)
    first, last = (torch.as_tensor(each, device=size.length.device).expand_as(size.length) for each in (begin, end))
    return (place >= first[:, None]) & (place < last[:, None])


def hide(hidden: Bool[Tensor, "B ..."], size: Size) -> Mask:
    """The mask of what is hidden and asked for, in every view alike; all else is shown."""
    hidden = hidden[:, None].expand(-1, size.views, *size.grid)
    return Mask(~hidden, hidden)


def check_share(who: str, share: float) -> None:
    """Raise Incompatible unless a share lies strictly between 0 and 1."""
    if not 0 < share < 1:
        raise Incompatible(who, "a share above 0 and below 1", f"{share}", "Set it to 0.5.")


def too_few(who: str, needs: str, got: str) -> Incompatible:
    """The error for data with too few pieces."""
    return Incompatible(who, needs, got, "Use larger data, or smaller split.patch, split.frame or windows.")
