"""Frames of a log-mel spectrogram whose bands are standardized by the training part.

A recording's own mean would tell a frame of its future, so that splits whose targets see the past standardize so.
Axes: B batch, T frames, M mel bands.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float
from pretask import Batch, Inputs, InputSpec, Observed, PretaskError
from pretask.options import Interval, Seconds, Size, require_range
from torch import Tensor

from pretask_plugins.shared.speech.frames import count_frames_at
from pretask_plugins.shared.speech.spectrogram import MIN_STD, log_mel_frames

MAX_FIT_BATCHES = 64  # of the training part
Own = TypeVar("Own", bound="StandardizedFrames")


@dataclass(frozen=True, kw_only=True)
class StandardizedFrames:
    """Options of splits that show all frames.

    Args:
        mels: Mel bands.
        window: Seconds that a frame looks at.
        hop: Seconds between frames.
        rate: Hz of the recordings; data of another rate is refused.
        mean: Of every band in the training part, filled in by `fit`.
        std: Likewise.
    """

    name: ClassVar[str]  # for errors
    mels: Size = 80
    window: Seconds = 0.025
    hop: Seconds = 0.010
    rate: Size = 16000
    mean: Float[Tensor, " M"] | None = field(default=None, compare=False)
    std: Float[Tensor, " M"] | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        sample = Interval(ge=1 / max(self.rate, 1))
        require_range(self.name, "split", self, hop=sample, window=sample)

    @property
    def fewest(self) -> int:
        """Frames that a recording has at least."""
        return 1

    def fit(self: Own, waves: Observed, batches: Iterable[Batch], /) -> Own:
        """Return the same split with mean and standard deviation of the bands of its data."""
        self.whole_spec(waves)
        count, total, squares = 0.0, torch.zeros(self.mels).double(), torch.zeros(self.mels).double()
        for batch in islice(batches, MAX_FIT_BATCHES):
            mel, present = self.read_bands(batch)
            heard = mel[present].double().cpu()
            count, total, squares = count + len(heard), total + heard.sum(0), squares + heard.square().sum(0)
        mean = total / max(count, 1)
        std = (squares / max(count, 1) - mean.square()).clamp(min=0).sqrt().clamp(min=MIN_STD)
        return replace(self, mean=mean.float(), std=std.float())

    def whole_spec(self, waves: Observed, /) -> InputSpec:
        """Return the spec of all frames; raises Incompatible where there are too few, or at another rate."""
        frames = count_frames_at(self.name, waves, self.rate, self.hop, self.fewest)
        return InputSpec("audio", (frames, self.mels))

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
            raise PretaskError(self.name, "the mean of bands, which is fitted", "none", "Call fit with some batches.")
        mel, present = self.read_bands(batch)
        standardized = (mel - self.mean.to(mel.device)) / self.std.to(mel.device)
        return standardized * present[..., None], present
