"""Waves: recordings of any rate and length as the waveforms that an encoder was trained on.

Axes: B recordings, S samples of a waveform.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pretask.preparation.arrays import as_tensor
from pretask.preparation.refusal import refuse
from pretask.preparation.resampling import resample_wave
from pretask.specs import Observed

LEVELS = {"int16": 1 << 15, "int32": 1 << 31, "uint8": 1 << 7}  # what stands for 1, by type
MAX_CHANNELS = 8  # of one recording in a list; more are taken for samples


def prepare_waves(
    recordings: Any, observed: Observed, rate: float | None = None
) -> tuple[Float[Tensor, "B S"], Bool[Tensor, "B S"]]:
    """Return waveforms at the wanted rate, cut or padded with silence, and where they are no padding.

    Args:
        recordings: Arrays or tensors of samples, floats in [-1, 1] or integers: one (S,), a batch (B, S), or a list
            with recordings of any length, mono or of several channels (of which the mean is taken).
        observed: What the encoder was trained on.
        rate: Hz of the recordings.

    Raises:
        PretaskError: There is none, their rate is not given, or something is no waveform.
    """
    (length,) = observed.shape
    if rate is None and observed.rate is not None:
        raise refuse(
            f"the rate of the recordings (its own is {observed.rate} Hz)",
            "none",
            "Give it: encoder(waves, rate=16000).",
        )
    waves = [prepare_wave(wave, observed, rate)[:length] for wave in list_recordings(recordings)]
    if not waves:
        raise refuse("at least one recording", "none", "Give one or more.")
    padded = torch.zeros(len(waves), length)
    for row, wave in zip(padded, waves, strict=True):
        row[: len(wave)] = wave
    return padded, torch.arange(length) < torch.tensor([len(wave) for wave in waves])[:, None]


def list_recordings(recordings: Any) -> Iterator[Any]:
    """Yield the recordings of a list or batch, or the only one."""
    if isinstance(recordings, list | tuple) or (isinstance(recordings, Tensor | np.ndarray) and recordings.ndim == 2):
        yield from recordings
    else:
        yield recordings


def prepare_wave(recording: Any, observed: Observed, rate: float | None) -> Float[Tensor, " S"]:
    """Return one recording, mono and at the encoder's rate; raise PretaskError for anything that is none."""
    if not isinstance(recording, Tensor | np.ndarray) or recording.ndim not in (1, 2) or 0 in recording.shape:
        found = f"shape {tuple(recording.shape)}" if hasattr(recording, "shape") else type(recording).__name__
        raise refuse("waveforms, (S,) or channels of them", found, "Read the file first, as by soundfile.read.")
    wave = as_tensor(recording).detach().cpu()
    wave = scale_levels(wave)
    if wave.ndim == 2:
        if min(wave.shape) > MAX_CHANNELS:
            raise refuse("recordings of a few channels", f"shape {tuple(wave.shape)}", "Give a list of recordings.")
        wave = wave.mean(0 if wave.shape[0] <= wave.shape[1] else 1)
    if not bool(wave.isfinite().all()):
        raise refuse("finite samples", "NaN or infinity", "Leave that recording out.")
    if rate is None or observed.rate is None:
        return wave
    if rate <= 0 or rate != int(rate) or observed.rate != int(observed.rate):
        raise refuse("a rate in whole Hz", f"{rate}", "Give rate=16000 and the like.")
    return resample_wave(wave, int(rate), int(observed.rate))


def scale_levels(wave: Tensor) -> Float[Tensor, "..."]:
    """Return samples as float32, integers divided by what stands for 1."""
    kind = str(wave.dtype).removeprefix("torch.")
    if wave.is_floating_point():
        return wave.float()
    if kind not in LEVELS:
        raise refuse("samples that are floats or 8, 16 or 32 bits", kind, "Convert them to float32 in [-1, 1].")
    return (wave.float() - (LEVELS[kind] if kind == "uint8" else 0)) / LEVELS[kind]
