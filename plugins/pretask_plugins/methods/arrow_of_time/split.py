"""Show a clip forwards or backwards.

Source: Wei, Lim, Zisserman and Freeman, CVPR 2018, sections 3 and 4. Differs: see the folder's header.
Axes: B batch, T frames of a clip, F frames shown, V views (groups of frames), C channels, H W image.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
    PretaskError,
    Target,
    Targets,
    TargetSpecs,
)
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class ReverseClip:
    """Take frames that follow one another out of every clip; show every second clip backwards.

    Args:
        frames: How many are shown.
        stack: How many of them are joined as the channels of one view; 1 for models that read clips.
        step: From one frame to the next.
        crop: Whether black bars are cut off and the rest is enlarged: they tell the direction of clips whose maker
            faded in or out, and how a bar was compressed.
        dark: Share of white up to which a line of pixels is a bar, if it stays so dark in all frames.

    Source: Wei et al. 2018, sections 3 (bars) and 4 (groups of frames).
    """

    frames: int = 20
    stack: int = 10
    step: int = 1
    crop: bool = True
    dark: float = 0.06

    def __post_init__(self) -> None:
        bounds = {"frames": (2, math.inf), "stack": (1, math.inf), "step": (1, math.inf)}
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                got = f"{getattr(self, name)}"
                raise PretaskError(
                    "arrow-of-time", f"split.{name} from {least} to {most}", got, "Mend it.", exit_code=2
                )

    @property
    def span(self) -> int:
        """Frames of a clip from the first to the last one shown."""
        return (self.frames - 1) * self.step + 1

    def spec(self, clips: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Groups of frames, and the direction."""
        self.check(clips)
        return self.whole_spec(clips), {"direction": Categories(2)}

    def whole_spec(self, clips: Observed, /) -> InputSpec:
        """The same groups, out of the middle of the clip."""
        channels, *sides = clips.shape[1:]
        return InputSpec("image", (channels * self.stack, *sides), views=self.frames // self.stack, ordered=True)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Groups of frames, and 1 where they are shown backwards."""
        length = lengths(batch)
        start = draws.integers("start", 0, (length - self.span).clamp(min=0) + 1)
        shown = self.prepare(frames_from(batch.data, start, self.frames, self.step))
        backwards = direction(draws)
        shown = torch.where(backwards.view(-1, 1, 1, 1, 1), shown.flip(1), shown)
        return Inputs(self.grouped(shown)), {"direction": Target(backwards.long(), (length >= self.span).float())}

    def whole(self, batch: Batch, /) -> Inputs:
        """Groups of frames out of the middle, forwards; of a shorter clip, the last frame is repeated."""
        start = (lengths(batch) - self.span).clamp(min=0) // 2
        return Inputs(self.grouped(self.prepare(frames_from(batch.data, start, self.frames, self.step))))

    def prepare(self, frames: Shaped[Tensor, "B F C H W"]) -> Float[Tensor, "B F C H W"]:
        """Frames as the model sees them, one by one."""
        return cropped(frames / 255, self.dark) if self.crop else frames / 255

    def grouped(self, frames: Float[Tensor, "B F C H W"]) -> Float[Tensor, "B V SC H W"]:
        """Frames joined as channels, group by group."""
        return frames.reshape(len(frames), -1, self.stack * frames.shape[2], *frames.shape[3:])

    def ungrouped(self, views: Float[Tensor, "B V SC H W"]) -> Float[Tensor, "B F C H W"]:
        """The frames of groups, one by one."""
        return views.reshape(len(views), self.frames, -1, *views.shape[3:])

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """What may tell the direction although nothing is understood: edges, global motion, detail."""
        from pretask_plugins.methods.arrow_of_time.cues import cues

        return cues(self, batches)

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


def direction(draws: Draws) -> Bool[Tensor, " B"]:
    """Whether a clip is shown backwards: at random in one epoch, and the other way round in the next."""
    first = Draws(draws.index, draws.seed, path=draws.path).bernoulli("direction", 0.5)
    return first ^ (torch.as_tensor(draws.epoch, device=first.device) % 2 == 1)


def lengths(batch: Batch) -> Int[Tensor, " B"]:
    """How many frames of every clip are no padding."""
    if batch.present is None:
        return torch.full_like(batch.index, batch.data.shape[1])
    return batch.present.sum(1)


def frames_from(
    clips: Shaped[Tensor, "B T C H W"], start: Int[Tensor, " B"], count: int, step: int
) -> Shaped[Tensor, "B F C H W"]:
    """So many frames from the start on; the last one again and again where a clip ends before."""
    places = start[:, None] + step * torch.arange(count, device=clips.device)
    sample = torch.arange(len(clips), device=clips.device)[:, None]
    return clips[sample, places.clamp(max=clips.shape[1] - 1)]


def cropped(frames: Float[Tensor, "B F C H W"], dark: float) -> Float[Tensor, "B F C H W"]:
    """Frames without the bars at their edges, enlarged to the size that they had; those without bars as they are."""
    height, width = frames.shape[-2:]
    bright = frames.amax((1, 2)) > dark  # (B, H, W)
    top, bottom = first_and_last(bright.any(2))
    left, right = first_and_last(bright.any(1))
    first, last = torch.stack([left, top], 1), torch.stack([right, bottom], 1)  # (B, 2) of x and y
    size = torch.tensor([width, height], device=frames.device)
    scale, middle = (last - first) / size, (last + first) / size - 1
    affine = torch.cat([torch.diag_embed(scale), middle[:, :, None]], 2)
    grid = F.affine_grid(affine, [len(frames), 1, height, width], align_corners=False)
    low, high = ((2 * each + 1) / size - 1 for each in (first, last - 1))  # or the bars would shine through the edges
    grid = grid.clamp(low[:, None, None], high[:, None, None])
    larger = F.grid_sample(frames.flatten(1, 2), grid, align_corners=False)
    whole = (scale == 1).all(1).view(-1, 1, 1, 1, 1)
    return torch.where(whole, frames, larger.view_as(frames))


def first_and_last(lines: Bool[Tensor, "B L"]) -> tuple[Int[Tensor, " B"], Int[Tensor, " B"]]:
    """The first line that is True and the one after the last; all lines where none is.

    >>> first_and_last(torch.tensor([[False, True, False, True, False], [False] * 5]))
    (tensor([1, 0]), tensor([4, 5]))
    """
    some, size = lines.any(1), lines.shape[1]
    first = torch.where(some, lines.int().argmax(1), 0)
    return first, torch.where(some, size - lines.flip(1).int().argmax(1), size)
