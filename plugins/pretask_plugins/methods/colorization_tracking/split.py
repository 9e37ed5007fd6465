"""Take the colors of a frame away, and point at the cells of the frames before it from which they come.

Source: Vondrick et al., ECCV 2018, section 3. Differs: see the folder's header.
Axes: B batch, T frames of a clip, V views (references, then the frame to be colored), C channels, H W image, h w
cells.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated

import torch
from jaxtyping import Float, Int, UInt8
from pretask import (
    Batch,
    Draws,
    Figure,
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
    Task,
)
from pretask.options import MAX_SIZE, AnyFloat, Interval, Size, SizeOrZero, require_range
from pretask.pretext_score import HELD_OUT_EPOCH
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.methods.colorization_tracking.figures import draw_copied
from pretask_plugins.methods.colorization_tracking.trivial_predictors import point_at_same_gray, point_at_same_place
from pretask_plugins.shared.clips import count_frames, count_spread, draw_start, find_run, spread_frames
from pretask_plugins.shared.colors import compress_bytes, opponent_scale
from pretask_plugins.shared.constants import build_once
from pretask_plugins.shared.k_means import find_nearest, k_means
from pretask_plugins.shared.pointing import copy_labels

# What colors are fitted to: of at most so many batches of the training part, two frames a clip, 32 cells a frame.
MAX_FIT_BATCHES = 64
FIT_FRAMES_PER_CLIP = 2
FIT_CELLS_PER_FRAME = 32
MIN_COLOR_STD = 1.0  # of a or b (Lab units), below which clips have no colors to learn from


@dataclass(frozen=True)
class ColorizeFrames:
    """Show gray frames, and the colors of their cells: given for the references, predicted for the last frame.

    Args:
        references: Frames whose colors are given.
        step: Frames of the clip from one to the next.
        classes: Colors into which Lab's a and b are quantized.
        cell: Side of a cell, pixels; it has one color.
        eval_frames: Frames, evenly spread, that the encoder sees of a clip at evaluation; all of them when 0.
        centers: The colors, (a, b) of Lab; fitted where left out.

    Source: Vondrick et al. 2018, section 3.
    """

    references: Size = 3
    step: Size = 4
    classes: Annotated[int, Interval(ge=2, le=MAX_SIZE)] = 16
    cell: Size = 8
    eval_frames: SizeOrZero = 4
    centers: tuple[tuple[AnyFloat, AnyFloat], ...] = ()

    def __post_init__(self) -> None:
        require_range("colorization-tracking", "split", self)

    @property
    def views(self) -> int:
        """V, frames that are shown: the references and the one to be colored."""
        return self.references + 1

    @property
    def span(self) -> int:
        """Frames of a clip from the first reference to the one to be colored."""
        return self.references * self.step + 1

    def fit(self, clips: Observed, batches: Iterable[Batch], /) -> "ColorizeFrames":
        """Return the same split with colors: k-means on cells of the user's clips.

        Raises:
            Incompatible: The clips are too short or too small, or have no three channels of bytes.
            PretaskError: The clips are gray.
        """
        self.check(clips)
        if self.centers:
            return self
        colors = torch.cat([self.sample_colors(batch) for batch in islice(batches, MAX_FIT_BATCHES)])
        std = float(colors.std(0).max())
        if std < MIN_COLOR_STD:
            raise PretaskError(
                "colorization-tracking",
                f"clips in color (standard deviation of a or b of at least {MIN_COLOR_STD})",
                f"{std:.2f}",
                "Use other clips.",
            )
        centers = k_means(colors, self.classes)
        return replace(self, centers=tuple((round(float(a), 3), round(float(b), 3)) for a, b in centers))

    def sample_colors(self, batch: Batch) -> Float[Tensor, "N 2"]:
        """Return colors of some cells of some frames of every clip."""
        draws = Draws(batch.index).branch("colours")
        frames = draws.integers("frame", 0, count_frames(batch)[:, None], FIT_FRAMES_PER_CLIP)
        colors = cell_colors(batch.take_frames(frames), self.cell).flatten(1, 3)  # (B, cells, 2)
        chosen = draws.integers("cell", 0, colors.shape[1], FIT_FRAMES_PER_CLIP * FIT_CELLS_PER_FRAME)
        return colors.gather(1, chosen[..., None].expand(-1, -1, 2)).flatten(0, 1).cpu()

    def spec(self, clips: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return gray frames, and one of the colors for every cell of each."""
        self.check(clips)
        height, width = clips.shape[2:]
        grid = (height // self.cell, width // self.cell)
        view = InputSpec("image", (1, height, width), views=self.views, ordered=True)
        return view, {"colour": Reference(self.classes, grid=grid, views=self.views)}

    def whole_spec(self, clips: Observed, /) -> InputSpec:
        """Return the spec of gray frames of the clip."""
        frames = count_spread(clips.shape[0], self.eval_frames)
        return InputSpec("image", (1, *clips.shape[2:]), views=frames, ordered=True)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return gray frames; the colors of their cells, of weight 0 where they are given."""
        start, is_long = draw_start(batch, draws, self.span)
        positions = find_run(batch, start, self.views, self.step)
        frames = batch.take_frames(positions)
        roots = compress_bytes(frames)
        label = self.quantize(pool_colors(roots, self.cell))
        weight = last_only(self.views, batch.device) * is_long[:, None, None, None]
        return Inputs(gray_of(roots)), {"colour": Target(label, weight.expand(label.shape))}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return gray frames of the clip, evenly spread over those that are no padding."""
        return Inputs(to_gray(spread_frames(batch, self.eval_frames)))

    def quantize(self, colors: Float[Tensor, "*cells 2"]) -> Int[Tensor, "*cells"]:
        """Return the number of the nearest center; raises PretaskError before they were fitted."""
        if not self.centers:
            raise PretaskError(
                "colorization-tracking", "colors, fitted or as split.centers", "none", "Call fit with some batches."
            )
        centers = as_centers(self.centers, colors.device)
        return find_nearest(colors.flatten(0, -2), centers).view(colors.shape[:-1])

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return three ways to point without learning, as vectors whose products say where.

        copy: at the cell at the same place of the newest reference. histogram: at all cells of all references equally.
        gray: at the cell whose pixels are most similar.
        """

        def copy(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
            return {"colour": point_at_same_place(self(batch, draws)[1]["colour"].value)}

        def histogram(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
            cells = self(batch, draws)[1]["colour"].value.shape
            return {"colour": torch.zeros(*cells, 1, device=batch.device)}

        def gray(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
            return {"colour": point_at_same_gray(self(batch, draws)[0].data, self.cell)}

        return {"copy": copy, "histogram": histogram, "gray": gray}

    def figures(self, task: Task, batch: Batch, /) -> Iterator[Figure]:
        """Yield frames with the colors that the objective's vectors copy from the frames before them."""
        draws = Draws(batch.index, 0, HELD_OUT_EPOCH)
        inputs, targets = self(batch, draws.branch("split"))
        label, weight = targets["colour"].value, targets["colour"].weight
        vectors = task.predict(batch, draws).get("colour")
        if vectors is None or weight is None or vectors.shape[:-1] != label.shape:
            return
        given = weight.flatten(2) == 0
        copied = copy_labels(vectors.flatten(2, 3), label.flatten(2), given, self.classes, query_views=1)
        probability = copied[:, 0].reshape(len(label), *label.shape[2:], self.classes)
        yield draw_copied(inputs.data, label, probability, as_centers(self.centers, label.device))

    def check(self, clips: Observed) -> None:
        """Raise Incompatible unless clips have colors, and are long and large enough."""
        color = clips.modality == "video" and clips.shape[1] == 3 and clips.dtype == "uint8"
        if not color or clips.shape[0] < self.span or min(clips.shape[2:]) < self.cell:
            raise Incompatible(
                "colorization-tracking",
                f"clips of 3 channels of 8 bits (uint8), at least {self.span} frames ({self.references} references, "
                f"{self.step} apart, and one more) and {self.cell} pixels a side",
                f"{clips.modality} of shape {clips.shape}, {clips.dtype}",
                "Use longer clips in color, or a smaller split.step, split.references or split.cell.",
            )


@build_once
def last_only(views: int, device: torch.device) -> Float[Tensor, "V 1 1"]:
    """Return 0 for every view but the last, 1 for that."""
    return (torch.arange(views, device=device) == views - 1).float()[:, None, None]


@build_once
def as_centers(centers: tuple[tuple[float, float], ...], device: torch.device) -> Float[Tensor, "K 2"]:
    """Return colors as a tensor."""
    return torch.tensor(centers, device=device)


def to_gray(frames: UInt8[Tensor, "B V 3 H W"]) -> Float[Tensor, "B V 1 H W"]:
    """Return Lab's L in [0, 1]: two colors of one L look the same."""
    return gray_of(compress_bytes(frames))


def gray_of(roots: Float[Tensor, "B V 3 H W"]) -> Float[Tensor, "B V 1 H W"]:
    """Return Lab's L in [0, 1] of what `compress_bytes` makes of frames."""
    return (116 * roots[:, :, 1:2]).sub_(16).div_(100)


def cell_colors(frames: UInt8[Tensor, "B V 3 H W"], cell: int) -> Float[Tensor, "B V h w 2"]:
    """Return the mean a and b of Lab of every cell."""
    return pool_colors(compress_bytes(frames), cell)


def pool_colors(roots: Float[Tensor, "B V 3 H W"], cell: int) -> Float[Tensor, "B V h w 2"]:
    """Return the mean a and b of Lab of every cell of what `compress_bytes` makes of frames.

    Cells fill the frame, as the positions of features do that are brought onto their grid: where sides are no multiples
    of a cell, some are larger by a pixel or more, and neighbors share one.
    """
    grid = (roots.shape[3] // cell, roots.shape[4] // cell)
    colors = (roots[:, :, :2] - roots[:, :, 1:]).mul_(opponent_scale(roots.device))
    pooled = F.adaptive_avg_pool2d(colors.flatten(0, 1), grid)
    return pooled.view(*roots.shape[:2], *pooled.shape[1:]).movedim(2, -1)
