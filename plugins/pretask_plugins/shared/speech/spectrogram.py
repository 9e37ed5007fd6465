"""Log-mel spectrograms of recordings, each band of a recording standardized.

Source: constants of the released code of Liu et al. 2020 (25 ms windows every 10 ms, 80 bands).
Axes: B batch, S samples of a waveform, T frames, F frequencies, W samples of a window with its padding, M mel bands.
"""

from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from pretask import Batch
from torch import Tensor

from pretask_plugins.shared.constants import build_once

MIN_POWER = 1e-6  # is added before the logarithm is taken, which is finite then
MIN_STD = 1e-3  # of a band; one that hardly changes is not blown up
MAX_BLOCK_SAMPLES = 1 << 16  # of recordings that are transformed at a time
MIN_FFT_SIZE = 512  # samples; smaller transforms have too few frequencies for the narrow bands


def standardized_frames(
    batch: Batch, rate: int, mels: int, window: int, hop: int
) -> tuple[Float[Tensor, "B T M"], Bool[Tensor, "B T"]]:
    """Return the frames of every recording, standardized band by band, and which of them are no padding.

    Args:
        batch: Waveforms.
        rate: Hz.
        mels: M.
        window: Samples that a frame looks at.
        hop: Samples between frames.
    """
    mel, present = log_mel_frames(batch, rate, mels, window, hop)
    return standardize(mel) if batch.present is None else standardize_present(mel, present), present


def log_mel_frames(
    batch: Batch, rate: int, mels: int, window: int, hop: int
) -> tuple[Float[Tensor, "B T M"], Bool[Tensor, "B T"]]:
    """Return the frames of every recording as they are, and which of them are no padding; see `standardized_frames`."""
    if batch.present is None:
        mel = log_mel(batch.data, rate, mels, window, hop)
        return mel, all_present(mel.shape[1], batch.device).expand(mel.shape[:2])
    mel = log_mel(batch.data * batch.present, rate, mels, window, hop)  # windows reach into padding
    middle = (torch.arange(mel.shape[1], device=batch.device) * hop).clamp(max=batch.data.shape[1] - 1)
    return mel, batch.present[:, middle]


@build_once
def all_present(frames: int, device: torch.device) -> Bool[Tensor, "1 T"]:
    """Return that every frame is no padding."""
    return torch.ones(1, frames, dtype=torch.bool, device=device)


def log_mel(waves: Float[Tensor, "B S"], rate: int, mels: int, window: int, hop: int) -> Float[Tensor, "B T M"]:
    """Return the logarithm of the power in every mel band around every hop.

    On a CPU a few recordings at a time, whose spectra stay in the cache: 2 to 3 times as fast, and the same floats.
    """
    constants = find_window_and_filters(rate, mels, window, hop, waves.device)
    if not waves.is_cpu or torch.compiler.is_compiling():
        return transform_waves(waves, *constants, hop)
    blocks = torch.split(waves, max(1, MAX_BLOCK_SAMPLES // max(waves.shape[1], 1)))
    return torch.cat([transform_waves(block, *constants, hop) for block in blocks])


def transform_waves(
    waves: Float[Tensor, "B S"], shape: Float[Tensor, " W"], filters: Float[Tensor, "F M"], hop: int
) -> Float[Tensor, "B T M"]:
    """Return log-mel frames of recordings from the window, padded to what is transformed at once, and mel filters."""
    spectrum = torch.stft(waves, len(shape), hop, window=shape, return_complex=True)
    # The squares of both parts: an absolute value takes a root, which doubles the time and is squared again. They are
    # taken side by side, as they lie in memory: real parts alone are a third slower.
    squares = torch.view_as_real(spectrum.transpose(1, 2)).square_()
    power: Tensor = (squares[..., 0] + squares[..., 1]) @ filters
    return power.add_(MIN_POWER).log_()


def fft_size(window: int) -> int:
    """Return the samples that are transformed at once: a power of two, no less than the window.

    >>> fft_size(400), fft_size(1000)
    (512, 1024)
    """
    return max(1 << (window - 1).bit_length(), MIN_FFT_SIZE)


def find_window_and_filters(rate: int, mels: int, window: int, hop: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return `window_and_filters`; what marks them as constants of a compiled step is imported by such a step alone."""
    if torch.compiler.is_compiling():
        from pretask_plugins.shared.speech.constants import constant_window_and_filters

        constants: tuple[Tensor, Tensor] = constant_window_and_filters(rate, mels, window, hop, device)
        return constants
    return window_and_filters(rate, mels, window, hop, device)


@lru_cache(maxsize=8)
def window_and_filters(rate: int, mels: int, window: int, hop: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return torchaudio's window, in the middle of what is transformed at once, and mel filters on a device."""
    from torchaudio.transforms import MelSpectrogram

    spectrogram = MelSpectrogram(rate, n_fft=fft_size(window), win_length=window, hop_length=hop, n_mels=mels)
    spectrogram = spectrogram.to(device)
    missing = fft_size(window) - window
    shape = torch.nn.functional.pad(spectrogram.spectrogram.window, (missing // 2, missing - missing // 2))
    return shape, spectrogram.mel_scale.fb


def standardize(mel: Float[Tensor, "B T M"]) -> Float[Tensor, "B T M"]:
    """Return mean 0 and standard deviation 1 in every band of a recording."""
    centered = mel - mel.mean(1, keepdim=True)
    return centered / centered.square().mean(1, keepdim=True).sqrt().clamp(min=MIN_STD)


def standardize_present(mel: Float[Tensor, "B T M"], present: Bool[Tensor, "B T"]) -> Float[Tensor, "B T M"]:
    """Return mean 0 and standard deviation 1 in every band over the present frames of a recording; 0 in padding."""
    weight = present[..., None].float()
    count = weight.sum(1, keepdim=True).clamp(min=1)
    mean = (mel * weight).sum(1, keepdim=True) / count
    variance = ((mel - mean).square() * weight).sum(1, keepdim=True) / count
    return (mel - mean) / variance.sqrt().clamp(min=MIN_STD) * weight
