"""Tones: words of gliding tones, spoken by voices, over noise.

A word is three syllables, a syllable is two formants that glide from one frequency to another; the voice sets pitch,
tempo and the formants' scale. Glides are what makes a gap hard to fill by interpolation.
Axes: B batch, S samples of a waveform, Y syllables, F formants.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from jaxtyping import Float, Int
from pretask import Draws, Labels, Observed, Samples
from pretask.cache import fingerprint
from pretask.options import MAX_SECONDS, AnyInt, Interval, SampleCount, require_range
from pretask.room import require_memory
from torch import Tensor

from pretask_plugins.shared.parts import check_part

RATE = 8000  # Hz
VOICES = 4
SYLLABLES = 3
# Start and end of two formants in Hz, by kind of syllable; every word is three of these.
GLIDES = (
    ((300, 700), (2200, 1200)),
    ((700, 300), (1100, 2300)),
    ((450, 450), (1000, 2000)),
    ((600, 350), (2000, 900)),
    ((350, 600), (900, 900)),
)
WORDS = ((0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 3, 4), (4, 3, 0), (3, 0, 1), (1, 4, 3), (2, 4, 1))
CHUNK = 256


@dataclass(frozen=True)
class Tones:
    """A seeded set of spoken words.

    Args:
        size: Samples in the part `train`.
        test_size: Samples in the part `test`.
        seconds: Of every recording.
        seed: Of all that is drawn.
        noise_std: Standard deviation of the noise, where a voice's loudest tone is about 1.

    Raises:
        PretaskError: A number is out of range.
    """

    size: SampleCount = 2000
    test_size: SampleCount = 500
    seconds: Annotated[float, Interval(ge=1 / RATE, le=MAX_SECONDS)] = 1.0
    seed: AnyInt = 0
    noise_std: Annotated[float, Interval(ge=0, le=1000)] = 0.05

    def __post_init__(self) -> None:
        require_range("tones", "data", self)

    def __call__(self, part: str, /) -> Samples:
        """Make the recordings of one part, labeled by word and by voice, anew every time, in about a second."""
        check_part("tones", part)
        start, count = (0, self.size) if part == "train" else (self.size, self.test_size)
        length = round(self.seconds * RATE)
        require_memory("tones", f"{count} recordings", count * length * 4, "Set smaller sizes with --set data.…")
        index = torch.arange(start, start + count)
        chunks = torch.split(index, CHUNK)
        pieces = [speak(Draws(chunk, self.seed).branch("tones"), length, self.noise_std) for chunk in chunks]
        waves = torch.cat([wave for wave, _, _ in pieces])
        words = torch.cat([word for _, word, _ in pieces])
        voices = torch.cat([voice for _, _, voice in pieces])
        labels = {
            "class": Labels(words, tuple("-".join(map(str, word)) for word in WORDS)),
            "voice": Labels(voices, tuple(f"voice {voice}" for voice in range(VOICES))),
        }
        seen = Observed("audio", (length,), "float32", count, rate=RATE)
        return Samples(seen, waves, labels, fingerprint=fingerprint(waves.numpy(), words.numpy(), voices.numpy()))


def speak(draws: Draws, size: int, noise: float) -> tuple[Float[Tensor, "B S"], Int[Tensor, " B"], Int[Tensor, " B"]]:
    """Speak words: waveforms (B, S), words (B,) and voices (B,)."""
    word, voice = draws.integers("word", 0, len(WORDS)), draws.integers("voice", 0, VOICES)
    time = torch.arange(size) / RATE  # seconds
    begin, length = syllables(draws, voice, size / RATE)
    kinds = torch.tensor(WORDS)[word]  # (B, Y)
    inside = ((time - begin[..., None]) / length[:, None, None]).clamp(0, 1)  # (B, Y, S), fraction of the syllable
    envelope = torch.sin(math.pi * inside).clamp(min=0).sqrt()
    wave = torch.zeros(len(word), size)
    for formant in (0, 1):
        glide = torch.tensor(GLIDES, dtype=torch.float32)[kinds, formant]  # (B, Y, 2) Hz
        glide = glide * (1 + 0.12 * (voice - 1.5))[:, None, None]  # the voice's own
        glide = glide * draws.uniform(f"glide {formant}", 3, 2, low=0.93, high=1.07)
        hertz = glide[..., :1] + (glide[..., 1:] - glide[..., :1]) * inside
        phase = 2 * math.pi * (hertz / RATE).cumsum(-1)
        wave += (envelope * torch.sin(phase)).sum(1) * (0.6 if formant == 0 else 0.3)
    pitch = (90 + 35 * voice)[:, None] * draws.uniform("pitch", 1, low=0.9, high=1.1)
    wave = wave * (0.75 + 0.25 * torch.sin(2 * math.pi * pitch * time))  # the voice's own beat
    loud = draws.uniform("loud", 1, low=0.5, high=1.0)
    return loud * wave + noise * draws.normal("noise", size), word, voice


def syllables(
    draws: Draws, voice: Int[Tensor, " B"], seconds: float
) -> tuple[Float[Tensor, "B Y"], Float[Tensor, " B"]]:
    """Draw when each syllable begins and how long one lasts, in seconds; slow voices speak longer."""
    share = (0.2 + 0.02 * voice) * draws.uniform("tempo", low=0.85, high=1.15)
    length = seconds * share
    spare = seconds - SYLLABLES * length
    gaps = draws.uniform("gaps", SYLLABLES + 1, low=0.2, high=1.0)
    gaps = spare[:, None] * gaps / gaps.sum(1, keepdim=True)
    return gaps[:, :SYLLABLES].cumsum(1) + length[:, None] * torch.arange(SYLLABLES), length
