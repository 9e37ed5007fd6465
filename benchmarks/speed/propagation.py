"""Propagation of masks: blocks with the window around them, beside the affinities of all positions with all.

Both copy from the ten most similar positions within a radius, in the same frames; the results are compared.
"""

from typing import Any

import torch
from pretask_plugins.evaluators.tracking.propagation import Propagation
from torch import Tensor
from torch.nn import functional as F

from benchmarks.speed.race import judge, print_heading, print_race, race

GOAL = 3
SIDES, WIDTH, LABELS = (30, 60), 256, 4


def measure_propagation(device: torch.device, sides: tuple[int, ...] = SIDES, **options: Any) -> dict[str, Any]:
    """Return by the positions of a frame's side how often ours is done in the time of the full affinity."""
    measured: dict[str, Any] = {}
    print_heading(theirs="full ms")
    for side in sides:
        name = f"{side} x {side} positions, 8 frames, {WIDTH} numbers"
        measured[name] = compare(side, device, **options)
        print_race(name, measured[name])
    return measured


def compare(side: int, device: torch.device, **options: Any) -> dict[str, Any]:
    """Time blocks and the full affinity in turn."""
    propagation, (frame, context) = Propagation(), make_frames(side, device)

    def in_blocks() -> Tensor:
        return propagation.propagate_labels(frame, context)

    def fully() -> Tensor:
        return propagate_fully(propagation, frame, context)

    difference = distance(in_blocks(), fully())
    found = race(in_blocks, fully, device, **options)
    return {**judge(found, GOAL if side >= max(SIDES) else None), "difference": difference}


def make_frames(side: int, device: torch.device) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Return the features of a frame, and features and labels of the frames before it."""
    generator = torch.Generator().manual_seed(0)
    features = F.normalize(torch.randn(9, 1, side, side, WIDTH, generator=generator), dim=-1).to(device)
    labels = torch.rand(8, 1, side, side, LABELS, generator=generator).to(device)
    return features[8], list(zip(features[:8], labels, strict=True))


def propagate_fully(options: Propagation, frame: Tensor, context: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Copy labels by the affinities of all positions with all, of which those beyond the radius are masked."""
    side = frame.shape[1]
    near = (torch.arange(side, device=frame.device)[:, None] - torch.arange(side, device=frame.device)).abs()
    near = near <= options.radius
    is_near = (near[:, None, :, None] & near[None, :, None, :]).flatten(2).flatten(0, 1)  # (side^2, side^2)
    keys = torch.cat([features.flatten(1, 2) for features, _ in context], 1)
    labels = torch.cat([values.flatten(1, 2) for _, values in context], 1)
    similarity = (frame.flatten(1, 2) @ keys.transpose(1, 2)) / options.temperature
    similarity = similarity.masked_fill(~is_near.repeat(1, len(context)), -torch.inf)
    best, position = similarity.topk(options.top_k, dim=2)
    copied = (best.softmax(2)[..., None] * labels[0][position]).sum(2)
    return copied.view(*frame.shape[:3], -1)


def distance(first: Tensor, second: Tensor) -> float:
    """Return the largest difference of two tensors."""
    return float((first - second).abs().max())
