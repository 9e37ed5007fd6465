"""Take three frames in order out of every clip, or put a frame from before or after them into their middle.

Source: Misra, Zitnick and Hebert, ECCV 2016, section 3. Differs: see the folder's header.
Axes: B batch, T frames of a clip, V views (three frames), K candidate windows, C channels, H W image.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
    PretaskError,
    Target,
    Targets,
    TargetSpecs,
)
from torch import Tensor

SPARSE = 4  # every fourth pixel tells how much a frame changes


@dataclass(frozen=True)
class ShuffleFrames:
    """Frames a < b < c < d < e of a clip: b c d is an order that happened, b a d and b e d are not; nor d c b, d a b …

    First and last frame are the same ones in all of them, and only the middle one is wrong.

    Args:
        nearest: Frames that lie at least between b and a, and between d and e.
        farthest: Frames from b to d at most.
        share: Of the tuples that are in order.
        candidates: Windows that are drawn, of which one is taken, the likelier the more moves in it.
        alike: Mean squared difference, where white is 1, below which a wrong middle frame passes for the right one, and
            nothing is asked.
        shown: Frames, evenly spread, that the encoder sees of a clip at evaluation; all of them when 0.

    Source: Misra, Zitnick and Hebert 2016, section 3.
    """

    nearest: int = 15
    farthest: int = 60
    share: float = 0.25
    candidates: int = 4
    alike: float = 0.001
    shown: int = 3

    def __post_init__(self) -> None:
        bounds = {"nearest": (1, math.inf), "farthest": (2, math.inf), "share": (0, 1), "candidates": (1, math.inf)}
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                got = f"{getattr(self, name)}"
                raise PretaskError(
                    "sequence-verification", f"split.{name} from {least} to {most}", got, "Mend it.", exit_code=2
                )

    @property
    def shortest(self) -> int:
        """The least frames of a clip in which a tuple has room."""
        return 2 * self.nearest + 3

    def spec(self, clips: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Three frames, and whether they are in order."""
        self.check(clips)
        return InputSpec("image", clips.shape[1:], views=3, ordered=True), {"order": Categories(2)}

    def whole_spec(self, clips: Observed, /) -> InputSpec:
        """Frames of the clip as they happened."""
        frames = min(self.shown or clips.shape[0], clips.shape[0])
        return InputSpec("image", clips.shape[1:], views=frames, ordered=True)

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Three frames, and 1 where they are in order, 0 where the middle one is wrong."""
        places = self.places(batch, draws)
        right = draws.bernoulli("in order", self.share)
        wrong = torch.where(draws.bernoulli("before", 0.5), places[:, 0], places[:, 4])
        middle = torch.where(right, places[:, 2], wrong)
        tuples = torch.stack([places[:, 1], middle, places[:, 3]], 1)
        tuples = torch.where(draws.bernoulli("reversed", 0.5)[:, None], tuples.flip(1), tuples)
        differs = difference(frames_at(batch.data, wrong[:, None]), frames_at(batch.data, places[:, 2:3]))[:, 0]
        asked = (differs >= self.alike) & (lengths(batch) >= self.shortest)
        return Inputs(frames_at(batch.data, tuples) / 255), {"order": Target(right.long(), asked.float())}

    def whole(self, batch: Batch, /) -> Inputs:
        """Frames of the clip as they happened, evenly spread over those that are there."""
        frames = min(self.shown or batch.data.shape[1], batch.data.shape[1])
        middle = (torch.arange(frames, device=batch.device) + 0.5) / frames
        return Inputs(frames_at(batch.data, (middle * lengths(batch)[:, None]).long()) / 255)

    def places(self, batch: Batch, draws: Draws) -> Int[Tensor, "B 5"]:
        """The numbers of the frames a, b, c, d and e of every clip, of the window that was chosen."""
        drawn = self.candidate_places(lengths(batch), draws)  # (B, K, 5)
        change = frame_changes(batch.data).cumsum(1)
        inside = change.gather(1, drawn[..., 3]) - change.gather(1, drawn[..., 1])
        motion = inside / (drawn[..., 3] - drawn[..., 1])
        gumbel = -(-draws.uniform("window", self.candidates).clamp(min=1e-7).log()).log()
        chosen = ((motion + 1e-6).log() + gumbel).argmax(1)
        return drawn.gather(1, chosen[:, None, None].expand(-1, 1, 5))[:, 0]

    def candidate_places(self, length: Int[Tensor, " B"], draws: Draws) -> Int[Tensor, "B K 5"]:
        """Frames a < b < c < d < e, uniform in what there is room for."""
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
        """The commoner answer, and what the differences between the three frames tell without any idea of order."""
        from pretask_plugins.methods.sequence_verification.trivial_predictors import differences, majority

        return {"majority": majority(self.share), "differences": differences(self, batches)}

    def check(self, clips: Observed) -> None:
        """Raise Incompatible unless clips are long enough."""
        if clips.modality != "video" or clips.shape[0] < self.shortest:
            raise Incompatible(
                "sequence-verification",
                f"clips of at least {self.shortest} frames (3, and {self.nearest} before and after them)",
                f"{clips.shape[0]} frames" if clips.modality == "video" else clips.modality,
                "Use longer clips, or a smaller split.nearest (--preset small has 3).",
            )


def lengths(batch: Batch) -> Int[Tensor, " B"]:
    """How many frames of every clip are no padding."""
    if batch.present is None:
        return torch.full_like(batch.index, batch.data.shape[1])
    return batch.present.sum(1)


def frames_at(clips: Shaped[Tensor, "B T C H W"], places: Int[Tensor, "B V"]) -> Shaped[Tensor, "B V C H W"]:
    """The frames of the given numbers."""
    return clips[torch.arange(len(clips), device=clips.device)[:, None], places]


def difference(one: Shaped[Tensor, "B V C H W"], other: Shaped[Tensor, "B V C H W"]) -> Float[Tensor, "B V"]:
    """Mean squared difference of frames, where white is 1."""
    return ((one.float() - other.float()) / 255).square().mean((2, 3, 4))


def frame_changes(clips: Shaped[Tensor, "B T C H W"]) -> Float[Tensor, "B T"]:
    """Mean absolute change of every frame from the one before it; 0 for the first."""
    sparse = clips[..., ::SPARSE, ::SPARSE].float() / 255
    change = sparse.diff(dim=1).abs().mean((2, 3, 4))
    return torch.cat([torch.zeros_like(change[:, :1]), change], 1)
