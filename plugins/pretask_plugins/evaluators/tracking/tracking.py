"""Tracking: the first mask of a clip is given; what frozen features make of it in the frames after it.

Nothing is trained. Features of every frame, taken one by one, carry the mask on (propagation.py); it is held against
the true one by region and contour (scores.py), but for the first and the last frame, object by object. How labels are
copied is chosen on clips of the training part (readouts.py). Beside it stand the first mask copied, which still things
are good for, and raw pixels as features (encoders.py): gray ones, and colors, which are an oracle for an encoder of
gray frames.

Source: Perazzi et al., CVPR 2016; Vondrick et al., ECCV 2018, section 4.
Axes: B clips, T frames, C channels or labels, H W image, R ways to copy, h w positions, O objects.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int, UInt8
from pretask import Batch, Samples
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.evaluators.tracking.encoders import Encoder
from pretask_plugins.evaluators.tracking.readouts import LabelTracking, Readout, split_clips
from pretask_plugins.evaluators.tracking.tracks import (
    Track,
    check_masks,
    mean_j_and_f,
    name_scores,
    one_hot,
    score_objects,
)


@dataclass(frozen=True)
class Tracking(LabelTracking[Track]):
    """Masks carried on by top-k affinity in a window, with a queue of frames; the options are in readouts.py."""

    measure: ClassVar[str] = "J&F"
    baselines: ClassVar[str] = "tracking-baselines"
    what: ClassVar[str] = "The first mask"
    drawn: ClassVar[str] = "tracks"

    def is_followed(self, track: Track) -> bool:
        """Return whether a track's J&F is above a half."""
        return track.j_and_f > 0.5

    def check_labels(self, samples: Samples) -> None:
        """Raise PretaskError unless there are masks to follow."""
        check_masks(samples)

    def rate_tracks(self, tracks: Sequence[Track]) -> float:
        """Return the mean of J and F over objects."""
        return mean_j_and_f(tracks)

    def name_scores(self, prefix: str, tracks: Sequence[Track]) -> Iterator[tuple[str, float]]:
        """Yield J, F and their mean, averaged over objects."""
        return name_scores(prefix, tracks)

    def track_in_ways(
        self,
        encode: Encoder,
        layer: int,
        samples: Samples,
        numbers: Int[Tensor, " N"],
        device: torch.device,
        step: int = 1,
    ) -> dict[Readout, list[Track]]:
        """Track every object of some clips with every radius and way to copy, and score every `step`-th frame."""
        readouts = self.list_readouts(layer)
        tracks: dict[Readout, list[Track]] = {readout: [] for readout in readouts}
        for truth, batch in read_clips(samples, numbers, device):
            first = one_hot(truth[:, 0], int(truth[:, 0].max()) + 1)
            predictions = self.propagate_masks(encode, batch.data, first, step)
            for readout, scored in zip(readouts, score_objects(predictions, truth, batch), strict=True):
                tracks[readout] += scored
        return tracks

    def copy_first(self, samples: Samples, device: torch.device) -> list[Track]:
        """Track every object of every clip by its first mask."""
        tracks: list[Track] = []
        for truth, batch in read_clips(samples, self.list_clips(samples), device):
            first = truth[:, :1].clamp(min=0)
            tracks += next(score_objects(((frame, first) for frame in range(truth.shape[1])), truth, batch))
        return tracks

    def propagate_masks(
        self, encode: Encoder, clips: UInt8[Tensor, "B T C H W"], first: Float[Tensor, "B K H W"], step: int
    ) -> Iterator[tuple[int, Int[Tensor, "B R H W"]]]:
        """Yield number and labels of every `step`-th frame, from the first on, by every radius and way to copy."""

        def place_labels(height: int, width: int) -> Float[Tensor, "B h w K"]:
            return F.adaptive_avg_pool2d(first, (height, width)).movedim(1, 3)

        yield 0, first.argmax(1)[:, None].expand(-1, len(self.list_readouts(0)), -1, -1)
        for frame, maps in enumerate(self.carry_labels(encode, clips, place_labels), start=1):
            if frame % step:
                continue
            probability = maps.permute(0, 3, 4, 1, 2)  # (B, R, K, h, w)
            smooth = F.interpolate(probability.flatten(0, 1), first.shape[2:], mode="bilinear", align_corners=False)
            yield frame, smooth.argmax(1).view(*probability.shape[:2], *first.shape[2:])


def read_clips(
    samples: Samples, numbers: Int[Tensor, " N"], device: torch.device
) -> Iterator[tuple[Int[Tensor, "B T H W"], Batch]]:
    """Yield the masks and frames of some clips at a time."""
    masks = samples.labels["masks"].value
    for index in split_clips(samples, numbers):
        yield masks[index].to(device), samples.batch(index, device)
