"""Codes: an image's codes of all levels as one row of tokens, each of which is predicted from those before it.

A row has the top level in reading order, then the next. Code k of level l is token l K + k; what begins a row is
token levels * K. Each level is a target of its own, so that a level's codes alone can be predicted at its positions.

Source: Razavi, van den Oord and Vinyals, NeurIPS 2019, section 3.2 (the bottom given the top).
Axes: N images, B batch, h w a level's grid, L codes of all levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Int
from pretask import Batch, Categories, Draws, Inputs, InputSpec, Observed, Target, Targets, TargetSpecs, Vocabulary
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class NextCode:
    """Show the codes before each position, and predict the code there.

    Args:
        grids: Of the levels, the top one first.
        size: Entries of every level.
    """

    grids: tuple[tuple[int, ...], ...]
    size: int

    @property
    def lengths(self) -> list[int]:
        """The number of codes of every level."""
        return [prod(grid) for grid in self.grids]

    @property
    def start(self) -> int:
        """The token that begins a row."""
        return len(self.grids) * self.size

    @property
    def names(self) -> list[str]:
        """The targets' names, the top level first."""
        return [f"level{number}" for number in range(len(self.grids))]

    def observed(self, images: int) -> Observed:
        """Return the description of rows of codes."""
        return Observed("text", (sum(self.lengths),), "int64", images, Vocabulary(self.start + 1))

    def spec(self, rows: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return a row that is one place late, and a choice among a level's entries at each of its positions."""
        targets = {
            name: Categories(self.size, grid=rows.shape, sees="past", scored=length)
            for name, length in zip(self.names, self.lengths, strict=True)
        }
        return self.whole_spec(rows), targets

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the codes before each position, and each level's codes, which weigh nothing elsewhere."""
        level = self.levels(batch.device)
        targets = {
            name: Target((batch.data - number * self.size).where(level == number, 0), weight.expand_as(batch.data))
            for number, name in enumerate(self.names)
            for weight in [(level == number).float()]
        }
        return self.whole(batch), targets

    def whole_spec(self, rows: Observed, /) -> InputSpec:
        """Return a row of tokens."""
        return InputSpec("text", rows.shape, vocabulary=rows.vocabulary)

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the start and all codes but the last."""
        return Inputs(F.pad(batch.data[:, :-1], (1, 0), value=self.start)[:, None])

    def levels(self, device: torch.device) -> Int[Tensor, " L"]:
        """Return the level of every position."""
        lengths = torch.tensor(self.lengths, device=device)
        return torch.arange(len(lengths), device=device).repeat_interleave(lengths)

    def join(self, codes: Sequence[Int[Tensor, "N h w"]]) -> Int[Tensor, "N L"]:
        """Return the codes of all levels as rows of tokens."""
        return torch.cat([index.flatten(1) + number * self.size for number, index in enumerate(codes)], 1)

    def part(self, rows: Int[Tensor, "N L"]) -> list[Int[Tensor, "N h w"]]:
        """Return rows of tokens as the codes of all levels.

        >>> split = NextCode(((1, 1), (1, 2)), 4)
        >>> [index.tolist() for index in split.part(torch.tensor([[3, 4, 6]]))]
        [[[[3]]], [[[0, 2]]]]
        """
        pieces = torch.split(rows, self.lengths, 1)
        return [
            (piece - number * self.size).view(-1, *grid)
            for number, (piece, grid) in enumerate(zip(pieces, self.grids, strict=True))
        ]
