"""Show all frames of a log-mel spectrogram, and label each with the frame some steps after it.

Nothing is erased: what may be used is the past, so that a causal model is needed. Bands are standardized by the
training part, not by the recording, whose mean would tell of the future.

Source: Chung, Hsu, Tang and Glass, Interspeech 2019 (autoregressive predictive coding), section 2. Differs: see the
folder's header.
Axes: B batch, T frames, M mel bands.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from pretask import Batch, Draws, Inputs, InputSpec, Observed, Predictor, Target, Targets, TargetSpecs, Values
from pretask.options import Size
from torch import Tensor

from pretask_plugins.shared.speech.standardized import StandardizedFrames


@dataclass(frozen=True)
class NextFrames(StandardizedFrames):
    """Predict the frame that comes `ahead` frames later from all frames so far.

    Args:
        ahead: Frames from one to the one that it predicts; those nearer than a window overlap it.

    Source: Chung et al. 2019, equation 1; ahead is n there.
    """

    name: ClassVar[str] = "next-frames"
    ahead: Size = 3

    @property
    def fewest(self) -> int:
        """Frames that a recording has at least: one, and the one that it predicts."""
        return self.ahead + 1

    def spec(self, waves: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return frames, and a value for every band of each, which the past alone may tell."""
        shown = self.whole_spec(waves)
        return shown, {"frames": Values(self.mels, grid=shown.shape[:1], sees="past")}

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return all frames; for each the one that comes later, with weight 1 where there is one."""
        mel, present = self.read_frames(batch)
        later = mel.roll(-self.ahead, 1)
        weight = present.roll(-self.ahead, 1) & before_end(mel, self.ahead)
        return Inputs(mel[:, None], present[:, None]), {"frames": Target(later, weight.float())}

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return the mean of the training part, and the newest frame."""

        def mean(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
            return {"frames": torch.zeros_like(self.read_frames(batch)[0])}

        def copy(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
            return {"frames": self.read_frames(batch)[0]}

        return {"mean": mean, "copy": copy}


def before_end(mel: Float[Tensor, "B T M"], ahead: int) -> Bool[Tensor, " T"]:
    """Return which frames have one so many frames later."""
    return torch.arange(mel.shape[1], device=mel.device) < mel.shape[1] - ahead
