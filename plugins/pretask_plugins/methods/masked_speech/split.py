"""Hide spans of frames of a log-mel spectrogram; ask for what they were.

Source: Liu et al. 2020, section 2; constants of the released code. Differs: see the folder's header.
Axes: B batch, S samples of a waveform, T frames, M mel bands.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from pretask import (
    Batch,
    Draws,
    Incompatible,
    Inputs,
    InputSpec,
    Observed,
    PretaskError,
    Target,
    Targets,
    TargetSpecs,
    Values,
)
from torch import Tensor

FLOOR = 1e-6  # power below which the logarithm is not taken
ERASED, REPLACED = 0.8, 0.9  # up to here zeros, up to there other frames of the recording, above it left as it was


@dataclass(frozen=True)
class MaskFrames:
    """Erase, replace or leave spans of frames, one of the three for a whole recording.

    Args:
        share: Of the frames that spans would cover if they never overlapped; they do, so fewer are masked.
        span: Frames of a span. They overlap by window - hop, so that a span of one could be interpolated.
        mels: Mel bands.
        window: Seconds that a frame looks at.
        hop: Seconds between frames.
        rate: Hz of the recordings; data of another rate is refused.

    Source: Liu et al. 2020, section 2.
    """

    share: float = 0.15
    span: int = 7
    mels: int = 80
    window: float = 0.025
    hop: float = 0.010
    rate: int = 16000

    def __post_init__(self) -> None:
        bounds = {
            "rate": (1, math.inf),
            "share": (1e-6, 1),
            "span": (1, math.inf),
            "mels": (1, math.inf),
            "window": (1 / max(self.rate, 1), math.inf),
            "hop": (1 / max(self.rate, 1), math.inf),
        }
        for name, (least, most) in bounds.items():
            if not least <= getattr(self, name) <= most:
                got = f"{getattr(self, name)}"
                raise PretaskError(
                    "masked-speech", f"split.{name} from {least} to {most}", got, "Mend it.", exit_code=2
                )

    def spec(self, waves: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Frames, and a value for every band of every frame."""
        frames = self.frames(waves)
        return InputSpec("audio", (frames, self.mels)), {"frames": Values(self.mels, grid=(frames,))}

    def whole_spec(self, waves: Observed, /) -> InputSpec:
        """All frames."""
        return InputSpec("audio", (self.frames(waves), self.mels))

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """The frames with spans hidden; what they were, and which are asked for."""
        mel, present = self.frames_of(batch)
        begins = span_begins(draws, present.sum(1), present.shape[1], self.share, self.span)
        hidden = covered(begins, self.span)
        fate = draws.uniform("fate")[:, None]
        elsewhere = other_frames(draws, begins, present.sum(1), self.span)
        other = mel.gather(1, elsewhere[..., None].expand_as(mel))
        changed = torch.where((fate < ERASED)[..., None], torch.zeros_like(mel), other)
        shown = torch.where((hidden & (fate < REPLACED))[..., None], changed, mel)
        visible = ~(hidden & (fate < REPLACED))
        inputs = Inputs(shown[:, None], present[:, None], visible[:, None])
        return inputs, {"frames": Target(mel, (hidden & present).float())}

    def whole(self, batch: Batch, /) -> Inputs:
        """All frames, none hidden."""
        mel, present = self.frames_of(batch)
        return Inputs(mel[:, None], present[:, None])

    def trivial_predictors(
        self, batches: Iterable[Batch], /
    ) -> Mapping[str, Callable[[Batch, Draws], Mapping[str, Tensor]]]:
        """The recording's own mean, the last frame before a gap, and a line from one side of the gap to the other."""

        def guess(of: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Batch, Draws], Mapping[str, Tensor]]:
            def predictor(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
                mel, present = self.frames_of(batch)
                begins = span_begins(draws, present.sum(1), present.shape[1], self.share, self.span)
                return {"frames": of(mel, covered(begins, self.span))}

            return predictor

        return {
            "mean": guess(lambda mel, hidden: torch.zeros_like(mel)),
            "copy": guess(lambda mel, hidden: sides(mel, hidden)[0]),
            "interpolation": guess(interpolated),
        }

    def frames(self, waves: Observed) -> int:
        """T, after a check that the recordings can be read and have room for two spans."""
        if waves.modality != "audio" or waves.rate != self.rate:
            raise Incompatible(
                "masked-speech",
                f"recordings at split.rate = {self.rate} Hz",
                f"{waves.modality} at {waves.rate or 'no'} Hz",
                "Set split.rate to the data's rate, or data.sample_rate to the split's.",
            )
        frames = waves.shape[0] // self.samples(self.hop) + 1
        if frames < 2 * self.span:
            raise Incompatible(
                "masked-speech",
                f"recordings of at least {2 * self.span * self.hop:.2f} seconds (two spans of {self.span} frames)",
                f"{waves.shape[0] / self.rate:.2f}",
                "Use longer recordings, or a smaller split.span.",
            )
        return frames

    def samples(self, seconds: float) -> int:
        """Samples of a waveform in so many seconds."""
        return round(seconds * self.rate)

    def frames_of(self, batch: Batch) -> tuple[Float[Tensor, "B T M"], Bool[Tensor, "B T"]]:
        """The frames of every recording, normalised band by band, and which of them are no padding."""
        hop = self.samples(self.hop)
        waves = batch.data if batch.present is None else batch.data * batch.present  # windows reach into padding
        mel = log_mel(waves, self.rate, self.mels, self.samples(self.window), hop)
        centre = (torch.arange(mel.shape[1], device=batch.device) * hop).clamp(max=batch.data.shape[1] - 1)
        if batch.present is None:
            present = torch.ones(mel.shape[:2], dtype=torch.bool, device=batch.device)
        else:
            present = batch.present[:, centre]
        return standardised(mel, present), present


@dataclass(frozen=True)
class MaskSpectrogram(MaskFrames):
    """The same as a picture: one channel, bands as rows and frames as columns, for image models."""

    def spec(self, waves: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """A picture of one channel, and a value for each of its pixels."""
        size = (self.mels, self.frames(waves))
        return InputSpec("image", (1, *size)), {"frames": Values(1, grid=size)}

    def whole_spec(self, waves: Observed, /) -> InputSpec:
        """The whole picture."""
        return InputSpec("image", (1, self.mels, self.frames(waves)))

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """The picture with columns hidden; what they were, and which are asked for."""
        inputs, targets = super().__call__(batch, draws)
        value, weight = as_rows(targets["frames"].value), targets["frames"].weight
        assert weight is not None
        columns = weight[:, None].expand(value.shape)
        return Inputs(as_picture(inputs.data)), {"frames": Target(value[..., None], columns)}

    def whole(self, batch: Batch, /) -> Inputs:
        """The whole picture."""
        return Inputs(as_picture(super().whole(batch).data))

    def trivial_predictors(
        self, batches: Iterable[Batch], /
    ) -> Mapping[str, Callable[[Batch, Draws], Mapping[str, Tensor]]]:
        """Those of frames, as pictures."""

        def turned(predictor: Callable[[Batch, Draws], Mapping[str, Tensor]]) -> Any:
            return lambda batch, draws: {"frames": as_rows(predictor(batch, draws)["frames"])[..., None]}

        return {name: turned(predictor) for name, predictor in super().trivial_predictors(batches).items()}


def as_rows(frames: Float[Tensor, "B T M"]) -> Float[Tensor, "B M T"]:
    """Bands as rows."""
    return frames.transpose(1, 2)


def as_picture(views: Float[Tensor, "B 1 T M"]) -> Float[Tensor, "B 1 1 M T"]:
    """Frames as a picture with values about the middle of [0, 1]: a quarter for each deviation."""
    return as_rows(views[:, 0])[:, None, None] * 0.25 + 0.5


def span_begins(draws: Draws, length: Int[Tensor, " B"], frames: int, share: float, span: int) -> Bool[Tensor, "B T"]:
    """Where spans begin: round(share * length / span) different places, at least one, none too late to fit."""
    place = torch.arange(frames, device=length.device)
    score = torch.where(place <= (length - span)[:, None], draws.uniform("begin", frames), -1.0)
    rank = score.argsort(1, descending=True).argsort(1)
    wanted = (share * length / span).round().clamp(min=1)
    return (rank < wanted[:, None]) & (score >= 0)


def covered(begins: Bool[Tensor, "B T"], span: int) -> Bool[Tensor, "B T"]:
    """Every frame that is less than `span` after a beginning.

    >>> covered(torch.tensor([[True, False, False, False]]), 3).int().tolist()
    [[1, 1, 1, 0]]
    """
    return latest_begin(begins) < span


def latest_begin(begins: Bool[Tensor, "B T"]) -> Int[Tensor, "B T"]:
    """How many frames ago the latest span began; far away where none did."""
    place = torch.arange(begins.shape[1], device=begins.device)
    never = -2 * begins.shape[1]
    return place - torch.where(begins, place, never).cummax(1).values


def other_frames(draws: Draws, begins: Bool[Tensor, "B T"], length: Int[Tensor, " B"], span: int) -> Int[Tensor, "B T"]:
    """For every frame the one that may replace it: as far into a span elsewhere as it is into its own."""
    frames = begins.shape[1]
    source = (draws.uniform("other", frames) * (length - span + 1).clamp(min=1)[:, None]).long()  # of a span, by begin
    place = torch.arange(frames, device=begins.device).expand_as(source)
    into = latest_begin(begins).clamp(0, span - 1)
    return (source.gather(1, (place - into).clamp(min=0)) + into).clamp(max=frames - 1)


@lru_cache(maxsize=8)
def window_and_filters(rate: int, mels: int, window: int, hop: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Torchaudio's window and mel filters on a device."""
    from torchaudio.transforms import MelSpectrogram

    made = MelSpectrogram(rate, n_fft=transformed(window), win_length=window, hop_length=hop, n_mels=mels).to(device)
    return made.spectrogram.window, made.mel_scale.fb


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def constants(rate: int, mels: int, window: int, hop: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """The same, which a compiled step does not trace."""
    return window_and_filters(rate, mels, window, hop, device)


def transformed(window: int) -> int:
    """Samples that are transformed at once: a power of two above the window."""
    return max(1 << (window - 1).bit_length(), 512)


def log_mel(waves: Float[Tensor, "B S"], rate: int, mels: int, window: int, hop: int) -> Float[Tensor, "B T M"]:
    """The logarithm of the power in every mel band around every hop."""
    shape, filters = constants(rate, mels, window, hop, waves.device)
    turns = torch.stft(waves, transformed(window), hop, window, shape, return_complex=True)
    power: Tensor = turns.abs().square().transpose(1, 2) @ filters
    return (power + FLOOR).log()


def standardised(mel: Float[Tensor, "B T M"], present: Bool[Tensor, "B T"]) -> Float[Tensor, "B T M"]:
    """Mean 0 and deviation 1 in every band over the present frames of a recording; 0 where it is padding."""
    weight = present[..., None].float()
    count = weight.sum(1, keepdim=True).clamp(min=1)
    mean = (mel * weight).sum(1, keepdim=True) / count
    variance = ((mel - mean).square() * weight).sum(1, keepdim=True) / count
    return (mel - mean) / variance.sqrt().clamp(min=1e-3) * weight


def sides(mel: Float[Tensor, "B T M"], hidden: Bool[Tensor, "B T"]) -> tuple[Tensor, Tensor]:
    """For every frame the nearest visible one before it and after it; a missing side is the other one."""
    frames = mel.shape[1]
    place = torch.arange(frames, device=mel.device)
    before = torch.where(hidden, -1, place).cummax(1).values
    after = torch.where(hidden, frames, place).flip(1).cummin(1).values.flip(1)
    left = torch.where(before < 0, after, before).clamp(0, frames - 1)
    right = torch.where(after >= frames, before, after).clamp(0, frames - 1)
    return tuple(mel.gather(1, each[..., None].expand_as(mel)) for each in (left, right))  # type: ignore[return-value]


def interpolated(mel: Float[Tensor, "B T M"], hidden: Bool[Tensor, "B T"]) -> Float[Tensor, "B T M"]:
    """A straight line, band by band, from the last visible frame before a gap to the first one after it."""
    frames = mel.shape[1]
    place = torch.arange(frames, device=mel.device)
    before = torch.where(hidden, -1, place).cummax(1).values
    after = torch.where(hidden, frames, place).flip(1).cummin(1).values.flip(1)
    share = ((place - before) / (after - before).clamp(min=1)).clamp(0, 1)[..., None]
    left, right = sides(mel, hidden)
    return left + share * (right - left)
