"""Play a recording forwards or backwards; predict which from its spectrogram.

Differs: no paper; the arrow of time on another modality. The spectrogram is computed on the reversed samples.
Axes: B batch, S samples of a waveform, R rows (frequencies), T frames.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from pretask import (
    Batch,
    Categories,
    Draws,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    Target,
    Targets,
    TargetSpecs,
)
from pretask.options import Interval, Seconds, Size, require_range
from torch import Tensor

from pretask_plugins.methods.arrow_of_time.split import draw_reversal

MIN_AMPLITUDE = 1e-4  # below which the logarithm is not taken


@dataclass(frozen=True)
class ReverseSound:
    """Play every second recording backwards.

    Args:
        window: Seconds that a frame of the spectrogram looks at.
        hop: Seconds between frames.
        rate: Hz of the recordings; data of another rate is refused.
    """

    window: Seconds = 0.032
    hop: Seconds = 0.016
    rate: Size = 8000

    def __post_init__(self) -> None:
        sample = 1 / max(self.rate, 1)
        hop, window = Interval(ge=sample), Interval(ge=2 * sample)
        require_range("arrow-of-time-audio", "split", self, hop=hop, window=window)

    def spec(self, waves: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return a spectrogram as an image, and the direction."""
        return self.whole_spec(waves), {"direction": Categories(2)}

    def whole_spec(self, waves: Observed, /) -> InputSpec:
        """Return the spec of the spectrogram of the recording as it is."""
        size, hop = round(self.window * self.rate), round(self.hop * self.rate)
        if waves.modality != "audio" or waves.rate != self.rate or waves.shape[0] < size:
            raise Incompatible(
                "arrow-of-time-audio",
                f"recordings of at least {self.window} seconds at split.rate = {self.rate} Hz",
                f"{waves.modality} of shape {waves.shape} at {waves.rate or 'no'} Hz",
                "Set split.rate to the data's rate, or data.sample_rate to the split's.",
            )
        return InputSpec("image", (1, size // 2, waves.shape[0] // hop + 1))

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the spectrogram, and 1 where the recording is played backwards."""
        backwards = draw_reversal(draws)
        played = torch.where(backwards[:, None], reverse_recordings(batch), batch.data)
        return self.whole(replace(batch, data=played)), {"direction": Target(backwards.long())}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the spectrogram of the recording as it is."""
        return Inputs(self.spectrogram(batch.data)[:, None, None])

    def spectrogram(self, waves: Float[Tensor, "B S"]) -> Float[Tensor, "B R T"]:
        """Return the logarithm of the amplitudes, brought to [0, 1]; the lowest frequency, the mean, is left out."""
        size, hop = round(self.window * self.rate), round(self.hop * self.rate)
        window = torch.hann_window(size, device=waves.device)
        waves = torch.nn.functional.pad(waves, (size // 2, size // 2))
        spectrum = torch.stft(waves, size, hop, window=window, center=False, return_complex=True)[:, 1:]
        amplitude = spectrum.abs() / window.sum()
        return (1 - amplitude.clamp(min=MIN_AMPLITUDE).log() / math.log(MIN_AMPLITUDE)).clamp(0, 1)


def reverse_recordings(batch: Batch) -> Float[Tensor, "B S"]:
    """Return recordings backwards; padding stays at the end, since at the start it would give the direction away."""
    if batch.present is None:
        return batch.data.flip(1)
    position = torch.arange(batch.data.shape[1], device=batch.device)
    length = batch.present.sum(1, keepdim=True)
    return batch.data.gather(1, torch.where(position < length, length - 1 - position, position))
