"""Hide spans of frames of a log-mel spectrogram; predict what they were.

Source: Liu et al. 2020, section 2; constants of the released code. Differs: see the folder's header.
Axes: B batch, T frames, M mel bands.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float
from pretask import (
    Batch,
    Draws,
    Figure,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    Target,
    Targets,
    TargetSpecs,
    Task,
    Values,
)
from pretask.options import Fraction
from pretask.pretext_score import HELD_OUT_EPOCH
from torch import Tensor

from pretask_plugins.methods.masked_speech.figures import draw_spectrograms
from pretask_plugins.shared.speech.frames import SpeechMasking, count_frames, draw_spans, read_frames
from pretask_plugins.shared.speech.spans import (
    copy_before,
    cover_spans,
    draw_replacements,
    interpolate,
    replace_frames,
    since_latest,
)

# The three fates of a recording's spans, as in BERT: with probability .8 they become zeros, with .1 other frames of the
# recording, with .1 they stay. A uniform number below the first bound is the first, below the second the second.
ERASED_BELOW, REPLACED_BELOW = 0.8, 0.9


@dataclass(frozen=True)
class AcousticMasking(SpeechMasking):
    """Options of both splits here: how recordings become frames, how many of these are hidden, and how many bands.

    Args:
        bands: Of the mel bands, the largest part that a block of them covers, which is erased in all frames; 0 erases
            none, .2 is that of TERA. Its width is uniform from none on.
    """

    bands: Fraction = 0.0


@dataclass(frozen=True)
class MaskFrames(AcousticMasking):
    """Erase, replace or leave spans of frames, one of the three for a whole recording.

    Source: Liu et al. 2020, section 2.
    """

    def spec(self, waves: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return frames, and a value for every band of every frame."""
        frames = count_frames(self, waves)
        return InputSpec("audio", (frames, self.mels)), {"frames": Values(self.mels, grid=(frames,))}

    def whole_spec(self, waves: Observed, /) -> InputSpec:
        """Return the spec of all frames."""
        return InputSpec("audio", (count_frames(self, waves), self.mels))

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the frames with spans hidden; what they were, with weight 1 where they are hidden."""
        masked = mask_spans(self, batch, draws)
        inputs = Inputs(masked.shown[:, None], masked.present[:, None], masked.visible[:, None])
        return inputs, {"frames": Target(masked.mel, masked.weight)}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return all frames, none hidden."""
        mel, present = read_frames(self, batch)
        return Inputs(mel[:, None], present[:, None])

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return the recording's own mean, the last frame before a gap, and a line across the gap."""
        return {name: predict_gaps(self, fill, lambda frames: frames) for name, fill in GAP_FILLERS.items()}

    def figures(self, task: Task, batch: Batch, /) -> Iterator[Figure]:
        """Yield spectrograms with gaps, and what is predicted there."""
        draws = Draws(batch.index, 0, HELD_OUT_EPOCH)
        spans = mask_spans(self, batch, draws.branch("split"))
        predicted = task.predict(batch, draws).get("frames")
        yield draw_spectrograms(
            spans, predicted if predicted is not None and predicted.shape == spans.mel.shape else None
        )


@dataclass(frozen=True)
class MaskSpectrogram(AcousticMasking):
    """Mask the same frames as a picture: one channel, bands as rows and frames as columns, for image models.

    Source: Liu et al. 2020, section 2. Differs: models see which columns are zeros, not which are visible.
    """

    name: ClassVar[str] = "masked-spectrogram"

    def spec(self, waves: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return a picture of one channel, and a value for each of its pixels."""
        size = (self.mels, count_frames(self, waves))
        return InputSpec("image", (1, *size)), {"frames": Values(1, grid=size)}

    def whole_spec(self, waves: Observed, /) -> InputSpec:
        """Return the spec of the whole picture."""
        return InputSpec("image", (1, self.mels, count_frames(self, waves)))

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the picture with columns hidden; what they were, with weight 1 where they are hidden."""
        masked = mask_spans(self, batch, draws)
        value = to_pixels(masked.mel)
        weight = masked.weight[:, None].expand(value.shape[:3])
        if masked.bands is not None:
            weight = torch.where(masked.bands[..., None] & masked.present[:, None], 1.0, weight)
        return Inputs(to_picture(masked.shown)), {"frames": Target(value, weight)}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return the whole picture."""
        return Inputs(to_picture(read_frames(self, batch)[0]))

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return those of frames, as pictures."""
        return {name: predict_gaps(self, fill, to_pixels) for name, fill in GAP_FILLERS.items()}


class MaskedSpans(NamedTuple):
    """Recordings whose spans are hidden.

    Args:
        mel: Frames as they were.
        shown: Frames as they are shown.
        present: Which are no padding.
        visible: Which are shown as they were, because they are in no span or the recording's spans stay.
        weight: 1 for frames of spans that are no padding, which are predicted; 0 for others.
        bands: Which are hidden in all frames; None where there are none.
    """

    mel: Float[Tensor, "B T M"]
    shown: Float[Tensor, "B T M"]
    present: Bool[Tensor, "B T"]
    visible: Bool[Tensor, "B T"]
    weight: Float[Tensor, "B T"]
    bands: Bool[Tensor, "B M"] | None = None


def mask_spans(options: AcousticMasking, batch: Batch, draws: Draws) -> MaskedSpans:
    """Erase, replace or leave spans of frames, by one number for a whole recording; erase a block of bands."""
    mel, present = read_frames(options, batch)
    latest, length = draw_spans(options, batch, present, draws)
    since = since_latest(latest)
    fate = draws.uniform("fate")[:, None]
    visible = (since >= options.span) | (fate >= REPLACED_BELOW)
    replacements = draw_replacements(draws, latest, since, length, options.span)
    shown = replace_frames(mel, visible, replacements, fate < ERASED_BELOW)
    # As floats, in one operation.
    weight = torch.lt(since, options.span, out=torch.empty(since.shape, device=since.device))
    bands = draw_bands(options, draws)
    if bands is not None:
        shown = shown.masked_fill(bands[:, None], 0)
    return MaskedSpans(mel, shown, present, visible, weight if batch.present is None else weight * present, bands)


def draw_bands(options: AcousticMasking, draws: Draws) -> Bool[Tensor, "B M"] | None:
    """Return which bands of every recording are erased: a block of them, of any width up to the largest.

    Source: Liu, Li and Lee 2021 (TERA), section III; Park et al. 2019 (SpecAugment).
    """
    widest = int(options.bands * options.mels)
    if not widest:
        return None
    width = draws.integers("bands", 0, widest + 1)
    start = draws.integers("first band", 0, options.mels + 1 - width)
    band = torch.arange(options.mels, device=width.device)
    return (band >= start[:, None]) & (band < (start + width)[:, None])


def to_pixels(frames: Float[Tensor, "B T M"]) -> Float[Tensor, "B M T 1"]:
    """Return frames as pixels of one channel, bands as rows."""
    return frames.transpose(1, 2)[..., None]


def to_picture(frames: Float[Tensor, "B T M"]) -> Float[Tensor, "B 1 1 M T"]:
    """Return frames as a picture with values about the middle of [0, 1]: a quarter for each standard deviation."""
    return frames.transpose(1, 2)[:, None, None] * 0.25 + 0.5


def fill_with_mean(mel: Float[Tensor, "B T M"], hidden: Bool[Tensor, "B T"]) -> Float[Tensor, "B T M"]:
    """Return the mean of every band, which is 0 after standardization."""
    return torch.zeros_like(mel)


GapFiller = Callable[[Float[Tensor, "B T M"], Bool[Tensor, "B T"]], Float[Tensor, "B T M"]]
GAP_FILLERS: Mapping[str, GapFiller] = {"mean": fill_with_mean, "copy": copy_before, "interpolation": interpolate}


def predict_gaps(options: SpeechMasking, fill: GapFiller, arrange: Callable[[Tensor], Tensor]) -> Predictor:
    """Return a predictor that fills the gaps of frames and arranges the result as the target is arranged."""

    def predict(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
        mel, present = read_frames(options, batch)
        hidden = cover_spans(draw_spans(options, batch, present, draws)[0], options.span)
        return {"frames": arrange(fill(mel, hidden | ~present))}  # padding is nothing to draw a line to

    return predict
