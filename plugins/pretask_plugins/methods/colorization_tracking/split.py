"""Take the colours of a frame away and ask which of the colours in the frames before it belong where.

Source: Vondrick et al., ECCV 2018, section 3. Differs: see the folder's header.
Axes: B batch, T frames of a clip, V views (references, then the frame to be coloured), C channels, H W image, h w
cells, K colours.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice

import torch
from jaxtyping import Float, Int, Shaped
from pretask import (
    Batch,
    Draws,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    PretaskError,
    Reference,
    Target,
    Targets,
    TargetSpecs,
)
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.methods.colorization_tracking.colors import k_means, lab, nearest

BATCHES = 64  # of the training part that colours are fitted to, at most
FRAMES = 2  # of each of its clips
CELLS = 32  # of each of these frames
GREY = 1.0  # deviation of a and b, below which clips have no colours to learn from


@dataclass(frozen=True)
class ColorizeFrames:
    """Grey frames, and the colours of their cells: given for the references, asked for the last frame.

    Args:
        references: Frames whose colours are given.
        step: Frames of the clip from one to the next.
        classes: Colours that are told apart.
        cell: Side of a cell, pixels; it has one colour.
        shown: Frames, evenly spread, that the encoder sees of a clip at evaluation; all of them when 0.
        centres: The colours, (a, b) of Lab; fitted where left out.

    Source: Vondrick et al. 2018, section 3.
    """

    references: int = 3
    step: int = 4
    classes: int = 16
    cell: int = 8
    shown: int = 4
    centres: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        bounds = {
            "references": (1, math.inf),
            "step": (1, math.inf),
            "classes": (2, math.inf),
            "cell": (1, math.inf),
            "shown": (0, math.inf),
        }
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                got = f"{getattr(self, name)}"
                raise PretaskError(
                    "colorization-tracking", f"split.{name} from {least} to {most}", got, "Mend it.", exit_code=2
                )

    @property
    def views(self) -> int:
        """Frames of a task: the references and the one to be coloured."""
        return self.references + 1

    @property
    def span(self) -> int:
        """Frames of a clip from the first reference to the one to be coloured."""
        return self.references * self.step + 1

    def fit(self, clips: Observed, batches: Iterable[Batch], /) -> "ColorizeFrames":
        """Find the colours: k-means on cells of the user's clips.

        Raises:
            Incompatible: The clips are too short or too small, or have no three channels of bytes.
            PretaskError: The clips are grey.
        """
        self.check(clips)
        if self.centres:
            return self
        cells = torch.cat([self.some_colours(batch) for batch in islice(batches, BATCHES)])
        if float(cells.std(0).max()) < GREY:
            raise PretaskError(
                "colorization-tracking",
                f"clips in colour (deviation of a or b of at least {GREY})",
                f"{float(cells.std(0).max()):.2f}",
                "Use other clips.",
            )
        centres = k_means(cells, self.classes)
        return replace(self, centres=tuple((round(float(a), 3), round(float(b), 3)) for a, b in centres))

    def some_colours(self, batch: Batch) -> Float[Tensor, "N 2"]:
        """Colours of some cells of some frames of every clip."""
        draws = Draws(batch.index).branch("colours")
        frames = draws.integers("frame", 0, lengths(batch)[:, None], FRAMES)
        colours = cell_colours(frames_at(batch.data, frames), self.cell).flatten(1, 3)  # (B, cells, 2)
        chosen = draws.integers("cell", 0, colours.shape[1], FRAMES * CELLS)
        return colours.gather(1, chosen[..., None].expand(-1, -1, 2)).flatten(0, 1).cpu()

    def spec(self, clips: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Grey frames, and one of the colours for every cell of each."""
        self.check(clips)
        height, width = clips.shape[2:]
        grid = (height // self.cell, width // self.cell)
        view = InputSpec("image", (1, height, width), views=self.views, ordered=True)
        return view, {"colour": Reference(self.classes, grid=grid, views=self.views)}

    def whole_spec(self, clips: Observed, /) -> InputSpec:
        """Grey frames of the clip."""
        frames = min(self.shown or clips.shape[0], clips.shape[0])
        return InputSpec("image", (1, *clips.shape[2:]), views=frames, ordered=True)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Grey frames; the colours of their cells, of weight 0 where they are given."""
        length = lengths(batch)
        start = draws.integers("start", 0, (length - self.span).clamp(min=0) + 1)
        places = start[:, None] + self.step * torch.arange(self.views, device=batch.device)
        frames = frames_at(batch.data, places.clamp(max=batch.data.shape[1] - 1))
        label = self.nearest(cell_colours(frames, self.cell))
        weight = torch.zeros(label.shape, device=batch.device)
        weight[:, -1] = (length >= self.span).float()[:, None, None]
        return Inputs(grey(frames)), {"colour": Target(label, weight)}

    def whole(self, batch: Batch, /) -> Inputs:
        """Grey frames of the clip, evenly spread over those that are there."""
        frames = min(self.shown or batch.data.shape[1], batch.data.shape[1])
        middle = (torch.arange(frames, device=batch.device) + 0.5) / frames
        return Inputs(grey(frames_at(batch.data, (middle * lengths(batch)[:, None]).long())))

    def nearest(self, colours: Float[Tensor, "*cells 2"]) -> Int[Tensor, "*cells"]:
        """The number of the nearest colour; raises PretaskError before they were fitted."""
        if not self.centres:
            raise PretaskError(
                "colorization-tracking", "colours, fitted or as split.centres", "none", "Call fit with some batches."
            )
        centres = torch.tensor(self.centres, device=colours.device)
        return nearest(colours.flatten(0, -2), centres).view(colours.shape[:-1])

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """The cell at the same place of the newest reference, any cell of any reference, and the cell that looks most
        alike in grey: as vectors whose products say where to point."""
        return {
            "copy": lambda batch, draws: {"colour": same_place(self(batch, draws)[1]["colour"].value)},
            "histogram": lambda batch, draws: {
                "colour": torch.zeros(*self(batch, draws)[1]["colour"].value.shape, 1, device=batch.device)
            },
            "grey": lambda batch, draws: {"colour": same_grey(self(batch, draws)[0].data, self.cell)},
        }

    def check(self, clips: Observed) -> None:
        """Raise Incompatible unless clips have colours, and are long and large enough."""
        colour = clips.modality == "video" and clips.shape[1] == 3 and clips.dtype == "uint8"
        if not colour or clips.shape[0] < self.span or min(clips.shape[2:]) < self.cell:
            raise Incompatible(
                "colorization-tracking",
                f"clips of 3 channels of 8 bits (uint8), at least {self.span} frames ({self.references} references, "
                f"{self.step} apart, and one more) and {self.cell} pixels a side",
                f"{clips.modality} of shape {clips.shape}, {clips.dtype}",
                "Use longer clips in colour, or a smaller split.step, split.references or split.cell.",
            )


def lengths(batch: Batch) -> Int[Tensor, " B"]:
    """How many frames of every clip are no padding."""
    if batch.present is None:
        return torch.full_like(batch.index, batch.data.shape[1])
    return batch.present.sum(1)


def frames_at(clips: Shaped[Tensor, "B T C H W"], places: Int[Tensor, "B V"]) -> Shaped[Tensor, "B V C H W"]:
    """The frames of the given numbers."""
    return clips[torch.arange(len(clips), device=clips.device)[:, None], places]


def grey(frames: Shaped[Tensor, "B V 3 H W"]) -> Float[Tensor, "B V 1 H W"]:
    """Lab's L, brought to [0, 1]: two colours of one L look the same."""
    return lab(frames / 255)[:, :, :1] / 100


def cell_colours(frames: Shaped[Tensor, "B V 3 H W"], cell: int) -> Float[Tensor, "B V h w 2"]:
    """Mean a and b of Lab of every cell. Cells fill the frame, as the places of features do that are brought onto their
    grid: where sides are no multiples of a cell, some are larger by a pixel or more, and neighbours share one."""
    grid = (frames.shape[3] // cell, frames.shape[4] // cell)
    colours = F.adaptive_avg_pool2d(lab(frames.flatten(0, 1) / 255)[:, 1:], grid)
    return colours.reshape(*frames.shape[:2], *colours.shape[1:]).movedim(2, -1)


def pointing_at(places: Float[Tensor, "B V h w D"], sharp: float) -> Float[Tensor, "B V h w E"]:
    """Vectors whose products are, but for a number of the asking cell, -sharp times the squared distance of places; the
    last view asks, the others are pointed at."""
    ones = torch.ones_like(places[..., :1])
    asking = torch.cat([places, ones], -1)
    pointed = sharp * torch.cat([2 * places, -places.square().sum(-1, keepdim=True)], -1)
    return torch.cat([pointed[:, :-1], asking[:, -1:]], 1)


def same_place(label: Int[Tensor, "B V h w"]) -> Float[Tensor, "B V h w E"]:
    """Vectors that point at the same place of the newest reference."""
    batch, views, height, width = label.shape
    row, column = (torch.arange(side, device=label.device).float() for side in (height, width))
    view = torch.arange(views, device=label.device).float().clamp(max=views - 2)  # the last two share a place in time
    places = torch.stack(torch.meshgrid(view, row, column, indexing="ij"), -1)
    return pointing_at(places.expand(batch, -1, -1, -1, -1), 20.0)


def same_grey(frames: Float[Tensor, "B V 1 H W"], cell: int) -> Float[Tensor, "B V h w E"]:
    """Vectors that point at cells of the same pixels."""
    views = frames.shape[1]
    pixels = F.unfold(frames.flatten(0, 1), cell, stride=cell)  # (B V, pixels of a cell, cells)
    grid = (frames.shape[3] // cell, frames.shape[4] // cell)
    return pointing_at(pixels.transpose(1, 2).reshape(-1, views, *grid, cell**2) / cell, 1000.0)
