"""Take three frames in order out of every clip, or put a frame from before or after them into their middle.

Source: Misra, Zitnick and Hebert, ECCV 2016, section 3. Differs: see the folder's header.
Axes: B batch, T frames of a clip, V views (three frames), K candidate windows, C channels, H W image.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, Int, Shaped
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
from pretask.options import MAX_SIZE, Fraction, Interval, Size, SizeOrZero, require_range
from torch import Tensor

from pretask_plugins.shared.clips import count_frames, count_spread, spread_frames, take_frames

MOTION_STRIDE = 4  # pixels: every fourth is enough to measure how much a frame changes
MIN_MOTION = 1e-6  # added to motion before its logarithm is taken, so that still windows can be drawn
MIN_UNIFORM = 1e-7  # keeps the logarithms of Gumbel noise finite


@dataclass(frozen=True)
class ShuffleFrames:
    """Frames a < b < c < d < e of a clip: b c d is an order that happened, b a d and b e d are not; nor d c b, d a b …

    First and last frame are the same ones in all of them, and only the middle one is wrong.

    Args:
        nearest: Frames that lie at least between b and a, and between d and e.
        farthest: Frames from b to d at most.
        positive_ratio: Tuples that are in order, as a fraction of all.
        candidates: Windows that are drawn, of which one is taken, with a probability in proportion to its motion.
        min_difference: Mean squared difference, where white is 1, below which a wrong middle frame is too similar to
            the correct one, and the tuple gets no weight.
        eval_frames: Frames, evenly spread, that the encoder sees of a clip at evaluation; all of them when 0.

    Source: Misra, Zitnick and Hebert 2016, section 3.
    """

    nearest: Size = 15
    farthest: Annotated[int, Interval(ge=2, le=MAX_SIZE)] = 60
    positive_ratio: Fraction = 0.25
    candidates: Size = 4
    min_difference: Fraction = 0.001
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
        a, b, c, d, e = self.draw_tuples(batch, draws).unbind(1)
        in_order = draws.bernoulli("in order", self.positive_ratio)
        wrong = torch.where(draws.bernoulli("before", 0.5), a, e)
        forward = torch.stack([b, torch.where(in_order, c, wrong), d], 1)
        # Both directions happen, so that the encoder does not learn the arrow of time instead (section 3).
        shown = torch.where(draws.bernoulli("reversed", 0.5)[:, None], forward.flip(1), forward)
        different = difference(take_frames(batch.data, wrong[:, None]), take_frames(batch.data, c[:, None]))[:, 0]
        valid = (different >= self.min_difference) & (count_frames(batch) >= self.shortest)
        return Inputs(take_frames(batch.data, shown) / 255), {"order": Target(in_order.long(), valid.float())}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return frames of the clip as they happened, evenly spread over those that are no padding."""
        return Inputs(spread_frames(batch, self.eval_frames) / 255)

    def draw_tuples(self, batch: Batch, draws: Draws) -> Int[Tensor, "B 5"]:
        """Return the positions a, b, c, d and e of every clip, of a candidate window drawn by its motion."""
        candidates = self.draw_candidates(count_frames(batch), draws)  # (B, K, 5)
        b, d = candidates[..., 1], candidates[..., 3]
        change = frame_changes(batch.data).cumsum(1)
        motion = (change.gather(1, d) - change.gather(1, b)) / (d - b)
        # The largest log-weight plus Gumbel noise is a draw in proportion to the weights.
        gumbel = -(-draws.uniform("window", self.candidates).clamp(min=MIN_UNIFORM).log()).log()
        chosen = ((motion + MIN_MOTION).log() + gumbel).argmax(1)
        return candidates.gather(1, chosen[:, None, None].expand(-1, 1, 5))[:, 0]

    def draw_candidates(self, length: Int[Tensor, " B"], draws: Draws) -> Int[Tensor, "B K 5"]:
        """Return K times positions a < b < c < d < e, uniform in what there is room for."""
        last, count = length.clamp(min=self.shortest)[:, None] - 1, self.candidates
        room = last - 2 * self.nearest
        width = draws.integers("width", 2, room.clamp(max=self.farthest) + 1, count)
        b = self.nearest + draws.integers("b", 0, room - width + 1, count)
        d = b + width
        c = draws.integers("c", b + 1, d, count)
        a = draws.integers("a", 0, b - self.nearest + 1, count)
        e = draws.integers("e", d + self.nearest, last + 1, count)
        return torch.stack([a, b, c, d, e], -1)

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return the prior of the two labels, and a regression on the differences between the three frames."""
        from pretask_plugins.methods.sequence_verification.trivial_predictors import fit_differences, predict_prior

        return {"majority": predict_prior(self.positive_ratio), "differences": fit_differences(self, batches)}

    def check(self, clips: Observed) -> None:
        """Raise Incompatible unless clips are long enough."""
        if clips.modality != "video" or clips.shape[0] < self.shortest:
            raise Incompatible(
                "sequence-verification",
                f"clips of at least {self.shortest} frames (3, and {self.nearest} before and after them)",
                f"{clips.shape[0]} frames" if clips.modality == "video" else clips.modality,
                "Use longer clips, or a smaller split.nearest (--preset small has 3).",
            )


def difference(one: Shaped[Tensor, "B V C H W"], other: Shaped[Tensor, "B V C H W"]) -> Float[Tensor, "B V"]:
    """Return the mean squared difference of frames, where white is 1."""
    return ((one.float() - other.float()) / 255).square().mean((2, 3, 4))


def frame_changes(clips: Shaped[Tensor, "B T C H W"]) -> Float[Tensor, "B T"]:
    """Return the mean absolute change of every frame from the one before it; 0 for the first."""
    sparse = clips[..., ::MOTION_STRIDE, ::MOTION_STRIDE].float() / 255
    change = sparse.diff(dim=1).abs().mean((2, 3, 4))
    return torch.cat([torch.zeros_like(change[:, :1]), change], 1)
