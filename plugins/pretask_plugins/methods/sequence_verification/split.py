"""Take three frames in order out of every clip, or put a frame from before or after them into their middle.

Source: Misra, Zitnick and Hebert, ECCV 2016, section 3. Differs: see the folder's header.
Axes: B batch, T frames of a clip, F frames asked for, V views (three frames), K candidate windows, C channels, H W
image.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import torch
from jaxtyping import Float, Int, UInt8
from pretask import (
    Batch,
    Categories,
    Draws,
    Figure,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    Target,
    Targets,
    TargetSpecs,
    Task,
)
from pretask.options import MAX_SIZE, Fraction, Interval, NonNegativeFloat, Size, SizeOrZero, require_range
from pretask.pretext_score import HELD_OUT_EPOCH
from torch import Tensor

from pretask_plugins.methods.sequence_verification.figures import draw_tuples
from pretask_plugins.shared.clips import count_frames, count_spread, spread_frames
from pretask_plugins.shared.constants import build_once

MOTION_STRIDE = 4  # pixels: every fourth is enough to measure how much a frame changes
MIN_STD = 1e-3  # of changes, a quarter of a level: less is noise of nothing
CONTRAST = 0.25  # that a standard deviation of changes fills, of the range from 0 to 1
MIN_MOTION = 1e-6  # added to motion before its logarithm is taken, so that still windows can be drawn


@dataclass(frozen=True)
class ShuffleFrames:
    """Frames a < b < c < d < e of a clip: b c d is an order that happened, b a d and b e d are not; nor d c b, d a b …

    First and last frame are the same ones in all of them, and only the middle one is wrong.

    Args:
        nearest: Frames that lie at least between b and a, and between d and e.
        farthest: Frames from b to d at most.
        positive_ratio: Tuples that are in order, as a fraction of all.
        candidates: Windows that are drawn, of which one is taken, with a probability in proportion to its motion.
        min_difference: How much a wrong middle frame differs from the correct one at least, where 1 is how much a frame
            of the clip differs from the next one on average. Windows in which it differs less are taken only where all
            candidates are such, and the tuple gets no weight then; 0 takes all.
        center: Whether the mean of the frames shown is removed from each of them, and what is left, their changes, is
            brought to one contrast. Without it the pixels of a camera that stands still hardly tell them apart.
        eval_frames: Frames, evenly spread, that the encoder sees of a clip at evaluation; all of them when 0.

    Source: Misra, Zitnick and Hebert 2016, section 3.
    """

    nearest: Size = 15
    farthest: Annotated[int, Interval(ge=2, le=MAX_SIZE)] = 60
    positive_ratio: Fraction = 0.25
    candidates: Size = 4
    min_difference: NonNegativeFloat = 1.0
    center: bool = False
    eval_frames: SizeOrZero = 3

    def __post_init__(self) -> None:
        require_range("sequence-verification", "split", self)

    @property
    def shortest(self) -> int:
        """Frames that a clip has at least, in which a tuple has room."""
        return 2 * self.nearest + 3

    def spec(self, clips: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return three frames, and whether they are in order."""
        self.check(clips)
        return InputSpec("image", clips.shape[1:], views=3, ordered=True), {"order": Categories(2)}

    def whole_spec(self, clips: Observed, /) -> InputSpec:
        """Return the spec of frames of the clip as they happened."""
        frames = count_spread(clips.shape[0], self.eval_frames)
        return InputSpec("image", clips.shape[1:], views=frames, ordered=True)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return three frames, and 1 where they are in order, 0 where the middle one is wrong."""
        in_order = draws.bernoulli("in order", self.positive_ratio).long()
        forward = draws.integers("reversed", 0, 2)
        windows = self.draw_windows(batch, draws)
        which = tuple_roles(batch.device)[in_order, windows.after, forward]  # (B, 3)
        rows = count_rows(len(batch), batch.device)
        frames = self.show(batch.take_frames(windows.candidates[rows, windows.chosen[:, None], which]))
        weight = windows.differs
        if batch.present is not None:
            weight = weight * (count_frames(batch) >= self.shortest)
        return Inputs(frames), {"order": Target(in_order, weight)}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return frames of the clip as they happened, evenly spread over those that are no padding."""
        return Inputs(self.show(spread_frames(batch, self.eval_frames)))

    def show(self, frames: UInt8[Tensor, "B V C H W"]) -> Float[Tensor, "B V C H W"]:
        """Return frames in [0, 1]: themselves, or their changes about the middle."""
        return center_frames(frames / 255) if self.center else frames / 255

    def draw_tuples(self, batch: Batch, draws: Draws) -> Int[Tensor, "B 5"]:
        """Return the positions a, b, c, d and e of every clip, of a candidate window drawn by its motion."""
        windows = self.draw_windows(batch, draws)
        return windows.candidates[torch.arange(len(batch), device=batch.device), windows.chosen]

    def draw_windows(self, batch: Batch, draws: Draws) -> "Windows":
        """Draw candidate windows, and one of them by its motion, of those whose wrong middle frame differs enough."""
        length = batch.shape[1] if batch.present is None else count_frames(batch)
        after = draws.integers("before", 0, 2)
        candidates, width = self.draw_candidates(length, draws)
        changes = frame_changes(batch)
        if batch.present is not None:
            changes = changes * batch.present
        summed = changes.cumsum(1)
        change = summed[:, None].expand(-1, self.candidates, -1).gather(2, candidates[..., 1::2])  # up to b, up to d
        motion = (change[..., 1] - change[..., 0]) / width
        # The first of K exponential clocks to ring, whose rates are the weights, is a draw in proportion to them.
        clocks = draws.uniform("window", self.candidates).log() / (motion + MIN_MOTION * count_levels(batch))
        if self.min_difference:
            steps: Any = length - 1 if isinstance(length, int) else (length - 1).clamp(min=1)[:, None]
            too_small = middle_differences(batch, candidates, after) <= summed[:, -1:] * (self.min_difference / steps)
            clocks = clocks.masked_fill(too_small, -torch.inf)
        first = clocks.max(1)
        differs = torch.gt(first.values, -torch.inf, out=torch.empty_like(first.values))  # as floats, in one operation
        return Windows(candidates, after, first.indices, differs)

    def draw_candidates(
        self, length: int | Int[Tensor, " B"], draws: Draws
    ) -> tuple[Int[Tensor, "B K 5"], Int[Tensor, "B K"]]:
        """Return K times positions a < b < c < d < e, uniform in what there is room for, and the way from b to d.

        Args:
            length: Frames of every clip; one number where all have as many.
            draws: Of the batch.
        """
        count = self.candidates
        if isinstance(length, int):
            last: Any = max(length, self.shortest) - 1
            widest: Any = min(last - 2 * self.nearest, self.farthest) + 1
        else:
            last = length.clamp(min=self.shortest)[:, None] - 1
            widest = (last - 2 * self.nearest).clamp(max=self.farthest) + 1
        width = draws.integers("width", 2, widest, count)
        b = draws.integers("b", self.nearest, (last - self.nearest + 1) - width, count)
        d = b + width
        c = draws.integers("c", b + 1, d, count)
        a = draws.integers("a", 0, b + (1 - self.nearest), count)
        e = draws.integers("e", d + self.nearest, last + 1, count)
        return torch.stack([a, b, c, d, e], -1), width

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return the prior of the two labels, and a regression on the differences between the three frames."""
        from pretask_plugins.methods.sequence_verification.trivial_predictors import fit_differences, predict_prior

        return {"majority": predict_prior(self.positive_ratio), "differences": fit_differences(self, batches)}

    def figures(self, task: Task, batch: Batch, /) -> Iterator[Figure]:
        """Yield tuples, and what they are taken for."""
        draws = Draws(batch.index, 0, HELD_OUT_EPOCH)
        inputs, targets = self(batch, draws.branch("split"))
        scores = task.predict(batch, draws).get("order")
        label = targets["order"].value
        is_class = scores is not None and scores.shape == (len(label), 2)
        yield draw_tuples(inputs.data, label, scores.argmax(1) if scores is not None and is_class else None)

    def check(self, clips: Observed) -> None:
        """Raise Incompatible unless clips are long enough."""
        if clips.modality != "video" or clips.shape[0] < self.shortest:
            raise Incompatible(
                "sequence-verification",
                f"clips of at least {self.shortest} frames (3, and {self.nearest} before and after them)",
                f"{clips.shape[0]} frames" if clips.modality == "video" else clips.modality,
                "Use longer clips, or a smaller split.nearest (--preset small has 3).",
            )


class Windows(NamedTuple):
    """Windows of clips.

    Args:
        candidates: The positions a, b, c, d and e of K windows.
        after: Whether the wrong middle frame is e; it is a where this is 0.
        chosen: Which of the windows is drawn.
        differs: 1 where its wrong middle frame differs enough from c; 0 where that of none does.
    """

    candidates: Int[Tensor, "B K 5"]
    after: Int[Tensor, " B"]
    chosen: Int[Tensor, " B"]
    differs: Float[Tensor, " B"]


def center_frames(frames: Float[Tensor, "B V C H W"]) -> Float[Tensor, "B V C H W"]:
    """Return frames less their mean, over the standard deviation of what is left: a quarter for each, about a half.

    >>> center_frames(torch.tensor([0.1, 0.3]).view(1, 2, 1, 1, 1)).flatten().round(decimals=4).tolist()
    [0.25, 0.75]
    """
    changes = frames - frames.mean(1, keepdim=True)
    std = changes.square().mean((1, 2, 3, 4), keepdim=True).sqrt()
    return (changes / std.clamp(min=MIN_STD) * CONTRAST + 0.5).clamp(0, 1)


@build_once
def tuple_roles(device: torch.device) -> Int[Tensor, "2 2 2 3"]:
    """Return which of a, b, c, d, e are shown.

    By whether the tuple is in order, the wrong frame comes from after it, and it is shown forwards. Both directions
    happen, so that the encoder does not learn the arrow of time instead (section 3).
    """
    a, b, c, d, e = range(5)
    roles = [
        (b, middle, d) if forward else (d, middle, b)
        for in_order in (False, True)
        for wrong in (a, e)
        for forward in (False, True)
        for middle in (c if in_order else wrong,)
    ]
    return torch.tensor(roles, device=device).view(2, 2, 2, 3)


@build_once
def count_rows(count: int, device: torch.device) -> Int[Tensor, "B 1"]:
    """Return the numbers of the rows of a batch."""
    return torch.arange(count, device=device)[:, None]


@build_once
def repeat_first(frames: int, device: torch.device) -> Int[Tensor, " F"]:
    """Return the positions of all frames of a clip, that of the first one twice."""
    return torch.arange(-1, frames, device=device).clamp(min=0)


def frame_changes(batch: Batch) -> Float[Tensor, "B T"]:
    """Return by how many levels the pixels of every frame differ from the frame before it; 0 for the first."""
    sparse = batch.take_pixels(repeat_first(batch.shape[1], batch.device), MOTION_STRIDE).float()
    changes: Tensor = torch.linalg.vector_norm(sparse.diff(dim=1), 1, (2, 3, 4))
    return changes


def middle_differences(
    batch: Batch, candidates: Int[Tensor, "B K 5"], after: Int[Tensor, " B"]
) -> Float[Tensor, "B K"]:
    """Return by how many levels the pixels of the wrong middle frame, a or e, differ from those of c.

    How much is enough goes by the clip: a threshold in levels would leave out whole clips of a fixed camera, whose
    pixels hardly change, such as six tuples in seven of a drone before the sky.
    """
    roles = middle_roles(batch.device)[after][:, None].expand(-1, candidates.shape[1], -1)
    pixels = batch.take_pixels(candidates.gather(2, roles).flatten(1), MOTION_STRIDE).float()
    pairs = pixels.reshape(*roles.shape, *pixels.shape[2:])
    differences: Tensor = torch.linalg.vector_norm(pairs[:, :, 0] - pairs[:, :, 1], 1, (2, 3, 4))
    return differences


@build_once
def middle_roles(device: torch.device) -> Int[Tensor, "2 2"]:
    """Return which of a, b, c, d, e are the wrong and the correct middle frame, the wrong one before or after."""
    return torch.tensor([[0, 2], [4, 2]], device=device)


def count_levels(batch: Batch) -> int:
    """Return the largest of `frame_changes`: from black to white everywhere."""
    channels, *sides = batch.shape[2:]
    return 255 * channels * math.prod([-(-side // MOTION_STRIDE) for side in sides])
