"""Show all frames of a log-mel spectrogram; of each, the frames after it are to be known by their latents.

Nothing is erased: what may be used is the past. Bands are standardized by the training part, not by the recording,
whose mean would tell of the future.

Source: van den Oord, Li and Vinyals 2018, section 3.1. Differs: see the folder's header.
Axes: B batch, T frames.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Int
from pretask import Batch, Draws, Inputs, InputSpec, Observed, Target, Targets, TargetSpec, TargetSpecs
from torch import Tensor

from pretask_plugins.shared.speech.standardized import StandardizedFrames


@dataclass(frozen=True)
class Latents(TargetSpec):
    """What is at a position, known from the past by its latent vector; value (B, T) names it, apart from all others."""

    kind: ClassVar[str] = "latents"


@dataclass(frozen=True)
class FutureLatents(StandardizedFrames):
    """All frames, and a name for each, of weight 0 in padding."""

    name: ClassVar[str] = "future-latents"

    @property
    def fewest(self) -> int:
        """Frames that a recording has at least: one, and one that it predicts."""
        return 2

    def spec(self, waves: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return frames, and what the past must know each of them by."""
        shown = self.whole_spec(waves)
        return shown, {"moments": Latents(grid=shown.shape[:1], sees="past")}

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return all frames, and their names."""
        mel, present = self.read_frames(batch)
        moments = name_moments(batch.index, mel.shape[1])
        return Inputs(mel[:, None], present[:, None]), {"moments": Target(moments, present.float())}


def name_moments(index: Int[Tensor, " B"], frames: int) -> Int[Tensor, "B T"]:
    """Return a number of its own for every frame of every recording.

    >>> name_moments(torch.tensor([0, 2]), 3).tolist()
    [[0, 1, 2], [6, 7, 8]]
    """
    return index[:, None] * frames + torch.arange(frames, device=index.device)
