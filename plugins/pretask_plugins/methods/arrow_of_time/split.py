"""Show a clip forwards or backwards; predict which.

Source: Wei, Lim, Zisserman and Freeman, CVPR 2018, sections 3 and 4. Differs: see the folder's header.
Axes: B batch, T frames of a clip, F frames shown or taken, E pictures of them, V views (groups of frames), C D
channels, H W image.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from jaxtyping import Bool, Float, Shaped
from pretask import (
    Batch,
    Categories,
    Draws,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    Target,
    Targets,
    TargetSpecs,
)
from pretask.options import MAX_SIZE, Fraction, Interval, Size, require_range
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.methods.arrow_of_time.motion import flow_fields, signed_differences
from pretask_plugins.methods.arrow_of_time.stabilization import stabilize
from pretask_plugins.shared.clips import count_frames, draw_start, find_run
from pretask_plugins.shared.constants import build_once
from pretask_plugins.shared.fractions import as_fractions

MIN_COMMON = 0.5  # of the picture, that all frames of a stabilized clip show


@dataclass(frozen=True)
class ReverseClip:
    """Take frames that follow one another out of every clip; show every second clip backwards.

    Args:
        frames: F, frames that are shown.
        stack: Frames that are joined as the channels of one view; 1 for models that read clips.
        step: Frames of the clip from one that is shown to the next.
        crop_bars: Whether black bars are cut off and the rest is enlarged: they tell the direction of clips whose maker
            faded in or out, and how a bar was compressed.
        bar_level: Level, as a fraction of white, up to which a line of pixels is a bar, if it stays so dark in all
            frames.
        stabilize: Whether the camera's motion is taken out (stabilization.py). Clips of which it leaves less than
            half of the picture get no weight.
        motion: What is shown of the frames: they themselves, their signed differences, or their flow, each computed on
            the frames in the order in which they are shown; of F + 1 frames then, so that there are F of them.

    Source: Wei et al. 2018, sections 3 (bars) and 4 (groups of frames).
    """

    frames: Annotated[int, Interval(ge=2, le=MAX_SIZE)] = 20
    stack: Size = 10
    step: Size = 1
    crop_bars: bool = True
    bar_level: Fraction = 0.06
    stabilize: bool = False
    motion: Literal["none", "differences", "flow"] = "none"

    def __post_init__(self) -> None:
        require_range("arrow-of-time", "split", self)

    @property
    def taken(self) -> int:
        """Frames that are taken out of a clip: F, and one more to compare with where motion is shown."""
        return self.frames + (self.motion != "none")

    @property
    def span(self) -> int:
        """Frames of a clip from the first to the last one taken."""
        return (self.taken - 1) * self.step + 1

    def spec(self, clips: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return groups of frames, and the direction."""
        self.check(clips)
        return self.whole_spec(clips), {"direction": Categories(2)}

    def whole_spec(self, clips: Observed, /) -> InputSpec:
        """Return the spec of the same groups, out of the middle of the clip."""
        channels, *sides = clips.shape[1:]
        channels = 2 if self.motion == "flow" else channels
        return InputSpec("image", (channels * self.stack, *sides), views=self.frames // self.stack, ordered=True)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return groups of frames, and 1 where they are shown backwards."""
        frames, target = self.show_frames(batch, draws)
        return Inputs(self.stack_groups(self.represent(frames))), {"direction": target}

    def show_frames(self, batch: Batch, draws: Draws) -> tuple[Float[Tensor, "B F C H W"], Target]:
        """Return frames in the order in which they are shown, without black bars, and 1 where that is backwards."""
        start, is_long = draw_start(batch, draws, self.span)
        backwards = draw_reversal(draws)
        positions = find_run(batch, start, self.taken, self.step)
        shown = batch.take_frames(torch.where(backwards[:, None], positions.flip(1), positions))
        frames, is_steady = self.prepare(shown)
        return frames, Target(backwards.long(), is_long * is_steady)

    def whole(self, batch: Batch, /) -> Inputs:
        """Return groups of frames out of the middle, forwards; of a shorter clip, the last frame is repeated."""
        start = (count_frames(batch) - self.span).clamp(min=0) // 2
        frames, _ = self.prepare(batch.take_frames(find_run(batch, start, self.taken, self.step)))
        return Inputs(self.stack_groups(self.represent(frames)))

    def prepare(
        self, frames: Shaped[Tensor, "B F C H W"]
    ) -> tuple[Float[Tensor, "B F C H W"], Float[Tensor, " B"] | float]:
        """Return frames in [0, 1] without black bars and motion of the camera, and 1 for clips that stand still so."""
        frames = as_fractions(frames)
        frames = crop_bars(frames, self.bar_level) if self.crop_bars else frames
        if not self.stabilize:
            return frames, 1.0
        frames, common = stabilize(frames)
        return frames, (common >= MIN_COMMON).float()

    def represent(self, frames: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B E D H W"]:
        """Return what is shown of frames: themselves, their differences or their flow."""
        if self.motion == "none":
            return frames
        return signed_differences(frames) if self.motion == "differences" else flow_fields(frames)

    def stack_groups(self, frames: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B V SC H W"]:
        """Return frames joined as channels, group by group."""
        return frames.reshape(frames.shape[0], -1, self.stack * frames.shape[2], *frames.shape[3:])

    def unstack_groups(self, views: Float[Tensor, "B V SC H W"]) -> Float[Tensor, "B F C H W"]:
        """Return the frames of groups, one by one."""
        return views.reshape(views.shape[0], self.frames, -1, *views.shape[3:])

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return linear classifiers of the artificial cues of section 3, and of the differences of regions."""
        from pretask_plugins.methods.arrow_of_time.cues import fit_cues

        return fit_cues(self, batches)

    def check(self, clips: Observed) -> None:
        """Raise Incompatible unless clips are long enough and groups come out even."""
        if clips.modality != "video" or clips.shape[0] < self.span:
            raise Incompatible(
                "arrow-of-time",
                f"clips of at least {self.span} frames ({self.taken} frames, each {self.step} after the other)",
                f"{clips.shape[0]} frames" if clips.modality == "video" else clips.modality,
                "Use longer clips, or a smaller split.frames (--preset small has 8).",
            )
        if self.frames < 2 or self.frames % self.stack:
            raise Incompatible(
                "arrow-of-time",
                f"split.frames of at least 2, a multiple of split.stack = {self.stack}",
                f"{self.frames}",
                "Change one of the two.",
            )


def draw_reversal(draws: Draws) -> Bool[Tensor, " B"]:
    """Return whether a clip is shown backwards: at random in one epoch, and the other way round in the next."""
    first = draws.at_epoch(0).bernoulli("direction", 0.5)
    if isinstance(draws.epoch, int):
        return ~first if draws.epoch % 2 else first
    return first ^ (draws.epoch % 2 == 1)


def crop_bars(frames: Float[Tensor, "B F C H W"], bar_level: float) -> Float[Tensor, "B F C H W"]:
    """Return frames without the bars at their edges, enlarged to the old size; those without bars as they are."""
    height, width = frames.shape[-2:]
    bright = frames.amax((1, 2)) > bar_level  # (B, H, W)
    edges = torch.stack([find_edges(bright.any(1)), find_edges(bright.any(2))], 1)  # (B, 2 of x and y, 2)
    weights, constants, sizes, offsets = cropping_constants(height, width, frames.device)
    numbers = (edges @ weights + constants) / sizes - offsets  # (B, 2, 5): scale, scale, middle, lowest, highest
    whole = (numbers[..., 0] == 1).all(1)
    if frames.is_cpu and not torch.compiler.is_compiling():  # where it costs nothing to look, and much to enlarge
        cropped = (~whole).nonzero()[:, 0]
        larger = enlarge(frames[cropped], numbers[cropped]) if len(cropped) else None
        return frames if larger is None else frames.index_copy(0, cropped, larger)
    return torch.where(whole.view(-1, 1, 1, 1, 1), frames, enlarge(frames, numbers))


def enlarge(frames: Float[Tensor, "B F C H W"], numbers: Float[Tensor, "B 2 5"]) -> Float[Tensor, "B F C H W"]:
    """Return what lies between the bars of frames, enlarged to their size; see `crop_bars` for the numbers."""
    height, width = frames.shape[-2:]
    affine = numbers[..., :3] * affine_mask(frames.device)
    grid = F.affine_grid(affine, [frames.shape[0], 1, height, width], align_corners=False)
    # Positions stay within the centers of the outermost lines, or the bars would shine through the edges.
    grid = grid.clamp(numbers[:, None, None, :, 3], numbers[:, None, None, :, 4])
    larger = F.grid_sample(frames.flatten(1, 2), grid, align_corners=False)
    return larger.view_as(frames)


@build_once
def cropping_constants(height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return what makes of the edges of x and y, as `find_edges` has them, five numbers of each (columns).

    With the first line f = size - edges[0] and the one after the last l = edges[1]: scale (l - f) / size, twice; middle
    (l + f) / size - 1; and the centers of the outermost lines, (2 f + 1) / size - 1 and (2 l - 1) / size - 1.
    """
    sizes = torch.tensor([[width], [height]], dtype=torch.float32, device=device)
    weights = torch.tensor([[1.0, 1, -1, -2, 0], [1.0, 1, 1, 0, 2]], device=device)
    of_size, ones = torch.tensor([-1.0, -1, 1, 2, 0], device=device), torch.tensor([0.0, 0, 0, 1, -1], device=device)
    return weights, sizes * of_size + ones, sizes, torch.tensor([0.0, 0, 1, 1, 1], device=device)


@build_once
def affine_mask(device: torch.device) -> Float[Tensor, "2 3"]:
    """Return where the matrix of a map without rotation is not 0."""
    return torch.tensor([[1.0, 0, 1], [0, 1, 1]], device=device)


@build_once
def line_ranks(size: int, device: torch.device) -> Float[Tensor, "2 L"]:
    """Return size … 1 and 1 … size."""
    ranks = torch.arange(1.0, size + 1, device=device)
    return torch.stack([ranks.flip(0), ranks])


def find_edges(lines: Bool[Tensor, "B L"]) -> Float[Tensor, "B 2"]:
    """Return the size less the first line that is True, and the line after the last; twice the size where none is.

    >>> find_edges(torch.tensor([[False, True, False, True, False], [False] * 5])).tolist()
    [[4.0, 4.0], [5.0, 5.0]]
    """
    size = lines.shape[1]
    edges = (lines[:, None] * line_ranks(size, lines.device)).amax(2)
    return edges.masked_fill(edges == 0, float(size))
