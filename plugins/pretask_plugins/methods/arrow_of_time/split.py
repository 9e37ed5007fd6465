"""Show a clip forwards or backwards; predict which.

Source: Wei, Lim, Zisserman and Freeman, CVPR 2018, sections 3 and 4. Differs: see the folder's header.
Axes: B batch, T frames of a clip, F frames shown, V views (groups of frames), C channels, H W image.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int, Shaped
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

from pretask_plugins.shared.clips import count_frames, take_frames


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

    Source: Wei et al. 2018, sections 3 (bars) and 4 (groups of frames).
    """

    frames: Annotated[int, Interval(ge=2, le=MAX_SIZE)] = 20
    stack: Size = 10
    step: Size = 1
    crop_bars: bool = True
    bar_level: Fraction = 0.06

    def __post_init__(self) -> None:
        require_range("arrow-of-time", "split", self)

    @property
    def span(self) -> int:
        """Frames of a clip from the first to the last one shown."""
        return (self.frames - 1) * self.step + 1

    def spec(self, clips: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return groups of frames, and the direction."""
        self.check(clips)
        return self.whole_spec(clips), {"direction": Categories(2)}

    def whole_spec(self, clips: Observed, /) -> InputSpec:
        """Return the spec of the same groups, out of the middle of the clip."""
        channels, *sides = clips.shape[1:]
        return InputSpec("image", (channels * self.stack, *sides), views=self.frames // self.stack, ordered=True)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return groups of frames, and 1 where they are shown backwards."""
        length = count_frames(batch)
        start = draws.integers("start", 0, (length - self.span).clamp(min=0) + 1)
        shown = self.prepare(take_run(batch.data, start, self.frames, self.step))
        backwards = draw_reversal(draws)
        shown = torch.where(backwards.view(-1, 1, 1, 1, 1), shown.flip(1), shown)
        return Inputs(self.stack_groups(shown)), {"direction": Target(backwards.long(), (length >= self.span).float())}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return groups of frames out of the middle, forwards; of a shorter clip, the last frame is repeated."""
        start = (count_frames(batch) - self.span).clamp(min=0) // 2
        return Inputs(self.stack_groups(self.prepare(take_run(batch.data, start, self.frames, self.step))))

    def prepare(self, frames: Shaped[Tensor, "B F C H W"]) -> Float[Tensor, "B F C H W"]:
        """Return frames in [0, 1] without black bars, one by one."""
        return crop_bars(frames / 255, self.bar_level) if self.crop_bars else frames / 255

    def stack_groups(self, frames: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B V SC H W"]:
        """Return frames joined as channels, group by group."""
        return frames.reshape(frames.shape[0], -1, self.stack * frames.shape[2], *frames.shape[3:])

    def unstack_groups(self, views: Float[Tensor, "B V SC H W"]) -> Float[Tensor, "B F C H W"]:
        """Return the frames of groups, one by one."""
        return views.reshape(views.shape[0], self.frames, -1, *views.shape[3:])

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return linear classifiers of the artificial cues of section 3: edges, global motion, detail."""
        from pretask_plugins.methods.arrow_of_time.cues import fit_cues

        return fit_cues(self, batches)

    def check(self, clips: Observed) -> None:
        """Raise Incompatible unless clips are long enough and groups come out even."""
        if clips.modality != "video" or clips.shape[0] < self.span:
            raise Incompatible(
                "arrow-of-time",
                f"clips of at least {self.span} frames ({self.frames} frames, each {self.step} after the other)",
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
    first = Draws(draws.index, draws.seed, path=draws.path).bernoulli("direction", 0.5)
    return first ^ (torch.as_tensor(draws.epoch, device=first.device) % 2 == 1)


def take_run(
    clips: Shaped[Tensor, "B T C H W"], start: Int[Tensor, " B"], count: int, step: int
) -> Shaped[Tensor, "B F C H W"]:
    """Return `count` frames, `step` apart, from the start on; the last one is repeated where a clip ends before."""
    positions = start[:, None] + step * torch.arange(count, device=clips.device)
    return take_frames(clips, positions.clamp(max=clips.shape[1] - 1))


def crop_bars(frames: Float[Tensor, "B F C H W"], bar_level: float) -> Float[Tensor, "B F C H W"]:
    """Return frames without the bars at their edges, enlarged to the old size; those without bars as they are."""
    height, width = frames.shape[-2:]
    bright = frames.amax((1, 2)) > bar_level  # (B, H, W)
    top, bottom = bright_range(bright.any(2))
    left, right = bright_range(bright.any(1))
    first, last = torch.stack([left, top], 1), torch.stack([right, bottom], 1)  # (B, 2) of x and y
    size = torch.tensor([width, height], device=frames.device)
    scale, middle = (last - first) / size, (last + first) / size - 1
    affine = torch.cat([torch.diag_embed(scale), middle[:, :, None]], 2)
    grid = F.affine_grid(affine, [frames.shape[0], 1, height, width], align_corners=False)
    # Positions stay within the centers of the outermost lines, or the bars would shine through the edges.
    low, high = (2 * first + 1) / size - 1, (2 * (last - 1) + 1) / size - 1
    grid = grid.clamp(low[:, None, None], high[:, None, None])
    larger = F.grid_sample(frames.flatten(1, 2), grid, align_corners=False)
    whole = (scale == 1).all(1).view(-1, 1, 1, 1, 1)
    return torch.where(whole, frames, larger.view_as(frames))


def bright_range(lines: Bool[Tensor, "B L"]) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """Return the first line that is True and the one after the last; all lines where none is.

    >>> bright_range(torch.tensor([[False, True, False, True, False], [False] * 5]))
    (tensor([1, 0]), tensor([4, 5]))
    """
    has_line, size = lines.any(1), lines.shape[1]
    first = torch.where(has_line, lines.int().argmax(1), 0)
    return first, torch.where(has_line, size - lines.flip(1).int().argmax(1), size)
