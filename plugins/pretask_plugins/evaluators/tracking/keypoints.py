"""Keypoint tracking: points of the first frame, carried on by frozen features; the fraction of those found (PCK).

A point counts as found where it is no farther from its true place than a fraction of six tenths of the diagonal of the
box around the keypoints of that frame (points.py). Joints count alike, however often they are seen; the first frame,
where they are given, does not count. How labels are copied is chosen on clips of the training part (readouts.py), and
the baselines are those of the evaluator tracking.

Source: Jhuang, Gall, Zuffi, Schmid and Black, ICCV 2013; Vondrick et al., ECCV 2018, section 4.4 (PCK at .1 to .5).
Axes: B clips, T frames, F frames that count, K points, R ways to copy.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int, UInt8
from pretask import Batch, Samples
from torch import Tensor

from pretask_plugins.evaluators.tracking.encoders import Encoder
from pretask_plugins.evaluators.tracking.points import Points, check_points, find_points, read_points, spread_points
from pretask_plugins.evaluators.tracking.readouts import LabelTracking, Readout, split_clips

PERCENTAGES = (10, 20, 30, 40, 50)  # of SCALE times the diagonal, within which a point is found
SCALE = 0.6
FOUND_PERCENTAGE = 20  # of a track that is called correct, in more than half of its frames
DOT = 0.02  # of the picture's height, radius of a point that is drawn


@dataclass(frozen=True)
class PointTrack:
    """One point of one clip.

    Args:
        clip: Its number.
        joint: Which of the points of a clip it is.
        errors: Distances from the true place, in percent of SCALE times the diagonal, of the frames that count.
        picture: Frames, and dots where the points were carried; of the first track of a clip.
    """

    clip: int
    joint: int
    errors: Float[Tensor, " F"]
    picture: tuple[Tensor, Tensor] | None = None


@dataclass(frozen=True)
class KeypointTracking(LabelTracking[PointTrack]):
    """Points carried on by top-k affinity in a window, with a queue of frames; the options are in readouts.py."""

    measure: ClassVar[str] = "PCK"
    baselines: ClassVar[str] = "keypoint-baselines"
    what: ClassVar[str] = "The first places of points"
    drawn: ClassVar[str] = "keypoints"

    def is_followed(self, track: PointTrack) -> bool:
        """Return whether a point is found within FOUND_PERCENTAGE in more than half of its frames."""
        return float((track.errors <= FOUND_PERCENTAGE).float().mean()) > 0.5

    def check_labels(self, samples: Samples) -> None:
        """Raise PretaskError unless there are points to follow."""
        check_points(samples)

    def rate_tracks(self, tracks: Sequence[PointTrack]) -> float:
        """Return the mean PCK of all percentages."""
        return sum(measure_pck(tracks, percentage) for percentage in PERCENTAGES) / len(PERCENTAGES)

    def name_scores(self, prefix: str, tracks: Sequence[PointTrack]) -> Iterator[tuple[str, float]]:
        """Yield PCK by percentage, and the standard error of the first over clips."""
        for percentage in PERCENTAGES:
            yield f"{prefix}PCK@{percentage}", measure_pck(tracks, percentage)
        clips = sorted({track.clip for track in tracks})
        if len(clips) > 1:
            by_clip = [[track for track in tracks if track.clip == clip] for clip in clips]
            values = torch.tensor([measure_pck(some, PERCENTAGES[0]) for some in by_clip], dtype=torch.float64)
            yield f"{prefix}PCK@{PERCENTAGES[0]}.standard_error", float(values.std() / len(clips) ** 0.5)

    def track_in_ways(
        self,
        encode: Encoder,
        layer: int,
        samples: Samples,
        numbers: Int[Tensor, " N"],
        device: torch.device,
        step: int = 1,
    ) -> dict[Readout, list[PointTrack]]:
        """Track every point of some clips with every radius and way to copy, and score every `step`-th frame."""
        readouts = self.list_readouts(layer)
        tracks: dict[Readout, list[PointTrack]] = {readout: [] for readout in readouts}
        for index, batch in read_some(samples, numbers, device):
            points = read_points(samples, index, batch)
            found = list(self.carry_points(encode, batch.data, points.place[:, 0], step))
            for way, readout in enumerate(readouts):
                places = {frame: place[:, way] for frame, place in found}
                tracks[readout] += score_points(places, points, index, batch, draw=len(readouts) == 1)
        return tracks

    def copy_first(self, samples: Samples, device: torch.device) -> list[PointTrack]:
        """Track every point of every clip by its first place."""
        tracks: list[PointTrack] = []
        for index, batch in read_some(samples, self.list_clips(samples), device):
            points = read_points(samples, index, batch)
            tracks += score_points(dict.fromkeys(range(batch.shape[1]), points.place[:, 0]), points, index, batch)
        return tracks

    def carry_points(
        self, encode: Encoder, clips: UInt8[Tensor, "B T C H W"], first: Float[Tensor, "B K 2"], step: int
    ) -> Iterator[tuple[int, Float[Tensor, "B R K 2"]]]:
        """Yield number and places of every `step`-th frame, from the first on, by every radius and way to copy."""
        height, width = clips.shape[3:]

        def place_labels(rows: int, columns: int) -> Float[Tensor, "B h w K"]:
            return spread_points(first, (height, width), rows, columns)

        places = first[:, None].expand(-1, len(self.list_readouts(0)), -1, -1)
        yield 0, places
        for frame, labels in enumerate(self.carry_labels(encode, clips, place_labels), start=1):
            if frame % step == 0:
                places = find_points(labels, (height, width), places)
                yield frame, places


def score_points(
    places: dict[int, Float[Tensor, "B K 2"]],
    points: Points,
    index: Int[Tensor, " B"],
    batch: Batch,
    *,
    draw: bool = False,
) -> list[PointTrack]:
    """Return the track of every point that is seen in the first frame of a clip and again after it.

    Args:
        places: Where the points were carried, by frame.
        points: Where they are.
        index: Numbers of the clips.
        batch: Frames.
        draw: Whether the first track of every clip has a picture.
    """
    tracks: list[PointTrack] = []
    frames = [frame for frame in places if frame > 0]
    found = torch.stack([places[frame] for frame in frames], 1)
    distance = (found - points.place[:, frames]).norm(dim=-1)
    errors = (100 * distance / (SCALE * points.diagonal[:, frames])).cpu()  # (B, F, K)
    given, counts = points.seen[:, 0].cpu(), points.seen[:, frames].cpu()
    for clip, number in enumerate(index.tolist()):
        for joint in range(counts.shape[2]):
            if bool(given[clip, joint]) and bool(counts[clip, :, joint].any()):
                is_first = not tracks or tracks[-1].clip != number
                picture = draw_places(places, given[clip], batch, clip) if draw and is_first else None
                tracks.append(PointTrack(number, joint, errors[clip, counts[clip, :, joint], joint], picture))
    return tracks


def draw_places(
    places: dict[int, Float[Tensor, "B K 2"]], given: Bool[Tensor, " K"], batch: Batch, clip: int
) -> tuple[UInt8[Tensor, "T C H W"], Int[Tensor, "T H W"]]:
    """Return the frames of a clip, and dots where its points were carried."""
    shown = torch.stack([place[clip].cpu()[given] for place in places.values()])
    return batch.data[clip, [*places]].cpu(), draw_dots(shown, *batch.data.shape[3:])


def draw_dots(places: Float[Tensor, "T K 2"], height: int, width: int) -> Int[Tensor, "T H W"]:
    """Return masks with a disk around every point, of a number of its own, from 1 on."""
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    masks = torch.zeros(len(places), height, width, dtype=torch.long)
    for number, place in enumerate(places.unbind(1), start=1):
        row, column = place[:, 0, None, None], place[:, 1, None, None]
        near = (rows - row).square() + (columns - column).square() <= max(DOT * height, 1.5) ** 2
        masks[near] = number
    return masks


def measure_pck(tracks: Sequence[PointTrack], percentage: int) -> float:
    """Return the fraction of places found, joint by joint over all frames, averaged over joints."""
    fractions = []
    for joint in sorted({track.joint for track in tracks}):
        errors = torch.cat([track.errors for track in tracks if track.joint == joint])
        fractions.append(float((errors <= percentage).float().mean()))
    return sum(fractions) / max(len(fractions), 1)


def read_some(
    samples: Samples, numbers: Int[Tensor, " N"], device: torch.device
) -> Iterator[tuple[Int[Tensor, " B"], Batch]]:
    """Yield the numbers and the frames of some clips at a time."""
    for index in split_clips(samples, numbers):
        yield index, samples.batch(index, device)
