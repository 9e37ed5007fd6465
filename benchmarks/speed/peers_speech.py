"""Peers of speech: log-mel frames of torchaudio and hidden spans, one utterance after the other.

Both transform the same number of samples at once, standardize every band, hide spans of seven frames at about 15 %, and
draw one of three fates for an utterance. With frames that are ready, only the hiding is compared.
"""

import random

import torch
from pretask_plugins.methods.masked_speech import split as masked_speech
from pretask_plugins.methods.masked_speech.split import ERASED_BELOW, REPLACED_BELOW, MaskFrames
from pretask_plugins.shared.speech.spectrogram import MIN_POWER, MIN_STD, fft_size
from torch import Tensor

from benchmarks.speed.race import Work, require_peer
from benchmarks.speed.splitting import split_batches

TORCHAUDIO = "torchaudio==2.11.0"


def mask_waves(device: torch.device, count: int, seconds: float) -> tuple[Work, dict[str, Work]]:
    """Return ways to make frames of recordings and hide spans of them."""
    split = MaskFrames()
    waves = make_waves(count, round(seconds * split.rate))
    to_frames = make_frames(split)
    return split_batches(split, waves, device), {
        "torchaudio": lambda: hide_all([to_frames(wave) for wave in waves], split)
    }


def mask_frames(device: torch.device, count: int, seconds: float) -> tuple[Work, dict[str, Work]]:
    """Return ways to hide spans of frames that are ready."""
    split = MaskFrames()
    waves = make_waves(count, round(seconds * split.rate))
    to_frames = make_frames(split)
    frames = [to_frames(wave) for wave in waves]
    ready = torch.stack(frames).to(device), torch.ones(count, len(frames[0]), dtype=torch.bool, device=device)
    mask = split_batches(split, waves, device)

    def mask_ready() -> object:
        before, masked_speech.read_frames = masked_speech.read_frames, lambda *_: ready
        try:
            return mask()
        finally:
            masked_speech.read_frames = before

    return mask_ready, {"a loop": lambda: hide_all(frames, split)}


def make_waves(count: int, length: int) -> Tensor:
    """Return recordings of noise."""
    return torch.randn(count, length, generator=torch.Generator().manual_seed(0))


def make_frames(split: MaskFrames) -> Work:
    """Return what makes standardized log-mel frames of one recording."""
    transforms = require_peer("torchaudio.transforms", TORCHAUDIO)
    window, hop = round(split.window * split.rate), round(split.hop * split.rate)
    mel = transforms.MelSpectrogram(
        split.rate, n_fft=fft_size(window), win_length=window, hop_length=hop, n_mels=split.mels
    )

    def to_frames(wave: Tensor) -> Tensor:
        frames = (mel(wave) + MIN_POWER).log().T
        centered = frames - frames.mean(0)
        return centered / centered.square().mean(0).sqrt().clamp(min=MIN_STD)

    return to_frames


def hide_all(frames: list[Tensor], split: MaskFrames) -> list[Tensor]:
    """Hide spans of every recording; return what is shown, what it was and where spans are."""
    return [torch.stack(of_all) for of_all in zip(*(hide_spans(recording, split) for recording in frames), strict=True)]


def hide_spans(frames: Tensor, split: MaskFrames) -> tuple[Tensor, Tensor, Tensor]:
    """Erase, replace or leave spans of one recording."""
    length = len(frames)
    count = max(1, round(split.mask_ratio * length / split.span))
    hidden = torch.zeros(length, dtype=torch.bool)
    shown, fate = frames.clone(), random.random()
    for start in random.sample(range(length - split.span + 1), count):
        span = slice(start, start + split.span)
        hidden[span] = True
        if fate < ERASED_BELOW:
            shown[span] = 0
        elif fate < REPLACED_BELOW:
            other = random.randrange(length - split.span + 1)
            shown[span] = frames[other : other + split.span]
    return shown, frames, hidden.float()
