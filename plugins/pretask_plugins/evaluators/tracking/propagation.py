"""Propagation: labels of the first frame are carried on by what looks alike nearby.

Every position of a new frame takes the mean label of the few positions most like it, in the first frame and a queue of
the newest ones, no farther away than a radius. positions are worked off in blocks of 8 x 8 with the window around them,
so that memory is bounded by a block and a window whatever the size of a frame; the result is the same as with all
affinities.

Source: Jabri, Owens and Efros, NeurIPS 2020, section 4.1 (top k, radius, queue). Differs: the first frame's positions
are restricted to the radius as well.
Axes: B clips, h w positions, D width, C labels, Q positions of a block, W positions of its window, K frames looked back
at.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

BLOCK = 8  # positions, along each axis

FrameFeatures = Float[Tensor, "B h w D"]
FrameLabels = Float[Tensor, "B h w C"]


@dataclass(frozen=True)
class Propagation:
    """Propagation of labels from frame to frame.

    Args:
        top_k: How many positions a position copies from.
        radius: positions along each axis that these may be away.
        context_frames: Of the past that are looked back at, beside the first.
        temperature: Of the softmax over the similarity of these positions.
    """

    top_k: int = 10
    radius: int = 12
    context_frames: int = 7
    temperature: float = 0.1

    def __call__(self, features: Iterable[FrameFeatures], first: FrameLabels) -> Iterator[FrameLabels]:
        """Yield the labels of every frame after the first, one by one.

        Args:
            features: Of every frame, of length 1.
            first: Labels of the first frame.
        """
        stream = iter(features)
        start, past = (next(stream), first), deque[tuple[Tensor, Tensor]](maxlen=self.context_frames)
        for frame in stream:
            labels = self.propagate_labels(frame, [start, *past])
            yield labels
            past.append((frame, labels))

    def propagate_labels(self, frame: FrameFeatures, context: list[tuple[Tensor, Tensor]]) -> FrameLabels:
        """Copy the labels of one frame from those of others, block by block."""
        height, width = frame.shape[1:3]
        result = frame.new_zeros(*frame.shape[:3], context[0][1].shape[-1])
        for top in range(0, height, BLOCK):
            for left in range(0, width, BLOCK):
                block = (slice(top, min(top + BLOCK, height)), slice(left, min(left + BLOCK, width)))
                rows, columns = (slice(max(span.start - self.radius, 0), span.stop + self.radius) for span in block)
                window = [tuple(maps[:, rows, columns] for maps in pair) for pair in context]
                is_near = self.is_near(block, (rows, columns), frame)
                propagated = self.copy_labels(frame[:, *block].flatten(1, 2), window, is_near)
                result[:, *block] = propagated.view_as(result[:, *block])
        return result

    def is_near(
        self, block: tuple[slice, slice], window: tuple[slice, slice], frame: FrameFeatures
    ) -> Bool[Tensor, "Q W"]:
        """Return which positions of the window each position of the block may copy from."""
        near_by_axis = []
        for block_range, around, side in zip(block, window, frame.shape[1:3], strict=True):
            line = torch.arange(side, device=frame.device)
            near_by_axis.append((line[block_range, None] - line[None, around]).abs() <= self.radius)
        nearby = near_by_axis[0][:, None, :, None] & near_by_axis[1][None, :, None, :]
        return nearby.flatten(2).flatten(0, 1)

    def copy_labels(
        self, block: Float[Tensor, "B Q D"], window: list[tuple[Tensor, ...]], is_near: Bool[Tensor, "Q W"]
    ) -> Float[Tensor, "B Q C"]:
        """Return the mean label of the positions most like each, by the softmax of their similarity."""
        window_features = torch.cat([features for features, _ in window], 1).flatten(1, 2)  # (B, K W, D)
        window_labels = torch.cat([labels for _, labels in window], 1).flatten(1, 2)
        similarity = (block @ window_features.transpose(1, 2)).div_(self.temperature)
        similarity.view(*block.shape[:2], len(window), -1).masked_fill_(~is_near[:, None], -torch.inf)
        best, position = similarity.topk(min(self.top_k, int(is_near.sum(1).amin()) * len(window)), dim=2)
        labels = window_labels[
            torch.arange(len(window_labels), device=window_labels.device)[:, None, None], position
        ]  # (B, Q, top, C)
        return (best.softmax(2)[..., None] * labels).sum(2)
