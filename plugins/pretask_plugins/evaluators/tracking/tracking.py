"""Tracking: the first mask of a clip is given; what frozen features make of it in the frames after it.

Nothing is trained. Features of every frame, taken one by one, carry the mask on (propagation.py); it is held against
the true one by region and contour (scores.py), but for the first and the last frame, object by object. Beside it: the
first mask copied, which still things are good for, and the colors of the pixels as features.

Source: Perazzi et al., CVPR 2016; Vondrick et al., ECCV 2018, section 4.
Axes: B clips, T frames, C channels or labels, H W image, h w positions, D width, O objects.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from pretask import Batch, Budget, Data, Features, Figure, Items, PretaskError, Samples, Task
from pretask.options import DepthOrZero, NonNegativeInt, PositiveInt, Size, SizeOrZero, Temperature
from pretask.pretext_score import evaluation_mode
from pretask.specs import SEES_AT_MOST
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.evaluators.tracking.pictures import draw_tracks
from pretask_plugins.evaluators.tracking.propagation import Propagation
from pretask_plugins.evaluators.tracking.scores import Course, contour_accuracy, region_similarity, summarize

MAX_PIXELS = 1 << 17  # of the clips that are worked on at once, in one frame
MAX_FRAMES = 64  # frames that are encoded together, at most
VALIDATION_CLIPS = 16  # clips of the training part on which the layer is chosen

Encoder = Callable[[UInt8[Tensor, "F C H W"]], Float[Tensor, "F D h w"]]


@dataclass(frozen=True)
class Tracking:
    """Masks carried on by top-k affinity in a window, with a queue of frames.

    Args:
        layer: Whose features are taken, counted from 1; chosen on clips of the training part when 0.
        top_k: positions that a position copies from.
        radius: positions along each axis that these may be away.
        context_frames: Of the past that are looked back at, beside the first.
        temperature: Of the softmax over these positions.
        stride: Pixels from one position to the next at least; finer maps are averaged.
        max_clips: Of the test part that are tracked, at most; 0 for all.
    """

    layer: DepthOrZero = 0
    top_k: PositiveInt = 10
    radius: SizeOrZero = 12
    context_frames: SizeOrZero = 7
    temperature: Temperature = 0.1
    stride: Size = 4
    max_clips: NonNegativeInt = 64

    def __call__(self, task: Task, data: Data, budget: Budget, /) -> Iterator[tuple[str, float | Items | Figure]]:
        """Yield `J&F`, mean, recall and decay of `J` and `F`, those of `copy` and `color`, a picture; `track.accuracy`,
        with items, the fraction of tracks whose J&F is above a half.

        Raises:
            PretaskError: There are no masks, clips are too short, or features have no positions.
        """
        test = data("test")
        check_masks(test)
        with evaluation_mode(task), torch.no_grad():
            layer = self.layer
            if not layer:
                scores = self.scores_of_layers(task, data("train"))
                layer = 1 + max(range(len(scores)), key=lambda number: scores[number])
                yield from ((f"layer{number}.validation_J&F", score) for number, score in enumerate(scores, start=1))
            yield "layer", float(layer)
            track_objects = list(self.track_objects(select_layer(task, layer), test, self.max_clips, task.device))
            yield from name_scores("", track_objects)
            for name, other in (("copy.", None), ("color.", color_features)):
                yield from name_scores(name, list(self.track_objects(other, test, self.max_clips, task.device)))
        found = torch.tensor(
            [(track.region_similarity.mean + track.contour_accuracy.mean) / 2 > 0.5 for track in track_objects]
        )
        yield "track.accuracy", float(found.float().mean())
        yield "track.accuracy", Items(found)
        yield "tracks", draw_tracks([track.picture for track in track_objects if track.picture is not None])

    def scores_of_layers(self, task: Task, train: Samples) -> list[float]:
        """Return J&F of every layer on some clips of the training part."""
        check_masks(train)
        frames = train.data[:1, 0].to(task.device)
        count = len(task.encode(as_batch(task, frames), layers=True).layers) or 1
        return [
            mean_j_and_f(list(self.track_objects(select_layer(task, layer), train, VALIDATION_CLIPS, task.device)))
            for layer in range(1, count + 1)
        ]

    def track_objects(
        self, encode: Encoder | None, samples: Samples, max_frames: int, device: torch.device
    ) -> Iterator["Track"]:
        """Track every object of every clip; without an encoder, its first mask is copied."""
        masks = samples.labels["masks"].value
        side = masks.shape[-1] * masks.shape[-2]
        size = max(1, MAX_PIXELS // side)
        count = min(max_frames or len(samples), len(samples))
        for start in range(0, count, size):
            index = torch.arange(start, min(start + size, count))
            batch = samples.batch(index, device)
            truth = masks[index].to(device).long()
            first = one_hot(truth[:, 0], int(truth[:, 0].max()) + 1)
            prediction = (
                self.propagate_labels(encode, batch.data, first)
                if encode
                else copy_first_mask(first, batch.data.shape[1])
            )
            yield from score_objects(prediction, truth, batch)

    def propagate_labels(
        self, encode: Encoder, clips: UInt8[Tensor, "B T C H W"], first: Float[Tensor, "B K H W"]
    ) -> Int[Tensor, "B T H W"]:
        """Return the labels of every frame."""
        features = encode_frames(encode, clips, self.stride)
        start = next(features)
        labels = F.adaptive_avg_pool2d(first, (start.shape[1], start.shape[2])).movedim(1, 3)
        propagate = Propagation(self.top_k, self.radius, self.context_frames, self.temperature)
        predictions = [first.argmax(1)]
        for probabilities in propagate(chain_first(start, features), labels):
            smooth = F.interpolate(probabilities.movedim(3, 1), first.shape[2:], mode="bilinear", align_corners=False)
            predictions.append(smooth.argmax(1))
        return torch.stack(predictions, 1)


@dataclass(frozen=True)
class Track:
    """One object of one clip: how well it was followed, and some frames to look at."""

    region_similarity: Course
    contour_accuracy: Course
    picture: tuple[Tensor, Tensor] | None


def chain_first(first: Tensor, others: Iterable[Tensor]) -> Iterator[Tensor]:
    """Yield the first, and then the others."""
    yield first
    yield from others


def score_objects(prediction: Int[Tensor, "B T H W"], truth: Int[Tensor, "B T H W"], batch: Batch) -> Iterator[Track]:
    """Score every object that the first mask shows, in the frames between the first and the last."""
    lengths = batch.present.sum(1) if batch.present is not None else torch.full((len(prediction),), prediction.shape[1])
    for clip in range(len(prediction)):
        last = int(lengths[clip]) - 1
        is_labeled = truth[clip, 1:last] >= 0
        seen = sorted(set(truth[clip, 0].flatten().tolist()) - {0, -1})
        for number in seen:
            pair = (prediction[clip, 1:last] == number) & is_labeled, truth[clip, 1:last] == number
            picture = (
                (batch.data[clip, : last + 1].cpu(), prediction[clip, : last + 1].cpu()) if number == seen[0] else None
            )
            yield Track(summarize(region_similarity(*pair)), summarize(contour_accuracy(*pair)), picture)


def one_hot(mask: Int[Tensor, "B H W"], count: int) -> Float[Tensor, "B C H W"]:
    """Return labels as numbers 0 and 1, none where nobody knows the label."""
    return (mask[:, None] == torch.arange(count, device=mask.device)[:, None, None]).float()


def copy_first_mask(first: Float[Tensor, "B C H W"], frames: int) -> Int[Tensor, "B T H W"]:
    """Copy the first mask into every frame."""
    return first.argmax(1)[:, None].expand(-1, frames, -1, -1)


def encode_frames(
    encode: Encoder, clips: UInt8[Tensor, "B T C H W"], stride: int
) -> Iterator[Float[Tensor, "B h w D"]]:
    """Yield features of one frame after the other, of length 1, no finer than a position per stride."""
    height, width = (max(1, side // stride) for side in clips.shape[3:])
    for part in torch.split(clips, max(1, MAX_FRAMES // len(clips)), dim=1):
        maps = encode(part.flatten(0, 1))
        if maps.shape[2] > height or maps.shape[3] > width:
            maps = F.adaptive_avg_pool2d(maps, (min(height, maps.shape[2]), min(width, maps.shape[3])))
        maps = F.normalize(maps.float(), dim=1).movedim(1, 3)
        yield from maps.view(len(clips), -1, *maps.shape[1:]).unbind(1)


def select_layer(task: Task, layer: int) -> Encoder:
    """Return one layer of the task's encoder, frame by frame."""

    def encode(frames: UInt8[Tensor, "F C H W"]) -> Float[Tensor, "F D h w"]:
        features = task.encode(as_batch(task, frames), layers=True)
        layers = features.layers or (features,)
        if not 1 <= layer <= len(layers):
            raise PretaskError(
                "tracking",
                f"tracking.layer from 1 to {len(layers)}",
                f"{layer}",
                "Set tracking.layer to 0, which chooses on the training part.",
                exit_code=2,
            )
        return as_maps(layers[layer - 1])

    return encode


def as_batch(task: Task, frames: UInt8[Tensor, "F C H W"]) -> Batch:
    """Make frames samples of what the task was composed for: images, or clips of one frame."""
    return Batch(frames[:, None] if task.observed.modality == "video" else frames)


def as_maps(features: Features) -> Float[Tensor, "F D h w"]:
    """Return the widest stream of the first view as maps; moments of a clip of one frame are averaged."""
    stream = next(sight for sight in SEES_AT_MOST["all"] if sight in features.streams)
    if len(features.grid) not in (2, 3):
        raise PretaskError(
            "tracking",
            "features with positions, (rows, columns)",
            f"the grid {features.grid}",
            "Choose a model that keeps them.",
        )
    tokens = features.streams[stream][:, 0]
    maps = tokens.transpose(1, 2).reshape(len(tokens), tokens.shape[2], *features.grid)
    return maps if maps.ndim == 4 else maps.mean(2)


def color_features(frames: UInt8[Tensor, "F C H W"]) -> Float[Tensor, "F D h w"]:
    """Return colors as points on a quarter of a circle for each channel: the nearer, the larger the product."""
    angle = frames.float() * (torch.pi / 2 / 255)
    return torch.cat([angle.cos(), angle.sin()], 1)


def name_scores(prefix: str, tracks: list[Track]) -> Iterator[tuple[str, float]]:
    """Yield the measures, averaged over objects."""
    yield f"{prefix}J&F", mean_j_and_f(tracks)
    for name in ("J", "F"):
        courses = [track.region_similarity if name == "J" else track.contour_accuracy for track in tracks]
        for part in ("mean", "recall", "decay"):
            yield f"{prefix}{name}.{part}", sum(getattr(course, part) for course in courses) / len(courses)


def mean_j_and_f(tracks: list[Track]) -> float:
    """Return the mean of J and F over objects."""
    return sum((track.region_similarity.mean + track.contour_accuracy.mean) / 2 for track in tracks) / len(tracks)


def check_masks(samples: Samples) -> None:
    """Raise PretaskError unless there are masks, something in the first of them, and a frame between first and last."""
    masks = samples.labels.get("masks")
    shortest = samples.observed.shape[0] if samples.present is None else int(samples.present.sum(1).min())
    if masks is None or not bool((masks.value[:, 0] > 0).any()) or shortest < 3:
        got = "none" if masks is None else f"clips of {shortest} frames and more"
        raise PretaskError(
            "tracking",
            "clips of at least 3 frames with `masks`, and objects in the first of them",
            got,
            "Use the data sprites, or frames with Annotations.",
        )
