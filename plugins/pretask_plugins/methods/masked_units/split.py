"""Hide spans of frames of a log-mel spectrogram; predict which unit each of them is, a cluster of frames.

In the first round units are clusters of the frames themselves; in the next, of the features that an encoder of the
round before has of them, each time by k-means.

Source: Hsu et al., IEEE/ACM TASLP 2021 (HuBERT), sections II.A to II.C. Differs: see the folder's header.
Axes: B batch, T frames, M mel bands, D width of the vectors that are clustered, K units, N frames to fit to.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from pretask import (
    Batch,
    Categories,
    Draws,
    Inputs,
    InputSpec,
    Observed,
    Predictor,
    PretaskError,
    Target,
    Targets,
    TargetSpecs,
)
from pretask.options import MAX_SIZE, DepthOrZero, Interval, Size
from pretask.protocols import Encoder
from torch import Tensor

from pretask_plugins.shared.k_means import find_nearest, k_means
from pretask_plugins.shared.speech.frames import SpeechMasking, count_frames, draw_spans, read_frames
from pretask_plugins.shared.speech.spans import copy_before, cover_spans

# What units are fitted to: some frames of each recording of at most so many batches of the training part.
MAX_FIT_BATCHES = 32
FRAMES_PER_RECORDING = 8
STARTS = 4  # of k-means, the best of which counts; the released code has 20
MAX_PREDICTOR_BATCHES = 8  # on which is counted how often the unit before a gap goes on through it
MIN_PROBABILITY = 1e-6  # so that a logarithm is finite


@dataclass(frozen=True)
class MaskUnits(SpeechMasking):
    """Erase spans of frames; the units of the erased frames are predicted.

    Args:
        mask_ratio: Of the frames, the part that spans would cover if they never overlapped: in the paper 8 % of the
            frames begin a span of ten.
        span: Frames of a span.
        units: K, clusters.
        layer: Of the encoder of an earlier round whose features are clustered, counted from 1; its output when 0.
        centers: Of the units, filled in by `fit`.
        encoder: Of the earlier round, filled in by `fit_with`.

    Source: Hsu et al. 2021, sections II.A and II.B.
    """

    name: ClassVar[str] = "masked-units"
    mask_ratio: Annotated[float, Interval(ge=1e-6, le=1)] = 0.8
    span: Size = 10
    units: Annotated[int, Interval(ge=2, le=MAX_SIZE)] = 100
    layer: DepthOrZero = 0
    centers: Float[Tensor, "K D"] | None = field(default=None, compare=False)
    encoder: Encoder | None = field(default=None, compare=False)

    def fit(self, waves: Observed, batches: Iterable[Batch], /) -> "MaskUnits":
        """Return the same split with units of frames: the first round.

        Raises:
            Incompatible: The recordings have another rate, or are shorter than two spans.
            PretaskError: There are fewer frames than units.
        """
        count_frames(self, waves)
        return self.cluster(batches)

    def fit_with(self, waves: Observed, batches: Iterable[Batch], encoder: Encoder, /) -> "MaskUnits":
        """Return the same split with units of an encoder's features of frames: a later round."""
        count_frames(self, waves)
        return replace(self, encoder=encoder).cluster(batches)

    def cluster(self, batches: Iterable[Batch]) -> "MaskUnits":
        """Return the same split with the centers of clusters of some frames of the training part."""
        frames = torch.cat([self.sample_vectors(batch) for batch in islice(batches, MAX_FIT_BATCHES)])
        if len(frames) < self.units:
            raise PretaskError(
                "masked-units",
                f"at least split.units = {self.units} frames to cluster",
                f"{len(frames)}",
                "Use more recordings, or fewer units.",
            )
        return replace(self, centers=k_means(frames, self.units, starts=STARTS))

    def sample_vectors(self, batch: Batch) -> Float[Tensor, "N D"]:
        """Return the vectors of some frames of every recording, none of padding."""
        mel, present = read_frames(self, batch)
        vectors = self.read_vectors(batch, mel)
        length = present.sum(1, keepdim=True)
        chosen = Draws(batch.index).branch("units").uniform("frame", FRAMES_PER_RECORDING)
        place = (chosen * length).long().clamp(max=vectors.shape[1] - 1)
        return vectors.gather(1, place[..., None].expand(-1, -1, vectors.shape[2])).flatten(0, 1).float().cpu()

    def read_vectors(self, batch: Batch, mel: Float[Tensor, "B T M"]) -> Float[Tensor, "B T D"]:
        """Return what is clustered: frames, or an encoder's features of them."""
        if self.encoder is None:
            return mel
        features = self.encoder(batch)
        layers = features.layers or (features,)
        if self.layer > len(layers) or layers[self.layer - 1].grid != mel.shape[1:2]:
            raise PretaskError(
                "masked-units",
                f"a layer {self.layer or 'of output'} of an encoder with a vector for each of {mel.shape[1]} frames",
                f"{len(layers)} layers, and vectors on the grid {layers[min(self.layer, len(layers)) - 1].grid}",
                "Name a run of masked-speech or masked-units, with the same split.hop, and one of its layers.",
            )
        streams = layers[self.layer - 1].streams
        return streams.get("all", next(iter(streams.values())))[:, 0]

    def spec(self, waves: Observed, /) -> tuple[InputSpec, TargetSpecs]:
        """Return frames, and one of the units for every frame."""
        frames = count_frames(self, waves)
        return InputSpec("audio", (frames, self.mels)), {"unit": Categories(self.units, grid=(frames,))}

    def whole_spec(self, waves: Observed, /) -> InputSpec:
        """Return the spec of all frames."""
        return InputSpec("audio", (count_frames(self, waves), self.mels))

    def __call__(self, batch: Batch, draws: Draws, /) -> tuple[Inputs, Targets]:
        """Return the frames with spans erased; the units of all, with weight 1 where they are erased."""
        mel, present, hidden = self.hide(batch, draws)
        shown = mel.masked_fill(hidden[..., None], 0)
        inputs = Inputs(shown[:, None], present[:, None], ~hidden[:, None])
        return inputs, {"unit": Target(self.find_units(batch, mel), hidden.float())}

    def whole(self, batch: Batch, /) -> Inputs:
        """Return all frames, none hidden."""
        mel, present = read_frames(self, batch)
        return Inputs(mel[:, None], present[:, None])

    def hide(
        self, batch: Batch, draws: Draws
    ) -> tuple[Float[Tensor, "B T M"], Bool[Tensor, "B T"], Bool[Tensor, "B T"]]:
        """Return frames, which of them are no padding, and which of these are hidden."""
        mel, present = read_frames(self, batch)
        hidden = cover_spans(draw_spans(self, batch, present, draws)[0], self.span)
        return mel, present, hidden & present

    def find_units(self, batch: Batch, mel: Float[Tensor, "B T M"]) -> Int[Tensor, "B T"]:
        """Return the unit of every frame; raises PretaskError before they were fitted."""
        if self.centers is None:
            raise PretaskError("masked-units", "units, which are fitted", "none", "Call fit with some batches.")
        vectors = self.read_vectors(batch, mel).float()
        return find_nearest(vectors.flatten(0, 1), self.centers.to(vectors.device)).view(vectors.shape[:2])

    def trivial_predictors(self, batches: Iterable[Batch], /) -> Mapping[str, Predictor]:
        """Return the last unit before a gap, as probable as it is on average to go on through it."""
        same, count = 0.0, 0.0
        for batch in islice(batches, MAX_PREDICTOR_BATCHES):
            unit, copied, hidden = self.copy_units(batch, Draws(batch.index))
            same, count = same + float(((unit == copied) & hidden).sum()), count + float(hidden.sum())
        probability = min(max(same / max(count, 1), MIN_PROBABILITY), 1 - MIN_PROBABILITY)

        def copy(batch: Batch, draws: Draws) -> Mapping[str, Tensor]:
            _, copied, _ = self.copy_units(batch, draws)
            logits = torch.full(
                (*copied.shape, self.units), math.log((1 - probability) / (self.units - 1)), device=copied.device
            )
            return {"unit": logits.scatter(2, copied[..., None], math.log(probability))}

        return {"copy": copy}

    def copy_units(
        self, batch: Batch, draws: Draws
    ) -> tuple[Int[Tensor, "B T"], Int[Tensor, "B T"], Bool[Tensor, "B T"]]:
        """Return the unit of every frame, that of the last visible frame up to it, and which frames are hidden."""
        mel, present, hidden = self.hide(batch, draws)
        unit = self.find_units(batch, mel)
        return unit, copy_before(unit[..., None].float(), hidden | ~present)[..., 0].long(), hidden
