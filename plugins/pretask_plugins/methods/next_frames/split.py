"""Show all frames of a log-mel spectrogram, and label each with the frame some steps after it.

Nothing is erased: what may be used is the past, so that a causal model is needed. Bands are standardized by the
training part, not by the recording, whose mean would tell of the future.

Source: Chung, Hsu, Tang and Glass, Interspeech 2019 (autoregressive predictive coding), section 2. Differs: see the
folder's header.
Axes: B batch, T frames, M mel bands.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

import torch
from jaxtyping import Bool, Float
from pretask import (
    Batch,
    Draws,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    PretaskError,
    Target,
    Targets,
    TargetSpecs,
    Values,
)
from pretask.options import Interval, Seconds, Size, require_range
from torch import Tensor

from pretask_plugins.shared.speech.frames import count_frames_at
from pretask_plugins.shared.speech.spectrogram import MIN_STD, log_mel_frames

MAX_FIT_BATCHES = 64  # of the training part


@dataclass(frozen=True)
class NextFrames:
    """Predict the frame that comes `ahead` frames later from all frames so far.

    Args:
        ahead: Frames from one to the one that it predicts; those nearer than a window overlap it.
        mels: Mel bands.
        window: Seconds that a frame looks at.
        hop: Seconds between frames.
        rate: Hz of the recordings; data of another rate is refused.
        mean: Of every band in the training part, filled in by `fit`.
        std: Likewise.

    Source: Chung et al. 2019, equation 1; ahead is n there.
    """

    ahead: Size = 3
    mels: Size = 80
    window: Seconds = 0.025
    hop: Seconds = 0.010
    rate: Size = 16000
    mean: Float[Tensor, " M"] | None = field(default=None, compare=False)
    std: Float[Tensor, " M"] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        sample = Interval(ge=1 / max(self.rate, 1))
        require_range("next-frames", "split", self, hop=sample, window=sample)

    def fit(self, waves: Observed, batches: Iterable[Batch], /) -> "NextFrames":
        """Return the same split with mean and standard deviation of the bands of its data."""
        self.spec(waves)
        count, total, squares = 0.0, torch.zeros(self.mels).double(), torch.zeros(self.mels).double()
        for batch in islice(batches, MAX_FIT_BATCHES):
            mel, present = self.read_bands(batch)
            heard = mel[present].double().cpu()
            count, total, squares = count + len(heard), total + heard.sum(0), squares + heard.square().sum(0)
        mean = total / max(count, 1)
        std = (squares / max(count, 1) - mean.square()).clamp(min=0).sqrt().clamp(min=MIN_STD)
        return replace(self, mean=mean.float(), std=std.float())

    def spec(self, waves: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return frames, and a value for every band of each, which the past alone may tell."""
        frames = count_frames_at("next-frames", waves, self.rate, self.hop, self.ahead + 1)
        shown = InputSpec("audio", (frames, self.mels))
        return shown, {"frames": Values(self.mels, grid=(frames,), sees="past")}

    def whole_spec(self, waves: Observed, /) -> InputSpec:
        """Return the spec of all frames."""
        return self.spec(waves)[0]

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return all frames; for each the one that comes later, with weight 1 where there is one."""
        mel, present = self.read_frames(batch)
        later = mel.roll(-self.ahead, 1)
        weight = present.roll(-self.ahead, 1) & before_end(mel, self.ahead)
        return Inputs(mel[:, None], present[:, None]), {"frames": Target(later, weight.float())}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return all frames."""
        mel, present = self.read_frames(batch)
        return Inputs(mel[:, None], present[:, None])

    def read_bands(self, batch: Batch) -> tuple[Float[Tensor, "B T M"], Bool[Tensor, "B T"]]:
        """Return the logarithms of the bands, and which frames are no padding."""
        window, hop = round(self.window * self.rate), round(self.hop * self.rate)
        return log_mel_frames(batch, self.rate, self.mels, window, hop)

    def read_frames(self, batch: Batch) -> tuple[Float[Tensor, "B T M"], Bool[Tensor, "B T"]]:
        """Return the standardized frames, 0 in padding; raises PretaskError before bands were fitted."""
        if self.mean is None or self.std is None:
            raise PretaskError(
                "next-frames", "the mean of bands, which is fitted", "none", "Call fit with some batches."
            )
        mel, present = self.read_bands(batch)
        standardized = (mel - self.mean.to(mel.device)) / self.std.to(mel.device)
        return standardized * present[..., None], present

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
