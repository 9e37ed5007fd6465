"""Resampling: a waveform at another rate, in bounded memory whatever the two rates have in common.

torchaudio keeps a filter for every phase, of which there are as many as the reduced new rate has Hz: 2.8 GB from 44,101
to 16,000 Hz. Where that is much, the same windowed sinc is computed for some outputs at a time.

Source: Smith 2002, "Digital Audio Resampling Home Page"; torchaudio.functional.resample (filter and window).
Axes: S samples, O outputs, K taps.
"""

import math

import torch
from torch import Tensor

ZEROS = 6  # crossings of the sinc on either side
ROLLOFF = 0.99
MAX_FILTERS = 1 << 22  # numbers in all filters of torchaudio up to which it is used
CHUNK = 1 << 20  # numbers of the filters that are computed at once


def resample_wave(wave: Tensor, rate: int, new_rate: int) -> Tensor:
    """Return a waveform (S,) at a new rate, which is ceil(S * new_rate / rate) long."""
    from torchaudio.functional import resample

    if rate == new_rate:
        return wave
    divisor = math.gcd(rate, new_rate)
    old, new = rate // divisor, new_rate // divisor
    width = math.ceil(ZEROS * old / (min(old, new) * ROLLOFF))
    if new * (2 * width + old) <= MAX_FILTERS:
        resampled: Tensor = resample(wave, rate, new_rate)
        return resampled
    return filter_in_chunks(wave, old, new, width)


def filter_in_chunks(wave: Tensor, old: int, new: int, width: int) -> Tensor:
    """Return a waveform at new / old of its rate.

    Args:
        wave: (S,).
        old: Its rate, without what it has in common with the new one.
        new: The new rate, likewise.
        width: Taps on either side.
    """
    count = -(-len(wave) * new // old)
    padded = torch.nn.functional.pad(wave.double(), (width, width + 1))
    steps = torch.arange(-width, width + 2)
    bandwidth = min(1.0, new / old) * ROLLOFF  # of the filter, where that of the old rate is 1
    chunk = max(1, CHUNK // len(steps))
    pieces = []
    for begin in range(0, count, chunk):
        place = torch.arange(begin, min(begin + chunk, count)) * old  # in parts of 1 / new of an old sample
        whole, rest = place // new, (place % new).double() / new
        taps = padded[(whole[:, None] + steps + width).clamp(max=len(padded) - 1)]  # (O, K)
        moment = ((steps - rest[:, None]) * bandwidth).clamp(-ZEROS, ZEROS)
        window = torch.cos(moment * math.pi / ZEROS / 2) ** 2
        pieces.append((taps * torch.sinc(moment) * window).sum(1) * bandwidth)
    return torch.cat(pieces).to(wave.dtype)
