"""Frames of recordings: how many there are, which are hidden, and the options that decide it.

Axes: B batch, T frames, M mel bands.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from jaxtyping import Bool, Float, Int
from pretask import Batch, Draws, Incompatible, Observed
from pretask.options import Interval, Seconds, Size, require_range
from torch import Tensor

from pretask_plugins.shared.speech.spans import draw_latest_starts
from pretask_plugins.shared.speech.spectrogram import standardized_frames


@dataclass(frozen=True)
class SpeechMasking:
    """Options of splits that hide frames: how recordings become frames, and how many of these are hidden.

    Args:
        mask_ratio: Of the frames, the part that spans would cover if they never overlapped; they do, so fewer are
            masked.
        span: Frames of a span. They overlap by window - hop, so that a span of one could be interpolated.
        mels: Mel bands.
        window: Seconds that a frame looks at.
        hop: Seconds between frames.
        rate: Hz of the recordings; data of another rate is refused.
    """

    name: ClassVar[str] = "masked-speech"  # for errors
    mask_ratio: Annotated[float, Interval(ge=1e-6, le=1)] = 0.15
    span: Size = 7
    mels: Size = 80
    window: Seconds = 0.025
    hop: Seconds = 0.010
    rate: Size = 16000

    def __post_init__(self) -> None:
        sample = Interval(ge=1 / max(self.rate, 1))
        require_range(self.name, "split", self, hop=sample, window=sample)


def draw_spans(
    options: SpeechMasking, batch: Batch, present: Bool[Tensor, "B T"], draws: Draws
) -> tuple[Int[Tensor, "B T"], int | Int[Tensor, " B"]]:
    """Return where the latest span up to every frame started, and how many frames are no padding."""
    frames = present.shape[1]
    length = frames if batch.present is None else present.sum(1)
    return draw_latest_starts(draws, length, frames, options.mask_ratio, options.span), length


def read_frames(options: SpeechMasking, batch: Batch) -> tuple[Float[Tensor, "B T M"], Bool[Tensor, "B T"]]:
    """Return the standardized frames of every recording, and which of them are no padding."""
    window, hop = round(options.window * options.rate), round(options.hop * options.rate)
    return standardized_frames(batch, options.rate, options.mels, window, hop)


def count_frames(options: SpeechMasking, waves: Observed) -> int:
    """Return T, after a check that the recordings can be read and have room for two spans.

    Raises:
        Incompatible: The recordings have another rate, or are shorter than two spans.
    """
    needs = f"two spans of {options.span} frames"
    do = "Use longer recordings, or a smaller split.span."
    return count_frames_at(options.name, waves, options.rate, options.hop, 2 * options.span, needs, do)


def count_frames_at(
    who: str,
    waves: Observed,
    rate: int,
    hop: float,
    fewest: int,
    needs: str = "",
    do: str = "Use longer recordings.",
) -> int:
    """Return T, after a check that the recordings have the rate, and as many frames as are needed.

    Args:
        who: The split, for errors.
        waves: The recordings.
        rate: Hz that they must have.
        hop: Seconds between frames.
        fewest: Frames that they must have.
        needs: What these are, for errors.
        do: What can be done about it.

    Raises:
        Incompatible: The recordings have another rate, or are shorter.
    """
    if waves.modality != "audio" or waves.rate != rate:
        raise Incompatible(
            who,
            f"recordings at split.rate = {rate} Hz",
            f"{waves.modality} at {waves.rate or 'no'} Hz",
            "Set split.rate to the data's rate, or data.sample_rate to the split's.",
        )
    frames = waves.shape[0] // round(hop * rate) + 1
    if frames < fewest:
        raise Incompatible(
            who,
            f"recordings of at least {fewest * hop:.2f} seconds ({needs or f'{fewest} frames'})",
            f"{waves.shape[0] / rate:.2f}",
            do,
        )
    return frames
