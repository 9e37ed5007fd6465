"""Scores: how well masks fit, by region (J) and by contour (F), and their course over a clip.

Source: Perazzi et al., CVPR 2016; the released davis2017-evaluation.
Axes: M masks, H W image, T frames.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

TOLERANCE = 0.008  # of the picture's diagonal: how far off a contour still counts
QUARTERS = 4  # parts of a clip; decay is from the first to the last


@dataclass(frozen=True)
class Course:
    """A measure over the frames of a clip.

    Args:
        mean: Of all frames.
        recall: Fraction of the frames above one half.
        decay: Mean of the first quarter less that of the last; lower is better.
    """

    mean: float
    recall: float
    decay: float


def region_similarity(prediction: Bool[Tensor, "M H W"], truth: Bool[Tensor, "M H W"]) -> Float[Tensor, " M"]:
    """Return J: intersection over union; 1 where both are empty.

    >>> region_similarity(torch.tensor([[[True, True]]]), torch.tensor([[[True, False]]])).tolist()
    [0.5]
    """
    union = (prediction | truth).sum((1, 2))
    return torch.where(union > 0, (prediction & truth).sum((1, 2)) / union.clamp(min=1), 1.0)


def contour_accuracy(prediction: Bool[Tensor, "M H W"], truth: Bool[Tensor, "M H W"]) -> Float[Tensor, " M"]:
    """Return F: harmonic mean of precision and recall of contour pixels, correct where the other contour is near."""
    lines = edges(prediction), edges(truth)
    radius = math.ceil(TOLERANCE * math.hypot(*prediction.shape[1:]))
    count = [line.sum((1, 2)) for line in lines]
    correct = [(lines[own] & dilate(lines[1 - own], radius)).sum((1, 2)) for own in (0, 1)]
    precision, recall = (correct[own] / count[own].clamp(min=1) for own in (0, 1))
    fit = 2 * precision * recall / (precision + recall).clamp(min=1e-9)
    return torch.where((count[0] == 0) & (count[1] == 0), 1.0, fit)


def edges(masks: Bool[Tensor, "M H W"]) -> Bool[Tensor, "M H W"]:
    """Return the pixels that differ from the one to their right, below, or both."""
    wider = F.pad(masks[:, None].float(), (0, 1, 0, 1), mode="replicate")[:, 0] > 0.5
    correct, below, across = wider[:, :-1, 1:], wider[:, 1:, :-1], wider[:, 1:, 1:]
    return (masks ^ correct) | (masks ^ below) | (masks ^ across)


def dilate(lines: Bool[Tensor, "M H W"], radius: int) -> Bool[Tensor, "M H W"]:
    """Return the pixels no farther than the radius from a line's."""
    step = torch.arange(-radius, radius + 1, device=lines.device)
    disk = (step[:, None] ** 2 + step**2 <= radius**2).float()
    return F.conv2d(lines[:, None].float(), disk[None, None], padding=radius)[:, 0] > 0.5


def summarize(values: Float[Tensor, " T"]) -> Course:
    """Summarize a measure by its mean, recall and decay."""
    bounds = torch.linspace(1, len(values), QUARTERS + 1, dtype=torch.float64).add(1e-10).round().long() - 1
    first, last = values[bounds[0] : bounds[1] + 1], values[bounds[-2] : bounds[-1] + 1]
    return Course(float(values.mean()), float((values > 0.5).float().mean()), float(first.mean() - last.mean()))
