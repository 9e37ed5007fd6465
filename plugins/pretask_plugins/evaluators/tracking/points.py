"""Points of clips: keypoints, or the middles of objects; as labels of positions, and found again in such labels.

Where data has keypoints, those are the points, and the size of what they stand on is the diagonal of the box around
those seen in a frame. Where it has masks alone, the points are the means of the pixels of the objects, and the size is
the diagonal of an object's box.

Source: Jhuang, Gall, Zuffi, Schmid and Black, ICCV 2013 (the size); Jabri, Owens and Efros 2020 (one map for each
keypoint). Differs: a point is spread over the four positions around it, and found as the mean around the largest label,
so that places are finer than positions.
Axes: B clips, T frames, K points, R ways to copy, h w positions, H W image; a place is (row, column), pixels.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from pretask import Batch, PretaskError, Samples
from torch import Tensor
from torch.nn import functional as F

from pretask_plugins.evaluators.tracking.readouts import find_shortest

MIN_DIAGONAL = 1.0  # pixels; of a single keypoint there is no box


class Points(NamedTuple):
    """Points of some clips.

    Args:
        place: Of every point in every frame; anything where it is not seen.
        seen: Whether a point is seen, and its place known, in a frame that is no padding.
        diagonal: Of the box that distances are held against, pixels.
    """

    place: Float[Tensor, "B T K 2"]
    seen: Bool[Tensor, "B T K"]
    diagonal: Float[Tensor, "B T K"]


def read_points(samples: Samples, index: Int[Tensor, " B"], batch: Batch) -> Points:
    """Return the points of some clips."""
    labels = samples.labels
    if "keypoints" in labels:
        places = labels["keypoints"].value[index].to(batch.device)
        seen = (places >= 0).all(-1)
        points = Points(places.float(), seen, measure_keypoints(places.float(), seen))
    else:
        points = find_middles(labels["masks"].value[index].to(batch.device))
    if batch.present is None:
        return points
    return points._replace(seen=points.seen & batch.present[..., None])


def measure_keypoints(places: Float[Tensor, "B T K 2"], seen: Bool[Tensor, "B T K"]) -> Float[Tensor, "B T K"]:
    """Return the diagonal of the box around the keypoints that are seen in a frame."""
    low = places.masked_fill(~seen[..., None], torch.inf).amin(2)
    high = places.masked_fill(~seen[..., None], -torch.inf).amax(2)
    diagonal: Tensor = (high - low).clamp(min=0).norm(dim=-1).clamp(min=MIN_DIAGONAL)
    return diagonal[..., None].expand(seen.shape)


def find_middles(masks: Int[Tensor, "B T H W"]) -> Points:
    """Return the mean place of the pixels of every object of the first frames, and the diagonal of its box."""
    count = max(int(masks[:, 0].max()), 1)
    objects = torch.arange(1, count + 1, device=masks.device)[:, None, None]
    is_object = masks[:, :, None] == objects  # (B, T, K, H, W)
    number = is_object.sum((3, 4))
    means, sizes = [], []
    for axis in (3, 4):  # columns are summed away for rows, and the other way round
        line = is_object.sum(7 - axis).float()  # (B, T, K, H or W)
        along = torch.arange(line.shape[3], device=masks.device)
        means.append((line * along).sum(3) / number.clamp(min=1))
        filled = line > 0
        first, last = filled.long().argmax(3), line.shape[3] - 1 - filled.flip(3).long().argmax(3)
        sizes.append((last - first + 1).float())
    return Points(torch.stack(means, -1), number > 0, torch.stack(sizes, -1).norm(dim=-1).clamp(min=MIN_DIAGONAL))


def spread_points(
    place: Float[Tensor, "B K 2"], sides: tuple[int, int], height: int, width: int
) -> Float[Tensor, "B h w K"]:
    """Return every point as weights of the four positions around it, by their nearness along both axes.

    Args:
        place: In pixels.
        sides: Height and width of the picture, pixels.
        height: Rows of positions.
        width: Columns of positions.
    """
    weights = []
    for axis, (side, count) in enumerate(zip(sides, (height, width), strict=True)):
        at = ((place[..., axis] + 0.5) * count / side - 0.5).clamp(0, count - 1)  # (B, K)
        line = torch.arange(count, device=place.device)
        weights.append((1 - (at[..., None] - line).abs()).clamp(min=0))  # (B, K, count)
    return torch.einsum("bkh,bkw->bhwk", *weights)


def find_points(
    labels: Float[Tensor, "B h w R K"], sides: tuple[int, int], last: Float[Tensor, "B R K 2"]
) -> Float[Tensor, "B R K 2"]:
    """Return the mean place of the labels in the 3 x 3 positions around the largest; the last place where none is left.

    Args:
        labels: Of the points, by position.
        sides: Height and width of the picture, pixels.
        last: Where the points were before.
    """
    count, height, width = labels.shape[:3]
    maps = labels.permute(0, 3, 4, 1, 2).flatten(0, 2)  # (B R K, h, w)
    mass, largest = maps.flatten(1).max(1)
    around = F.unfold(F.pad(maps[:, None], (1, 1, 1, 1)), 3).transpose(1, 2)  # (B R K, positions, 9)
    weight = around[torch.arange(len(maps), device=maps.device), largest].view(-1, 3, 3)
    weight = weight / weight.sum((1, 2), keepdim=True).clamp(min=1e-12)
    step = torch.arange(-1, 2, device=maps.device)
    row = largest // width + (weight.sum(2) * step).sum(1)
    column = largest % width + (weight.sum(1) * step).sum(1)
    found = torch.stack([(row + 0.5) * sides[0] / height - 0.5, (column + 0.5) * sides[1] / width - 0.5], 1)
    return torch.where((mass > 0)[:, None], found, last.flatten(0, 2)).view(count, *labels.shape[3:], 2)


def check_points(samples: Samples) -> None:
    """Raise PretaskError unless there are points in the first frames, and another frame after the first."""
    keypoints, masks = samples.labels.get("keypoints"), samples.labels.get("masks")
    shortest = find_shortest(samples)
    if keypoints is not None:
        any_point = bool((keypoints.value[:, 0] >= 0).all(-1).any())
    else:
        any_point = masks is not None and bool((masks.value[:, 0] > 0).any())
    if not any_point or shortest < 2:
        raise PretaskError(
            "keypoint-tracking",
            "clips of at least 2 frames with `keypoints` or `masks`, and some in the first of them",
            f"clips of {shortest} frames and more" if any_point else "none",
            "Put keypoints.json beside JPEGImages (data frames), or use the data sprites, whose objects have middles.",
        )
