"""Average precision: how boxes that were found are held against boxes that are there.

An object is found by a box of its class that overlaps it: the intersection is at least a share of the union. Of all
boxes of a class, in the order of their scores, precision is the share that found an object and recall the share of the
objects that were found.

    AP50            area below the precision that is reached at each recall or beyond, overlap 0.5 (VOC from 2010 on)
    AP50_11_points  mean of that precision at recalls 0, 0.1 … 1 (VOC 2007)
    AP              mean of that precision at recalls 0, 0.01 … 1, over overlaps 0.5, 0.55 … 0.95 (COCO)

all of them means over the classes. VOC compares a box with the object that it overlaps most, and a second box there is
wrong; COCO with the one among those that are still free. What is difficult is counted neither as found nor as missed.

Source: Everingham et al. 2010, section 4.2; Lin et al. 2014.
Differs: classes without any object to find are left out of means, as COCO has it. COCO's difficult objects (crowds)
    count by the share of the box that they cover; here by intersection over union like others.
Axes: P boxes found, M objects, N images, C classes, T overlaps, R resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from pretask import Draws
from torch import Tensor
from torchvision.ops import box_iou

Rule = Literal["voc", "coco"]
HALF = (0.5,)
COCO_OVERLAPS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
ELEVEN, HUNDRED_ONE = np.linspace(0, 1, 11), np.linspace(0, 1, 101)
MAX_BOXES = 100  # of an image that count, those of highest scores


@dataclass(frozen=True)
class Found:
    """The boxes that were found in an image."""

    corners: Float[Tensor, "P 4"]
    classes: Int[Tensor, " P"]
    scores: Float[Tensor, " P"]


@dataclass(frozen=True)
class There:
    """The objects of an image."""

    corners: Float[Tensor, "M 4"]
    classes: Int[Tensor, " M"]
    difficult: Bool[Tensor, " M"]


@dataclass(frozen=True)
class Matches:
    """The boxes of one class in all images, highest score first.

    Args:
        right: Whether a box found an object, for each overlap.
        counted: Whether it counts at all: not where it overlaps what is difficult.
        images: The image of each box.
        scores: Of each box.
        objects: How many there are to find in each image.
    """

    right: Bool[np.ndarray, "T P"]
    counted: Bool[np.ndarray, "T P"]
    images: Int[np.ndarray, " P"]
    scores: Float[np.ndarray, " P"]
    objects: Int[np.ndarray, " N"]


def match_class(
    found: Sequence[Found], there: Sequence[There], number: int, rule: Rule, overlaps: Sequence[float]
) -> Matches:
    """Hold the boxes of one class against its objects, image by image."""
    rights, counts, images, scores, objects = [], [], [], [], []
    for image, (boxes, truth) in enumerate(zip(found, there, strict=True)):
        order = boxes.scores.argsort(descending=True, stable=True)[:MAX_BOXES]
        order = order[boxes.classes[order] == number]
        mine = truth.classes == number
        overlap = box_iou(boxes.corners[order], truth.corners[mine]).double().numpy()
        right, counted = match_image(overlap, truth.difficult[mine].numpy(), rule, overlaps)
        rights.append(right)
        counts.append(counted)
        images += [image] * len(order)
        scores.append(boxes.scores[order].double().numpy())
        objects.append(int((mine & ~truth.difficult).sum()))
    every = np.concatenate(scores)
    by_score = np.argsort(-every, kind="stable")
    right, counted = (np.concatenate(parts, 1)[:, by_score] for parts in (rights, counts))
    return Matches(right, counted, np.array(images, int)[by_score], every[by_score], np.array(objects))


def match_image(
    overlap: Float[np.ndarray, "P M"], difficult: Bool[np.ndarray, " M"], rule: Rule, overlaps: Sequence[float]
) -> tuple[Bool[np.ndarray, "T P"], Bool[np.ndarray, "T P"]]:
    """Say for the boxes of one image, highest score first, which found an object and which count, for each overlap."""
    shape = (len(overlaps), len(overlap))
    right, counted = np.zeros(shape, bool), np.ones(shape, bool)
    for row, least in enumerate(overlaps):
        free = np.ones(overlap.shape[1], bool)
        for box in range(len(overlap)):
            best = choose_object(overlap[box], free, difficult, rule, least)
            if best is None:
                continue
            counted[row, box] = not difficult[best]
            right[row, box] = free[best] and not difficult[best]
            free[best] &= bool(difficult[best])
    return right, counted


def choose_object(
    overlap: Float[np.ndarray, " M"],
    free: Bool[np.ndarray, " M"],
    difficult: Bool[np.ndarray, " M"],
    rule: Rule,
    least: float,
) -> int | None:
    """Return the object that a box is held against; None where it overlaps none enough."""
    if rule == "voc":
        best = int(overlap.argmax()) if len(overlap) else 0
        return best if len(overlap) and overlap[best] >= least else None
    for among in (free & ~difficult, difficult):  # COCO takes what is to be ignored only where nothing else fits
        candidates = np.where(among, overlap, -1.0)
        if len(candidates) and candidates.max() >= least:
            return int(candidates.argmax())
    return None


def precision_envelope(
    right: Float[np.ndarray, "... P"], counted: Float[np.ndarray, "... P"], objects: Float[np.ndarray, "..."]
) -> tuple[Float[np.ndarray, "... P"], Float[np.ndarray, "... P"]]:
    """Return recall after each box, and the best precision from there on.

    Args:
        right: How often a box found an object: once, or as often as its image counts.
        counted: How often it counts.
        objects: To find, 1 or more.
    """
    hits = np.cumsum(right, -1)
    precision = hits / np.maximum(np.cumsum(counted, -1), 1e-9)
    return hits / objects[..., None], np.maximum.accumulate(precision[..., ::-1], -1)[..., ::-1]


def area(recall: Float[np.ndarray, "... P"], envelope: Float[np.ndarray, "... P"]) -> Float[np.ndarray, "..."]:
    """Return the area below the envelope.

    >>> float(area(np.array([0.5, 1.0]), np.array([1.0, 0.5])))
    0.75
    """
    below: np.ndarray = (np.diff(recall, prepend=0.0) * envelope).sum(-1)
    return below


def mean_at(recall: Float[np.ndarray, " P"], envelope: Float[np.ndarray, " P"], points: np.ndarray) -> float:
    """Return the mean of the envelope at some recalls; 0 where they are not reached.

    >>> round(mean_at(np.array([0.5]), np.array([1.0]), ELEVEN), 4)
    0.5455
    """
    return float(np.append(envelope, 0.0)[np.searchsorted(recall, points, side="left")].mean())


def match_all(
    found: Sequence[Found], there: Sequence[There], classes: int, rule: Rule, overlaps: Sequence[float] = HALF
) -> list[Matches]:
    """Match every class that has an object to find."""
    every = [match_class(found, there, number, rule, overlaps) for number in range(classes)]
    return [matches for matches in every if matches.objects.sum()]


def average_precision(matches: Sequence[Matches], points: np.ndarray | None = None) -> float:
    """Return the mean over classes and overlaps of the average precision.

    Args:
        matches: Of every class.
        points: Recalls at which precision is read; None for the area.
    """
    values: list[float] = []
    for one in matches:
        recall, envelope = precision_envelope(one.right * 1.0, one.counted * 1.0, np.array([one.objects.sum() * 1.0]))
        if points is None:
            values += area(recall, envelope).tolist()
        else:
            values += [mean_at(*row, points) for row in zip(recall, envelope, strict=True)]
    return float(np.mean(values)) if values else 0.0


def bootstrap(matches: Sequence[Matches], seed: int, resamples: int = 1000) -> tuple[float, float]:
    """Return the 95 % interval of AP50 over images drawn anew with replacement (percentiles)."""
    images = len(matches[0].objects)
    drawn = Draws(torch.arange(resamples), seed).branch("bootstrap").integers("image", 0, images, images)
    times = np.stack([np.bincount(row, minlength=images) for row in drawn.numpy()]).astype(float)
    low, high = np.quantile(resampled_precision(matches, times), (0.025, 0.975))
    return float(low), float(high)


def resampled_precision(matches: Sequence[Matches], times: Float[np.ndarray, "R N"]) -> Float[np.ndarray, " R"]:
    """Return AP50 for each resample: the mean over the classes of which it has an object; 0 where there is none.

    Args:
        matches: Of every class; of one overlap.
        times: How often every image counts.
    """
    total, classes = np.zeros(len(times)), np.zeros(len(times))
    for one in matches:
        weights, objects = times[:, one.images], times @ one.objects
        areas = area(*precision_envelope(one.right[0] * weights, one.counted[0] * weights, np.maximum(objects, 1)))
        total += np.where(objects > 0, areas, 0.0)
        classes += objects > 0
    means: np.ndarray = total / np.maximum(classes, 1)
    return means
