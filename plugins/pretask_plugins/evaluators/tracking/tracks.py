"""Tracks: objects of clips, followed from the first mask to the last frame, and how well that was done.

Axes: B clips, T frames, C labels, H W image, R ways to copy, N tracks.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from pretask import Batch, PretaskError, Samples
from torch import Tensor

from pretask_plugins.evaluators.tracking.readouts import find_shortest
from pretask_plugins.evaluators.tracking.scores import Course, contour_accuracy, region_similarity, summarize


@dataclass(frozen=True)
class Track:
    """One object of one clip: how well it was followed, and some frames to look at."""

    region_similarity: Course
    contour_accuracy: Course
    picture: tuple[Tensor, Tensor] | None

    @property
    def j_and_f(self) -> float:
        """Mean of J and F over the frames."""
        return (self.region_similarity.mean + self.contour_accuracy.mean) / 2


def score_objects(
    predictions: Iterable[tuple[int, Int[Tensor, "B R H W"]]], truth: Int[Tensor, "B T H W"], batch: Batch
) -> Iterator[list[Track]]:
    """Score every object that the first mask shows, in the frames between the first and the last, way by way.

    Args:
        predictions: Numbers of frames, from the first on, and the masks there by several ways; those of one way alone
            are kept for pictures.
        truth: The masks.
        batch: Frames, and which of them are no padding.
    """
    present = batch.present if batch.present is not None else torch.ones(truth.shape[:2], dtype=torch.bool)
    lengths = present.sum(1).tolist()
    objects = [(clip, number) for clip, mask in enumerate(truth[:, 0]) for number in list_objects(mask)]
    courses: list[list[Tensor]] = [[] for _ in objects]
    kept = []
    for frame, prediction in predictions:
        kept += [prediction[:, 0].cpu()] if prediction.shape[1] == 1 else []
        for course, (clip, number) in zip(courses, objects, strict=True):
            if 0 < frame < lengths[clip] - 1:
                course.append(score_masks(prediction[clip], truth[clip, frame], number))
    scores = [torch.stack(course, 2).cpu() for course in courses]  # (2, R, frames) each
    shown = {clip: place for place, (clip, _) in reversed([*enumerate(objects)])}  # the first object of each clip
    for way in range(scores[0].shape[1]):
        yield [
            Track(
                summarize(scores[place][0, way]),
                summarize(scores[place][1, way]),
                cut_picture(kept, batch, clip, lengths[clip]) if kept and shown[clip] == place else None,
            )
            for place, (clip, _) in enumerate(objects)
        ]


def list_objects(mask: Int[Tensor, "H W"]) -> list[int]:
    """Return the numbers of the objects in a mask."""
    return [number for number in sorted(set(mask.flatten().tolist())) if number > 0]


def score_masks(prediction: Int[Tensor, "R H W"], truth: Int[Tensor, "H W"], number: int) -> Float[Tensor, "2 R"]:
    """Return J and F of an object in one frame, by several ways; pixels of which nobody knows do not count."""
    pair = (prediction == number) & (truth >= 0), (truth == number).expand(prediction.shape)
    return torch.stack([region_similarity(*pair), contour_accuracy(*pair)])


def cut_picture(kept: Sequence[Tensor], batch: Batch, clip: int, length: int) -> tuple[Tensor, Tensor]:
    """Return the frames of a clip, and the masks that were predicted for them."""
    return batch.data[clip, :length].cpu(), torch.stack([labels[clip] for labels in kept[:length]])


def one_hot(mask: Int[Tensor, "B H W"], count: int) -> Float[Tensor, "B C H W"]:
    """Return labels as numbers 0 and 1, none where nobody knows the label."""
    return (mask[:, None] == torch.arange(count, device=mask.device)[:, None, None]).float()


def name_scores(prefix: str, tracks: Sequence[Track]) -> Iterator[tuple[str, float]]:
    """Yield the measures, averaged over objects, and the standard error of J&F over them."""
    yield f"{prefix}J&F", mean_j_and_f(tracks)
    if len(tracks) > 1:
        scores = torch.tensor([track.j_and_f for track in tracks], dtype=torch.float64)
        yield f"{prefix}J&F.standard_error", float(scores.std() / len(tracks) ** 0.5)
    for name in ("J", "F"):
        courses = [track.region_similarity if name == "J" else track.contour_accuracy for track in tracks]
        for part in ("mean", "recall", "decay"):
            yield f"{prefix}{name}.{part}", sum(getattr(course, part) for course in courses) / len(courses)


def mean_j_and_f(tracks: Sequence[Track]) -> float:
    """Return the mean of J and F over objects."""
    return sum(track.j_and_f for track in tracks) / len(tracks)


def check_masks(samples: Samples) -> None:
    """Raise PretaskError unless there are masks, something in the first of them, and a frame between first and last."""
    masks = samples.labels.get("masks")
    shortest = find_shortest(samples)
    if masks is None or not bool((masks.value[:, 0] > 0).any()) or shortest < 3:
        got = "none" if masks is None else f"clips of {shortest} frames and more"
        raise PretaskError(
            "tracking",
            "clips of at least 3 frames with `masks`, and objects in the first of them",
            got,
            "Use the data sprites, or frames with Annotations.",
        )
