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

import torch
from jaxtyping import Float, Int, UInt8
from pretask import Batch, Budget, Data, Figure, Items, Samples, Task
from pretask.pretext_score import evaluation_mode
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.evaluators.tracking.encoders import Encoder
from pretask_plugins.evaluators.tracking.pictures import draw_moving, draw_tracks
from pretask_plugins.evaluators.tracking.readouts import LabelTracking, Readout, name_choice
from pretask_plugins.evaluators.tracking.tracks import (
    Track,
    check_masks,
    mean_j_and_f,
    name_scores,
    one_hot,
    score_objects,
)

MAX_PIXELS = 1 << 17  # of the clips that are worked on at once, in one frame


@dataclass(frozen=True)
class Tracking(LabelTracking[Track]):
    """Masks carried on by top-k affinity in a window, with a queue of frames; the options are in readouts.py."""

    def check(self, task: Task, data: Data, /) -> None:
        """Raise PretaskError where there are no masks to follow."""
        self.check_labels(data("test"))

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items | Figure]]:
        """Yield `J&F`, mean, recall and decay of `J` and `F`, those of the baselines, a picture; `track.accuracy`, with
        items, the fraction of tracks whose J&F is above a half.

        Raises:
            PretaskError: There are no masks, clips are too short, or features have no positions.
        """
        test = data("test")
        self.check_labels(test)
        with evaluation_mode(task), torch.no_grad():
            encoders = self.select_encoders(task, test)
            scores = self.score_readouts(encoders, data, task.device)
            best = max(scores, key=lambda readout: scores[readout])
            yield from name_choice(best, scores, "J&F")
            tracks = self.track_objects(encoders[best.layer], best, test, task.device)
            yield from self.name_scores("", tracks)
            yield from self.score_baselines("tracking-baselines", data, budget, task.device).items()
        found = torch.tensor([track.j_and_f > 0.5 for track in tracks])
        yield "track.accuracy", float(found.float().mean())
        yield "track.accuracy", Items(found)
        pictures = [track.picture for track in tracks if track.picture is not None]
        yield "tracks", draw_tracks(pictures)
        yield "moving", draw_moving(pictures)

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
    size = max(1, MAX_PIXELS // (masks.shape[-1] * masks.shape[-2]))
    for start in range(0, len(numbers), size):
        index = numbers[start : start + size]
        yield masks[index].to(device), samples.batch(index, device)
